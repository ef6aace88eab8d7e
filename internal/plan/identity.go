package plan

import (
	"fmt"
	"net/netip"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// assignIdentities gives every node one address per family: the fixed one, else
// the next free one of the pool in file order, so that a node appended to the
// file does not renumber the others.
func (p *planner) assignIdentities() {
	taken := map[netip.Addr]bool{}
	fixed := map[bool]bool{} // families (IPv6?) of which some node has a fixed identity
	for _, c := range p.cluster.Cables {
		for _, a := range c.Addresses {
			taken[a] = true
		}
	}
	for _, n := range p.cluster.Nodes {
		for _, a := range n.Identity {
			taken[a], fixed[a.Is6()] = true, true
		}
	}
	for k, pool := range p.cluster.Identity {
		p.assignFamily(pool.Addr().Is6(), &pool, k, taken)
		delete(fixed, pool.Addr().Is6())
	}
	for _, v6 := range []bool{false, true} {
		if fixed[v6] {
			p.assignFamily(v6, nil, -1, taken)
		}
	}
	if len(p.cluster.Nodes) > 0 && !p.hasIdentities() && !finding.HasErrors(p.findings) {
		p.report(finding.New(cableAddressesOnly, "no identity pools: nodes have only the addresses of their cables, and no way around a cut cable").
			At("mesh").Hinted("add `identity: [10.7.1.0/24, \"fd75:7362:3400::/64\"]`"))
	}
}

// assignFamily gives the addresses of one family. Without a pool every node has
// a fixed one; config has seen to that.
func (p *planner) assignFamily(v6 bool, pool *netip.Prefix, k int, taken map[netip.Addr]bool) {
	var next netip.Addr
	if pool != nil {
		next = firstHost(*pool)
	}
	for i, n := range p.cluster.Nodes {
		if a, ok := fixedOf(n.Identity, v6); ok {
			p.give(i, a, "fixed in the cluster file")
			continue
		}
		if pool == nil {
			continue
		}
		for isHost(*pool, next) && taken[next] {
			next = next.Next()
		}
		if !isHost(*pool, next) {
			p.report(finding.New(poolTooSmall, "pool %s has no address left for node %s (%d nodes)", pool, n.Name, len(p.cluster.Nodes)).
				At(fmt.Sprintf("identity[%d]", k)).Hinted("use a wider prefix, for example /%d", widerFor(*pool, len(p.cluster.Nodes))))
			return
		}
		p.give(i, next, "next free address of "+pool.String()+" in file order")
		next = next.Next()
	}
}

// hasIdentities reports whether nodes have addresses of their own.
func (p *planner) hasIdentities() bool {
	return len(p.plan.Nodes) > 0 && len(p.plan.Nodes[0].Identity) > 0
}

func (p *planner) give(node int, a netip.Addr, reason string) {
	n := &p.plan.Nodes[node]
	n.Identity = append(n.Identity, a)
	if n.IdentityReason != "" && n.IdentityReason != reason {
		reason = n.IdentityReason + "; " + reason
	}
	n.IdentityReason = reason
}

func fixedOf(fixed []netip.Addr, v6 bool) (netip.Addr, bool) {
	for _, a := range fixed {
		if a.Is6() == v6 {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// hostBits returns how many bits of the pool number hosts.
func hostBits(pool netip.Prefix) int { return pool.Addr().BitLen() - pool.Bits() }

// firstHost skips the network address (IPv4) or the subnet-router anycast
// address (IPv6, RFC 4291 section 2.6.1) where the pool has room for it.
func firstHost(pool netip.Prefix) netip.Addr {
	if hostBits(pool) < 2 {
		return pool.Masked().Addr()
	}
	return pool.Masked().Addr().Next()
}

// isHost reports whether a is a usable address of the pool: inside, and not the
// IPv4 broadcast address.
func isHost(pool netip.Prefix, a netip.Addr) bool {
	if !pool.Contains(a) {
		return false
	}
	return !a.Is4() || hostBits(pool) < 2 || pool.Contains(a.Next())
}

// widerFor returns the prefix length with room for n hosts in pool's family.
func widerFor(pool netip.Prefix, n int) int {
	bits := 2
	for (1<<bits)-2 < n {
		bits++
	}
	return pool.Addr().BitLen() - bits
}

// addresses returns what stands on a port's interface: the node's identities,
// and the cable's own address with its peer if the file gives one.
func (p *planner) addresses(iface string, node int, cable, end int) []mesh.Address {
	var as []mesh.Address
	for _, id := range p.plan.Nodes[node].Identity {
		as = append(as, mesh.Address{Interface: iface, Local: mesh.HostPrefix(id)})
	}
	if a := p.plan.Cables[cable].Addresses; len(a) == 2 {
		as = append(as, mesh.Address{Interface: iface, Local: mesh.HostPrefix(a[end]), Peer: mesh.HostPrefix(a[1-end])})
	}
	return as
}
