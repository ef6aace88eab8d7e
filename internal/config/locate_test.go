package config

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

const located = `# a comment
mesh: größe
identity: [10.7.1.0/24, "fd75::/64"]
nodes:
  - name: "01"
    machine: um790-pro
  - name: b
    ports:
      left: {path: "pci-0000:c7:00.5"}
    settings: {sysctl: {net.core.rmem_max: 1}}
topology: {shape: grid, columns: 2}
`

func TestLocate(t *testing.T) {
	for _, tt := range []struct {
		path                string
		line, column, width int // line 0: only the file
	}{
		{"mesh", 2, 7, 5},
		{"identity", 3, 1, 8},
		{"identity[1]", 3, 25, 11},
		{"identity[2]", 3, 1, 8}, // not there: the list around it
		{"nodes", 4, 1, 5},
		{"nodes[0]", 5, 5, 4},
		{"nodes[0].name", 5, 11, 4},
		{"nodes[0].machine", 6, 14, 9},
		{"nodes[0].ports.left", 5, 5, 4}, // the node around it
		{"nodes[1].ports.left", 9, 7, 4},
		{"nodes[1].ports.left.path", 9, 20, 18},
		{`nodes[1].settings.sysctl["net.core.rmem_max"]`, 10, 44, 1},
		{"nodes[1].settings.sysctl", 10, 16, 6},
		{"topology", 11, 1, 8},
		{"topology.columns", 11, 34, 1},
		{"topology.", 11, 1, 8},
		{"topology[0]", 11, 1, 8},
		{"mtu", 0, 0, 0},
		{"cables[3].endpoints[0]", 0, 0, 0},
		{"[0]", 0, 0, 0},
		{"[", 0, 0, 0},
		{`["mesh"]`, 2, 7, 5},
		{`["mesh`, 0, 0, 0},
		{"nodes[-1]", 4, 1, 5},
		{"nodes[99999999999999999999]", 4, 1, 5},
	} {
		fs := Locate("mesh.yaml", []byte(located), []finding.Finding{finding.New(badValue, "x").At(tt.path)})
		got := fs[0]
		if got.Pos.File != "mesh.yaml" || got.Pos.Line != tt.line || got.Pos.Column != tt.column || got.Width != tt.width {
			t.Errorf("%s: %v width %d, want %d:%d width %d", tt.path, got.Pos, got.Width, tt.line, tt.column, tt.width)
		}
		if (got.Source != "") != (tt.line != 0) || got.Path != tt.path {
			t.Errorf("%s: source %q, path %q", tt.path, got.Source, got.Path)
		}
	}
}

// TestLocateKeeps: findings that have a place, or no path, are not touched, and
// the caller's slice neither.
func TestLocateKeeps(t *testing.T) {
	placed := finding.New(badValue, "x").At("mesh")
	placed.Pos = finding.Pos{File: "other", Line: 7}
	in := []finding.Finding{placed, finding.New(badValue, "y"), finding.New(badValue, "z").At("mesh")}
	out := Locate("mesh.yaml", []byte(located), in)
	if diff := cmp.Diff(fmt.Sprint(in[:2]), fmt.Sprint(out[:2])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if out[2].Pos.Line != 2 || !in[2].Pos.IsZero() {
		t.Errorf("the third: out %v, in %v", out[2].Pos, in[2].Pos)
	}
}

// TestLocateUnreadable: a file that is no YAML has no places.
func TestLocateUnreadable(t *testing.T) {
	for _, src := range []string{"", "mesh: [", "mesh: \xff", "- a\n- b\n"} {
		out := Locate("m", []byte(src), []finding.Finding{finding.New(badValue, "x").At("mesh")})
		if out[0].Pos != (finding.Pos{File: "m"}) {
			t.Errorf("%q: %v", src, out[0].Pos)
		}
	}
}

// TestLocateAgrees: the paths that Parse gives its findings lead to the line the
// finding stands in, unless the finding is about something that is not there.
func TestLocateAgrees(t *testing.T) {
	skip := map[*finding.Kind]bool{
		missingKey:   true, // placed at the mapping around it
		duplicateKey: true, // the path leads to the first of the two
		emptyFile:    true, syntaxError: true, noIdentity: true,
	}
	n := 0
	for name, src := range corpus(t, "testdata/bad/*.yaml", 45) {
		_, fs := Parse("m", src)
		for _, f := range fs {
			if f.Path == "" || skip[f.Kind] {
				continue
			}
			bare := f
			bare.Pos = finding.Pos{}
			got := Locate("m", src, []finding.Finding{bare})[0]
			if got.Pos.Line != f.Pos.Line {
				t.Errorf("%s: %s: Locate(%q) = %v, Parse says %v", name, f.Code(), f.Path, got.Pos, f.Pos)
			}
			n++
		}
	}
	if n < 100 {
		t.Errorf("only %d findings compared", n)
	}
}
