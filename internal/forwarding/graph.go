package forwarding

import "fmt"

// Bounds of what Compile accepts, so that costs and prices of paths fit an int64.
const (
	MaxNodes  = 1 << 13
	MaxWeight = 1 << 20
)

// Graph is an undirected multigraph. Links between the same two nodes are
// separate links; a graph need not be connected.
type Graph struct {
	Nodes int // numbered from 0
	Links []Link
}

// Link joins the nodes A and B. The weight is the cost of crossing it in either
// direction, 1 to MaxWeight; anything outside counts as the nearest of these.
type Link struct{ A, B, Weight int }

// Failure is a set of links and nodes that are down together. A node that is
// down takes its links with it, and sends and receives nothing.
type Failure struct {
	Links []int
	Nodes []int
}

// SingleLinks returns one failure for each link.
func SingleLinks(g Graph) []Failure { return singles(len(g.Links), false) }

// SingleNodes returns one failure for each node.
func SingleNodes(g Graph) []Failure { return singles(g.Nodes, true) }

func singles(n int, nodes bool) []Failure {
	all := make([]int, n)
	failures := make([]Failure, n)
	for i := range n {
		all[i] = i
		if nodes {
			failures[i].Nodes = all[i : i+1 : i+1]
		} else {
			failures[i].Links = all[i : i+1 : i+1]
		}
	}
	return failures
}

// LinkPairs returns one failure for each pair of links.
func LinkPairs(g Graph) []Failure {
	n := len(g.Links)
	failures := make([]Failure, 0, n*(n-1)/2)
	all := make([]int, 0, n*(n-1))
	for a := range n {
		for b := a + 1; b < n; b++ {
			all = append(all, a, b)
			failures = append(failures, Failure{Links: all[len(all)-2 : len(all) : len(all)]})
		}
	}
	return failures
}

// arc is one direction of a link, as the node it leaves sees it.
type arc struct{ link, to int32 }

// adjacency is a graph made quick to walk: the arcs of node i are
// arcs[first[i]:first[i+1]], by link number. Links from a node to itself carry
// nothing and are left out.
type adjacency struct {
	first []int32
	arcs  []arc
	ends  [][2]int32
	cost  []int64 // of each link: weight first, then one hop
}

// hopCost makes a path's cost compare by weight first and hops second: it is
// above the hops of any path.
const hopCost = 1 << 14

func (a *adjacency) of(node int32) []arc { return a.arcs[a.first[node]:a.first[node+1]] }

// other returns the node at the other end of a link.
func (a *adjacency) other(link, node int32) int32 {
	return a.ends[link][0] ^ a.ends[link][1] ^ node
}

func newAdjacency(g Graph) *adjacency {
	if g.Nodes < 0 || g.Nodes > MaxNodes {
		panic(fmt.Sprintf("forwarding: graph of %d nodes, want 0 to %d", g.Nodes, MaxNodes))
	}
	a := &adjacency{
		first: make([]int32, g.Nodes+1),
		ends:  make([][2]int32, len(g.Links)),
		cost:  make([]int64, len(g.Links)),
	}
	for i, l := range g.Links {
		if l.A < 0 || l.A >= g.Nodes || l.B < 0 || l.B >= g.Nodes {
			panic(fmt.Sprintf("forwarding: link %d joins nodes %d and %d of a graph of %d nodes", i, l.A, l.B, g.Nodes))
		}
		a.ends[i] = [2]int32{int32(l.A), int32(l.B)}
		a.cost[i] = int64(min(max(l.Weight, 1), MaxWeight))*hopCost + 1
		if l.A != l.B {
			a.first[l.A+1]++
			a.first[l.B+1]++
		}
	}
	for i := range g.Nodes {
		a.first[i+1] += a.first[i]
	}
	a.arcs = make([]arc, a.first[g.Nodes])
	next := append([]int32(nil), a.first...)
	for i, l := range g.Links {
		if l.A == l.B {
			continue
		}
		a.arcs[next[l.A]] = arc{int32(i), int32(l.B)}
		a.arcs[next[l.B]] = arc{int32(i), int32(l.A)}
		next[l.A]++
		next[l.B]++
	}
	return a
}
