package plan

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// held is what one node's kernel holds, all its ports up.
type held struct {
	routes []mesh.Route
	rules  []mesh.Rule
	steers []mesh.Steer
}

// out returns the port by which a packet leaves: steered, else by the rules in
// order of priority, else by main, in each table the lowest metric.
func (h held) out(incoming string, dest netip.Addr) string {
	tables := []mesh.Table{mesh.MainTable}
	for _, s := range h.steers {
		if s.Incoming == incoming && s.Destination == dest {
			for _, r := range h.rules {
				if r.Mark == s.Mark && r.IPv6 == dest.Is6() {
					tables = []mesh.Table{r.Table}
				}
			}
			break
		}
	}
	if tables[0] == mesh.MainTable {
		for _, r := range h.rules {
			if r.Mark == 0 && r.Incoming == incoming && r.IPv6 == dest.Is6() {
				tables = []mesh.Table{r.Table, mesh.MainTable}
			}
		}
	}
	for _, t := range tables {
		best := mesh.Route{Metric: 1 << 30}
		for _, r := range h.routes {
			if r.Table == t && r.Destination.Contains(dest) && r.Metric < best.Metric {
				best = r
			}
		}
		if best.Interface != "" {
			return best.Interface
		}
	}
	return ""
}

// arrives sends a packet through the mesh and says whether it gets there.
func arrives(p *mesh.Plan, nodes map[string]held, dead map[string]bool, src, dest string, family int) (way []string, ok bool) {
	at, over := src, ""
	for range 4 * len(p.Nodes) {
		if at == dest {
			return way, true
		}
		port := nodes[at].out(over, p.Node(dest).Identity[family])
		var cable, peer string
		for _, l := range p.Node(at).Links {
			if l.Interface == port {
				cable, peer = l.Cable, l.Peer
			}
		}
		if cable == "" || dead[cable] {
			return way, false
		}
		over = ""
		for _, l := range p.Node(peer).Links {
			if l.Cable == cable {
				over = l.Interface
			}
		}
		way = append(way, cable)
		at = peer
	}
	return way, false
}

// TestPassage lets every cable of some meshes die silently, and later return, and
// sends packets at every turn, when some nodes have taken it and others not.
func TestPassage(t *testing.T) {
	for shape, c := range map[string]mesh.Cluster{
		"ring": cluster(8, 2, "ring"), "petersen": cluster(10, 3, "petersen"), "circulant": cluster(9, 4, "circulant"), "full mesh": cluster(4, 3, "full-mesh"),
	} {
		p, fs := Make(c)
		if len(fs) > 0 {
			t.Fatalf("%s: findings: %v", shape, codes(fs))
		}
		whole := Without(&p, nil)
		t.Run(shape, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				dead := map[string]bool{rapid.SampledFrom(p.Cables).Draw(t, "cable").Name: true}
				left := Without(&p, dead)
				passage := whole.To(left)
				if rapid.Bool().Draw(t, "back") {
					passage, dead = left.To(whole), nil
				}
				turn := rapid.IntRange(0, max(0, passage.Last())).Draw(t, "turn")
				nodes := map[string]held{}
				for _, n := range p.Nodes {
					taken := turn - rapid.IntRange(0, 1).Draw(t, n.Name+" waits")
					h := held{steers: passage.Steers(n.Name, taken)}
					h.routes, h.rules = passage.Rows(n.Name, taken)
					rules, routes := Steering(&p, n.Name)
					h.routes, h.rules = append(h.routes, routes...), append(h.rules, rules...)
					nodes[n.Name] = h
				}
				for _, s := range p.Nodes {
					for _, d := range p.Nodes {
						for family := range d.Identity {
							if way, ok := arrives(&p, nodes, dead, s.Name, d.Name, family); !ok {
								t.Fatalf("turn %d: %s to %s is lost after %v", turn, s.Name, d.Name, way)
							}
						}
					}
				}
			})
		})
	}
}

func TestPassageByHand(t *testing.T) {
	p, _ := Make(cluster(6, 2, "ring")) // cable 6 joins n6 and n1
	whole, left := Without(&p, nil), Without(&p, map[string]bool{"6": true})
	passage := whole.To(left)
	if passage.Last() != 2 {
		t.Errorf("last turn %d, want 2", passage.Last())
	}
	// n1 goes around cable 6 already. n2 reached n6 over it, and now does over n3,
	// n4 and n5; of these n3 and n4 reached n6 the other way round, or would have
	// taken a packet from n2 for a sign of a failure.
	if diff := cmp.Diff([]int{0}, passage.Turns("n1")); diff != "" {
		t.Errorf("turns of n1 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{0, 1, 2}, passage.Turns("n2")); diff != "" {
		t.Errorf("turns of n2 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"n3", "n4"}, passage.Before("n2", 2)); diff != "" {
		t.Errorf("before turn 2 of n2 (-want +got):\n%s", diff)
	}
	if got := passage.Before("n2", 0); got != nil {
		t.Errorf("before turn 0 of n2: %v", got)
	}
	wasRoutes, wasRules := whole.Rows("n2")
	routes, rules := passage.Rows("n2", -1)
	if !slices.Equal(routes, wasRoutes) || !slices.Equal(rules, wasRules) {
		t.Error("before the passage n2 does not hold what it held")
	}
	willRoutes, willRules := left.Rows("n2")
	if routes, rules = passage.Rows("n2", 2); !slices.Equal(routes, willRoutes) || !slices.Equal(rules, willRules) {
		t.Error("after the passage n2 does not hold what it should")
	}
	if routes, _ = passage.Rows("n2", 1); slices.Equal(routes, wasRoutes) || slices.Equal(routes, willRoutes) {
		t.Error("in turn 1 n2 holds nothing between")
	}
	steered := func(turn int) int { return len(passage.Steers("n1", turn)) }
	if before, after := steered(-1), steered(0); before == 0 || after != 0 {
		t.Errorf("n1 steers %d ways before turn 0 and %d after; want some, then none", before, after)
	}
	if back := left.To(left); back.Last() != -1 || back.Turns("n1") != nil {
		t.Errorf("nothing changes, and yet there are turns to %d", back.Last())
	}
	if passage.Turns("stranger") != nil || passage.Before("stranger", 0) != nil || passage.Steers("stranger", 0) != nil {
		t.Error("a stranger has turns")
	}
}

func TestSteering(t *testing.T) {
	p, _ := Make(cluster(3, 2, "full-mesh"))
	rules, routes := Steering(&p, "n1")
	var got []string
	for _, r := range rules {
		got = append(got, r.String())
	}
	for _, r := range routes {
		got = append(got, r.String())
	}
	want := []string{
		"rule 7500: ipv4 fwmark 0x1000000/0xff000000 lookup 8000", "rule 7500: ipv6 fwmark 0x1000000/0xff000000 lookup 8000",
		"rule 7500: ipv4 fwmark 0x2000000/0xff000000 lookup 8001", "rule 7500: ipv6 fwmark 0x2000000/0xff000000 lookup 8001",
		"route 0.0.0.0/0 via 10.7.0.2 dev tbt-n2 metric 10 table 8000", "route ::/0 via fd75::2 dev tbt-n2 metric 10 table 8000",
		"route 0.0.0.0/0 via 10.7.0.3 dev tbt-n3 metric 10 table 8001", "route ::/0 via fd75::3 dev tbt-n3 metric 10 table 8001",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if rules, routes := Steering(&p, "stranger"); rules != nil || routes != nil {
		t.Error("a stranger is steered")
	}
}
