package topology

import "math/bits"

// maxExactBisection is the most nodes for which every way to halve them is tried.
const maxExactBisection = 20

// Bisection returns the fewest links between two halves of the nodes (of an odd number, one
// half has a node more). It is exact for few nodes; for more it is the best of several
// starts of Fiduccia and Mattheyses ("A linear-time heuristic for improving network
// partitions", DAC 1982), which no halving known to be better contradicts: an upper bound.
func Bisection(n int, links [][2]int, seed uint64) (cut int, exact bool) {
	if n < 2 {
		return 0, true
	}
	if n <= maxExactBisection {
		return exactBisection(n, links), true
	}
	starts := 16
	if n > 2000 {
		starts = 4
	}
	adj := newAdjacency(n, links)
	dice := splitmix(seed)
	cut = len(links)
	for start := range starts {
		side := make([]bool, n)
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		if start > 0 { // the first start halves the nodes as they are numbered
			for i := n - 1; i > 0; i-- {
				j := dice.below(i + 1)
				order[i], order[j] = order[j], order[i]
			}
		}
		for _, v := range order[:n/2] {
			side[v] = true
		}
		now := crossing(links, side)
		for {
			less := refine(adj, side, now)
			if less >= now {
				break
			}
			now = less
		}
		cut = min(cut, now)
	}
	return cut, false
}

func crossing(links [][2]int, side []bool) int {
	cut := 0
	for _, l := range links {
		if side[l[0]] != side[l[1]] {
			cut++
		}
	}
	return cut
}

func exactBisection(n int, links [][2]int) int {
	best := len(links)
	near := make([]uint32, n) // of simple links; doubles are counted apart
	for _, l := range links {
		near[l[0]] |= 1 << l[1]
		near[l[1]] |= 1 << l[0]
	}
	double := doubles(links)
	for half := range uint32(1) << (n - 1) { // the last node is always in the other half
		if c := bits.OnesCount32(half); c != n/2 && c != n-n/2 {
			continue
		}
		cut := 0
		for s := half; s != 0; s &= s - 1 {
			cut += bits.OnesCount32(near[bits.TrailingZeros32(s)] &^ half)
		}
		for _, l := range double {
			if half>>l[0]&1 != half>>l[1]&1 {
				cut++
			}
		}
		best = min(best, cut)
	}
	return best
}

// doubles returns the links beyond the first between the same nodes.
func doubles(links [][2]int) [][2]int {
	seen := map[[2]int]bool{}
	var more [][2]int
	for _, l := range links {
		key := [2]int{min(l[0], l[1]), max(l[0], l[1])}
		if seen[key] {
			more = append(more, l)
		}
		seen[key] = true
	}
	return more
}

// refine makes one pass: nodes change sides by turns, from either side the one that helps most
// or hurts least, each once; what is kept is the best moment at which the halves were even.
func refine(adj adjacency, side []bool, cut int) int {
	n := len(side)
	gain := make([]int, n)
	most := 0
	for v := range n {
		for _, a := range adj[v] {
			if side[a.to] != side[v] {
				gain[v]++
			} else {
				gain[v]--
			}
		}
		most = max(most, len(adj[v]))
	}
	// Nodes by side and gain; an entry whose gain has changed since is stale and skipped.
	var buckets [2][][]int
	which := map[bool]int{false: 0, true: 1}
	for s := range buckets {
		buckets[s] = make([][]int, 2*most+1)
	}
	put := func(v int) {
		b := &buckets[which[side[v]]][gain[v]+most]
		*b = append(*b, v)
	}
	for v := range n {
		put(v)
	}
	moved := make([]bool, n)
	take := func(s bool) int {
		b := buckets[which[s]]
		for g := 2 * most; g >= 0; g-- {
			for len(b[g]) > 0 {
				v := b[g][len(b[g])-1]
				b[g] = b[g][:len(b[g])-1]
				if !moved[v] && side[v] == s && gain[v]+most == g {
					return v
				}
			}
		}
		return -1
	}
	var order []int
	best, keep := cut, 0
	for range n / 2 {
		for _, s := range [2]bool{true, false} {
			v := take(s)
			if v < 0 {
				break
			}
			cut -= gain[v]
			moved[v] = true
			order = append(order, v)
			for _, a := range adj[v] {
				if moved[a.to] {
					continue
				}
				if side[a.to] == side[v] {
					gain[a.to] += 2
				} else {
					gain[a.to] -= 2
				}
				put(a.to)
			}
			side[v] = !side[v]
		}
		if len(order)%2 == 0 && cut < best {
			best, keep = cut, len(order)
		}
	}
	for _, v := range order[keep:] {
		side[v] = !side[v]
	}
	return best
}
