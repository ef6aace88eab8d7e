package forwarding

import "fmt"

// Outcome says what became of a packet.
type Outcome int

// A packet is dropped where its node has no usable entry, and looped when it
// comes to a node a second time in the same manner: it would go round until its
// TTL ends.
const (
	Delivered Outcome = iota
	Dropped
	Looped
)

// String returns "delivered", "dropped" or "looped".
func (o Outcome) String() string {
	switch o {
	case Delivered:
		return "delivered"
	case Dropped:
		return "dropped"
	}
	return "looped"
}

// A packet's state is the node it is at and whether it came over that node's
// Primary link; nothing else decides what the node does with it. States are
// numbered 2*node, plus one for the unusual arrival. A packet starts at its
// source in the usual state: it came over no link.
func usual(node int32) int32 { return 2 * node }

// walker moves packets for one destination along the tables as a Linux kernel
// does: the port's own table first, then main by metric, each route only while
// its link is up.
type walker struct {
	*adjacency
	tables               *Tables
	primary, detour, ret []int32
	broken               broken
}

func newWalker(g Graph, t *Tables) *walker {
	if t.nodes != g.Nodes {
		panic(fmt.Sprintf("forwarding: tables of %d nodes for a graph of %d", t.nodes, g.Nodes))
	}
	a := newAdjacency(g)
	return &walker{adjacency: a, tables: t, broken: newBroken(a)}
}

// aim makes dest the destination.
func (w *walker) aim(dest int) { w.primary, w.detour, w.ret = w.tables.row(dest) }

// out returns the link by which a packet leaves, -1 if it is dropped.
func (w *walker) out(state int32) int32 {
	node := state >> 1
	if state&1 == 1 && w.usable(w.ret[node]) {
		return w.ret[node]
	}
	if w.usable(w.primary[node]) {
		return w.primary[node]
	}
	if w.usable(w.detour[node]) {
		return w.detour[node]
	}
	return -1
}

func (w *walker) usable(link int32) bool { return link >= 0 && !w.broken.link(link) }

// step returns the state behind a link that a packet at node leaves by.
func (w *walker) step(node, link int32) int32 {
	to := w.other(link, node)
	if w.primary[to] == link {
		return usual(to) + 1
	}
	return usual(to)
}

// broken is the set of links and nodes that are down: those whose mark is now.
type broken struct {
	links, nodes []int
	now          int
	list         []int32 // the links
	nodesDown    int
}

func newBroken(g *adjacency) broken {
	return broken{links: make([]int, len(g.ends)), nodes: make([]int, len(g.first)-1)}
}

func (b *broken) link(l int32) bool { return b.links[l] == b.now }
func (b *broken) node(n int32) bool { return b.nodes[n] == b.now }

// set makes f the failure. Links and nodes that the graph does not have are a
// mistake of the caller and panic.
func (b *broken) set(g *adjacency, f Failure) {
	b.now++
	b.list, b.nodesDown = b.list[:0], 0
	for _, l := range f.Links {
		b.cut(int32(l))
	}
	for _, n := range f.Nodes {
		if b.nodes[n] == b.now {
			continue
		}
		b.nodes[n] = b.now
		b.nodesDown++
		for _, a := range g.of(int32(n)) {
			b.cut(a.link)
		}
	}
}

func (b *broken) cut(link int32) {
	if b.links[link] != b.now {
		b.links[link] = b.now
		b.list = append(b.list, link)
	}
}

// Path returns the links a packet from src to dst crosses while a failure
// stands, in order, and what becomes of it. A packet that loops is followed
// until it would repeat itself. Where an end has failed the packet is dropped.
func Path(g Graph, t *Tables, src, dst int, f Failure) ([]int, Outcome) {
	w := newWalker(g, t)
	w.broken.set(w.adjacency, f)
	w.aim(dst)
	if w.broken.node(int32(src)) || w.broken.node(int32(dst)) {
		return nil, Dropped
	}
	var links []int
	seen := make([]bool, 2*g.Nodes)
	state := usual(int32(src))
	for state>>1 != int32(dst) {
		if seen[state] {
			return links, Looped
		}
		seen[state] = true
		link := w.out(state)
		if link < 0 {
			return links, Dropped
		}
		links = append(links, int(link))
		state = w.step(state>>1, link)
	}
	return links, Delivered
}

// Load returns, for each link, how many ordered pairs of nodes have a path over
// it while a failure stands, both directions together. A packet that crosses a
// link twice counts twice; one that is not delivered does not count.
func Load(g Graph, t *Tables, f Failure) []int {
	load := make([]int, len(g.Links))
	w := newWalker(g, t)
	w.broken.set(w.adjacency, f)
	seen := make([]int32, 2*g.Nodes)
	var round int32
	var links []int32
	for dst := range int32(g.Nodes) {
		w.aim(int(dst))
		for src := range int32(g.Nodes) {
			if src == dst || w.broken.node(src) || w.broken.node(dst) {
				continue
			}
			round++
			links = links[:0]
			state := usual(src)
			for state>>1 != dst && seen[state] != round {
				seen[state] = round
				link := w.out(state)
				if link < 0 {
					break
				}
				links = append(links, link)
				state = w.step(state>>1, link)
			}
			if state>>1 != dst {
				continue
			}
			for _, l := range links {
				load[l]++
			}
		}
	}
	return load
}
