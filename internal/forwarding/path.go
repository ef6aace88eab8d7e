package forwarding

// Walk sends single packets while a failure stands. It is for many packets under
// one failure, one after the other, and not for concurrent use.
type Walk struct {
	walker
	seen  []int // by state: round, if the packet was in it
	round int
	links []int // of the last packet
}

// NewWalk returns a walk along the tables of a graph under a failure.
func NewWalk(g Graph, t *Tables, f Failure) *Walk {
	w := &Walk{walker: *newWalker(g, t), seen: make([]int, 2*g.Nodes)}
	w.broken.set(w.adjacency, f)
	return w
}

// Path returns the links a packet from src to dst crosses, in order, and what
// becomes of it. A packet that loops is followed until it would repeat itself.
// Where an end has failed the packet is dropped. The links are good until the
// next call.
func (w *Walk) Path(src, dst int) ([]int, Outcome) {
	w.links = w.links[:0]
	if w.broken.node(int32(src)) || w.broken.node(int32(dst)) {
		return w.links, Dropped
	}
	w.aim(dst)
	w.round++
	for state := usual(int32(src)); state>>1 != int32(dst); {
		if w.seen[state] == w.round {
			return w.links, Looped
		}
		w.seen[state] = w.round
		link := w.out(state)
		if link < 0 {
			return w.links, Dropped
		}
		w.links = append(w.links, int(link))
		state = w.step(state>>1, link)
	}
	return w.links, Delivered
}

// Path returns what Walk.Path does for a single packet; the links are the
// caller's.
func Path(g Graph, t *Tables, src, dst int, f Failure) ([]int, Outcome) {
	return NewWalk(g, t, f).Path(src, dst)
}

// Load returns, for each link, how many ordered pairs of nodes have a path over
// it while a failure stands, both directions together. A packet that crosses a
// link twice counts twice; one that is not delivered does not count.
func Load(g Graph, t *Tables, f Failure) []int {
	load := make([]int, len(g.Links))
	w := NewWalk(g, t, f)
	for dst := range g.Nodes {
		for src := range g.Nodes {
			links, outcome := w.Path(src, dst)
			if outcome != Delivered {
				continue
			}
			for _, l := range links {
				load[l]++
			}
		}
	}
	return load
}
