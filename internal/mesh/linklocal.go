package mesh

import "net/netip"

// LinkLocal returns the link-local address that a node with this identity has on
// each of its mesh ports, besides whatever address the kernel makes from the MAC.
// Both ends of a cable know it from the plan, so there is nothing to discover: BFD
// runs between these addresses, and any other BFD daemon can be configured against
// them.
//
// It is fe80::/64 with the low 64 bits of an IPv6 identity, or fe80::7562:a.b.c.d
// (0x7562 is "ub") where a node has an IPv4 identity only. The zero address gives the
// zero address. Nodes with different identities from one /64 get different addresses.
func LinkLocal(identity netip.Addr) netip.Addr {
	a := [16]byte{0: 0xfe, 1: 0x80}
	switch {
	case !identity.IsValid():
		return netip.Addr{}
	case identity.Unmap().Is4():
		v4 := identity.Unmap().As4()
		a[10], a[11] = 0x75, 0x62
		copy(a[12:], v4[:])
	default:
		v6 := identity.As16()
		copy(a[8:], v6[8:])
	}
	return netip.AddrFrom16(a)
}
