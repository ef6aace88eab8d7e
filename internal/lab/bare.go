package lab

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

type bareArgs struct {
	MTU      int
	Duration time.Duration
	Tool     string
}

// Bare measures a veth pair between two fresh namespaces with two addresses and
// nothing else: what this machine can do at best over one cable. mtu is that of
// the pair; d and tool as in Throughput.
func (l *Lab) Bare(ctx context.Context, mtu int, d time.Duration, tool string) (Rate, error) {
	var r Rate
	err := l.call(ctx, opBare, bareArgs{MTU: mtu, Duration: d, Tool: tool}, &r)
	return r, err
}

func (w *world) bare(ctx context.Context, a bareArgs) (Rate, error) {
	plan := mesh.Plan{
		Mesh: "bare",
		Nodes: []mesh.NodePlan{
			{Name: "bare-a", Links: []mesh.LinkPlan{{Interface: "bare", Cable: "bare", Peer: "bare-b", MTU: a.MTU}}},
			{Name: "bare-b", Links: []mesh.LinkPlan{{Interface: "bare", Cable: "bare", Peer: "bare-a", MTU: a.MTU}}},
		},
		Cables: []mesh.CablePlan{{Name: "bare", Ends: [2]mesh.Endpoint{{Node: "bare-a"}, {Node: "bare-b"}}}},
	}
	nodes := map[string]*Node{}
	for _, n := range plan.Nodes {
		made, err := newNode(&plan, n.Name, w.procs)
		if err != nil {
			return Rate{}, err
		}
		defer made.close()
		nodes[n.Name] = made
	}
	c, err := newCable(&plan.Cables[0], nodes)
	if err != nil {
		return Rate{}, err
	}
	if err := c.create(firstIndex); err != nil {
		return Rate{}, err
	}
	// 192.0.2.0/24 is for documentation (RFC 5737); nobody else is here.
	addrs := [2]netip.Prefix{netip.MustParsePrefix("192.0.2.1/30"), netip.MustParsePrefix("192.0.2.2/30")}
	for i := range addrs {
		err := c.onLink(i, func(h *netlink.Handle, l netlink.Link) error {
			addr, err := netlink.ParseAddr(addrs[i].String())
			if err != nil {
				return err
			}
			if err := h.AddrAdd(l, addr); err != nil {
				return err
			}
			return h.LinkSetUp(l)
		})
		if err != nil {
			return Rate{}, fmt.Errorf("bare veth pair: %w", err)
		}
	}
	path := Path{Pair: Pair{"bare-a", "bare-b", IPv4}, Source: addrs[0].Addr(), Destination: addrs[1].Addr()}
	return rateBetween(ctx, c.nodes[0], c.nodes[1], path, rateArgs{Duration: a.Duration, Tool: a.Tool})
}
