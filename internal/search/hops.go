package search

import "math/bits"

// counter counts hops in a lift from the nodes (a, 0), all at once: bit a of a node's
// words says whether (a, 0) has reached it.
type counter struct {
	words     int
	now, then []uint64
}

func newCounter(l *lift) *counter {
	words := (l.q + 63) / 64
	n := l.nodes()
	return &counter{words: words, now: make([]uint64, n*words), then: make([]uint64, n*words)}
}

// cost is roughly what one count takes, in steps of a few machine instructions.
func (c *counter) cost(l *lift, diameter int) int {
	return l.nodes() * (l.ports + 1) * c.words * (diameter + 1)
}

// none is the sum of a graph that does not hang together, or that exceeds the limit.
const none = 1 << 60

// count returns the sum of hops over all pairs of a node (a, 0) with any node, and the most
// hops; pairs more than far hops apart count threefold for every hop beyond. It
// gives up, and returns none, as soon as the sum is above limit.
func (c *counter) count(l *lift, far, limit int) (sum, most int) {
	all := l.nodes() * l.q
	reached := c.first(l)
	sum = (all - l.q) * beyond(0, far)
	for most = 1; reached < all; most++ {
		sum += (all - reached) * beyond(most, far)
		if sum > limit {
			return none, most
		}
		now := 0
		if c.words == 1 {
			now = c.step1(l)
		} else {
			now = c.step(l)
		}
		if now == reached {
			return none, most
		}
		reached = now
		c.now, c.then = c.then, c.now
	}
	return sum, most
}

func beyond(hops, far int) int {
	if hops >= far {
		return 3
	}
	return 1
}

// first makes the first hop, for which no node but the roots need be asked, and returns how
// many pairs are at most one hop apart.
func (c *counter) first(l *lift) int {
	clear(c.now)
	reached := l.q
	for a := range l.q {
		v, word, bit := a*l.s, a/64, uint64(1)<<(a%64)
		c.now[v*c.words+word] |= bit
		for _, u := range l.next[v*l.ports : (v+1)*l.ports] {
			w := &c.now[int(u)*c.words+word]
			if *w&bit == 0 {
				*w |= bit
				reached++
			}
		}
	}
	return reached
}

func (c *counter) step1(l *lift) int {
	reached, ports := 0, l.ports
	next := l.next
	now := c.now
	for v := range c.then {
		w := now[v]
		for _, u := range next[:ports] {
			w |= now[u]
		}
		next = next[ports:]
		c.then[v] = w
		reached += bits.OnesCount64(w)
	}
	return reached
}

func (c *counter) step(l *lift) int {
	reached, ports, words := 0, l.ports, c.words
	next := l.next
	for at := 0; at < len(c.then); at += words {
		to := c.then[at : at+words]
		copy(to, c.now[at:at+words])
		for _, u := range next[:ports] {
			from := c.now[int(u)*words:][:words]
			for i, w := range from {
				to[i] |= w
			}
		}
		next = next[ports:]
		for _, w := range to {
			reached += bits.OnesCount64(w)
		}
	}
	return reached
}
