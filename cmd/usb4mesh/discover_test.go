package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/usb4mesh/usb4mesh/internal/cabling"
	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// models scans all model machines, by archive.
func models(t testing.TB) map[string][]mesh.Hardware {
	t.Helper()
	all := map[string][]mesh.Hardware{}
	archives, err := filepath.Glob("../../internal/hw/testdata/trees/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no model trees: %v", err)
	}
	for _, name := range archives {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, fsys := range hwtest.Load(b) {
			h, _ := hw.Scan(fsys)
			all[name] = append(all[name], h)
		}
	}
	return all
}

// TestAnswerIsRead: what discover prints on one machine is read on another, with all
// that cabling and diagnosis need.
func TestAnswerIsRead(t *testing.T) {
	for name, machines := range models(t) {
		for _, want := range machines {
			b, err := json.Marshal(hardwareToJSON(want, nil))
			if err != nil {
				t.Fatal(err)
			}
			got, err := readHardware(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(mesh.Hardware{}, "Host"), cmpopts.IgnoreFields(mesh.USB4Link{}, "Services")); diff != "" {
				t.Errorf("%s (-scanned +read):\n%s", name, diff)
			}
		}
	}
}

// TestWrittenClusterPlans: the cabling of every model mesh becomes a cluster file that
// is read and planned without errors, and that the cabling then is as planned by.
func TestWrittenClusterPlans(t *testing.T) {
	meshes := 0
	for name, machines := range models(t) {
		if len(machines) < 2 {
			continue
		}
		meshes++
		c := cabling.Match(machines)
		cluster, fs := c.Cluster("mesh")
		text := config.Format(cluster)
		parsed, more := config.Parse(name, text)
		p, planned := plan.Make(parsed)
		if fs = append(append(fs, more...), planned...); finding.HasErrors(fs) {
			t.Fatalf("%s: %v\n%s", name, fs, text)
		}
		ports := map[string][]mesh.Port{}
		for _, n := range parsed.Nodes {
			ports[n.Name] = n.Ports
		}
		if got := cabling.Against(c, p, ports); !got.Clean() || len(got.Good) != 3 || len(got.Findings) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if meshes != 3 {
		t.Errorf("%d model meshes, want 3", meshes)
	}
}

func FuzzReadHardware(f *testing.F) {
	for _, machines := range models(f) {
		b, err := json.Marshal(hardwareToJSON(machines[0], nil))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"node":"a","controllers":[],"links":[{"peer_uuid":"","rx_lanes":-1,"gbps_per_lane":-9}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHardware(b)
		if err != nil {
			return
		}
		other := h
		other.Node += "2"
		c := cabling.Match([]mesh.Hardware{h, other, h})
		if len(c.Cables)+len(c.Strangers) > 2*len(h.Links) {
			t.Errorf("%d cables and %d strangers of %d links", len(c.Cables), len(c.Strangers), len(h.Links))
		}
		cluster, fs := c.Cluster("mesh")
		if finding.HasErrors(fs) {
			return
		}
		// Paths and names come from the other machine: the file may be refused, not misread.
		parsed, _ := config.Parse("x", config.Format(cluster))
		if len(parsed.Nodes) > len(cluster.Nodes) || len(parsed.Cables) > len(cluster.Cables) {
			t.Errorf("read %d nodes and %d cables of %d and %d", len(parsed.Nodes), len(parsed.Cables), len(cluster.Nodes), len(cluster.Cables))
		}
		var screen bytes.Buffer
		if err := writeCabling(&screen, c, nil, fs); err != nil || bytes.ContainsAny(screen.Bytes(), "\x00\x1b\x07\r") {
			t.Errorf("%v, on the screen %q", err, screen.Bytes())
		}
	})
}
