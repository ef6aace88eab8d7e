package agent

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// want is what the kernel should hold: the plan, with routes for the cabling that is
// left, what steering and liveness need beside it, and nothing for strangers.
func (a *Agent) want(t *turn, s step) mesh.State {
	l := &a.loop
	self := *l.plan.Node(a.options.Node)
	self.Routes, self.Rules = s.routes, s.rules
	w := self.Want(l.plan.Mesh, l.plan.MTU)
	rules, routes := plan.Steering(&l.plan, self.Name)
	w.Rules, w.Routes = slices.Concat(w.Rules, rules), slices.Concat(w.Routes, routes)
	for i := range w.Links {
		if w.Links[i].Kind == mesh.KindDummy {
			w.Links[i].Kind = l.kind
		}
	}
	if hasIPv6(t.have) && slices.ContainsFunc(w.Links, func(k mesh.Link) bool { return k.Name == mesh.IdentityInterface }) {
		w.Sysctls = append(w.Sysctls, withIPv6(mesh.IdentityInterface))
	}
	apart := map[string]bool{}
	var quarantine []mesh.Sysctl
	for _, p := range t.match.Ports {
		name := p.Plan.Interface
		if !p.Part() || p.Kernel.Name != name {
			apart[name] = true
		} else if hasIPv6(t.have) {
			w.Sysctls = append(w.Sysctls, withIPv6(name))
			if local, _ := a.ends(t.have, p.Plan.Peer); local.Is6() {
				w.Addresses = append(w.Addresses, mesh.Address{Interface: name, Local: netip.PrefixFrom(local, 64)})
			}
		}
		if p.Stranger != "" && p.Kernel.Name != "" {
			quarantine = append(quarantine, keptFromMesh(p.Kernel.Name)...)
		}
	}
	w.Links = slices.DeleteFunc(w.Links, func(k mesh.Link) bool { return apart[k.Name] })
	w.Addresses = slices.DeleteFunc(w.Addresses, func(k mesh.Address) bool { return apart[k.Interface] })
	w.Routes = slices.DeleteFunc(w.Routes, func(r mesh.Route) bool { return apart[r.Interface] })
	w.Sysctls = slices.DeleteFunc(w.Sysctls, func(k mesh.Sysctl) bool { return apart[k.Interface()] })
	w.Sysctls = append(w.Sysctls, quarantine...)
	if !hasIPv6(t.have) {
		w = onlyIPv4(w)
	}
	return w
}

// withIPv6 switches IPv6 on at an interface, whatever is the rule for all others.
func withIPv6(name string) mesh.Sysctl {
	return mesh.Sysctl{Path: "net/ipv6/conf/" + name + "/disable_ipv6", Value: "0"}
}

// keptFromMesh are the settings of an interface to a stranger: nothing that comes in
// there is forwarded. IPv6 forwards by one switch for all interfaces, so there it
// takes more.
func keptFromMesh(name string) []mesh.Sysctl {
	return []mesh.Sysctl{
		{Path: "net/ipv4/conf/" + name + "/forwarding", Value: "0"},
		{Path: "net/ipv6/conf/" + name + "/disable_ipv6", Value: "1"},
	}
}

// ends returns the addresses between which liveness runs on a link to a peer.
func (a *Agent) ends(have mesh.State, peer string) (local, remote netip.Addr) {
	six := hasIPv6(have)
	of := func(node string) netip.Addr {
		var first, best netip.Addr
		for _, id := range a.loop.plan.Node(node).Identity {
			if !first.IsValid() {
				first = id
			}
			if id.Is6() == six {
				best = id
			}
		}
		switch {
		case !six:
			return best
		case best.IsValid():
			return mesh.LinkLocal(best)
		}
		return mesh.LinkLocal(first)
	}
	return of(a.options.Node), of(peer)
}

// hasIPv6 reports whether the kernel has IPv6 at all.
func hasIPv6(s mesh.State) bool {
	return slices.ContainsFunc(s.Sysctls, func(k mesh.Sysctl) bool { return k.Path == "net/ipv6/conf/all/forwarding" })
}

func onlyIPv4(w mesh.State) mesh.State {
	w.Addresses = slices.DeleteFunc(w.Addresses, func(k mesh.Address) bool { return k.Local.Addr().Is6() })
	w.Routes = slices.DeleteFunc(w.Routes, func(r mesh.Route) bool { return r.Destination.Addr().Is6() })
	w.Rules = slices.DeleteFunc(w.Rules, func(r mesh.Rule) bool { return r.IPv6 })
	w.Sysctls = slices.DeleteFunc(w.Sysctls, func(k mesh.Sysctl) bool { return strings.HasPrefix(k.Path, "net/ipv6/") })
	return w
}

// possible leaves out what this kernel is known not to have.
func (a *Agent) possible(w mesh.State) mesh.State {
	for i := range w.Links {
		if w.Links[i].Kind == mesh.KindDummy {
			w.Links[i].Kind = a.loop.kind
		}
	}
	w.Sysctls = slices.DeleteFunc(w.Sysctls, func(k mesh.Sysctl) bool { return a.loop.unsupported[sysctlKey(k)] })
	return w
}

// sysctlKey is the same for a setting of all interfaces.
func sysctlKey(k mesh.Sysctl) string {
	return strings.Replace(k.Path, "/"+k.Interface()+"/", "/*/", 1)
}
