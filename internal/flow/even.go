package flow

// even splits every demand evenly over all ways with the fewest arcs, node by node, as
// equal-cost multipath routing would, and returns the load of each arc. The sum of
// amounts times arcs is the second result; a node that can't be reached makes it -1.
func even(n *Network, out *outgoing) (flow []float64, cost float64) {
	flow = make([]float64, len(n.Arcs))
	hops := make([]int32, n.Nodes)
	ways := make([]float64, n.Nodes)
	sent := make([]float64, n.Nodes)
	queue := make([]int32, 0, n.Nodes)
	for i := range n.Demands {
		d := &n.Demands[i]
		for v := range hops {
			hops[v], ways[v], sent[v] = -1, 0, 0
		}
		hops[d.From], ways[d.From] = 0, 1
		queue = append(queue[:0], int32(d.From))
		for head := 0; head < len(queue); head++ {
			v := queue[head]
			for _, to := range out.to[out.first[v]:out.first[v+1]] {
				if hops[to] < 0 {
					hops[to] = hops[v] + 1
					queue = append(queue, to)
				}
				if hops[to] == hops[v]+1 {
					ways[to] += ways[v]
				}
			}
		}
		cut := false
		n.each(d, func(to int, amount float64) {
			cut = cut || hops[to] < 0
			sent[to] += amount
			cost += amount * float64(hops[to])
		})
		if cut {
			return nil, -1
		}
		// From the farthest node back: what a node must get comes over its ways in
		// proportion to how many ways lead to their other end.
		for i := len(queue) - 1; i >= 0; i-- {
			v := queue[i]
			for k := out.first[v]; k < out.first[v+1]; k++ {
				to := out.to[k]
				if hops[to] == hops[v]+1 && sent[to] > 0 {
					part := sent[to] * ways[v] / ways[to]
					flow[out.arc[k]] += part
					sent[v] += part
				}
			}
		}
	}
	return flow, cost
}
