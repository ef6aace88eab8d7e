package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

const (
	opStray  = "stray"
	opTidy   = "tidy"
	freePort = "pci-0000:0f:00.0" // of every node, beside the plan's
)

// StrangerName is what the lab calls a stranger's machine, for commands in it (Exec).
const StrangerName = "stranger"

// Socket is a port of a node: the one which the plan has for a cable, or, without a
// cable, one that the plan does not use.
type Socket struct {
	Node  string `json:"node"`
	Cable string `json:"cable,omitempty"`
}

// Stranger is a machine that is not of the plan. Whoever has it may do there what he
// likes: it is a network namespace of its own.
type Stranger struct {
	Name string `json:"name"`           // that it tells over the cable
	Twin string `json:"twin,omitempty"` // node whose router's UUID it tells, "" its own
	// Managed is as if a network manager of the node had set the interface to the
	// stranger up, and given it addresses.
	Managed bool `json:"managed,omitempty"`
}

// Stray is a cable that is plugged otherwise than planned: what the interfaces at its
// ends are called, and their addresses, first that of the node.
type Stray struct {
	Interfaces [2]string `json:"interfaces"`
	MACs       [2]string `json:"macs"`
}

type strayArgs struct {
	At       Socket
	Other    Socket
	Stranger *Stranger // in place of Other
}

// Stranger plugs a stranger's machine into a socket. What is plugged there is pulled
// out first. There is one such machine at a time.
func (l *Lab) Stranger(ctx context.Context, at Socket, s Stranger) (Stray, error) {
	var stray Stray
	err := l.call(ctx, opStray, strayArgs{At: at, Stranger: &s}, &stray)
	return stray, err
}

// Miswire plugs a cable between two sockets, whatever the plan says. What is plugged
// there is pulled out first.
func (l *Lab) Miswire(ctx context.Context, a, b Socket) (Stray, error) {
	var stray Stray
	err := l.call(ctx, opStray, strayArgs{At: a, Other: b}, &stray)
	return stray, err
}

// Tidy takes away what Stranger and Miswire have plugged, and plugs what they have
// pulled out.
func (l *Lab) Tidy(ctx context.Context) error { return l.call(ctx, opTidy, nil, nil) }

// strays are the cables that are plugged otherwise than planned.
type strays struct {
	cables   []*cable
	pulled   []*cable // of the plan
	stranger *Node
}

func (w *world) stray(a strayArgs) (Stray, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.agents(); err != nil {
		return Stray{}, err
	}
	c := &cable{plan: &mesh.CablePlan{Name: fmt.Sprintf("stray %d", len(w.strays.cables)+1)}, cut: Delete, machines: w.machines}
	var err error
	if c.nodes[0], c.links[0], err = w.socket(a.At); err != nil {
		return Stray{}, err
	}
	if a.Stranger == nil {
		c.nodes[1], c.links[1], err = w.socket(a.Other)
	} else {
		c.nodes[1], c.links[1], err = w.arrive(a.At, *a.Stranger)
	}
	if err == nil {
		err = c.connect(w.nextIndex())
	}
	if err != nil {
		return Stray{}, err
	}
	w.strays.cables = append(w.strays.cables, c)
	if a.Stranger != nil {
		err = c.onLink(1, (*netlink.Handle).LinkSetUp)
		if a.Stranger.Managed {
			err = errors.Join(err, c.manage())
		}
	}
	return Stray{c.names, c.macs}, err
}

// manage is what a careless manager does with an interface that it does not know.
func (c *cable) manage() error {
	return c.onLink(0, func(h *netlink.Handle, l netlink.Link) error {
		var errs []error
		for _, p := range []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")} {
			errs = append(errs, h.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}))
		}
		return errors.Join(append(errs, h.LinkSetUp(l))...)
	})
}

// socket finds a port, and pulls out what is plugged there.
func (w *world) socket(s Socket) (*Node, *mesh.LinkPlan, error) {
	n, err := w.node(s.Node)
	if err != nil {
		return nil, nil, err
	}
	if _, dark := w.dark[n]; dark {
		return nil, nil, fmt.Errorf("node %s has no power", n.Name)
	}
	taken := func(c *cable, l *mesh.LinkPlan) bool {
		return c.nodes[0] == n && c.links[0].Port == l.Port || c.nodes[1] == n && c.links[1].Port == l.Port
	}
	l := &mesh.LinkPlan{Port: mesh.Port{Path: freePort}}
	if s.Cable != "" {
		if l = n.link(s.Cable); l == nil {
			return nil, nil, fmt.Errorf("node %s has no port for cable %s", n.Name, s.Cable)
		}
		c, err := w.cable(s.Cable)
		if err != nil {
			return nil, nil, err
		}
		if c.cut != Delete {
			if err := c.pull(); err != nil {
				return nil, nil, err
			}
			w.strays.pulled = append(w.strays.pulled, c)
		}
	}
	if slices.ContainsFunc(w.strays.cables, func(c *cable) bool { return taken(c, l) }) {
		return nil, nil, fmt.Errorf("node %s: another cable is in the port already: tidy up first", n.Name)
	}
	return n, l, w.machines.provide(n, l.Port)
}

// arrive makes the stranger's machine.
func (w *world) arrive(at Socket, s Stranger) (*Node, *mesh.LinkPlan, error) {
	if w.strays.stranger != nil {
		return nil, nil, errors.New("there is a stranger already: tidy up first")
	}
	p := &mesh.Plan{Nodes: []mesh.NodePlan{{Name: StrangerName, Links: []mesh.LinkPlan{{Port: mesh.Port{Path: "pci-0000:66:00.0"}}}}}}
	n, err := newNode(p, StrangerName, w.procs)
	if err != nil {
		return nil, nil, err
	}
	w.strays.stranger = n
	if err := w.machines.add(n, s.Name); err != nil {
		return nil, nil, err
	}
	l := &n.Plan.Links[0]
	if s.Twin != "" {
		twin, err := w.node(s.Twin)
		if err != nil {
			return nil, nil, err
		}
		link := twin.link(at.Cable)
		if link == nil {
			return nil, nil, fmt.Errorf("node %s has no end of cable %q", s.Twin, at.Cable)
		}
		w.machines.claim(n, l.Port, twin, link.Port)
	}
	return n, l, nil
}

func (w *world) tidy() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, c := range w.strays.cables {
		errs = append(errs, c.pull())
	}
	errs = append(errs, w.depart())
	pulled := w.strays.pulled
	w.strays = strays{}
	for _, c := range pulled {
		errs = append(errs, c.connect(w.nextIndex()))
	}
	return errors.Join(errs...)
}

// inhabited returns a node, or the stranger's machine.
func (w *world) inhabited(name string) (*Node, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.strays.stranger; n != nil && name == StrangerName {
		return n, nil
	}
	return w.node(name)
}

// depart takes the stranger's machine away.
func (w *world) depart() error {
	n := w.strays.stranger
	if n == nil {
		return nil
	}
	w.strays.stranger = nil
	err := w.machines.drop(n)
	n.close()
	return err
}
