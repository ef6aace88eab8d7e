package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func TestNoSegmentation(t *testing.T) {
	for _, c := range []struct {
		name, shape string
		nodes, mtu  int
		node        string
		want        []string
	}{
		{"whole packets fit everywhere", "ring", 4, mesh.DefaultMTU, "n1", nil},
		{"the largest MTU", "ring", 4, mesh.MaxMTU, "n1", nil},
		{"a small MTU", "ring", 4, 9000, "n1", []string{"tbt-n2", "tbt-n4"}},
		{"detours count", "full-mesh", 3, 9000, "n1", []string{"tbt-n2", "tbt-n3"}},
		{"nobody lies between two", "chain", 2, 9000, "n1", nil},
		{"the end of a chain", "chain", 3, 9000, "n1", []string{"tbt-n2"}},
		{"its middle", "chain", 3, 9000, "n2", nil},
		{"a stranger", "ring", 4, 9000, "stranger", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := cluster(c.nodes, 2, c.shape)
			cl.MTU = c.mtu
			p, _ := Make(cl)
			if diff := cmp.Diff(c.want, NoSegmentation(&p, c.node)); diff != "" {
				t.Error(diff)
			}
		})
	}
	// One slow corner is enough.
	p, _ := Make(cluster(4, 2, "ring"))
	p.Nodes[2].Links[0].MTU = 1500
	if got := NoSegmentation(&p, "n1"); len(got) != 2 {
		t.Errorf("with one small link: %v", got)
	}
}
