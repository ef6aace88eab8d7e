package config

import (
	"maps"
	"net/netip"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// readPools reads the identity pools: at most one per family, not overlapping.
func (r *reader) readPools(v *value) {
	var kept []*value
	for _, pv := range v.list() {
		if !pv.ok {
			continue
		}
		p := netip.MustParsePrefix(pv.text)
		clash := false
		for i, q := range r.cluster.Identity {
			switch at := kept[i]; {
			case p.Overlaps(q):
				r.report(pv, finding.New(poolOverlap, "%s overlaps %s", p, at.text).
					Hinted("keep one of the two"))
				clash = true
			case p.Addr().Is4() == q.Addr().Is4():
				r.report(pv, finding.New(twoOfFamily, "%s is a second %s pool", p, family(p.Addr())).
					Hinted("keep one pool per family; take a shorter prefix if one is too small"))
				clash = true
			}
		}
		if !clash {
			r.cluster.Identity = append(r.cluster.Identity, p)
			kept = append(kept, pv)
		}
	}
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// readIdentity reads the fixed addresses of a node.
func (r *reader) readIdentity(v *value) []netip.Addr {
	var out []netip.Addr
	for _, av := range v.list() {
		if !av.ok {
			continue
		}
		a := netip.MustParseAddr(av.text)
		if len(out) == 1 && a != out[0] && a.Is4() == out[0].Is4() {
			r.report(av, finding.New(twoOfFamily, "%s is a second %s address of this node", a, family(a)).
				Hinted("a node is known by one address per family; keep one"))
			continue
		}
		if !r.use(a, av) {
			continue
		}
		if p, ok := r.pool(a.Is4()); ok && !p.Contains(a) {
			r.report(av, finding.New(outsidePool, "%s lies outside the identity pool %s", a, p).
				Hinted("take an address of the pool, unless services need not find this node by range"))
		}
		out = append(out, a)
	}
	return out
}

// pool returns the identity pool of a family.
func (r *reader) pool(v4 bool) (netip.Prefix, bool) {
	for _, p := range r.cluster.Identity {
		if p.Addr().Is4() == v4 {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// use takes an address for v, or reports who has it already.
func (r *reader) use(a netip.Addr, v *value) bool {
	if first := r.addresses[a]; first != nil {
		r.report(v, finding.New(addressTwice, "%s is in use already, at line %d", a, first.node.Line).
			Hinted("choose another address"))
		return false
	}
	r.addresses[a] = v
	return true
}

// checkAddressing asks whether every node will have an address at all.
func (r *reader) checkAddressing() {
	pools := r.root.get("identity")
	if pools != nil && (!pools.ok || len(r.cluster.Identity) < len(pools.items)) {
		return // a pool could not be read
	}
	r.checkFixed()
	for _, n := range r.cluster.Nodes {
		if len(n.Identity) > 0 {
			return
		}
	}
	if pools != nil || len(r.broken) > 0 {
		return
	}
	const hint = "add, for example, identity: [10.7.1.0/24] at the top of the file"
	if topo := r.root.get("topology"); topo != nil && topo.ok {
		r.report(topo, finding.New(noAddresses, "the nodes have no addresses: the file has no identity pools").Hinted("%s", hint))
	}
	for _, cv := range r.root.get("cables").list() {
		if cv.ok && cv.get("addresses") == nil {
			r.report(cv, finding.New(noAddresses, "the cable has no addresses, and the file has no identity pools").
				Hinted("add addresses: [10.7.0.101, 10.7.0.106] to the cable, or identity pools to the file"))
		}
	}
}

// checkFixed reports nodes without an address of a family that other nodes have
// fixed while there is no pool for it.
func (r *reader) checkFixed() {
	broken := maps.Clone(r.broken)
	for _, v4 := range []bool{true, false} {
		if _, ok := r.pool(v4); ok {
			continue
		}
		has := func(as []netip.Addr) bool {
			for _, a := range as {
				if a.Is4() == v4 {
					return true
				}
			}
			return false
		}
		someone := false
		for _, n := range r.cluster.Nodes {
			someone = someone || has(n.Identity)
		}
		for i, n := range r.cluster.Nodes {
			if someone && !has(n.Identity) && !broken[i] {
				word := map[bool]string{true: "IPv4", false: "IPv6"}[v4]
				r.report(r.root.get("nodes").items[i], finding.New(noIdentity, "node %s has no %s address: others have one, and there is no pool", quote(n.Name), word).
					Hinted("add an %s pool under identity, or an address to this node", word))
			}
		}
	}
}
