package forwarding

import (
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// node is what one node does with a packet for dest that came in over a link, -1
// for its own: the link it sends it out of, -1 for none.
type node func(incoming, dest int) int

// asInstalled is a node that follows its tables and takes all its links to be up.
func asInstalled(t *Tables, n int) node {
	return func(incoming, dest int) int {
		e := t.At(n, dest)
		if incoming >= 0 && incoming == e.Primary && e.Return >= 0 {
			return e.Return
		}
		return e.Primary
	}
}

// steered is a node that first looks into a list of hops.
func steered(t *Tables, n int, hops []Hop) node {
	tables := asInstalled(t, n)
	return func(incoming, dest int) int {
		for _, h := range hops {
			if h.Incoming == incoming && h.Dest == dest {
				return h.Out
			}
		}
		return tables(incoming, dest)
	}
}

// world is a mesh of such nodes; dead says which links swallow what a node sends.
type world struct {
	g     Graph
	nodes []node
	dead  func(link, from int) bool
}

func installed(g Graph, t *Tables) world {
	w := world{g: g, dead: func(int, int) bool { return false }}
	for n := range g.Nodes {
		w.nodes = append(w.nodes, asInstalled(t, n))
	}
	return w
}

// send follows a packet: the links that carried it, what became of it, and at
// which node.
func (w world) send(src, dest int) (path []int, o Outcome, end int) {
	type state struct{ at, over int }
	seen := map[state]bool{}
	for s := (state{src, -1}); s.at != dest; {
		if seen[s] {
			return path, Looped, s.at
		}
		seen[s] = true
		out := w.nodes[s.at](s.over, dest)
		if out < 0 || w.dead(out, s.at) {
			return path, Dropped, s.at
		}
		path = append(path, out)
		s = state{w.g.Links[out].A + w.g.Links[out].B - s.at, out}
	}
	return path, Delivered, dest
}

func silent(link int) func(int, int) bool {
	return func(l, _ int) bool { return l == link }
}

func pairs(g Graph, do func(src, dest int)) {
	for dest := range g.Nodes {
		for src := range g.Nodes {
			if src != dest {
				do(src, dest)
			}
		}
	}
}

// TestAroundASilentLink: for every link of a mesh that no single link parts, and
// whichever of its ends and directions is concerned, steering at the ends that
// know delivers everything but what an end that does not know yet sends into the
// dead direction. Nothing ever goes round.
func TestAroundASilentLink(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := twoEdgeConnected(2, 14, 20).Draw(t, "graph")
		tables := Compile(g)
		for link, l := range g.Links {
			down := []int{link}
			a, b := steered(tables, l.A, Around(g, tables, l.A, down)), steered(tables, l.B, Around(g, tables, l.B, down))
			both, one := installed(g, tables), installed(g, tables)
			both.nodes[l.A], both.nodes[l.B] = a, b
			one.nodes[l.A] = a
			gone := NewWalk(g, tables, Failure{Links: down})
			pairs(g, func(src, dest int) {
				both.dead = silent(link)
				path, o, _ := both.send(src, dest)
				if want, _ := gone.Path(src, dest); o != Delivered || !slices.Equal(path, want) {
					t.Fatalf("link %d, both ends know: %d to %d %s by %v; with the link gone by %v", link, src, dest, o, path, want)
				}
				one.dead = silent(link)
				if path, o, at := one.send(src, dest); o == Looped || o == Dropped && at != l.B {
					t.Fatalf("link %d, node %d knows: %d to %d %s at %d after %v", link, l.A, src, dest, o, at, path)
				}
				one.dead = func(out, from int) bool { return out == link && from == l.A }
				if path, o, at := one.send(src, dest); o != Delivered {
					t.Fatalf("link %d dead from %d, which knows: %d to %d %s at %d after %v", link, l.A, src, dest, o, at, path)
				}
				// A false alarm, or a link that carries again.
				for _, w := range []world{one, both} {
					w.dead = func(int, int) bool { return false }
					if path, o, at := w.send(src, dest); o != Delivered {
						t.Fatalf("link %d carries: %d to %d %s at %d after %v", link, src, dest, o, at, path)
					}
				}
			})
		}
	})
}

func TestAroundByHand(t *testing.T) {
	// 0 -0- 1 -1- 2 -2- 3 -3- 0; towards 0, 2 goes over 1, and turns what 1 turns back.
	g := Graph{4, []Link{{0, 1, 1}, {1, 2, 1}, {2, 3, 2}, {3, 0, 1}}}
	tables := Compile(g)
	for _, c := range []struct {
		name string
		node int
		down []int
		want []Hop
	}{
		{"nothing is dead", 1, nil, nil},
		{"somebody else's link", 1, []int{2}, nil},
		{"own packets and transit take the detour, a U-turn included", 1, []int{0}, []Hop{
			{0, 0, 1}, {1, 0, 1}, {-1, 0, 1}, // for 0
			{1, 3, 1}, {-1, 3, 1}, // for 3, over 0; what comes from 0 has its Return
		}},
		{"without its Return a packet goes back where it came from", 2, []int{2}, []Hop{
			{1, 0, 1}, // 2-1 is the way to 0, and the link it came over
			{1, 3, 1}, {2, 3, 1}, {-1, 3, 1},
		}},
		{"no way left", 1, []int{0, 1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := gocmp.Diff(c.want, Around(g, tables, c.node, c.down)); diff != "" {
				t.Errorf("hops (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAroundSeveralLinks: whatever is dead at a node, no hop leads into it, and
// no destination that another link still reaches is without one.
func TestAroundSeveralLinks(t *testing.T) {
	beyond := 0 // destinations that neither Primary nor Detour reached
	rapid.Check(t, func(t *rapid.T) {
		g := twoEdgeConnected(3, 12, 20).Draw(t, "graph")
		tables := Compile(g)
		n := rapid.IntRange(0, g.Nodes-1).Draw(t, "node")
		var own []int
		for i, l := range g.Links {
			if l.A == n || l.B == n {
				own = append(own, i)
			}
		}
		down := rapid.SliceOfNDistinct(rapid.SampledFrom(own), 2, len(own), rapid.ID).Draw(t, "down")
		left := Without(g, down)
		at := steered(tables, n, Around(g, tables, n, down))
		for dest := range g.Nodes {
			if dest == n || left.At(n, dest).Primary < 0 {
				continue
			}
			for _, incoming := range append(own, -1) {
				if out := at(incoming, dest); out < 0 || slices.Contains(down, out) {
					t.Fatalf("to %d over %d: out of %d with %v dead", dest, incoming, out, down)
				}
			}
			if e := tables.At(n, dest); e.out(-1, down) < 0 {
				beyond++
			}
		}
	})
	if beyond == 0 {
		t.Error("the tables sufficed in every case: nothing was tried")
	}
}

func TestWithoutKeepsTheNumbersOfLinks(t *testing.T) {
	g := petersen()
	for link := range g.Links {
		tables := Without(g, []int{link})
		if r := Verify(g, tables, []Failure{{Links: []int{link}}}); r.Delivered != r.Cases {
			t.Errorf("without link %d: %+v", link, r)
		}
		pairs(g, func(src, dest int) {
			e := tables.At(src, dest)
			if e.Primary == link || e.Detour == link || e.Return == link {
				t.Errorf("without link %d: %d to %d is %+v", link, src, dest, e)
			}
		})
	}
}
