package forwarding

import (
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestEverySingleCutOfKnownShapes(t *testing.T) {
	shapes := map[string]Graph{
		"petersen":           petersen(),
		"two parallel links": {2, []Link{{0, 1, 1}, {0, 1, 1}}},
		"random, 256 x 4":    regular(256, 4, 1),
	}
	for n := 3; n <= 16; n++ {
		shapes[fmt.Sprintf("ring %d", n)] = ring(n)
	}
	for n := 3; n <= 6; n++ {
		shapes[fmt.Sprintf("full mesh %d", n)] = fullMesh(n)
	}
	for columns := 2; columns <= 6; columns++ {
		for rows := 2; rows <= columns; rows++ {
			shapes[fmt.Sprintf("grid %dx%d", columns, rows)] = grid(columns, rows)
		}
	}
	for d := 2; d <= 6; d++ {
		shapes[fmt.Sprintf("hypercube %d", d)] = hypercube(d)
	}
	for name, g := range shapes {
		r := Verify(g, Compile(g), SingleLinks(g))
		cases := int64(g.Nodes * (g.Nodes - 1) * len(g.Links))
		if r.Cases != cases || r.Delivered != cases || len(r.Unprotected) != 0 {
			t.Errorf("%s: %d of %d cases delivered, want all of %d: %+v", name, r.Delivered, r.Cases, cases, r)
		}
	}
}

// TestEverySingleCutOfRandomGraphs draws 600 graphs of 3 to 40 nodes that no
// single link parts: weights with many ties, parallel links.
func TestEverySingleCutOfRandomGraphs(t *testing.T) {
	for range 6 { // rapid draws 100 a time
		rapid.Check(t, func(t *rapid.T) {
			g := twoEdgeConnected(3, 40, 20).Draw(t, "graph")
			r := Verify(g, Compile(g), SingleLinks(g))
			cases := int64(g.Nodes * (g.Nodes - 1) * len(g.Links))
			if r.Cases != cases || r.Delivered != cases {
				t.Fatalf("lost: %+v", r)
			}
		})
	}
}

// TestCutsLoseOnlyWhatTheySeparate: with bridges and parts, whatever is lost has
// no way left; and nothing goes round.
func TestCutsLoseOnlyWhatTheySeparate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := anyGraph(40, 20).Draw(t, "graph")
		r := Verify(g, Compile(g), SingleLinks(g))
		if r.Avoidable != 0 || r.Looped != 0 || r.AvoidablePairs != 0 {
			t.Fatalf("lost without need: %+v", r)
		}
	})
}

