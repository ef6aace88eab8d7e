package plan

import (
	"fmt"
	"hash/fnv"
	"sort"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// maxInterfaceName is IFNAMSIZ-1, include/uapi/linux/if.h.
const maxInterfaceName = 15

// nameLinks fills the links of every node, in the order of its ports.
func (p *planner) nameLinks() {
	p.linkOf = make([]map[int]int, len(p.plan.Nodes))
	for i := range p.plan.Nodes {
		n := &p.plan.Nodes[i]
		p.linkOf[i] = map[int]int{}
		type end struct{ cable, side int }
		var ends []end
		for c, l := range p.links {
			for side := range 2 {
				if l.node[side] == i {
					ends = append(ends, end{c, side})
				}
			}
		}
		// Names follow the cables, so that the first cable to a peer keeps the
		// plain name whatever port it is plugged into.
		names := map[end]string{}
		used := map[string]bool{mesh.IdentityInterface: true}
		toPeer := map[string]int{}
		reasons := map[end]string{}
		for _, e := range ends {
			peer := p.plan.Nodes[p.links[e.cable].node[1-e.side]].Name
			toPeer[peer]++
			name, why := interfaceName(peer, toPeer[peer], used)
			names[e], reasons[e], used[name] = name, why, true
		}
		sort.SliceStable(ends, func(a, b int) bool {
			return p.links[ends[a].cable].port[ends[a].side] < p.links[ends[b].cable].port[ends[b].side]
		})
		for _, e := range ends {
			l := p.links[e.cable]
			p.linkOf[i][e.cable] = len(n.Links)
			n.Links = append(n.Links, mesh.LinkPlan{
				Interface: names[e],
				Port:      p.ports[i][l.port[e.side]],
				Peer:      p.plan.Nodes[l.node[1-e.side]].Name,
				Cable:     p.plan.Cables[e.cable].Name,
				MTU:       p.plan.MTU,
				Addresses: p.addresses(names[e], i, e.cable, e.side),
				Reason:    reasons[e],
			})
		}
	}
}

// interfaceName names the n-th cable to a peer: tbt-<peer>, with -2, -3, ... for
// further cables. Names that would not fit, or that are taken, are shortened and
// told apart by a hash of the full name.
func interfaceName(peer string, n int, used map[string]bool) (name, reason string) {
	suffix := ""
	reason = "named after the peer"
	if n > 1 {
		suffix = fmt.Sprintf("-%d", n)
		reason = fmt.Sprintf("named after the peer; cable %d to it", n)
	}
	name = "tbt-" + peer + suffix
	if len(name) <= maxInterfaceName && !used[name] {
		return name, reason
	}
	for salt := 0; ; salt++ {
		h := fnv.New32a()
		fmt.Fprintf(h, "%s/%d/%d", peer, n, salt)
		hash := fmt.Sprintf("%04x", h.Sum32()&0xffff)
		keep := maxInterfaceName - len("tbt-") - len(hash) - len(suffix)
		name = "tbt-" + peer[:min(keep, len(peer))] + hash + suffix
		if !used[name] {
			return name, reason + "; shortened to 15 characters with a hash"
		}
	}
}
