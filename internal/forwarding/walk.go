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
