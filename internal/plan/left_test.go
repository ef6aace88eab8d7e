package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// With nothing out, what is compiled anew is what stands in the plan.
func TestWithoutNothing(t *testing.T) {
	for _, shape := range []string{"full-mesh", "ring", "petersen"} {
		p, fs := Make(cluster(10, 9, shape))
		if len(fs) > 0 {
			t.Fatalf("findings: %v", codes(fs))
		}
		l := Without(&p, nil)
		for _, n := range p.Nodes {
			routes, rules := l.Rows(n.Name)
			if diff := cmp.Diff(n.Routes, routes, cmp.Comparer(func(a, b mesh.Route) bool { return a == b }), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s: routes of %s (-plan +left):\n%s", shape, n.Name, diff)
			}
			if diff := cmp.Diff(n.Rules, rules, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s: rules of %s (-plan +left):\n%s", shape, n.Name, diff)
			}
		}
	}
}

// Whatever is out, no row uses it, everybody that is still joined is reached, and
// the tables are those of a plan that never had the cables.
func TestWithout(t *testing.T) {
	p, fs := Make(cluster(8, 3, "circulant"))
	if len(fs) > 0 {
		t.Fatalf("findings: %v", codes(fs))
	}
	rapid.Check(t, func(t *rapid.T) {
		out := map[string]bool{}
		for _, c := range p.Cables {
			if rapid.Bool().Draw(t, c.Name) {
				out[c.Name] = true
			}
		}
		l := Without(&p, out)
		part := map[string]int{}
		for i, nodes := range l.Parts() {
			for _, n := range nodes {
				part[n] = i
			}
		}
		for _, n := range p.Nodes {
			dead := map[string]bool{}
			for _, link := range n.Links {
				dead[link.Interface] = out[link.Cable]
			}
			routes, _ := l.Rows(n.Name)
			reached := map[string]bool{}
			for _, r := range routes {
				if dead[r.Interface] {
					t.Fatalf("%s: %s uses a cable that is out", n.Name, r)
				}
				reached[r.Destination.String()] = true
			}
			for _, d := range p.Nodes {
				joined := part[n.Name] == part[d.Name]
				if n.Name == d.Name {
					continue
				}
				if got := reached[mesh.HostPrefix(d.Identity[0]).String()]; got != joined {
					t.Fatalf("%s to %s: a route %t, joined %t", n.Name, d.Name, got, joined)
				}
				if path := l.Path(n.Name, d.Name); (path != nil) != joined {
					t.Fatalf("%s to %s: path %v, joined %t", n.Name, d.Name, path, joined)
				}
			}
		}
	})
}

func TestPartsWithoutNodes(t *testing.T) {
	p, _ := Make(cluster(5, 2, "ring"))
	l := Without(&p, map[string]bool{"5": true}) // a chain n1 .. n5
	if diff := cmp.Diff([][]string{{"n1", "n2", "n3", "n4", "n5"}}, l.Parts()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]string{{"n1", "n2"}, {"n4", "n5"}}, l.Parts("n3")); diff != "" {
		t.Error(diff)
	}
}

// What is steered while a cable is dead is what the tables would do without it.
func TestLeftAround(t *testing.T) {
	p, _ := Make(cluster(5, 2, "ring")) // cable 1 joins n1 and n2
	steers := Without(&p, nil).Around("n1", map[string]bool{"1": true})
	own := map[string]string{}
	for _, s := range steers {
		if s.Port != "tbt-n5" || s.Mark != mesh.SteerMark(0) && s.Mark != mesh.SteerMark(1) {
			t.Errorf("%v, mark %#x", s, s.Mark)
		}
		if s.Incoming == "" {
			own[s.Destination.String()] = s.Port
		}
	}
	want := map[string]string{"10.7.0.2": "tbt-n5", "10.7.0.3": "tbt-n5", "fd75::2": "tbt-n5", "fd75::3": "tbt-n5"}
	if diff := cmp.Diff(want, own); diff != "" {
		t.Errorf("own packets (-want +got):\n%s", diff)
	}
	if steers := Without(&p, map[string]bool{"5": true}).Around("n1", map[string]bool{"1": true}); len(steers) > 0 {
		t.Errorf("nothing else is left, and still %v", steers)
	}
}
