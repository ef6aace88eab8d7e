package lab

import (
	"net/netip"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Address families, as reports name them.
const (
	IPv4 = "ipv4"
	IPv6 = "ipv6"
)

// Pair is an ordered pair of nodes in one address family.
type Pair struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Family string `json:"family"`
}

// Path is the way that the plan gives a pair while no cable is cut.
type Path struct {
	Pair
	Source, Destination netip.Addr
	Interface           string   // by which From sends
	Cables              []string // crossed, in order; empty if the plan has no way
}

// Hops counts the cables of the path.
func (p Path) Hops() int { return len(p.Cables) }

// Paths returns the paths of all ordered pairs of nodes that have addresses of
// the same family, in the order of the plan. Nodes are known by their identities.
// In a plan without identities only neighbours have addresses for each other.
func Paths(plan *mesh.Plan) []Path {
	var all []Path
	for _, family := range []string{IPv4, IPv6} {
		for i := range plan.Nodes {
			for j := range plan.Nodes {
				if i == j {
					continue
				}
				if p, ok := pathOf(plan, &plan.Nodes[i], &plan.Nodes[j], family); ok {
					all = append(all, p)
				}
			}
		}
	}
	return all
}

func pathOf(plan *mesh.Plan, from, to *mesh.NodePlan, family string) (Path, bool) {
	p := Path{Pair: Pair{from.Name, to.Name, family}}
	src, dst := identity(from, family), identity(to, family)
	if !src.IsValid() || !dst.IsValid() {
		return neighbourPath(p, from)
	}
	p.Source, p.Destination = src, dst
	for at := from; at.Name != to.Name; {
		l := primary(at, dst)
		if l == nil || len(p.Cables) == len(plan.Nodes) { // no way, or a loop
			p.Cables, p.Interface = nil, ""
			return p, true
		}
		if p.Interface == "" {
			p.Interface = l.Interface
		}
		p.Cables = append(p.Cables, l.Cable)
		at = plan.Node(l.Peer)
	}
	return p, true
}

// neighbourPath uses the point to point addresses of the cable between two nodes.
func neighbourPath(p Path, from *mesh.NodePlan) (Path, bool) {
	for _, l := range from.Links {
		for _, a := range l.Addresses {
			if l.Peer == p.To && a.Peer.IsValid() && familyOf(a.Local.Addr()) == p.Family {
				p.Source, p.Destination = a.Local.Addr(), a.Peer.Addr()
				p.Interface, p.Cables = l.Interface, []string{l.Cable}
				return p, true
			}
		}
	}
	return p, false
}

func identity(n *mesh.NodePlan, family string) netip.Addr {
	for _, a := range n.Identity {
		if familyOf(a) == family {
			return a
		}
	}
	return netip.Addr{}
}

func familyOf(a netip.Addr) string {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// primary returns the link of the main table's best route to dst.
func primary(n *mesh.NodePlan, dst netip.Addr) *mesh.LinkPlan {
	var best *mesh.Route
	for i, r := range n.Routes {
		if r.Table == mesh.MainTable && r.Destination == mesh.HostPrefix(dst) && (best == nil || r.Metric < best.Metric) {
			best = &n.Routes[i]
		}
	}
	if best == nil {
		return nil
	}
	for i := range n.Links {
		if n.Links[i].Interface == best.Interface {
			return &n.Links[i]
		}
	}
	return nil
}

// connected reports which nodes can reach which over the cables of the plan but
// some; "" names none.
func connected(plan *mesh.Plan, without ...string) func(a, b string) bool {
	part := map[string]string{}
	var find func(string) string
	find = func(n string) string {
		if part[n] == "" || part[n] == n {
			return n
		}
		part[n] = find(part[n])
		return part[n]
	}
	for _, c := range plan.Cables {
		if !slices.Contains(without, c.Name) {
			part[find(c.Ends[0].Node)] = find(c.Ends[1].Node)
		}
	}
	return func(a, b string) bool { return find(a) == find(b) }
}

// protected reports whether a pair survives the loss of cables: the mesh stays in
// one piece for the pair and there are routes at all. For a single cable the plan
// promises it, for several the agents do.
func protected(p Path, plan *mesh.Plan, cables ...string) bool {
	if identity(plan.Node(p.From), p.Family) != p.Source {
		// Point to point addresses die with their cable.
		return !slices.ContainsFunc(cables, func(c string) bool { return slices.Contains(p.Cables, c) })
	}
	return p.Hops() > 0 && connected(plan, cables...)(p.From, p.To)
}
