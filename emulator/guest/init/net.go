package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

func setLink(name string, up bool) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if up {
		return netlink.LinkSetUp(l)
	}
	return netlink.LinkSetDown(l)
}

// Links lists the network interfaces.
func (g *Guest) Links(_ wire.None, out *[]wire.Link) error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, l := range links {
		a := l.Attrs()
		w := wire.Link{
			Name: a.Name, MAC: a.HardwareAddr.String(), Index: a.Index, MTU: a.MTU, Parent: a.ParentDev, ParentBus: a.ParentDevBus,
			Up: a.Flags&net.FlagUp != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0,
		}
		for _, x := range addresses {
			if x.LinkIndex == a.Index {
				w.Addresses = append(w.Addresses, x.IPNet.String())
			}
		}
		*out = append(*out, w)
	}
	return nil
}

// SetLink changes a network interface. Addresses of IPv6 are there at once, without detection of duplicates.
func (g *Guest) SetLink(in wire.SetLink, _ *wire.None) error {
	l, err := netlink.LinkByName(in.Name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", in.Name, err)
	}
	if in.Rename != "" {
		if err := netlink.LinkSetName(l, in.Rename); err != nil {
			return fmt.Errorf("interface %s to %s: %w", in.Name, in.Rename, err)
		}
	}
	if in.MTU != 0 {
		if err := netlink.LinkSetMTU(l, in.MTU); err != nil {
			return fmt.Errorf("interface %s, MTU %d: %w", in.Name, in.MTU, err)
		}
	}
	for _, text := range in.Addresses {
		a, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		a.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(l, a); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("interface %s, address %s: %w", in.Name, text, err)
		}
	}
	switch {
	case in.Up:
		err = netlink.LinkSetUp(l)
	case in.Down:
		err = netlink.LinkSetDown(l)
	}
	if err != nil {
		return fmt.Errorf("interface %s: %w", in.Name, err)
	}
	return nil
}

// SetRoute adds or replaces a route. Gateways are taken as they are (onlink).
func (g *Guest) SetRoute(in wire.Route, _ *wire.None) error {
	l, err := netlink.LinkByName(in.Dev)
	if err != nil {
		return fmt.Errorf("interface %s: %w", in.Dev, err)
	}
	to, err := netlink.ParseIPNet(in.To)
	if err != nil {
		return err
	}
	r := netlink.Route{LinkIndex: l.Attrs().Index, Dst: to, Priority: in.Metric}
	if in.Via != "" {
		via, err := netip.ParseAddr(in.Via)
		if err != nil {
			return err
		}
		r.Gw, r.Flags = via.AsSlice(), int(netlink.FLAG_ONLINK)
	} else if to.IP.To4() != nil {
		r.Scope = netlink.SCOPE_LINK
	}
	if in.Source != "" {
		source, err := netip.ParseAddr(in.Source)
		if err != nil {
			return err
		}
		r.Src = source.AsSlice()
	}
	if err := netlink.RouteReplace(&r); err != nil {
		return fmt.Errorf("route to %s via %s dev %s: %w", in.To, in.Via, in.Dev, err)
	}
	return nil
}
