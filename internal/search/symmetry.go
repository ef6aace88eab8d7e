package search

import (
	"fmt"
	"math"
	"slices"
)

// symmetry is what a search may assume of the graph it looks for.
type symmetry struct {
	*group
	node    func(a, i int) int // number of the node (a, i) of a lift
	allowed []bool             // as in lift
	poles   int                // nodes that the group leaves in place, the last ones
	near    bool               // begin near a polarity graph
}

func (t symmetry) String() string {
	if t.near {
		return "polarity"
	}
	if t.poles > 0 {
		return fmt.Sprintf("%s+%d", t.name, t.poles)
	}
	return t.name
}

// findSymmetries returns the symmetries worth trying: of numbered nodes groups whose order
// divides their number, of nodes on the floor the turns that take the floor and its
// cables to themselves. No symmetry is one too.
func (s *seeker) findSymmetries() []symmetry {
	if s.Allowed != nil {
		return s.turns()
	}
	const mostPoles = 2
	var all []symmetry
	for poles := range mostPoles + 1 {
		n := s.Nodes - poles
		for order := min(n, maxGroup); order >= 1; order-- {
			q := n / order
			switch {
			case order == 1 && poles > 0, n%order != 0:
				continue
			case order > 1 && q*s.Ports < 4: // nothing to choose
				continue
			case poles > 0 && (order > s.Ports || s.Ports%order > 1): // a pole must use its ports
				continue
			}
			for _, g := range groups(order) {
				all = append(all, symmetry{group: g, poles: poles, node: func(a, i int) int { return a + i*q }})
			}
		}
	}
	if polarity(s.Nodes, s.Ports, fork(0, 0)) != nil {
		all = append(all, symmetry{group: cyclic(1), node: func(a, _ int) int { return a }, near: true})
	}
	return all
}

// turns returns the rotations of the floor by a quarter, a half and not at all.
func (s *seeker) turns() []symmetry {
	w, h := s.Columns, s.Rows
	half := func(v int) int { return s.Nodes - 1 - v }
	quarter := func(v int) int { return v%w*w + w - 1 - v/w }
	var all []symmetry
	if w == h && w%2 == 0 {
		all = append(all, s.turn(cyclic(4), quarter))
	}
	if s.Nodes%2 == 0 {
		all = append(all, s.turn(cyclic(2), half))
	}
	all = append(all, s.turn(cyclic(1), func(v int) int { return v }))
	return slices.DeleteFunc(all, func(t symmetry) bool { return t.allowed == nil })
}

// turn makes a symmetry of a rotation; its allowed is nil if it does not keep what cables reach.
func (s *seeker) turn(g *group, rotate func(int) int) symmetry {
	order := g.order
	var nodes []int // (a, i) at a*order+i
	seen := make([]bool, s.Nodes)
	for v := range s.Nodes {
		if seen[v] {
			continue
		}
		for range order {
			nodes = append(nodes, v)
			seen[v] = true
			v = rotate(v)
		}
	}
	t := symmetry{group: g, node: func(a, i int) int { return nodes[a*order+i] }}
	q := s.Nodes / order
	allowed := make([]bool, q*q*order)
	for a := range q {
		for b := range q {
			for k := range order {
				may := s.Allowed(nodes[a*order], nodes[b*order+k])
				for i := range order {
					if s.Allowed(nodes[a*order+i], nodes[b*order+(i+k)%order]) != may {
						return t
					}
				}
				allowed[(a*q+b)*order+k] = may && (a != b || k != 0)
			}
		}
	}
	t.allowed = allowed
	return t
}

// links writes a lift down as links between numbered nodes, each once.
func (t symmetry) links(l *lift) [][2]int {
	seen := map[[2]int]bool{}
	var links [][2]int
	number := func(v int) int {
		if v >= l.q*l.s {
			return v
		}
		return t.node(v/l.s, v%l.s)
	}
	for v := range l.nodes() {
		from := number(v)
		for _, u := range l.next[v*l.ports : (v+1)*l.ports] {
			to := number(int(u))
			link := [2]int{min(from, to), max(from, to)}
			if from != to && !seen[link] {
				seen[link] = true
				links = append(links, link)
			}
		}
	}
	return links
}

// lowerBound is LowerBound, and where cables are short, no node reaches more than stand
// within so many cables' length; a single bound for all nodes is what the node with the
// most neighbours allows.
func (s *seeker) lowerBound() Bound {
	if s.Allowed == nil {
		return LowerBound(s.Nodes, s.Ports)
	}
	return s.floorBound()
}

// floorBound sums, over all nodes, the least hops that ports and cable length allow: k hops
// lead no further than k steps in the graph of all allowed cables.
func (s *seeker) floorBound() Bound {
	n := s.Nodes
	near := make([][]int32, n)
	for a := range n {
		for b := range n {
			if a != b && s.Allowed(a, b) {
				near[a] = append(near[a], int32(b))
			}
		}
	}
	var b Bound
	odd := 0
	if n*s.Ports%2 == 1 {
		odd = math.MaxInt
	}
	hops := make([]int, n)
	for root := range n {
		for i := range hops {
			hops[i] = -1
		}
		hops[root] = 0
		queue := []int32{int32(root)}
		var within []int // nodes at most so many steps away
		for i := 0; i < len(queue); i++ {
			at := int(queue[i])
			for len(within) <= hops[at] {
				within = append(within, i)
			}
			within[hops[at]]++
			for _, to := range near[at] {
				if hops[to] < 0 {
					hops[to] = hops[at] + 1
					queue = append(queue, to)
				}
			}
		}
		reach := func(k int) int { return within[min(k, len(within)-1)] }
		sum, most := boundFrom(n, reach, min(s.Ports, len(near[root])), s.Ports)
		b.sum += sum
		b.Diameter = max(b.Diameter, most)
		if less, _ := boundFrom(n, reach, s.Ports-1, s.Ports); odd > 0 {
			odd = min(odd, max(0, less-sum))
		}
	}
	b.sum += odd
	b.Average = float64(b.sum) / float64(max(1, n*(n-1)))
	return b
}
