package lab

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
)

// netlinkEngine applies the plan through the netlink door. After a plug it
// converges the two nodes of the cable, once: that stands for the agent.
type netlinkEngine struct {
	nodes []*Node
	doors map[*Node]*kernel.Kernel
	dummy bool
}

func (e *netlinkEngine) Start(ctx context.Context, nodes []*Node) error {
	e.nodes, e.doors = nodes, map[*Node]*kernel.Kernel{}
	e.dummy = hasDummy(nodes[0])
	for _, n := range nodes {
		k, err := kernel.OpenNamespace(n.NetNS())
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		e.doors[n] = k
	}
	for _, n := range nodes {
		if err := e.converge(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (e *netlinkEngine) converge(ctx context.Context, n *Node) error {
	if _, err := kernel.Converge(ctx, e.doors[n], wantOf(n, e.dummy)); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	return nil
}

func (e *netlinkEngine) Plugged(ctx context.Context, ends [2]*Node, _ string) error {
	return errors.Join(e.converge(ctx, ends[0]), e.converge(ctx, ends[1]))
}

func (e *netlinkEngine) Settled(ctx context.Context) error {
	for _, n := range e.nodes {
		have, err := e.doors[n].Snapshot(ctx)
		if err == nil {
			err = missing(have, wantOf(n, e.dummy))
		}
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	return nil
}

func (e *netlinkEngine) Stop() error {
	var errs []error
	for _, k := range e.doors {
		errs = append(errs, k.Close())
	}
	return errors.Join(errs...)
}

func (e *netlinkEngine) StandIns() []string {
	s := []string{"one netlink convergence of the two nodes at a plug stands for the agent; during a cut nothing of usb4mesh runs"}
	if !e.dummy {
		s = append(s, noDummy)
	}
	return s
}

const noDummy = "a bridge without ports stands for the dummy interface umesh0: this kernel has no dummy"

// hasDummy tries whether the kernel can make a dummy interface.
func hasDummy(n *Node) bool {
	d := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "try-dummy"}}
	if n.handle.LinkAdd(d) != nil {
		return false
	}
	return n.handle.LinkDel(d) == nil
}
