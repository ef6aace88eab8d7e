package cables

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// ring plans n nodes n1, n2, ... in a ring; cable i leads from node i to the next.
func ring(t interface{ Fatal(...any) }, n int, shape string) *mesh.Plan {
	c := mesh.Cluster{Name: "test", Identity: []netip.Prefix{netip.MustParsePrefix("10.7.0.0/24")}, Topology: mesh.Topology{Shape: shape}}
	for i := range n {
		c.Nodes = append(c.Nodes, mesh.Node{Name: fmt.Sprintf("n%d", i+1), Ports: []mesh.Port{{Name: "l", Path: "pci-0000:01:00.0"}, {Name: "r", Path: "pci-0000:02:00.0"}}})
	}
	p, fs := plan.Make(c)
	if finding.HasErrors(fs) {
		t.Fatal(fs)
	}
	return &p
}

func everybody(string) bool { return true }

func down(node, cable, why string) Say { return Say{Node: node, Cable: cable, Why: why} }

func TestOut(t *testing.T) {
	p := ring(t, 4, "ring") // 1: n1-n2, 2: n2-n3, 3: n3-n4, 4: n4-n1
	for _, tt := range []struct {
		name string
		says []Say
		gone string // a node that is not alive
		want map[string]string
	}{
		{name: "nobody says anything", want: map[string]string{}},
		{name: "one end is enough", says: []Say{down("n1", "1", Dead), {Node: "n2", Cable: "1", Up: true}}, want: map[string]string{"1": "n1: dead"}},
		{name: "both ends", says: []Say{down("n2", "1", Dead), down("n1", "1", "no carrier")}, want: map[string]string{"1": "n1: no carrier, n2: dead"}},
		{name: "the last words of a node stand", says: []Say{down("n1", "1", "no carrier")}, gone: "n1", want: map[string]string{"1": "n1: no carrier"}},
		{name: "but they cut nobody off",
			says: []Say{down("n1", "1", "no carrier"), down("n2", "1", Dead), down("n4", "4", "no carrier")}, gone: "n1",
			want: map[string]string{"4": "n4: no carrier"}},
		{name: "and who is about to be heard again is preferred to silence",
			says: []Say{down("n1", "4", "unplugged"), down("n1", "1", Dead), down("n2", "1", Dead)}, gone: "n1",
			want: map[string]string{"1": "n1: dead, n2: dead"}},
		{name: "the last link of a node stays if it is only silent",
			says: []Say{down("n1", "1", Dead), down("n1", "4", Dead)}, want: map[string]string{"4": "n1: dead"}},
		{name: "the silent one of two stays",
			says: []Say{down("n1", "1", "no carrier"), down("n4", "4", Dead)}, want: map[string]string{"1": "n1: no carrier"}},
		{name: "what has no carrier does not stay",
			says: []Say{down("n1", "1", "no carrier"), down("n1", "4", "unplugged")}, want: map[string]string{"1": "n1: no carrier", "4": "n1: unplugged"}},
		{name: "silent for one end, gone for the other",
			says: []Say{down("n1", "1", Dead), down("n2", "1", "unplugged"), down("n1", "4", "unplugged")},
			want: map[string]string{"1": "n1: dead, n2: unplugged", "4": "n1: unplugged"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := Out(p, tt.says, func(n string) bool { return n != tt.gone })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("out (-want +got):\n%s", diff)
			}
		})
	}
}

// The order of hearing does not matter, silence alone never parts the mesh, and
// nothing is put back without need.
func TestOutProperties(t *testing.T) {
	p := ring(t, 7, "ring")
	rapid.Check(t, func(t *rapid.T) {
		var says []Say
		for _, c := range p.Cables {
			for _, e := range c.Ends {
				why := rapid.SampledFrom([]string{"", Dead, "no carrier"}).Draw(t, e.Node+c.Name)
				says = append(says, Say{Node: e.Node, Cable: c.Name, Up: why == "", Why: why})
			}
		}
		out, doubtful := Out(p, says, everybody)
		for c := range doubtful {
			if out[c] != "" {
				t.Fatalf("cable %s is out and in", c)
			}
		}
		shuffled := slices.Clone(says)
		rand.New(rand.NewPCG(uint64(rapid.Uint32().Draw(t, "seed")), 0)).Shuffle(len(shuffled), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		})
		// Who takes a node for dead has the same cables beyond doubt, and parts no more.
		gone := rapid.SampledFrom(p.Nodes).Draw(t, "gone").Name
		without, doubt := Out(p, says, func(n string) bool { return n != gone })
		for _, c := range p.Cables {
			if (out[c.Name] == "" && doubtful[c.Name] == "") != (without[c.Name] == "" && doubt[c.Name] == "") {
				t.Fatalf("cable %s differs since %s is not alive", c.Name, gone)
			}
		}
		if joined(p, without) > joined(p, out) {
			t.Fatalf("%d parts since %s is not alive, %d before", joined(p, without), gone, joined(p, out))
		}
		again, _ := Out(p, shuffled, everybody)
		if diff := cmp.Diff(out, again); diff != "" {
			t.Fatalf("order matters:\n%s", diff)
		}
		possible, _ := Out(p, slices.DeleteFunc(slices.Clone(says), func(s Say) bool { return s.Why == Dead }), everybody)
		if got, want := joined(p, out), joined(p, possible); got != want {
			t.Fatalf("%d parts, with silent cables %d", got, want)
		}
	})
}

func joined(p *mesh.Plan, out map[string]string) int {
	gone := map[string]bool{}
	for c := range maps.Keys(out) {
		gone[c] = true
	}
	return len(plan.Without(p, gone).Parts())
}

func TestMayReboot(t *testing.T) {
	for _, tt := range []struct {
		name  string
		shape string
		out   []string
		alive func(string) bool
		other string // digest of n2
		quiet bool   // no gossip
		want  string // part of the reason of a no; "" for a yes
	}{
		{name: "a whole ring", shape: "ring"},
		{name: "a ring with a cut elsewhere", shape: "ring", out: []string{"2"}, want: "no way from n2 to n3"},
		{name: "a ring with a cut beside", shape: "ring", out: []string{"1"}},
		{name: "the end of a chain", shape: "chain"},
		{name: "a node is down already", shape: "ring", alive: func(n string) bool { return n != "n3" }, want: "n3 is not heard of"},
		{name: "another plan", shape: "ring", other: "fff", want: "n2 runs another plan"},
		{name: "no gossip", shape: "ring", quiet: true, want: "gossip does not run"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := ring(t, 5, tt.shape)
			out := map[string]bool{}
			for _, c := range tt.out {
				out[c] = true
			}
			if tt.alive == nil {
				tt.alive = everybody
			}
			v := MayReboot(Mesh{Plan: p, Left: plan.Without(p, out), Node: "n1", Digest: "abc", Alive: tt.alive,
				Digests: map[string]string{"n2": tt.other}, Gossip: !tt.quiet})
			if v.OK != (tt.want == "") || !strings.Contains(v.Reason, tt.want) {
				t.Errorf("%+v, want %q", v, tt.want)
			}
		})
	}
}
