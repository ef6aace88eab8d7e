package flow

import (
	"fmt"
	"math"
)

// Arc is one direction of a cable, or a part inside a node that all its traffic passes.
type Arc struct {
	From, To int
	Capacity float64 // above 0, in the unit of the demands
}

// Demand is what one node sends to others.
type Demand struct {
	From   int
	To     []int
	Amount []float64 // as many as To, above 0
	Others float64   // to every other host besides; 0 for nothing
}

// Network is a directed multigraph with demands.
type Network struct {
	Nodes   int // numbered from 0
	Hosts   int // the first so many nodes are those that Demand.Others means; 0 for all
	Arcs    []Arc
	Demands []Demand // at most one per From
}

// Both returns the two arcs of a cable that carries the capacity in either direction.
func Both(a, b int, capacity float64) [2]Arc {
	return [2]Arc{{a, b, capacity}, {b, a, capacity}}
}

func (n *Network) hosts() int {
	if n.Hosts == 0 {
		return n.Nodes
	}
	return n.Hosts
}

// each calls f for whatever d sends.
func (n *Network) each(d *Demand, f func(to int, amount float64)) {
	for k, to := range d.To {
		f(to, d.Amount[k])
	}
	if d.Others > 0 {
		for to := range n.hosts() {
			if to != d.From {
				f(to, d.Others)
			}
		}
	}
}

func (n *Network) check() error {
	if n.Hosts < 0 || n.Hosts > n.Nodes {
		return fmt.Errorf("flow: %d hosts among %d nodes", n.Hosts, n.Nodes)
	}
	for i, a := range n.Arcs {
		if a.From < 0 || a.From >= n.Nodes || a.To < 0 || a.To >= n.Nodes || a.From == a.To {
			return fmt.Errorf("flow: arc %d leads from %d to %d in a network of %d nodes", i, a.From, a.To, n.Nodes)
		}
		if !(a.Capacity > 0) || math.IsInf(a.Capacity, 1) {
			return fmt.Errorf("flow: arc %d has capacity %v, want a number above 0", i, a.Capacity)
		}
	}
	seen := make([]bool, n.Nodes)
	for i, d := range n.Demands {
		if d.From < 0 || d.From >= n.Nodes || seen[d.From] || len(d.To) != len(d.Amount) || !(d.Others >= 0) || math.IsInf(d.Others, 1) {
			return fmt.Errorf("flow: demand %d from node %d is no source of its own, or lists %d nodes and %d amounts",
				i, d.From, len(d.To), len(d.Amount))
		}
		seen[d.From] = true
		for k, to := range d.To {
			if to < 0 || to >= n.Nodes || to == d.From || !(d.Amount[k] > 0) || math.IsInf(d.Amount[k], 1) {
				return fmt.Errorf("flow: demand %d: %v from %d to %d in a network of %d nodes", i, d.Amount[k], d.From, to, n.Nodes)
			}
		}
	}
	return nil
}

// outgoing is a network made quick to walk: the arcs leaving node v are
// arc[first[v]:first[v+1]].
type outgoing struct {
	first, arc, to []int32
}

func newOutgoing(n *Network) *outgoing {
	o := &outgoing{first: make([]int32, n.Nodes+1), arc: make([]int32, len(n.Arcs)), to: make([]int32, len(n.Arcs))}
	for _, a := range n.Arcs {
		o.first[a.From+1]++
	}
	for v := range n.Nodes {
		o.first[v+1] += o.first[v]
	}
	at := append([]int32(nil), o.first...)
	for i, a := range n.Arcs {
		o.arc[at[a.From]], o.to[at[a.From]] = int32(i), int32(a.To)
		at[a.From]++
	}
	return o
}
