package plan

import (
	"fmt"
	"net/netip"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// assignIdentities gives every node one address from each pool: the fixed one,
// else the next free one in file order, so that a node appended to the file
// does not renumber the others.
func (p *planner) assignIdentities() {
	if len(p.cluster.Identity) == 0 {
		if len(p.cluster.Nodes) > 0 {
			p.report(finding.New(noIdentity, "no identity pools: nodes have only the addresses of their cables, and no way around a cut cable").
				Hinted("add `identity: [10.7.1.0/24, \"fd75:7362:3400::/64\"]`"))
		}
		return
	}
	taken := map[netip.Addr]bool{}
	for _, c := range p.cluster.Cables {
		for _, a := range c.Addresses {
			taken[a] = true
		}
	}
	for i, n := range p.cluster.Nodes {
		for _, a := range n.Identity {
			taken[a] = true
			if !p.inPool(a) {
				p.report(finding.New(identityOutsidePool, "identity %s of node %s is in none of the pools", a, n.Name).
					At(fmt.Sprintf("nodes[%d].identity", i)).Hinted("take an address from %v", p.cluster.Identity))
			}
		}
	}
	for k, pool := range p.cluster.Identity {
		next := firstHost(pool)
		for i, n := range p.cluster.Nodes {
			if a, ok := fixedIn(n.Identity, pool); ok {
				p.give(i, a, "fixed in the cluster file")
				continue
			}
			for isHost(pool, next) && taken[next] {
				next = next.Next()
			}
			if !isHost(pool, next) {
				p.report(finding.New(poolTooSmall, "pool %s has no address left for node %s (%d nodes)", pool, n.Name, len(p.cluster.Nodes)).
					At(fmt.Sprintf("identity[%d]", k)).Hinted("use a wider prefix, for example /%d", widerFor(pool, len(p.cluster.Nodes))))
				break
			}
			p.give(i, next, "next free address of "+pool.String()+" in file order")
			next = next.Next()
		}
	}
}

func (p *planner) give(node int, a netip.Addr, reason string) {
	n := &p.plan.Nodes[node]
	n.Identity = append(n.Identity, a)
	if n.IdentityReason != "" && n.IdentityReason != reason {
		reason = n.IdentityReason + "; " + reason
	}
	n.IdentityReason = reason
}

func (p *planner) inPool(a netip.Addr) bool {
	for _, pool := range p.cluster.Identity {
		if pool.Contains(a) {
			return true
		}
	}
	return false
}

func fixedIn(fixed []netip.Addr, pool netip.Prefix) (netip.Addr, bool) {
	for _, a := range fixed {
		if pool.Contains(a) {
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
