package search

import "math/bits"

// maxExhaustive is the most nodes for which every graph is tried.
const maxExhaustive = 10

// exhaustive tries every graph of n nodes, n up to 16, with at most so many cables each,
// that can be best, and returns one with the smallest diameter and then the smallest sum
// of hops, with both. Left out are relabelled copies, as far as that is easy to see, and
// graphs to which a link could be added, since a link never makes a way longer. It
// reports false if it was stopped.
func exhaustive(n, ports int, stop func() bool) (links [][2]int, ok bool) {
	e := &enumeration{n: n, ports: ports, sum: none, diameter: none, stop: stop}
	e.saturate(0, 1)
	return e.best, !e.stopped
}

type enumeration struct {
	n, ports int
	next     [16]uint16 // neighbours of each node
	degree   [16]int
	closed   uint16 // nodes that take no further link although a port is free

	diameter, sum int
	best          [][2]int
	steps         int
	stop          func() bool
	stopped       bool
}

// saturate chooses the links of node u to nodes above it; those from seen on have no link
// yet and are as good as each other.
func (e *enumeration) saturate(u, seen int) {
	if e.steps++; e.steps%4096 == 0 && e.stop() {
		e.stopped = true
	}
	if e.stopped {
		return
	}
	if u == e.n {
		e.rate()
		return
	}
	if u == seen && u > 0 {
		return // the nodes below u are a part of their own
	}
	e.choose(u, u+1, seen)
}

// choose adds links from u to nodes from v on, in rising order.
func (e *enumeration) choose(u, v, seen int) {
	if e.degree[u] == e.ports || v == e.n {
		// The first node may be taken to be one with all its ports in use.
		if e.degree[u] < e.ports {
			if u == 0 && e.n > e.ports || !e.close(u) {
				return
			}
			defer func() { e.closed &^= 1 << u }()
		}
		e.saturate(u+1, seen)
		return
	}
	if e.degree[v] < e.ports {
		e.join(u, v, 1)
		e.choose(u, v+1, max(seen, v+1))
		e.join(u, v, -1)
	}
	if v < seen { // of untouched nodes the first is as good as any
		e.choose(u, v+1, seen)
	} else if e.degree[u] < e.ports {
		e.choose(u, e.n, seen)
	}
}

// close leaves a port of u free. That can be best only if every other such node is a
// neighbour.
func (e *enumeration) close(u int) bool {
	if e.closed&^e.next[u] != 0 {
		return false
	}
	e.closed |= 1 << u
	return true
}

func (e *enumeration) join(u, v, by int) {
	e.next[u] ^= 1 << v
	e.next[v] ^= 1 << u
	e.degree[u] += by
	e.degree[v] += by
}

func (e *enumeration) rate() {
	sum, most := 0, 0
	for u := range e.n {
		reached, hops := uint16(1)<<u, 0
		edge := reached
		for edge != 0 {
			var more uint16
			for s := edge; s != 0; s &= s - 1 {
				more |= e.next[bits.TrailingZeros16(s)]
			}
			edge = more &^ reached
			reached |= more
			if edge != 0 {
				hops++
				sum += hops * bits.OnesCount16(edge)
			}
		}
		if bits.OnesCount16(reached) < e.n {
			return
		}
		most = max(most, hops)
	}
	if most > e.diameter || most == e.diameter && sum >= e.sum {
		return
	}
	e.diameter, e.sum = most, sum
	e.best = e.best[:0]
	for u := range e.n {
		for s := e.next[u] >> u; s != 0; s &= s - 1 {
			e.best = append(e.best, [2]int{u, u + bits.TrailingZeros16(s)})
		}
	}
}
