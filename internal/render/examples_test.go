package render

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// A test may use what its package may not: here the way from a cluster file to
// a plan, so that what is rendered and run is what a user gets.

// examplePlan plans examples/<name>/mesh.yaml.
func examplePlan(t *testing.T, name string) mesh.Plan {
	t.Helper()
	file := "examples/" + name + "/mesh.yaml"
	src, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	cluster, fs := config.Parse(file, src)
	if finding.HasErrors(fs) {
		t.Fatalf("%s: %v", file, fs)
	}
	p, fs := plan.Make(cluster)
	if finding.HasErrors(fs) {
		t.Fatalf("%s: %v", file, fs)
	}
	return p
}

func exampleNames(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("../../examples/*/mesh.yaml")
	if err != nil || len(found) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var names []string
	for _, f := range found {
		names = append(names, filepath.Base(filepath.Dir(f)))
	}
	return names
}

// TestExamples renders every node of every example in every format, twice.
func TestExamples(t *testing.T) {
	for _, name := range exampleNames(t) {
		p, again := examplePlan(t, name), examplePlan(t, name)
		for _, n := range p.Nodes {
			for _, format := range Formats() {
				files, fs := Files(p, n.Name, format)
				if len(fs) > 0 || len(files) == 0 {
					t.Errorf("%s: node %s as %s: %d files, findings %v", name, n.Name, format, len(files), fs)
				}
				twice, _ := Files(again, n.Name, format)
				for i, f := range files {
					if i >= len(twice) || f.Path != twice[i].Path || string(f.Data) != string(twice[i].Data) {
						t.Errorf("%s: node %s: %s differs from run to run", name, n.Name, f.Path)
					}
					head, _, _ := strings.Cut(string(f.Data), "\n# Do not edit; change the cluster file and render again.\n")
					want := "# Written by usb4mesh for node " + n.Name + " of mesh " + p.Mesh + " from examples/" + name + "/mesh.yaml."
					if head != want {
						t.Errorf("%s: %s: header %q, want %q", name, f.Path, head, want)
					}
				}
			}
		}
	}
}

// TestExamplesNetworkd lets networkd run the busiest node of every example.
func TestExamplesNetworkd(t *testing.T) {
	for _, name := range exampleNames(t) {
		t.Run(name, func(t *testing.T) {
			p := examplePlan(t, name)
			busiest := p.Nodes[0]
			for _, n := range p.Nodes {
				if len(n.Links) > len(busiest.Links) || len(n.Links) == len(busiest.Links) && len(n.Routes) > len(busiest.Routes) {
					busiest = n
				}
			}
			runNetworkd(t, p, busiest.Name)
		})
	}
}
