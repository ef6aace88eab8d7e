package forwarding

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// change is a mesh on its way from old tables, with some links dead and gone
// around, to new ones.
type change struct {
	g        Graph
	down     []int
	from, to *Tables
	turns    *Turns
	old, new world
}

func newChange(g Graph, from *Tables, down []int, to *Tables) *change {
	c := &change{g: g, down: down, from: from, to: to, turns: Transition(g, from, down, to), old: installed(g, from), new: installed(g, to)}
	for n := range g.Nodes {
		var own []int
		for _, l := range down {
			if g.Links[l].A == n || g.Links[l].B == n {
				own = append(own, l)
			}
		}
		c.old.nodes[n] = steered(from, n, Around(g, from, n, own))
	}
	return c
}

// changers are the nodes that change for a destination.
func (c *change) changers(dest int) []int {
	var all []int
	for n := range c.g.Nodes {
		if c.turns.Of(n, dest) >= 0 {
			all = append(all, n)
		}
	}
	return all
}

// before returns the nodes that go over for dest before node may.
func (c *change) before(node, dest int) []int {
	var all []int
	for n := node; n != dest; {
		l := c.to.At(n, dest).Primary
		if l < 0 {
			break
		}
		n = c.g.Links[l].A + c.g.Links[l].B - n
		if n != dest && c.turns.Of(n, dest) >= 0 {
			all = append(all, n)
		}
	}
	return all
}

// at is the mesh when the nodes of over have gone over.
func (c *change) at(over func(node int) bool) world {
	w := world{g: c.g, dead: func(l, _ int) bool { return slices.Contains(c.down, l) }}
	for n := range c.g.Nodes {
		if over(n) {
			w.nodes = append(w.nodes, c.new.nodes[n])
		} else {
			w.nodes = append(w.nodes, c.old.nodes[n])
		}
	}
	return w
}

// lost returns a source whose packets for dest don't arrive although they do
// before the change, and what becomes of them.
func (c *change) lost(w world, dest int) (src int, path []int, o Outcome, found bool) {
	before := c.at(func(int) bool { return false })
	for src := range c.g.Nodes {
		path, o, _ := w.send(src, dest)
		if o == Delivered {
			continue
		}
		if _, was, _ := before.send(src, dest); o == Looped || was == Delivered {
			return src, path, o, true
		}
	}
	return 0, nil, Delivered, false
}

// everyMoment calls do with every set of nodes that can have gone over for dest
// at some moment: with each node are those that go before it. If anyOrder, with
// every set of nodes.
func (c *change) everyMoment(dest int, anyOrder bool, do func(over uint64)) {
	nodes := c.changers(dest)
	needs := make([]uint64, len(nodes))
	for i, n := range nodes {
		for _, b := range c.before(n, dest) {
			needs[i] |= 1 << slices.Index(nodes, b)
		}
	}
sets:
	for s := range uint64(1) << len(nodes) {
		var over uint64
		for i, n := range nodes {
			if s&(1<<i) == 0 {
				continue
			}
			if needs[i]&^s != 0 && !anyOrder {
				continue sets
			}
			over |= 1 << n
		}
		do(over)
	}
}

func knownShapes() map[string]Graph {
	shapes := map[string]Graph{
		"petersen":             petersen(),
		"grid 3x3":             grid(3, 3),
		"hypercube 3":          hypercube(3),
		"two parallel links":   {2, []Link{{0, 1, 1}, {0, 1, 1}}},
		"a triangle of slow":   {3, []Link{{0, 1, 9}, {1, 2, 1}, {2, 0, 1}}},
		"the farthest failure": farthest(),
		"a leaf":               {4, []Link{{0, 1, 1}, {1, 2, 1}, {2, 0, 1}, {0, 3, 1}}},
		"chain":                chain(5),
		"random, 8 x 4":        regular(8, 4, 5),
	}
	for n := 3; n <= 8; n++ {
		shapes[fmt.Sprintf("ring %d", n)] = ring(n)
		if n <= 6 {
			shapes[fmt.Sprintf("full mesh %d", n)] = fullMesh(n)
		}
	}
	return shapes
}

// TestNoMomentOfATransitionLoses visits every moment that the rule of Transition
// allows, for every single link that fails, and for its return.
func TestNoMomentOfATransitionLoses(t *testing.T) {
	moments := 0
	for name, g := range knownShapes() {
		whole := Compile(g)
		for link := range g.Links {
			left := Without(g, []int{link})
			for way, c := range map[string]*change{
				"fails":   newChange(g, whole, []int{link}, left),
				"returns": newChange(g, left, nil, whole),
			} {
				for dest := range g.Nodes {
					c.everyMoment(dest, false, func(over uint64) {
						moments++
						w := c.at(func(n int) bool { return over&(1<<n) != 0 })
						if src, path, o, found := c.lost(w, dest); found {
							t.Fatalf("%s, link %d %s, nodes %b over: %d to %d %s after %v", name, link, way, over, src, dest, o, path)
						}
					})
				}
			}
		}
	}
	t.Logf("%d moments", moments)
	if moments < 9_000 {
		t.Errorf("only %d moments were visited", moments)
	}
}

