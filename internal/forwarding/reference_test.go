package forwarding

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// TestVerifyAgainstPlainWalk compares Verify with a walk of each case on its
// own, for tables good and bad and failures of all kinds.
func TestVerifyAgainstPlainWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := anyGraph(9, 3).Draw(t, "graph")
		tables := Compile(g)
		if rapid.Bool().Draw(t, "spoiled") {
			spoil(t, g, tables)
		}
		failures := drawFailures(t, g)

		want := plainVerify(g, tables, failures)
		got := Verify(g, tables, failures)
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("report (-want +got):\n%s", diff)
		}
	})
}

// spoil puts any links of the nodes into some entries.
func spoil(t *rapid.T, g Graph, tables *Tables) {
	at := make([][]int32, g.Nodes)
	for i, l := range g.Links {
		if l.A != l.B {
			at[l.A] = append(at[l.A], int32(i))
			at[l.B] = append(at[l.B], int32(i))
		}
	}
	for range rapid.IntRange(1, 3*g.Nodes).Draw(t, "spoiled entries") {
		node, dest := rapid.IntRange(0, g.Nodes-1).Draw(t, "node"), rapid.IntRange(0, g.Nodes-1).Draw(t, "dest")
		if node == dest {
			continue
		}
		column := rapid.SampledFrom([][]int32{tables.primary, tables.detour, tables.ret}).Draw(t, "column")
		column[dest*g.Nodes+node] = rapid.SampledFrom(append([]int32{none}, at[node]...)).Draw(t, "link")
	}
}

func drawFailures(t *rapid.T, g Graph) []Failure {
	switch rapid.IntRange(0, 4).Draw(t, "kind of failures") {
	case 0:
		return SingleLinks(g)
	case 1:
		return SingleNodes(g)
	case 2:
		return LinkPairs(g)
	case 3:
		return []Failure{{}}
	}
	some := func(n int, label string) []int {
		if n == 0 {
			return nil
		}
		return rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 3).Draw(t, label)
	}
	return []Failure{{Links: some(len(g.Links), "links"), Nodes: some(g.Nodes, "nodes")}}
}

func plainVerify(g Graph, tables *Tables, failures []Failure) Report {
	r := Report{Failures: int64(len(failures))}
	for source := range g.Nodes {
		for dest := range g.Nodes {
			var worst *Case
			for i, f := range failures {
				down := plainDown(g, f)
				if source == dest || down.nodes[source] || down.nodes[dest] {
					continue
				}
				hops, outcome := plainWalk(g, tables, source, dest, down)
				r.Cases++
				switch outcome {
				case Delivered:
					r.Delivered++
					r.LongestPath = max(r.LongestPath, hops)
					if calm, outcome := plainWalk(g, tables, source, dest, plainDown(g, Failure{})); outcome == Delivered {
						r.LongestDetour = max(r.LongestDetour, hops-calm)
					}
					continue
				case Dropped:
					r.Dropped++
				case Looped:
					r.Looped++
				}
				c := Case{Source: source, Dest: dest, Failure: i, Outcome: outcome, Separated: !plainReach(g, down, source)[dest]}
				if c.Separated {
					r.Separated++
				} else {
					r.Avoidable++
				}
				if worst == nil || worst.Separated && !c.Separated {
					worst = &c
				}
			}
			if worst != nil {
				r.UnprotectedPairs++
				r.Unprotected = append(r.Unprotected, *worst)
				if !worst.Separated {
					r.AvoidablePairs++
				}
			}
		}
	}
	return r
}

type plainFailure struct{ links, nodes map[int]bool }

func plainDown(g Graph, f Failure) plainFailure {
	down := plainFailure{make(map[int]bool), make(map[int]bool)}
	for _, n := range f.Nodes {
		down.nodes[n] = true
	}
	for _, l := range f.Links {
		down.links[l] = true
	}
	for l, ends := range g.Links {
		if down.nodes[ends.A] || down.nodes[ends.B] {
			down.links[l] = true
		}
	}
	return down
}

// plainWalk moves one packet as the package comment says, and calls it looped
// when it has made more hops than there are pairs of a node and a link.
func plainWalk(g Graph, tables *Tables, source, dest int, down plainFailure) (int, Outcome) {
	node, arrival := source, none
	for hops := 0; ; hops++ {
		if node == dest {
			return hops, Delivered
		}
		if hops > g.Nodes*(len(g.Links)+1) {
			return 0, Looped
		}
		e := tables.At(node, dest)
		next := none
		for _, route := range []struct {
			link    int
			applies bool
		}{{e.Return, arrival != none && arrival == e.Primary}, {e.Primary, true}, {e.Detour, true}} {
			if route.applies && route.link != none && !down.links[route.link] {
				next = route.link
				break
			}
		}
		if next == none {
			return 0, Dropped
		}
		node, arrival = g.Links[next].A+g.Links[next].B-node, next
	}
}

func plainReach(g Graph, down plainFailure, source int) map[int]bool {
	reached := map[int]bool{source: true}
	for range g.Nodes {
		for l, ends := range g.Links {
			if !down.links[l] && (reached[ends.A] || reached[ends.B]) {
				reached[ends.A], reached[ends.B] = true, true
			}
		}
	}
	return reached
}
