package lab

import (
	"context"
	"net/netip"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// staticEngine installs floating routes alone: to each node the shortest way at
// metric 10 and, at higher metrics, every other neighbour that has a way there.
// Everything stands in the main table, so a node forwards by destination only.
//
// This is the recipe of the guides for three nodes, where it is all one needs,
// carried to any mesh; it is as good as plain routes get. In a ring of four or
// more it can't be good: a node that has lost a cable hands the packet to its
// other neighbour, whose own shortest way may lead back, and the two play ball
// until the hop limit ends it (no loop-free alternate, RFC 5286).
type staticEngine struct{ netlinkEngine }

func (e *staticEngine) Start(ctx context.Context, nodes []*Node) error {
	for _, n := range nodes {
		p := *n.Plan
		p.Routes, p.Rules = floatingRoutes(n.Mesh, n.Plan), nil
		n.Plan = &p
	}
	return e.netlinkEngine.Start(ctx, nodes)
}

// Metrics of floating routes. Backups follow each other, nearest first.
const (
	metricShortest = 10
	metricBackup   = 20
)

// floatingRoutes returns a node's primary routes, which are the plan's, and
// behind them its other neighbours, by their distance from the destination.
func floatingRoutes(plan *mesh.Plan, n *mesh.NodePlan) []mesh.Route {
	var routes []mesh.Route
	for i := range plan.Nodes {
		to := &plan.Nodes[i]
		if to.Name == n.Name {
			continue
		}
		hops := hopsTo(plan, to.Name, n.Name)
		for _, dst := range to.Identity {
			first := primary(n, dst)
			if first == nil {
				continue
			}
			routes = append(routes, floatingRoute(plan, n, first, to.Name, dst, metricShortest))
			metric := metricBackup
			for distance := range len(plan.Nodes) {
				for l := range n.Links {
					link := &n.Links[l]
					if d, ok := hops[link.Peer]; !ok || d != distance || link == first {
						continue
					}
					routes = append(routes, floatingRoute(plan, n, link, to.Name, dst, metric))
					metric++
				}
			}
		}
	}
	return routes
}

func floatingRoute(plan *mesh.Plan, n *mesh.NodePlan, l *mesh.LinkPlan, to string, dst netip.Addr, metric int) mesh.Route {
	r := mesh.Route{
		Destination: mesh.HostPrefix(dst), Interface: l.Interface, Metric: metric,
		Table: mesh.MainTable, Source: identity(n, familyOf(dst)), Protocol: mesh.RouteProtocol,
	}
	if l.Peer != to {
		r.Via = identity(plan.Node(l.Peer), familyOf(dst))
	}
	return r
}

// hopsTo counts the cables from every node to one, along ways that do not lead
// over the node without. A node that has no such way is left out.
func hopsTo(plan *mesh.Plan, to, without string) map[string]int {
	hops := map[string]int{to: 0}
	for queue := []string{to}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, l := range plan.Node(at).Links {
			if _, seen := hops[l.Peer]; !seen && l.Peer != without {
				hops[l.Peer] = hops[at] + 1
				queue = append(queue, l.Peer)
			}
		}
	}
	return hops
}

func (e *staticEngine) StandIns() []string {
	s := []string{"one netlink convergence of the two nodes at a plug puts the routes back, as networkd would; during a cut nothing runs"}
	if !e.dummy {
		s = append(s, noDummy)
	}
	return s
}
