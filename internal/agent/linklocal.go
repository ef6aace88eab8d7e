package agent

import (
	"net/netip"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// linkLocalNet is where the kernel itself routes a link's link-local addresses.
var linkLocalNet = netip.MustParsePrefix("fe80::/64")

// unrouted returns what the kernel holds without the link-local addresses whose route
// somebody has taken: liveness can't reach the peer with them. The kernel makes the route
// for an address once, when it is added, and network managers flush it with all others
// (NetworkManager, when it gives up on an interface).
func (a *Agent) unrouted(have, want mesh.State) mesh.State {
	routed := map[string]bool{}
	for _, r := range have.Routes {
		if r.Destination == linkLocalNet && r.Table == mesh.MainTable {
			routed[r.Interface] = true
		}
	}
	var lost []mesh.Address
	for _, k := range want.Addresses {
		l, present := link(have, k.Interface)
		switch {
		case !k.Local.Addr().Is6() || !k.Local.Addr().IsLinkLocalUnicast() || !slices.Contains(have.Addresses, k):
		case routed[k.Interface]:
			a.loop.routesLinks = true
		case present && l.Up && l.Carrier: // else the route comes with the carrier
			lost = append(lost, k)
		}
	}
	if a.loop.routesLinks {
		have.Addresses = slices.DeleteFunc(slices.Clone(have.Addresses), func(k mesh.Address) bool { return slices.Contains(lost, k) })
	}
	return have
}

// renewing puts the removal of an address that stands before its addition.
func renewing(have mesh.State, changes []mesh.Change) []mesh.Change {
	var out []mesh.Change
	for _, c := range changes {
		if c.Op == mesh.Add && c.Address != nil && slices.Contains(have.Addresses, *c.Address) {
			out = append(out, mesh.Change{Op: mesh.Remove, Address: c.Address, Reason: "the route to its link is gone"})
		}
		out = append(out, c)
	}
	return out
}
