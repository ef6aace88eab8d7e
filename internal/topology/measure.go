package topology

// adjacency lists, for each node, the links at it and where they lead.
type adjacency [][]arc

type arc struct{ link, to int }

func newAdjacency(n int, links [][2]int) adjacency {
	adj := make(adjacency, n)
	for i, l := range links {
		adj[l[0]] = append(adj[l[0]], arc{i, l[1]})
		if l[0] != l[1] {
			adj[l[1]] = append(adj[l[1]], arc{i, l[0]})
		}
	}
	return adj
}

// Components returns the parts of the graph of n nodes that links leave
// together, each with its nodes in order, by first node.
func Components(n int, links [][2]int) [][]int {
	adj := newAdjacency(n, links)
	part := make([]int, n) // plus one; 0 is not seen
	count := 0
	for root := range n {
		if part[root] != 0 {
			continue
		}
		count++
		part[root] = count
		stack := []int{root}
		for len(stack) > 0 {
			u := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for _, a := range adj[u] {
				if part[a.to] == 0 {
					part[a.to] = count
					stack = append(stack, a.to)
				}
			}
		}
	}
	parts := make([][]int, count)
	for node, p := range part {
		parts[p-1] = append(parts[p-1], node)
	}
	return parts
}

// Bridges returns, in order, the links whose loss parts nodes that are together
// now. Of parallel links none is a bridge.
func Bridges(n int, links [][2]int) []int {
	s := search(n, links)
	isBridge := make([]bool, len(links))
	for _, u := range s.order {
		if up := s.up[u]; up.link >= 0 && s.low[u] == s.index[u] {
			isBridge[up.link] = true
		}
	}
	return which(isBridge)
}

// Articulations returns, in order, the nodes whose loss parts others that are
// together now.
func Articulations(n int, links [][2]int) []int {
	s := search(n, links)
	cuts := make([]bool, n)
	children := make([]int, n)
	for _, u := range s.order {
		up := s.up[u]
		if up.link < 0 {
			continue
		}
		children[up.to]++
		if s.up[up.to].link >= 0 {
			if s.low[u] >= s.index[up.to] {
				cuts[up.to] = true
			}
		} else if children[up.to] > 1 {
			cuts[up.to] = true
		}
	}
	return which(cuts)
}

// Hops returns the most hops between two nodes that are joined, and the average
// over all such pairs; 0 and 0 where there is no pair.
func Hops(n int, links [][2]int) (diameter int, average float64) {
	w := newWalker(n, links)
	sum, diameter := w.hops()
	pairs := 0
	for _, part := range Components(n, links) {
		pairs += len(part) * (len(part) - 1)
	}
	if pairs == 0 {
		return 0, 0
	}
	return diameter, float64(sum) / float64(pairs)
}

// searched is a depth-first forest with low points (Tarjan, "Depth-first search
// and linear graph algorithms", SIAM Journal on Computing 1(2), 1972).
type searched struct {
	order []int // nodes as they were found
	index []int // place of a node in order, -1 while not found
	low   []int // least index reached from the node's subtree over one link off the tree
	up    []arc // link to the parent, -1 at a root
}

func search(n int, links [][2]int) searched {
	adj := newAdjacency(n, links)
	s := searched{index: make([]int, n), low: make([]int, n), up: make([]arc, n)}
	for i := range s.index {
		s.index[i] = -1
	}
	next := make([]int, n) // arcs of a node already followed
	enter := func(u int, up arc) {
		s.index[u], s.low[u], s.up[u] = len(s.order), len(s.order), up
		s.order = append(s.order, u)
	}
	for root := range n {
		if s.index[root] >= 0 {
			continue
		}
		enter(root, arc{-1, -1})
		for u := root; u >= 0; {
			up := s.up[u]
			if next[u] == len(adj[u]) {
				if up.to >= 0 {
					s.low[up.to] = min(s.low[up.to], s.low[u])
				}
				u = up.to
				continue
			}
			a := adj[u][next[u]]
			next[u]++
			switch {
			case s.index[a.to] < 0:
				enter(a.to, arc{a.link, u})
				u = a.to
			case a.link != up.link: // by link, so that a parallel one counts
				s.low[u] = min(s.low[u], s.index[a.to])
			}
		}
	}
	return s
}

func which(set []bool) []int {
	var numbers []int
	for i, yes := range set {
		if yes {
			numbers = append(numbers, i)
		}
	}
	return numbers
}
