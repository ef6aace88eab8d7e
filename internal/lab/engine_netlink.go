package lab

import (
	"context"
	"errors"
	"fmt"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
)

// netlinkEngine applies the plan through the netlink door. After a plug it
// converges the two nodes of the cable, once: that stands for the agent.
type netlinkEngine struct{ *doors }

func (e *netlinkEngine) Start(ctx context.Context, nodes []*Node) (err error) {
	if e.doors, err = openDoors(nodes); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := e.converge(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (e *netlinkEngine) converge(ctx context.Context, n *Node) error {
	if _, err := kernel.Converge(ctx, e.door[n], e.want(n)); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	return nil
}

func (e *netlinkEngine) Plugged(ctx context.Context, ends [2]*Node, _ string) error {
	return errors.Join(e.converge(ctx, ends[0]), e.converge(ctx, ends[1]))
}

func (e *netlinkEngine) Settled(ctx context.Context) error { return e.settled(ctx) }

func (e *netlinkEngine) Stop() error {
	if e.doors == nil {
		return nil
	}
	return e.close()
}

func (e *netlinkEngine) StandIns() []string {
	return append([]string{
		"one netlink convergence of the two nodes at a plug stands for the agent; during a cut nothing of usb4mesh runs",
	}, e.standIns()...)
}
