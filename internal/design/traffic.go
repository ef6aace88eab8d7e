package design

import (
	"github.com/usb4mesh/usb4mesh/internal/flow"
	"github.com/usb4mesh/usb4mesh/internal/topology"
)

// demands returns what every node sends, such that one unit is what Traffic counts.
func demands(t Traffic, nodes int, links [][2]int, seed uint64) []flow.Demand {
	var all []flow.Demand
	uniform := func(total float64) {
		for v := range nodes {
			all = append(all, flow.Demand{From: v, Others: total / float64(nodes-1)})
		}
	}
	switch t {
	case AllToAll:
		uniform(1)
	case Ceph:
		// What is written goes to the primary OSD, which is on another node in all but one
		// of so many cases, and from there to two replicas on other nodes.
		uniform(float64(nodes-1)/float64(nodes) + 2)
	case AllReduce:
		order, _ := topology.Tour(nodes, links, seed)
		for i, v := range order {
			all = append(all, flow.Demand{From: v, To: []int{order[(i+1)%nodes]}, Amount: []float64{1}})
		}
	case Hot:
		degree := make([]int, nodes)
		hot := 0
		for _, l := range links {
			for _, v := range l {
				if v < nodes { // a hub does not serve
					degree[v]++
					if degree[v] > degree[hot] || degree[v] == degree[hot] && v < hot {
						hot = v
					}
				}
			}
		}
		all = append(all, flow.Demand{From: hot, Others: 1})
	}
	return all
}

// network makes the wiring a network: cables carry gbps in either direction, and what hubs,
// the nodes from hosts on, can forward all told is limited.
func network(hosts, nodes int, links [][2]int, gbps, hubGbps float64, d []flow.Demand) *flow.Network {
	n := &flow.Network{Nodes: nodes, Hosts: hosts, Demands: d}
	// A hub is split: traffic comes in at its number, crosses, and leaves elsewhere.
	leaves := func(v int) int {
		if v < hosts {
			return v
		}
		return v + nodes - hosts
	}
	for _, l := range links {
		n.Arcs = append(n.Arcs, flow.Arc{From: leaves(l[0]), To: l[1], Capacity: gbps}, flow.Arc{From: leaves(l[1]), To: l[0], Capacity: gbps})
	}
	for v := hosts; v < nodes; v++ {
		n.Arcs = append(n.Arcs, flow.Arc{From: v, To: leaves(v), Capacity: hubGbps})
	}
	n.Nodes += nodes - hosts
	return n
}

// effort says how much work the flow of a network is worth: exact to 2% for small ones, the
// even split over shortest ways for large ones, which nothing but the limit beside it
// qualifies.
func effort(nodes int) flow.Options {
	switch {
	case nodes <= 64:
		return flow.Options{Epsilon: 0.02, Phases: 400}
	case nodes <= 256:
		return flow.Options{Epsilon: 0.05, Phases: 24}
	}
	return flow.Options{Phases: -1}
}