func TestReportByHand(t *testing.T) {
	tests := []struct {
		name     string
		g        Graph
		failures func(Graph) []Failure
		want     Report
	}{
		{"triangle", ring(3), SingleLinks,
			Report{Failures: 3, Cases: 18, Delivered: 18, LongestPath: 2, LongestDetour: 1}},
		// Round the whole ring, and from the neighbour's neighbour there and back.
		{"ring of 6", ring(6), SingleLinks,
			Report{Failures: 6, Cases: 180, Delivered: 180, LongestPath: 7, LongestDetour: 4}},
		{"chain", chain(3), SingleLinks,
			Report{Failures: 2, Cases: 12, Delivered: 4, Dropped: 8, Separated: 8, LongestPath: 1,
				UnprotectedPairs: 6, Unprotected: []Case{
					{0, 1, 0, Dropped, true}, {0, 2, 0, Dropped, true}, {1, 0, 0, Dropped, true},
					{1, 2, 1, Dropped, true}, {2, 0, 0, Dropped, true}, {2, 1, 1, Dropped, true}}}},
		{"parts, nothing fails", Graph{3, []Link{{0, 1, 1}}}, func(Graph) []Failure { return []Failure{{}} },
			Report{Failures: 1, Cases: 6, Delivered: 2, Dropped: 4, Separated: 4, LongestPath: 1,
				UnprotectedPairs: 4, Unprotected: []Case{
					{0, 2, 0, Dropped, true}, {1, 2, 0, Dropped, true}, {2, 0, 0, Dropped, true}, {2, 1, 0, Dropped, true}}}},
		{"nodes of a triangle", ring(3), SingleNodes,
			Report{Failures: 3, Cases: 6, Delivered: 6, LongestPath: 1}},
		{"the middle of a chain", chain(3), func(Graph) []Failure { return []Failure{{Nodes: []int{1}}} },
			Report{Failures: 1, Cases: 2, Dropped: 2, Separated: 2,
				UnprotectedPairs: 2, Unprotected: []Case{{0, 2, 0, Dropped, true}, {2, 0, 0, Dropped, true}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Verify(test.g, Compile(test.g), test.failures(test.g))
			if diff := gocmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

// TestVerifyNoticesEveryBrokenReturn takes each Return away, or turns it back
// where the packet came from: each is needed by some case, so each must be missed.
func TestVerifyNoticesEveryBrokenReturn(t *testing.T) {
	for name, g := range map[string]Graph{"ring 7": ring(7), "petersen": petersen(), "grid 4x4": grid(4, 4), "farthest": farthest()} {
		tables, failures := Compile(g), SingleLinks(g)
		broken := 0
		for i, link := range tables.ret {
			if link < 0 {
				continue
			}
			broken++
			for _, wrong := range []int32{none, tables.primary[i]} {
				tables.ret[i] = wrong
				r := Verify(g, tables, failures)
				if r.Looped == 0 || r.Avoidable != r.Looped || len(r.Unprotected) == 0 {
					t.Errorf("%s: node %d to %d, return %d instead of %d: not noticed: %+v", name, i%g.Nodes, i/g.Nodes, wrong, link, r)
				}
			}
			tables.ret[i] = link
		}
		if broken == 0 {
			t.Errorf("%s has no Return to break", name)
		}
	}
}

// TestNearestFailureWouldLoop shows why the farthest failure has to win.
func TestNearestFailureWouldLoop(t *testing.T) {
	g := farthest()
	tables := Compile(g)
	tables.ret[3] = 4 // node 3 to 0: as the failure of 1-2 alone would have it
	path, outcome := Path(g, tables, 3, 0, Failure{Links: []int{0}})
	if outcome != Looped {
		t.Errorf("path %v %v, want looped", path, outcome)
	}
}

func TestUnprotectedIsCapped(t *testing.T) {
	g := chain(110)
	r := Verify(g, Compile(g), SingleLinks(g))
	if r.UnprotectedPairs != 110*109 || len(r.Unprotected) != MaxUnprotected {
		t.Errorf("%d pairs, %d listed; want %d, %d", r.UnprotectedPairs, len(r.Unprotected), 110*109, MaxUnprotected)
	}
}

func TestSeparatedBeyondWhatIsHeld(t *testing.T) {
	g := chain(6)
	v := newVerifier(g, Compile(g), SingleLinks(g))
	v.parts.held = maxHeld
	for dest := range int32(g.Nodes) {
		v.destination(dest)
	}
	want := Verify(g, Compile(g), SingleLinks(g))
	if v.report.Separated != want.Separated || v.report.Avoidable != 0 || want.Separated == 0 {
		t.Errorf("%d separated, %d avoidable; want %d, 0", v.report.Separated, v.report.Avoidable, want.Separated)
	}
}

func TestPath(t *testing.T) {
	g := Graph{4, []Link{{0, 1, 1}, {1, 2, 1}, {2, 3, 2}, {3, 0, 1}}}
	tables := Compile(g)
	looping := Compile(g)
	looping.ret[2] = none
	tests := []struct {
		name    string
		tables  *Tables
		src     int
		failure Failure
		links   []int
		outcome Outcome
	}{
		{"nothing fails", tables, 2, Failure{}, []int{1, 0}, Delivered},
		{"own link", tables, 2, Failure{Links: []int{1}}, []int{2, 3}, Delivered},
		{"next link: there and back", tables, 2, Failure{Links: []int{0}}, []int{1, 1, 2, 3}, Delivered},
		{"next node", tables, 2, Failure{Nodes: []int{1}}, []int{2, 3}, Delivered},
		{"two links: back to the one that failed first, for ever", tables, 2, Failure{Links: []int{0, 3}}, []int{1, 1, 2, 2}, Looped},
		{"both links of the source", tables, 2, Failure{Links: []int{1, 2}}, nil, Dropped},
		{"the source", tables, 2, Failure{Nodes: []int{2}}, nil, Dropped},
		{"the destination", tables, 2, Failure{Nodes: []int{0}}, nil, Dropped},
		{"there already", tables, 0, Failure{}, nil, Delivered},
		{"without Return", looping, 2, Failure{Links: []int{0}}, []int{1, 1, 1}, Looped},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			links, outcome := Path(g, test.tables, test.src, 0, test.failure)
			if !slices.Equal(links, test.links) || outcome != test.outcome {
				t.Errorf("%v %v, want %v %v", links, outcome, test.links, test.outcome)
			}
		})
	}
}

// TestLoadIsTheSumOfPaths holds Load and Path against each other and against the
// plain walk.
func TestLoadIsTheSumOfPaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := anyGraph(9, 3).Draw(t, "graph")
		tables := Compile(g)
		if rapid.Bool().Draw(t, "spoiled") {
			spoil(t, g, tables)
		}
		for _, f := range drawFailures(t, g) {
			want := make([]int, len(g.Links))
			down := plainDown(g, f)
			walk := NewWalk(g, tables, f)
			for src := range g.Nodes {
				for dst := range g.Nodes {
					if src == dst || down.nodes[src] || down.nodes[dst] {
						continue
					}
					links, outcome := walk.Path(src, dst)
					hops, wantOutcome := plainWalk(g, tables, src, dst, down)
					if outcome != wantOutcome || outcome == Delivered && hops != len(links) {
						t.Fatalf("%d to %d under %v: %v %v, want %d hops %v", src, dst, f, links, outcome, hops, wantOutcome)
					}
					if outcome == Delivered {
						for _, l := range links {
							want[l]++
						}
					}
				}
			}
			if got := Load(g, tables, f); !slices.Equal(got, want) {
				t.Fatalf("load under %v: %v, want %v", f, got, want)
			}
		}
	})
}

func TestFailures(t *testing.T) {
	g := ring(3)
	for name, test := range map[string]struct{ got, want []Failure }{
		"links": {SingleLinks(g), []Failure{{Links: []int{0}}, {Links: []int{1}}, {Links: []int{2}}}},
		"nodes": {SingleNodes(g), []Failure{{Nodes: []int{0}}, {Nodes: []int{1}}, {Nodes: []int{2}}}},
		"pairs": {LinkPairs(g), []Failure{{Links: []int{0, 1}}, {Links: []int{0, 2}}, {Links: []int{1, 2}}}},
	} {
		if diff := gocmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