// TestRandomTransitions lets the nodes of random meshes go over one by one, in a
// random order that keeps the rule. The tables that they come from may be those
// of a mesh that has lost a link before.
func TestRandomTransitions(t *testing.T) {
	changed := 0
	rapid.Check(t, func(t *rapid.T) {
		g := twoEdgeConnected(3, 24, 20).Draw(t, "graph")
		link := rapid.IntRange(0, len(g.Links)-1)
		out := rapid.SliceOfNDistinct(link, 0, 2, rapid.ID).Draw(t, "links out before")
		fails := link.Draw(t, "link that fails")
		from, to := Without(g, out), Without(g, append(slices.Clone(out), fails))
		c := newChange(g, from, []int{fails}, to)
		if rapid.Bool().Draw(t, "back") {
			c = newChange(g, to, nil, from)
		}
		dest := rapid.IntRange(0, g.Nodes-1).Draw(t, "destination")
		waiting := c.changers(dest)
		changed += len(waiting)
		over := map[int]bool{}
		for {
			w := c.at(func(n int) bool { return over[n] })
			if src, path, o, found := c.lost(w, dest); found {
				t.Fatalf("nodes %v over: %d to %d %s after %v", over, src, dest, o, path)
			}
			var may []int
			for _, n := range waiting {
				if !over[n] && !slices.ContainsFunc(c.before(n, dest), func(b int) bool { return !over[b] }) {
					may = append(may, n)
				}
			}
			if len(may) == 0 {
				break
			}
			over[rapid.SampledFrom(may).Draw(t, "next")] = true
		}
		if len(over) != len(waiting) {
			t.Fatalf("%d of %d nodes went over", len(over), len(waiting))
		}
	})
	if changed == 0 {
		t.Error("nothing ever changed")
	}
}

// TestTurnsKeepTheRule: the numbers say what the rule says, and no turn is
// skipped.
func TestTurnsKeepTheRule(t *testing.T) {
	for name, g := range knownShapes() {
		for link := range g.Links {
			c := newChange(g, Compile(g), []int{link}, Without(g, []int{link}))
			last := -1
			for dest := range g.Nodes {
				for _, n := range c.changers(dest) {
					before := c.before(n, dest)
					if got := c.turns.Of(n, dest); got != len(before) {
						t.Errorf("%s, link %d: %d for %d has turn %d, after %v", name, link, n, dest, got, before)
					}
					last = max(last, len(before))
				}
			}
			if c.turns.Last() != last {
				t.Errorf("%s, link %d: last turn %d, want %d", name, link, c.turns.Last(), last)
			}
		}
	}
}

// TestWhoNeedsTheRule: when nodes go over in any order whatsoever, packets go
// round in some moments of a Petersen graph, but not in rings and full meshes.
func TestWhoNeedsTheRule(t *testing.T) {
	for name, want := range map[string]bool{
		"ring 3": false, "ring 4": false, "ring 5": false, "ring 6": false, "ring 7": false, "ring 8": false,
		"full mesh 4": false, "full mesh 5": false, "full mesh 6": false, "grid 3x3": false,
		"petersen": true, "hypercube 3": true, "the farthest failure": true,
	} {
		g, loops, moments := knownShapes()[name], 0, 0
		for link := range g.Links {
			c := newChange(g, Compile(g), []int{link}, Without(g, []int{link}))
			for dest := range g.Nodes {
				c.everyMoment(dest, true, func(over uint64) {
					moments++
					if _, _, _, found := c.lost(c.at(func(n int) bool { return over&(1<<n) != 0 }), dest); found {
						loops++
					}
				})
			}
		}
		t.Logf("%s: %d of %d moments lose packets", name, loops, moments)
		if (loops > 0) != want {
			t.Errorf("%s: %d of %d moments lose packets", name, loops, moments)
		}
	}
}

// TestNoOrderOfNodesServesAll: the order differs from destination to destination.
// In a ring of six, whatever cable fails, some two nodes wait for each other, so a
// node can't go over for all destinations at once.
func TestNoOrderOfNodesServesAll(t *testing.T) {
	g := ring(6)
	for link := range g.Links {
		c := newChange(g, Compile(g), []int{link}, Without(g, []int{link}))
		after := map[[2]int]bool{}
		for dest := range g.Nodes {
			for _, n := range c.changers(dest) {
				for _, b := range c.before(n, dest) {
					after[[2]int{n, b}] = true
				}
			}
		}
		mutual := 0
		for p := range after {
			if after[[2]int{p[1], p[0]}] {
				mutual++
			}
		}
		if mutual == 0 {
			t.Errorf("link %d: nodes could go over one after the other", link)
		}
	}
}
