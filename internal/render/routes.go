package render

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// How networkd is brought to install the routes of a port in an order that the
// kernel accepts.
//
// The gateway of a route is the neighbour's identity, which is in no subnet of
// ours. IPv4 routes say so (GatewayOnLink=) and are accepted in any order. For
// IPv6 the kernel looks an on-link gateway up in the main table all the same and
// refuses it when the best route leads over another interface
// (ip6_route_check_nh_onlink in net/ipv6/route.c): always so on the second of
// two cables to one neighbour, and on any port while the routes come up.
// networkd then gives up on the whole interface.
//
// Without the on-link flag the kernel asks for some route to the gateway on the
// same interface, in main or in the table of the route, whatever its metric
// (ip6_route_check_nh). networkd installs the routes of a file in no order, but
// holds a route back until another one on the interface covers its gateway, in
// any table (gateway_is_ready). So the only IPv6 routes without a gateway are
// the direct ones in main, which then come first: a direct route in another
// table names the neighbour as its own gateway, and where main has no direct
// route to a gateway, a spare one is added behind primary and detour.

// spareMetric is behind every metric of the plan. A spare route leads over the
// cable to the neighbour itself and so can't be part of a loop.
const spareMetric = 1000

// routeSections returns the routes that leave by an interface, those of the
// plan in its order.
func routeSections(routes []mesh.Route, dev string) []section {
	var out []section
	var spare []netip.Addr
	for _, r := range routes {
		if r.Interface != dev {
			continue
		}
		if !r.Via.IsValid() && r.Destination.Addr().Is6() && r.Table != mesh.MainTable {
			r.Via = r.Destination.Addr()
		}
		if r.Via.Is6() && !slices.Contains(spare, r.Via) && !hasDirect(routes, r.Via, dev) {
			spare = append(spare, r.Via)
			s := routeSection(mesh.Route{Destination: mesh.HostPrefix(r.Via), Source: r.Source, Metric: spareMetric, Table: mesh.MainTable})
			s.note = "Spare, so that the kernel accepts this address as a gateway on this interface."
			out = append(out, s)
		}
		out = append(out, routeSection(r))
	}
	return out
}

// hasDirect reports whether main has a route to a without a gateway on dev.
func hasDirect(routes []mesh.Route, a netip.Addr, dev string) bool {
	return slices.ContainsFunc(routes, func(r mesh.Route) bool {
		return r.Interface == dev && r.Table == mesh.MainTable && !r.Via.IsValid() && r.Destination == mesh.HostPrefix(a)
	})
}

// routeSection writes one route. A protocol of 0 leaves it to networkd (static).
func routeSection(r mesh.Route) section {
	s := sec("Route", set("Destination", r.Destination.String()))
	add := func(key, value string) { s.settings = append(s.settings, set(key, value)) }
	v4 := r.Destination.Addr().Is4()
	if r.Via.IsValid() {
		add("Gateway", r.Via.String())
		if v4 {
			add("GatewayOnLink", "yes")
		}
	} else if v4 {
		add("Scope", "link") // IPv6 has no route scopes
	}
	if r.Source.IsValid() {
		add("PreferredSource", r.Source.String())
	}
	add("Metric", strconv.Itoa(r.Metric))
	if r.Table != mesh.MainTable {
		add("Table", tableNumber(r.Table))
	}
	if r.Protocol != 0 {
		add("Protocol", strconv.Itoa(r.Protocol))
	}
	return s
}
