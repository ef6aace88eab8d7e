package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Apply carries out changes in order. A change that is already true succeeds: an
// object that exists exactly as wanted is not added again, one that is gone need
// not be removed. After a failure Apply goes on; the error is then an
// *ApplyError that says what stands and what failed.
func (k *Kernel) Apply(ctx context.Context, changes []mesh.Change) error {
	var refused error
	err := k.do(ctx, func() error {
		refused = ApplyEach(changes, func(c mesh.Change) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return k.known(ctx, c, k.apply(c))
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("kernel: apply: %w", err)
	}
	return refused
}

func (k *Kernel) apply(c mesh.Change) error {
	switch {
	case c.Link != nil:
		return k.applyLink(c.Op, *c.Link)
	case c.Address != nil:
		return k.applyAddress(c.Op, *c.Address)
	case c.Route != nil:
		return k.applyRoute(c.Op, *c.Route)
	case c.Rule != nil:
		return k.applyRule(c.Op, *c.Rule)
	case c.Sysctl != nil && c.Op == mesh.Set:
		return k.setSysctl(*c.Sysctl)
	}
	return errors.New("a change without meaning")
}

// known turns the refusal to add what exists (EEXIST) into success if the object
// that exists is equal to the wanted one, and into ErrForeign if not.
func (k *Kernel) known(ctx context.Context, c mesh.Change, err error) error {
	if c.Op != mesh.Add || !errors.Is(err, unix.EEXIST) {
		return err
	}
	have, readErr := settled(ctx, k.snapshot)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	equal := c.Address != nil && slices.Contains(have.Addresses, *c.Address) ||
		c.Route != nil && slices.Contains(have.Routes, *c.Route) ||
		c.Rule != nil && slices.Contains(have.Rules, *c.Rule)
	if equal {
		return nil
	}
	return fmt.Errorf("%w (%w)", ErrForeign, err)
}

// link returns the interface of that name, or ErrAbsent.
func (k *Kernel) link(name string) (mesh.Link, error) {
	m := message{kind: unix.RTM_GETLINK, head: nl.NewIfInfomsg(unix.AF_UNSPEC)}
	m.addString(unix.IFLA_IFNAME, name)
	msgs, err := k.send(m, unix.RTM_NEWLINK)
	switch {
	case errors.Is(err, unix.ENODEV):
		return mesh.Link{}, fmt.Errorf("%s: %w", name, ErrAbsent)
	case err != nil:
		return mesh.Link{}, err
	case len(msgs) != 1:
		return mesh.Link{}, fmt.Errorf("%d answers for link %s", len(msgs), name)
	}
	return parseLink(msgs[0])
}

func (k *Kernel) applyAddress(op mesh.Op, a mesh.Address) error {
	l, err := k.link(a.Interface)
	if err != nil {
		if op == mesh.Remove && errors.Is(err, ErrAbsent) {
			return nil
		}
		return err
	}
	local, prefix := a.Local.Addr(), a.Local
	if a.Peer.IsValid() {
		prefix = a.Peer
	}
	head := nl.NewIfAddrmsg(family(local))
	head.Index = uint32(l.Index)
	head.Prefixlen = uint8(prefix.Bits())
	m := message{head: head}
	m.addAddr(unix.IFA_LOCAL, local)
	m.addAddr(unix.IFA_ADDRESS, prefix.Addr())
	if op == mesh.Remove {
		m.kind = unix.RTM_DELADDR
		if err := k.change(m); !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
		return nil
	}
	// No duplicate address detection: the identity stands on several interfaces
	// on purpose, and a tentative address carries no traffic for a second. No
	// prefix route: the routes to peers are the plan's, not the address's; only
	// a point to point address without routes needs the one to its peer, and a
	// link-local one the route to its link, which nobody else may have made.
	flags := uint32(unix.IFA_F_NODAD)
	if !a.Peer.IsValid() && !a.Local.Addr().IsLinkLocalUnicast() {
		flags |= unix.IFA_F_NOPREFIXROUTE
	}
	m.addUint32(unix.IFA_FLAGS, flags)
	m.kind, m.flags = unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL
	return k.change(m)
}

func (k *Kernel) applyRule(op mesh.Op, r mesh.Rule) error {
	f := unix.AF_INET
	if r.IPv6 {
		f = unix.AF_INET6
	}
	head := &nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(f), Type: nl.FR_ACT_TO_TBL}}
	m := message{head: head}
	if r.Incoming != "" {
		m.addString(unix.FRA_IIFNAME, r.Incoming)
	}
	if r.Mark != 0 {
		m.addUint32(unix.FRA_FWMARK, r.Mark)
		m.addUint32(unix.FRA_FWMASK, mesh.MarkMask)
	}
	m.addUint32(unix.FRA_PRIORITY, uint32(r.Priority))
	m.addUint32(unix.FRA_TABLE, uint32(r.Table))
	if op == mesh.Remove {
		m.kind = unix.RTM_DELRULE
		if err := k.change(m); !errors.Is(err, unix.ENOENT) {
			return err
		}
		return nil
	}
	m.add(unix.FRA_PROTOCOL, []byte{mesh.RouteProtocol})
	m.kind, m.flags = unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL
	return k.change(m)
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
