package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// What the keeper does for a comparison only.

const (
	opUsage   = "usage"
	opDetours = "detours"
	opDisturb = "disturb"
)

// version is what an engine that is a program of somebody else's says it is.
type versioned interface{ Version() string }

// compareOp does one of the requests above.
func (w *world) compareOp(ctx context.Context, s *session, op string) (any, error) {
	switch op {
	case opUsage:
		return w.usage()
	case opDetours:
		return w.detours(), nil
	case opDisturb:
		return nil, w.disturb(ctx, s)
	}
	return nil, fmt.Errorf("no request is called %q", op)
}

// Detour is a pair that takes another way than it could.
type Detour struct {
	Pair
	Why string `json:"why"`
}

// Detours lists the pairs whose routes lead over more cables than planned, or
// nowhere. It asks the kernels for routes, hop by hop, so a pair that may choose
// among ways of equal length is fine with any of them.
func (l *Lab) Detours(ctx context.Context) ([]Detour, error) {
	var d []Detour
	err := l.call(ctx, opDetours, nil, &d)
	return d, err
}

func (w *world) detours() []Detour {
	all := []Detour{}
	for _, p := range w.paths {
		if p.Hops() == 0 {
			continue
		}
		hops, err := w.walk(p)
		switch {
		case err != nil:
			all = append(all, Detour{p.Pair, err.Error()})
		case hops > p.Hops():
			all = append(all, Detour{p.Pair, fmt.Sprintf("%d hops instead of %d", hops, p.Hops())})
		}
	}
	return all
}

// walk follows the routes of a pair and counts cables.
func (w *world) walk(p Path) (int, error) {
	at := w.byName[p.From]
	for hops := 0; hops <= len(w.nodes); hops++ {
		if at.Name == p.To {
			return hops, nil
		}
		next, err := at.nextHop(p)
		if err != nil {
			return hops, fmt.Errorf("node %s: %w", at.Name, err)
		}
		at = w.byName[next]
	}
	return 0, errors.New("its routes lead in a circle")
}

// nextHop returns the peer to which the node's kernel would send.
func (n *Node) nextHop(p Path) (string, error) {
	o := &netlink.RouteGetOptions{}
	if n.Name == p.From {
		o.SrcAddr = p.Source.AsSlice()
	}
	routes, err := n.handle.RouteGetWithOptions(p.Destination.AsSlice(), o)
	if err != nil {
		return "", fmt.Errorf("route to %s: %w", p.Destination, err)
	}
	if len(routes) == 0 {
		return "", fmt.Errorf("no route to %s", p.Destination)
	}
	l, err := n.handle.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return "", err
	}
	for i := range n.Plan.Links {
		if n.Plan.Links[i].Interface == l.Attrs().Name {
			return n.Plan.Links[i].Peer, nil
		}
	}
	return "", fmt.Errorf("the route to %s leaves by %s", p.Destination, l.Attrs().Name)
}

// Disturb makes a carrier event somewhere else on this machine, on a veth pair
// between two namespaces that have nothing to do with the mesh, and returns when
// the kernel has dealt with it. From then on the kernel holds carrier events back
// for up to a second, those of the mesh too (linkwatch_nextevent is one variable
// for the whole machine, net/core/link_watch.c). It takes about 1.5 s; done
// clears up.
func (l *Lab) Disturb(ctx context.Context) (done func(), err error) {
	c, stop, err := l.request(ctx, opDisturb, nil)
	if err != nil {
		return nil, err
	}
	var r reply
	err = c.dec.Decode(&r)
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("disturb: %w", err)
	}
	return stop, nil
}

// disturbQuiet is longer than the kernel holds an event back, so that the event
// made on purpose finds nothing before it.
const disturbQuiet = 1100 * time.Millisecond

func (w *world) disturb(ctx context.Context, s *session) error {
	c, release, err := w.strangers()
	if err != nil {
		return err
	}
	defer release()
	for end := range c.nodes {
		if err := c.onLink(end, (*netlink.Handle).LinkSetUp); err != nil {
			return err
		}
	}
	if err := waitForCarrier(ctx, c, true); err != nil {
		return fmt.Errorf("carrier of the strangers' cable: %w", err)
	}
	if err := sleep(ctx, disturbQuiet); err != nil {
		return err
	}
	if err := c.onLink(0, (*netlink.Handle).LinkSetDown); err != nil {
		return err
	}
	if err := waitForCarrier(ctx, c, false); err != nil {
		return fmt.Errorf("loss of carrier of the strangers' cable: %w", err)
	}
	if err := s.send(reply{Started: true}); err != nil {
		return err
	}
	<-ctx.Done() // until the client has had enough
	return nil
}

// strangers makes two namespaces with a cable between them.
func (w *world) strangers() (*cable, func(), error) {
	plan := mesh.Plan{Mesh: "strangers", MTU: mesh.DefaultMTU}
	ends := [2]mesh.Endpoint{{Node: "stranger-a"}, {Node: "stranger-b"}}
	for i, e := range ends {
		plan.Nodes = append(plan.Nodes, mesh.NodePlan{Name: e.Node, Links: []mesh.LinkPlan{
			{Interface: "stranger", Cable: "stranger", Peer: ends[1-i].Node, MTU: mesh.DefaultMTU},
		}})
	}
	plan.Cables = []mesh.CablePlan{{Name: "stranger", Ends: ends}}
	nodes := map[string]*Node{}
	release := func() {
		for _, n := range nodes {
			n.close()
		}
	}
	for _, e := range ends {
		n, err := newNode(&plan, e.Node, w.procs)
		if err != nil {
			release()
			return nil, nil, err
		}
		nodes[e.Node] = n
	}
	c, err := newCable(&plan.Cables[0], nodes)
	if err == nil {
		err = c.create(firstIndex)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return c, release, nil
}

// waitForCarrier waits until the second end of a cable is up, or no longer up, by
// its operational state (RFC 2863): what linkwatch has made of its carrier.
func waitForCarrier(ctx context.Context, c *cable, up bool) error {
	return poll(ctx, time.Millisecond, 3*time.Second, func() error {
		l, err := c.nodes[1].handle.LinkByName(c.links[1].Interface)
		if err != nil {
			return err
		}
		if state := l.Attrs().OperState; (state == netlink.OperUp) != up {
			return fmt.Errorf("its state is %s", state)
		}
		return nil
	})
}
