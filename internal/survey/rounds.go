package survey

import (
	"net/netip"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Path is a pair of nodes with the way that the plan gives it.
type Path struct {
	From, To            string
	Source, Destination netip.Addr
	Cables              []string // crossed, in order
}

// nodes returns all nodes that the path touches, in order.
func (p Path) nodes(plan *mesh.Plan) []string {
	all := []string{p.From}
	at := p.From
	for _, name := range p.Cables {
		for _, c := range plan.Cables {
			if c.Name != name {
				continue
			}
			switch at {
			case c.Ends[0].Node:
				at = c.Ends[1].Node
			case c.Ends[1].Node:
				at = c.Ends[0].Node
			}
			all = append(all, at)
		}
	}
	return all
}

// rounds puts paths in rounds, each path in one of them, so that the paths of a
// round share no node (and so no cable). Paths keep their order as far as possible.
// Without parallel every round has one path.
func rounds(plan *mesh.Plan, paths []Path, parallel bool) [][]int {
	var all [][]int
	var busy []map[string]bool
	for i, p := range paths {
		nodes := p.nodes(plan)
		r := len(all)
		if parallel {
			r = slices.IndexFunc(busy, func(b map[string]bool) bool {
				return !slices.ContainsFunc(nodes, func(n string) bool { return b[n] })
			})
			if r < 0 {
				r = len(all)
			}
		}
		if r == len(all) {
			all, busy = append(all, nil), append(busy, map[string]bool{})
		}
		all[r] = append(all[r], i)
		for _, n := range nodes {
			busy[r][n] = true
		}
	}
	return all
}
