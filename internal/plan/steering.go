package plan

import (
	"net/netip"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Steering returns what a node's kernel must hold beside its planned routes and
// rules so that packets can be steered (mesh.Steer): for each port a table with
// nothing but the way out of it, and the rule that leads there by the port's
// mark. They change with the plan alone, not with the state of the cables.
//
// Only an agent steers, so they are no part of NodePlan and of rendered files.
func Steering(p *mesh.Plan, node string) ([]mesh.Rule, []mesh.Route) {
	n := p.Node(node)
	if n == nil {
		return nil, nil
	}
	var rules []mesh.Rule
	var routes []mesh.Route
	for k, l := range n.Links[:min(len(n.Links), mesh.MaxSteered)] {
		peer := p.Node(l.Peer)
		for family, id := range n.Identity {
			all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			if id.Is6() {
				all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
			routes = append(routes, mesh.Route{
				Destination: all, Interface: l.Interface, Via: peer.Identity[family], Metric: metricPrimary,
				Table: mesh.SteerTable(k), Source: id, Protocol: mesh.RouteProtocol,
			})
			rules = append(rules, mesh.Rule{
				Mark: mesh.SteerMark(k), Table: mesh.SteerTable(k), Priority: mesh.RulePriorityFirst, IPv6: id.Is6(),
			})
		}
	}
	return rules, routes
}
