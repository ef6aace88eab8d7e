package plan

import "github.com/usb4mesh/usb4mesh/internal/mesh"

// wholePacket is an MTU with which every packet fits that TCP leaves to a driver
// to cut: at most 64 KiB less room for the largest headers (net/ipv4/tcp.c,
// tcp_xmit_size_goal).
const wholePacket = 65520

// NoSegmentation returns the interfaces of a node, in the order of its ports, that
// must not leave the cutting of TCP packets to their driver. thunderbolt_net does
// not cut them, so that they arrive whole, and a node in between that has to send
// them over a link with a smaller MTU refuses them. It concerns the links over
// which the node reaches others in more than one hop, also in detours.
func NoSegmentation(p *mesh.Plan, node string) []string {
	n := p.Node(node)
	if n == nil {
		return nil
	}
	least := wholePacket
	for i := range p.Nodes {
		for _, l := range p.Nodes[i].Links {
			least = min(least, l.MTU)
		}
	}
	if least == wholePacket {
		return nil
	}
	through := map[string]bool{}
	for _, r := range n.Routes {
		if r.Via.IsValid() {
			through[r.Interface] = true
		}
	}
	var names []string
	for _, l := range n.Links {
		if through[l.Interface] {
			names = append(names, l.Interface)
		}
	}
	return names
}
