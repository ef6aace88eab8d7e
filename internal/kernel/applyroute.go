package kernel

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func (k *Kernel) applyRoute(op mesh.Op, r mesh.Route) error {
	l, err := k.link(r.Interface)
	if err != nil {
		if op == mesh.Remove && errors.Is(err, ErrAbsent) {
			return nil
		}
		return err
	}
	switch op {
	case mesh.Remove:
		return k.removeRoute(r, l.Index)
	case mesh.Set:
		return k.newRoute(r, l, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	}
	// EXCL: refused if any route has this destination, table and metric, be it
	// ours or not. Without it, IPv6 would make ours the sibling of a foreign one.
	return k.newRoute(r, l, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
}

func (k *Kernel) newRoute(r mesh.Route, l mesh.Link, flags int) error {
	m := routeMessage(r, l.Index)
	m.kind, m.flags = unix.RTM_NEWROUTE, flags
	err := k.change(m)
	if errors.Is(err, unix.EINVAL) && r.Via.Is6() {
		return k.pastGatewayCheck(r, l, m, err)
	}
	return err
}

// routeMessage is the request for a unicast route, without its type and flags.
func routeMessage(r mesh.Route, index int) message {
	d := r.Destination.Addr()
	head := &nl.RtMsg{RtMsg: unix.RtMsg{
		Family:   uint8(family(d)),
		Dst_len:  uint8(r.Destination.Bits()),
		Protocol: uint8(r.Protocol),
		Scope:    unix.RT_SCOPE_UNIVERSE,
		Type:     unix.RTN_UNICAST,
	}}
	m := message{head: head}
	m.addAddr(unix.RTA_DST, d)
	m.addUint32(unix.RTA_OIF, uint32(index))
	m.addUint32(unix.RTA_PRIORITY, uint32(r.Metric))
	m.addUint32(unix.RTA_TABLE, uint32(r.Table))
	if r.Via.IsValid() {
		// onlink: the neighbour's identity is on the other end of this cable,
		// whatever the tables say about the way to it just now.
		head.Flags = unix.RTNH_F_ONLINK
		m.addAddr(unix.RTA_GATEWAY, r.Via)
	} else if d.Is4() {
		head.Scope = unix.RT_SCOPE_LINK
	}
	if r.Source.IsValid() {
		m.addAddr(unix.RTA_PREFSRC, r.Source)
	}
	return m
}

// removeRoute removes exactly r. Everything named in the request has to match,
// the protocol above all, so a foreign route is safe. The scope is left open
// (net/ipv4/fib_trie.c, fib_table_delete: RT_SCOPE_NOWHERE matches any).
func (k *Kernel) removeRoute(r mesh.Route, index int) error {
	m := routeMessage(r, index)
	m.kind = unix.RTM_DELROUTE
	head := m.head.(*nl.RtMsg)
	head.Flags = 0
	if head.Family == unix.AF_INET {
		head.Scope = unix.RT_SCOPE_NOWHERE
	}
	err := k.change(m)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// pastGatewayCheck adds an IPv6 route whose gateway the kernel does not believe
// to be on the link, although the route says onlink: the check looks the gateway
// up in the main table and refuses when the best route leads over another link
// (net/ipv6/route.c, ip6_route_check_nh_onlink), as it does on the second of two
// cables to one neighbour. It checks only when a route is added, so for the
// length of one request a direct route to the gateway stands at metric 1.
func (k *Kernel) pastGatewayCheck(r mesh.Route, l mesh.Link, m message, refusal error) error {
	helper := mesh.Route{
		Destination: mesh.HostPrefix(r.Via), Interface: l.Name, Metric: 1,
		Table: mesh.MainTable, Source: r.Source, Protocol: mesh.RouteProtocol,
	}
	h := routeMessage(helper, l.Index)
	h.kind, h.flags = unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL
	if err := k.change(h); err != nil {
		return errors.Join(refusal, fmt.Errorf("help the gateway check: %w", err))
	}
	err := k.change(m)
	return errors.Join(err, k.removeRoute(helper, l.Index))
}
