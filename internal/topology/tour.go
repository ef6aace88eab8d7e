package topology

// Tour returns an order of all nodes in which those that follow each other, and the last and
// the first, are joined: a Hamiltonian cycle, by lengthening and turning a path (Pósa,
// "Hamiltonian circuits in random graphs", Discrete Mathematics 14, 1976). The second
// result says whether it found one; if not, the order is that of the numbers.
func Tour(n int, links [][2]int, seed uint64) (order []int, closed bool) {
	adj := newAdjacency(n, links)
	dice := splitmix(seed)
	place := make([]int, n) // of a node on the path, -1 off it
	const most = 1 << 26    // steps of turning paths around
	for range 20 {
		for v := range place {
			place[v] = -1
		}
		order = append(order[:0], dice.below(n))
		place[order[0]] = 0
		for range min(40*n, most/n) {
			end := order[len(order)-1]
			var off, on []int
			for _, a := range adj[end] {
				switch {
				case place[a.to] < 0:
					off = append(off, a.to)
				case len(order) == n && a.to == order[0] && n > 2:
					return order, true
				case place[a.to] < len(order)-2:
					on = append(on, a.to)
				}
			}
			switch {
			case len(off) > 0:
				next := off[dice.below(len(off))]
				place[next] = len(order)
				order = append(order, next)
			case len(on) > 0: // turn the part behind a neighbour around: it gets another end
				from := place[on[dice.below(len(on))]] + 1
				for i, j := from, len(order)-1; i < j; i, j = i+1, j-1 {
					order[i], order[j] = order[j], order[i]
				}
				for i := from; i < len(order); i++ {
					place[order[i]] = i
				}
			}
		}
	}
	order = order[:0]
	for v := range n {
		order = append(order, v)
	}
	return order, false
}
