package design

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/cost"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/plan"
	"github.com/usb4mesh/usb4mesh/internal/search"
	"github.com/usb4mesh/usb4mesh/internal/topology"
)

func candidates(t *testing.T, r Request) []Candidate {
	t.Helper()
	if r.Rounds == 0 {
		r.Rounds = 2
	}
	all, err := Candidates(r)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func named(t *testing.T, all []Candidate, name string) *Candidate {
	t.Helper()
	i := slices.IndexFunc(all, func(c Candidate) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no candidate %q", name)
	}
	return &all[i]
}

// TestShortCablesRaiseTheBound stands six by six boxes so far apart that a cable spans two.
func TestShortCablesRaiseTheBound(t *testing.T) {
	l := &Layout{Rows: 6, Columns: 6, Across: 0.9, Upward: 0.9, Slack: 0.15}
	c := named(t, candidates(t, Request{Nodes: 36, Ports: 4, Layout: l, Seed: 1}), "searched")
	if free := search.LowerBound(36, 4); c.Bound <= free.Average || c.Average < c.Bound {
		t.Errorf("%v hops, bound %v, without layout %v", c.Average, c.Bound, free.Average)
	}
	for _, m := range c.Metres {
		if m > 2 {
			t.Errorf("a cable of %v m", m)
		}
	}
}

// TestEveryCandidateIsProved writes every candidate as a cluster file, reads it, plans it, and
// wants the proof that any cut is survived wherever the candidate promises it.
func TestEveryCandidateIsProved(t *testing.T) {
	for _, size := range [][3]int{{2, 1, 0}, {3, 2, 4}, {5, 3, 0}, {6, 2, 6}, {8, 3, 0}, {9, 3, 0}, {9, 4, 4}, {10, 3, 0}, {14, 3, 0}, {16, 4, 0}} {
		for _, c := range candidates(t, Request{Nodes: size[0], Ports: size[1], HubPorts: size[2], Seed: 1}) {
			cluster, err := c.Cluster()
			if err != nil {
				t.Errorf("%v %s: %v", size, c.Name, err)
				continue
			}
			parsed, findings := config.Parse("mesh.yaml", config.Format(cluster))
			p, more := plan.Make(parsed)
			if findings = append(findings, more...); finding.HasErrors(findings) {
				t.Errorf("%v %s: %v", size, c.Name, findings)
				continue
			}
			if len(p.Cables) != len(c.Links) || len(p.Nodes) != c.Nodes+c.Hubs {
				t.Errorf("%v %s: %d cables and %d nodes, want %d and %d", size, c.Name, len(p.Cables), len(p.Nodes), len(c.Links), c.Nodes+c.Hubs)
			}
			if p.Proof.Avoidable != 0 || p.Proof.Looped != 0 || c.Cut.Protected() != (p.Proof.Lost == 0) || len(p.Proof.Bridges) != c.Cut.Bridges {
				t.Errorf("%v %s: says %+v, proof %+v", size, c.Name, c.Cut, p.Proof)
			}
		}
	}
}

func TestPetersenIsBest(t *testing.T) {
	all := candidates(t, Request{Nodes: 10, Ports: 3, Seed: 1, Gbps: 10})
	c := &all[0]
	if c.Name != "Petersen" || c.Proof != search.ByBound || c.Diameter != 2 || c.Bisection != 5 || !c.BisectionExact || len(c.Links) != 15 {
		t.Errorf("first is %+v", c)
	}
	if math.Abs(c.Gbps-18) > 0.36 || c.Limit < 18-1e-9 { // 300 Gbit/s over 15/9 hops and 10 nodes
		t.Errorf("%v Gbit/s, limit %v, want 18", c.Gbps, c.Limit)
	}
	if want := c.Gbps * (15./9 - 1); math.Abs(c.Transit-want) > want*0.05 {
		t.Errorf("forwards %v, want about %v", c.Transit, want)
	}
	if c.Cut.Tried != 15 || c.Cut.Bridges != 0 || c.Cut.Diameter != 4 {
		t.Errorf("cuts: %+v", c.Cut)
	}
}

func TestTraffic(t *testing.T) {
	ring := func(traffic Traffic, nodes int) float64 {
		return named(t, candidates(t, Request{Nodes: nodes, Ports: 2, Gbps: 10, Seed: 1, Traffic: traffic}), "ring").Gbps
	}
	tests := []struct {
		traffic Traffic
		want    float64
	}{
		{AllToAll, 10. * 2 / (9. / 5)},          // 120 Gbit/s over 9/5 hops and 6 nodes
		{Ceph, 10. * 2 / (9. / 5) / (2 + 5./6)}, // the same, and every bit crosses that often
		// Each sends straight to its neighbour; the other direction is idle and carries a
		// share the long way, over 5 cables.
		{AllReduce, 10 + 10./5},
		{Hot, 20. / 5}, // two cables for five readers
	}
	for _, test := range tests {
		got := ring(test.traffic, 6)
		if math.Abs(got-test.want) > 0.021*test.want {
			t.Errorf("%s: %v Gbit/s, want %v", test.traffic, got, test.want)
		}
	}
}

func TestLayout(t *testing.T) {
	l, err := ParseLayout("3x4")
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Nodes: 12, Ports: 4, Seed: 1, Layout: l}
	for _, c := range candidates(t, r) {
		for i, link := range c.Links {
			if want := l.Length(link[0], link[1]); c.Metres[i] != want || want > cost.Longest(r.Prices)+2 {
				t.Errorf("%s: cable %d of %v m, want %v", c.Name, i, c.Metres[i], want)
			}
		}
		if c.Name == "grid 3x4" { // stands as it is, on the shortest cables
			for _, m := range c.Metres {
				if m > l.Slack+l.Across+1e-9 {
					t.Errorf("the grid has a cable of %v m", m)
				}
			}
		}
	}
	if got := l.Length(0, 11); math.Abs(got-(0.15+3*0.2+2*0.15)) > 1e-9 {
		t.Errorf("from corner to corner %v m", got)
	}
	for _, bad := range []string{"", "3", "3x", "x4", "0x4", "-1x4", "3x4x5", "3x4 "} {
		if _, err := ParseLayout(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestBudgetAndRank(t *testing.T) {
	all := candidates(t, Request{Nodes: 8, Ports: 3, Seed: 1, Budget: 130})
	over := false
	for _, c := range all {
		if over && !c.OverBudget {
			t.Errorf("%s fits the budget and stands behind one that does not", c.Name)
		}
		over = over || c.OverBudget
	}
	if all[0].OverBudget || !over {
		t.Errorf("first %s for $%v, dear ones %v", all[0].Name, all[0].Bill.USD(), over)
	}
	free := candidates(t, Request{Nodes: 8, Ports: 3, Seed: 1})
	if last := free[len(free)-1]; last.Name != "chain" || last.Cut.Protected() {
		t.Errorf("last is %s", last.Name)
	}
}

// TestRank wants safety before speed, and money before both if there is a budget.
func TestRank(t *testing.T) {
	order := []Candidate{
		{Name: "safe", Gbps: 10, Average: 2},
		{Name: "safe, a little slower, fewer hops would not help", Gbps: 9, Average: 1.5},
		{Name: "fast, and a cut parts it", Gbps: 100, Average: 1, Cut: Cut{Bridges: 1}},
		{Name: "fast and safe and too dear", Gbps: 100, Average: 1, OverBudget: true},
	}
	for i := range order {
		for k := range order {
			if got, want := rank(order[i], order[k]), i-k; got*want < 0 || (got == 0) != (want == 0) {
				t.Errorf("%s against %s: %d", order[i].Name, order[k].Name, got)
			}
		}
	}
}

func TestHub(t *testing.T) {
	c := named(t, candidates(t, Request{Nodes: 4, Ports: 1, HubPorts: 4, Seed: 1}), "hub of 4 ports")
	// Every cable carries 5 Gbit/s at most, and the host forwards 25.
	if c.Hubs != 1 || len(c.Links) != 4 || math.Abs(c.Gbps-5) > 0.1 || c.Cut.Bridges != 4 {
		t.Errorf("%+v", c)
	}
	many := candidates(t, Request{Nodes: 12, Ports: 2, HubPorts: 6, Seed: 1})
	for _, c := range many {
		if c.Hubs == 0 {
			continue
		}
		if c.Cut.Bridges != 0 || topology.Degree(c.Nodes+c.Hubs, c.Links) > 6 {
			t.Errorf("%s: bridges %d, degree %d", c.Name, c.Cut.Bridges, topology.Degree(c.Nodes+c.Hubs, c.Links))
		}
		return
	}
	t.Error("no hubs for twelve nodes")
}

func TestBadRequests(t *testing.T) {
	tests := []struct {
		r    Request
		want string
	}{
		{Request{Nodes: 1, Ports: 2}, "1 nodes: want 2 to 10000"},
		{Request{Nodes: 4, Ports: 0}, "0 ports: want 1 to 16"},
		{Request{Nodes: 4, Ports: 2, Gbps: -1}, "-1 Gbit/s per cable"},
		{Request{Nodes: 4, Ports: 2, Traffic: "some"}, `unknown traffic "some": one of all-to-all`},
		{Request{Nodes: 4, Ports: 2, Layout: &Layout{Rows: 1, Columns: 3}}, "1 rows of 3 boxes are 3 boxes, not 4"},
		{Request{Nodes: 4, Ports: 2, Budget: math.NaN()}, "a budget of NaN"},
		{Request{Nodes: 4, Ports: 1}, "no wiring joins 4 nodes of 1 ports"},
	}
	for _, test := range tests {
		if _, err := Candidates(test.r); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}

// TestGrow compares curves with single designs.
func TestGrow(t *testing.T) {
	curves, err := Grow(Request{Gbps: 10, Seed: 1}, 40, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	ring := curves[0]
	for _, p := range ring.Points {
		links := make([][2]int, p.Nodes)
		for i := range links {
			links[i] = [2]int{i, (i + 1) % p.Nodes}
		}
		diameter, average := topology.Hops(p.Nodes, links)
		if p.Diameter != diameter || math.Abs(p.Average-average) > 1e-9 {
			t.Errorf("ring of %d: %d and %v hops, want %d and %v", p.Nodes, p.Diameter, p.Average, diameter, average)
		}
	}
	last := 0
	for _, p := range ring.Points {
		if p.Nodes <= last {
			t.Errorf("%d nodes after %d", p.Nodes, last)
		}
		last = p.Nodes
	}
	if last != 40 || len(curves) != 10 {
		t.Errorf("%d curves up to %d nodes", len(curves), last)
	}
	for _, c := range curves {
		for _, p := range c.Points {
			if !(p.Gbps > 0 && p.USD > 0 && p.Watts > 0) {
				t.Errorf("%s: %+v", c.Name, p)
			}
		}
	}
}
