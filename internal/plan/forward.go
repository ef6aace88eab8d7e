package plan

import (
	"fmt"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/forwarding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Metrics of our routes. The kernel takes the lowest whose link is up.
const (
	metricPrimary = 10
	metricDetour  = 20
)

// forward compiles the forwarding tables, writes them as routes, rules and
// sysctls of every node, and proves them.
func (p *planner) forward() {
	g := Graph(&p.plan)
	p.checkConnectivity(g)
	if !p.hasIdentities() {
		return
	}
	tables := forwarding.Compile(g)
	for i := range p.plan.Nodes {
		if len(p.plan.Nodes[i].Links) > mesh.RulePriorityLast-mesh.RulePriorityFirst {
			p.report(finding.New(tooManyLinks, "node %s has %d cables", p.plan.Nodes[i].Name, len(p.plan.Nodes[i].Links)).At(fmt.Sprintf("nodes[%d]", i)))
			return
		}
		p.routes(i, tables)
		p.plan.Nodes[i].Sysctls = sysctls(p.plan.Nodes[i].Links)
	}
	p.prove(g, tables)
}

// Graph returns a plan's cabling as forwarding sees it: nodes and links by their
// index in the plan. A link's weight is the time a bit takes on it plus a little
// for the hop itself, so that at equal time the way with fewer hops wins.
func Graph(p *mesh.Plan) forwarding.Graph {
	g := forwarding.Graph{Nodes: len(p.Nodes)}
	index := map[string]int{}
	for i, n := range p.Nodes {
		index[n.Name] = i
	}
	for _, c := range p.Cables {
		g.Links = append(g.Links, forwarding.Link{A: index[c.Ends[0].Node], B: index[c.Ends[1].Node], Weight: weight(c.Speed)})
	}
	return g
}

// weightScale is divisible by every usual cable speed (5, 10, 20, 40, 80 Gbit/s).
const weightScale = 7200

// weight returns the cost of a cable of the given Gbit/s per direction.
func weight(speed int) int { return weightScale/max(1, speed) + 1 }

// routes writes the rows of node i.
func (p *planner) routes(i int, tables *forwarding.Tables) {
	n := &p.plan.Nodes[i]
	n.Routes, n.Rules = rows(&p.plan, i, p.linkOf[i], func(d int) forwarding.Entry { return tables.At(i, d) })
}

// rows turns what node i does with packets for each other node (its entries, in
// cables of the plan) into routes and rules: what main holds, and per port the
// table for packets that came back over the very link they would leave by. linkOf
// leads from a cable to the node's link.
func rows(p *mesh.Plan, i int, linkOf map[int]int, at func(dest int) forwarding.Entry) ([]mesh.Route, []mesh.Rule) {
	n := &p.Nodes[i]
	var routes []mesh.Route
	var rules []mesh.Rule
	needsRule := make([]bool, len(n.Links))
	neighbours := make([]*mesh.NodePlan, len(n.Links))
	for k, l := range n.Links {
		neighbours[k] = p.Node(l.Peer)
	}
	for family := range n.Identity {
		for d := range p.Nodes {
			if d == i {
				continue
			}
			e := at(d)
			if e.Primary < 0 {
				continue
			}
			add := func(cable, metric int, table mesh.Table) {
				k := linkOf[cable]
				r := mesh.Route{
					Destination: mesh.HostPrefix(p.Nodes[d].Identity[family]),
					Interface:   n.Links[k].Interface,
					Metric:      metric,
					Table:       table,
					Source:      n.Identity[family],
					Protocol:    mesh.RouteProtocol,
				}
				if neighbours[k] != &p.Nodes[d] {
					r.Via = neighbours[k].Identity[family]
				}
				routes = append(routes, r)
			}
			add(e.Primary, metricPrimary, mesh.MainTable)
			if e.Detour >= 0 {
				add(e.Detour, metricDetour, mesh.MainTable)
			}
			if e.Return >= 0 {
				k := linkOf[e.Primary]
				needsRule[k] = true
				add(e.Return, metricPrimary, portTable(k))
			}
		}
	}
	for k, l := range n.Links {
		if !needsRule[k] {
			continue
		}
		for _, id := range n.Identity {
			rules = append(rules, mesh.Rule{Incoming: l.Interface, Table: portTable(k), Priority: int(portTable(k)), IPv6: id.Is6()})
		}
	}
	return routes, rules
}

// portTable is the table of a node's k-th port; its rule has the same number as priority.
func portTable(k int) mesh.Table { return mesh.Table(mesh.RulePriorityFirst + k + 1) }

// sysctls returns the kernel settings that the compiled tables rely on.
//
//   - ignore_routes_with_linkdown lets the kernel step to the detour when a link
//     loses carrier; without it the dead primary stays in use.
//   - accept_local: a U-turn brings a packet back to the node whose own address
//     is its source; the kernel would drop it as a martian.
//   - rp_filter=2: the kernel uses the larger of "all" and the port's value, so
//     2 (loose) also undoes a strict 1 that a distribution set for all.
//   - send_redirects is ORed with "all": only 0 in both silences the redirects
//     that a U-turn provokes.
//   - IPv6 forwards only with the global switch (net/ipv6/ip6_output.c,
//     ip6_forward); IPv4 is switched per port, so the LAN port stays closed.
//   - accept_dad, dad_transmits: no duplicate can be on a cable of two ends, and
//     detection holds an address back for a second at each replug.
//   - retrans_time_ms: when a cable is plugged, the two ends come up at different
//     moments and the first question for the neighbour may go unheard; the kernel
//     would ask again a second later. A cable's round trip is far below 1 ms.
func sysctls(links []mesh.LinkPlan) []mesh.Sysctl {
	s := []mesh.Sysctl{
		{Path: "net/ipv4/conf/all/send_redirects", Value: "0"},
		{Path: "net/ipv6/conf/all/forwarding", Value: "1"},
	}
	for _, l := range links {
		for _, c := range portSysctls {
			s = append(s, mesh.Sysctl{Path: "net/" + c.table + "/" + l.Interface + "/" + c.key, Value: c.value})
		}
	}
	return s
}

var portSysctls = []struct{ table, key, value string }{
	{"ipv4/conf", "forwarding", "1"},
	{"ipv4/conf", "accept_local", "1"},
	{"ipv4/conf", "rp_filter", "2"},
	{"ipv4/conf", "ignore_routes_with_linkdown", "1"},
	{"ipv4/conf", "send_redirects", "0"},
	{"ipv4/conf", "accept_redirects", "0"},
	{"ipv6/conf", "ignore_routes_with_linkdown", "1"},
	{"ipv6/conf", "accept_ra", "0"},
	{"ipv6/conf", "accept_dad", "0"},
	{"ipv6/conf", "dad_transmits", "0"},
	{"ipv4/neigh", "retrans_time_ms", "20"},
	{"ipv6/neigh", "retrans_time_ms", "20"},
}
