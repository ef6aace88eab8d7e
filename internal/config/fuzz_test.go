package config

import (
	"reflect"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// FuzzParse: whatever the bytes are, Parse does not panic, says the same twice,
// places every finding inside the file, and calls no cluster whole that is not.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml", "../../examples/*/mesh.yaml"} {
		for _, src := range corpus(f, pattern, 1) {
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, fs := Parse("mesh.yaml", src)
		again, fs2 := Parse("mesh.yaml", src)
		if !reflect.DeepEqual(c, again) || !reflect.DeepEqual(fs, fs2) {
			t.Error("two runs differ")
		}
		checkWellFormed(t, src, fs)
		bare := make([]finding.Finding, len(fs))
		for i, x := range fs {
			bare[i] = finding.New(x.Kind, "%s", x.Message).Hinted("%s", x.Hint).At(x.Path)
		}
		for _, x := range Locate("mesh.yaml", src, bare) {
			if x.Pos.Line != 0 {
				checkWellFormed(t, src, []finding.Finding{x})
			}
		}
		if finding.HasErrors(fs) {
			return
		}
		if c.Name == "" || len(c.Nodes) == 0 || (c.Topology.Shape == "") == (len(c.Cables) == 0) {
			t.Errorf("no errors, but this is no whole cluster: %+v", c)
		}
		for _, n := range c.Nodes {
			if n.Incomplete || n.Name == "" || (n.Machine == "") == (len(n.Ports) == 0) {
				t.Errorf("no errors, but this is no whole node: %+v", n)
			}
		}
		for _, cable := range c.Cables {
			if cable.Ends[0].Node == "" || cable.Ends[1].Node == "" || cable.Ends[0].Node == cable.Ends[1].Node {
				t.Errorf("no errors, but this is no whole cable: %+v", cable)
			}
		}
	})
}
