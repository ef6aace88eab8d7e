package mesh

import "net/netip"

// Want returns the state that the plan asks of a node's kernel. Everything that
// depends on a port's interface is included whether or not the cable is plugged;
// Diff leaves out what can't stand yet.
func (n *NodePlan) Want(meshName string, mtu int) State {
	var s State
	if len(n.Identity) > 0 {
		s.Links = append(s.Links, Link{Name: IdentityInterface, Kind: KindDummy, Alias: AliasPrefix + meshName, MTU: mtu, Up: true})
		for _, a := range n.Identity {
			s.Addresses = append(s.Addresses, Address{Interface: IdentityInterface, Local: HostPrefix(a)})
		}
	}
	for _, l := range n.Links {
		s.Links = append(s.Links, Link{Name: l.Interface, Kind: KindPort, Alias: AliasPrefix + meshName + ":" + l.Cable, MTU: l.MTU, Up: true})
		s.Addresses = append(s.Addresses, l.Addresses...)
	}
	s.Routes = append(s.Routes, n.Routes...)
	s.Rules = append(s.Rules, n.Rules...)
	s.Sysctls = append(s.Sysctls, n.Sysctls...)
	return s
}

// HostPrefix returns a as /32 or /128.
func HostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
