package survey

import (
	"fmt"

	"github.com/usb4mesh/usb4mesh/internal/flow"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// concurrent is the most that every path's pair can have at once, all the same, if
// traffic may be split and take any way: the yardstick of the cabling, where
// fairShares is that of the planned paths.
func concurrent(plan *mesh.Plan, paths []Path, capacity map[arc]float64) (float64, error) {
	index := map[string]int{}
	n := &flow.Network{Nodes: len(plan.Nodes)}
	for i, node := range plan.Nodes {
		index[node.Name] = i
	}
	for _, c := range plan.Cables {
		for end, e := range c.Ends {
			a := flow.Arc{From: index[e.Node], To: index[c.Ends[1-end].Node], Capacity: capacity[arc{c.Name, e.Node}]}
			if a.Capacity > 0 {
				n.Arcs = append(n.Arcs, a)
			}
		}
	}
	at := map[string]int{} // demand of each sender
	for _, p := range paths {
		k, ok := at[p.From]
		if !ok {
			k = len(n.Demands)
			at[p.From], n.Demands = k, append(n.Demands, flow.Demand{From: index[p.From]})
		}
		d := &n.Demands[k]
		d.To, d.Amount = append(d.To, index[p.To]), append(d.Amount, 1)
	}
	r, err := flow.Concurrent(n, flow.Options{})
	if err != nil {
		return 0, fmt.Errorf("capacity of the cabling: %w", err)
	}
	return round3(r.Reached), nil
}

// fairShares divides the capacity of the cables among all paths at once, each
// direction of a cable for itself: the max-min fair allocation (Bertsekas and
// Gallager, Data Networks, section 6.5.2). All shares grow together; where a cable is
// full, the shares of its paths stay. even is the share at which the first cable was full:
// what everybody can have at once.
func fairShares(plan *mesh.Plan, paths []Path, capacity map[arc]float64) (shares []float64, even float64) {
	shares = make([]float64, len(paths))
	crossing := map[arc][]int{}
	for i, p := range paths {
		nodes := p.nodes(plan)
		for k, c := range p.Cables {
			a := arc{c, nodes[k]}
			crossing[a] = append(crossing[a], i)
		}
	}
	fixed := make([]bool, len(paths))
	for level := 0.0; ; {
		// The cable that is full first.
		next, found := 0.0, false
		for a, all := range crossing {
			used, growing := 0.0, 0
			for _, i := range all {
				if fixed[i] {
					used += shares[i]
				} else {
					growing++
				}
			}
			if growing == 0 {
				continue
			}
			if at := (capacity[a] - used) / float64(growing); !found || at < next {
				next, found = at, true
			}
		}
		if !found {
			return shares, even
		}
		if even == 0 {
			even = next
		}
		level = max(level, next)
		for a, all := range crossing {
			used, growing := 0.0, 0
			for _, i := range all {
				if fixed[i] {
					used += shares[i]
				} else {
					growing++
				}
			}
			if growing == 0 || (capacity[a]-used)/float64(growing) > level*(1+1e-9) {
				continue
			}
			for _, i := range all {
				if !fixed[i] {
					shares[i], fixed[i] = level, true
				}
			}
		}
	}
}
