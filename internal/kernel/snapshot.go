package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// snapshotTries bounds how often a Snapshot is started again because the kernel
// changed under it. A table has to change during each one of them to fail.
const snapshotTries = 10

// Snapshot returns what the namespace holds: all links, all addresses, the
// routes of all tables but the local one, the rules that mesh.Rule can express
// (selected by incoming interface or a mark under our mask, leading to a table), and the sysctls
// that usb4mesh knows or has set.
//
// A multipath route is returned as one mesh.Route per next hop, a route without
// an interface (blackhole, unreachable) with an empty one.
func (k *Kernel) Snapshot(ctx context.Context) (mesh.State, error) {
	var s mesh.State
	err := k.do(ctx, func() (err error) {
		s, err = settled(ctx, k.snapshot)
		return err
	})
	if err != nil {
		return mesh.State{}, fmt.Errorf("kernel: snapshot: %w", err)
	}
	return s, nil
}

// settled reads until nothing changed meanwhile.
func settled(ctx context.Context, read func() (mesh.State, error)) (s mesh.State, err error) {
	for range snapshotTries {
		if err = ctx.Err(); err != nil {
			return s, err
		}
		if s, err = read(); !errors.Is(err, errUnsettled) {
			return s, err
		}
	}
	return s, fmt.Errorf("%w, %d times in a row", err, snapshotTries)
}

func (k *Kernel) snapshot() (mesh.State, error) {
	var s mesh.State
	var err error
	if s.Links, err = k.links(); err != nil {
		return s, fmt.Errorf("links: %w", err)
	}
	names := make(map[uint32]string, len(s.Links))
	for _, l := range s.Links {
		names[uint32(l.Index)] = l.Name
	}
	if s.Addresses, err = k.addresses(names); err != nil {
		return s, fmt.Errorf("addresses: %w", err)
	}
	if s.Routes, err = k.routes(names); err != nil {
		return s, fmt.Errorf("routes: %w", err)
	}
	if s.Rules, err = k.rules(); err != nil {
		return s, fmt.Errorf("rules: %w", err)
	}
	s.Sysctls = k.sysctls(s.Links)
	return s, nil
}

func (k *Kernel) links() ([]mesh.Link, error) {
	msgs, err := k.dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, err
	}
	links := make([]mesh.Link, 0, len(msgs))
	for _, m := range msgs {
		l, err := parseLink(m)
		if err != nil {
			return nil, err
		}
		links = append(links, l)
	}
	return links, nil
}

func parseLink(m []byte) (mesh.Link, error) {
	if len(m) < unix.SizeofIfInfomsg {
		return mesh.Link{}, fmt.Errorf("link message of %d bytes", len(m))
	}
	head := nl.DeserializeIfInfomsg(m)
	a, err := parseAttributes(m[unix.SizeofIfInfomsg:])
	if err != nil {
		return mesh.Link{}, err
	}
	info, err := parseAttributes(a[unix.IFLA_LINKINFO])
	if err != nil {
		return mesh.Link{}, err
	}
	l := mesh.Link{
		Name:    a.string(unix.IFLA_IFNAME),
		Alias:   a.string(unix.IFLA_IFALIAS),
		MTU:     int(a.uint32(unix.IFLA_MTU)),
		Up:      head.Flags&unix.IFF_UP != 0,
		Index:   int(head.Index),
		Carrier: head.Flags&unix.IFF_LOWER_UP != 0,
	}
	if mac := a[unix.IFLA_ADDRESS]; len(mac) == 6 {
		l.MAC = net.HardwareAddr(mac).String()
	}
	switch kind := mesh.LinkKind(info.string(unix.IFLA_INFO_KIND)); kind {
	case mesh.KindDummy, mesh.KindBridge:
		l.Kind = kind
	default: // whatever else it is, usb4mesh did not make it
		l.Kind = mesh.KindPort
	}
	return l, nil
}

func (k *Kernel) addresses(names map[uint32]string) ([]mesh.Address, error) {
	msgs, err := k.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, err
	}
	var out []mesh.Address
	for _, m := range msgs {
		head := nl.DeserializeIfAddrmsg(m)
		if !ip(head.Family) {
			continue
		}
		a, err := parseAttributes(m[unix.SizeofIfAddrmsg:])
		if err != nil {
			return nil, err
		}
		name, ok := names[head.Index]
		if !ok {
			return nil, errUnsettled // the link is younger than the list of links
		}
		// IFA_ADDRESS is the peer of a point to point address, and the address
		// itself otherwise; IPv6 then leaves out IFA_LOCAL (net/ipv6/addrconf.c,
		// inet6_fill_ifaddr).
		local, address := a.addr(unix.IFA_LOCAL), a.addr(unix.IFA_ADDRESS)
		prefix := netip.PrefixFrom(address, int(head.Prefixlen))
		if !local.IsValid() || local == address {
			out = append(out, mesh.Address{Interface: name, Local: prefix})
		} else {
			out = append(out, mesh.Address{Interface: name, Local: mesh.HostPrefix(local), Peer: prefix})
		}
	}
	return out, nil
}

// ip reports whether the family is IPv4 or IPv6: a dump of all families also
// returns those of bridges and MPLS.
func ip(family uint8) bool { return family == unix.AF_INET || family == unix.AF_INET6 }

func (k *Kernel) routes(names map[uint32]string) ([]mesh.Route, error) {
	msgs, err := k.dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, &nl.RtMsg{})
	if err != nil {
		return nil, err
	}
	var out []mesh.Route
	for _, m := range msgs {
		head := nl.DeserializeRtMsg(m)
		if !ip(head.Family) || head.Flags&unix.RTM_F_CLONED != 0 {
			continue
		}
		a, err := parseAttributes(m[unix.SizeofRtMsg:])
		if err != nil {
			return nil, err
		}
		table := mesh.Table(head.Table)
		if t := a.uint32(unix.RTA_TABLE); t != 0 {
			table = mesh.Table(t)
		}
		if table == unix.RT_TABLE_LOCAL {
			continue
		}
		destination := a.addr(unix.RTA_DST)
		if !destination.IsValid() {
			destination = netip.IPv4Unspecified()
			if head.Family == unix.AF_INET6 {
				destination = netip.IPv6Unspecified()
			}
		}
		route := mesh.Route{
			Destination: netip.PrefixFrom(destination, int(head.Dst_len)),
			Metric:      int(a.uint32(unix.RTA_PRIORITY)),
			Table:       table,
			Source:      a.addr(unix.RTA_PREFSRC),
			Protocol:    int(head.Protocol),
		}
		hops, err := nextHops(a)
		if err != nil {
			return nil, err
		}
		for _, h := range hops {
			name, ok := names[h.index]
			if !ok && h.index != 0 {
				return nil, errUnsettled
			}
			route.Interface, route.Via = name, h.via
			if h.via == destination {
				// "X via X" says the same as X directly. Rendered files write it so
				// for IPv6, where systemd-networkd wants to see a gateway covered.
				route.Via = netip.Addr{}
			}
			out = append(out, route)
		}
	}
	return out, nil
}

type nextHop struct {
	index uint32
	via   netip.Addr
}

// nextHops returns the one next hop of a plain route, or all of a multipath
// route: an array of struct rtnexthop, each followed by its attributes
// (include/uapi/linux/rtnetlink.h).
func nextHops(a attributes) ([]nextHop, error) {
	b, multipath := a[unix.RTA_MULTIPATH]
	if !multipath {
		return []nextHop{{a.uint32(unix.RTA_OIF), a.gateway()}}, nil
	}
	var out []nextHop
	for len(b) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			return nil, fmt.Errorf("next hop of %d bytes in %d", size, len(b))
		}
		hop, err := parseAttributes(b[unix.SizeofRtNexthop:size])
		if err != nil {
			return nil, err
		}
		out = append(out, nextHop{binary.NativeEndian.Uint32(b[4:]), hop.gateway()})
		b = b[min(len(b), (size+3)&^3):]
	}
	return out, nil
}

// gateway returns RTA_GATEWAY, or the address in RTA_VIA, the gateway of another
// address family: struct rtvia, two bytes of family and the address.
func (a attributes) gateway() netip.Addr {
	if v := a[unix.RTA_VIA]; len(v) > 2 {
		via, _ := netip.AddrFromSlice(v[2:])
		return via
	}
	return a.addr(unix.RTA_GATEWAY)
}

// ruleBasics are the attributes that a rule by incoming interface or mark consists of.
// Both suppressors are -1 and l3mdev is 0 unless used (net/core/fib_rules.c,
// fib_nl_fill_rule).
var ruleBasics = map[int]bool{
	unix.FRA_PRIORITY: true, unix.FRA_IIFNAME: true, unix.FRA_TABLE: true,
	unix.FRA_PROTOCOL: true, unix.FRA_PAD: true, unix.FRA_FWMARK: true,
}

func (k *Kernel) rules() ([]mesh.Rule, error) {
	msgs, err := k.dump(unix.RTM_GETRULE, unix.RTM_NEWRULE, nl.NewIfInfomsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, err
	}
	var out []mesh.Rule
	for _, m := range msgs {
		head := nl.DeserializeRtMsg(m) // struct fib_rule_hdr has the layout of struct rtmsg
		if !ip(head.Family) {
			continue
		}
		a, err := parseAttributes(m[unix.SizeofRtMsg:])
		if err != nil {
			return nil, err
		}
		if !plainRule(head, a) {
			continue
		}
		table := mesh.Table(head.Table)
		if t := a.uint32(unix.FRA_TABLE); t != 0 {
			table = mesh.Table(t)
		}
		out = append(out, mesh.Rule{
			Incoming: a.string(unix.FRA_IIFNAME),
			Mark:     a.uint32(unix.FRA_FWMARK),
			Table:    table,
			Priority: int(a.uint32(unix.FRA_PRIORITY)),
			IPv6:     head.Family == unix.AF_INET6,
		})
	}
	return out, nil
}

// plainRule reports whether mesh.Rule says all there is about a rule.
func plainRule(head *nl.RtMsg, a attributes) bool {
	if head.Type != nl.FR_ACT_TO_TBL || head.Flags&unix.FIB_RULE_INVERT != 0 || head.Tos != 0 {
		return false
	}
	for kind := range a {
		switch {
		case ruleBasics[kind]:
		case kind == unix.FRA_FWMASK:
			if a.uint32(kind) != mesh.MarkMask {
				return false
			}
		case kind == unix.FRA_SUPPRESS_PREFIXLEN || kind == unix.FRA_SUPPRESS_IFGROUP:
			if a.uint32(kind) != ^uint32(0) {
				return false
			}
		default:
			return false
		}
	}
	return true
}
