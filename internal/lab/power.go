package lab

import (
	"context"
	"errors"
	"fmt"
)

const opPower = "power"

type powerArgs struct {
	Node string
	On   bool
}

// Power takes the power from a node, or gives it back. Without power the node's agent
// is dead, its kernel has forgotten everything, and its cables are gone at both ends, as
// when the driver of the neighbours sees the peer vanish. With power again the node is
// an empty machine whose cables are plugged as before and whose agent starts.
//
// A cable that was silenced carries frames again after that: the hosts have reset it.
func (l *Lab) Power(ctx context.Context, node string, on bool) (Moment, error) {
	var m Moment
	err := l.call(ctx, opPower, powerArgs{node, on}, &m)
	return m, err
}

func (w *world) power(ctx context.Context, a powerArgs) (Moment, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.agents()
	if err != nil {
		return Moment{}, err
	}
	n, err := w.node(a.Node)
	if err != nil {
		return Moment{}, err
	}
	_, isDark := w.dark[n]
	if isDark != a.On {
		return Moment{}, fmt.Errorf("node %s: its power is as wanted already", n.Name)
	}
	if len(w.strays.cables) > 0 {
		return Moment{}, errors.New("cables are plugged otherwise than planned: tidy up first")
	}
	m := Moment{Begin: now()}
	if a.On {
		err = w.powerOn(ctx, e, n)
	} else {
		err = w.powerOff(e, n)
	}
	m.End = now()
	return m, err
}

func (w *world) powerOff(e *agentEngine, n *Node) error {
	plugged := []*cable{}
	var errs []error
	if e.runs(n) {
		errs = append(errs, e.kill(n))
	}
	for _, c := range w.cables {
		if c.nodes[0] != n && c.nodes[1] != n || c.cut == Delete {
			continue
		}
		errs = append(errs, c.pull())
		plugged = append(plugged, c)
	}
	w.dark[n] = plugged
	return errors.Join(append(errs, w.machines.halt(n))...)
}

func (w *world) powerOn(ctx context.Context, e *agentEngine, n *Node) error {
	plugged := w.dark[n]
	delete(w.dark, n)
	key, err := n.readable(agentKey)
	if err != nil {
		return err
	}
	fresh, err := newNode(w.plan, n.Name, w.procs)
	if err != nil {
		return err
	}
	n.close()
	n.net, n.mnt, n.uts, n.handle = fresh.net, fresh.mnt, fresh.uts, fresh.handle
	if err := w.machines.boot(n); err != nil {
		return err
	}
	if err := errors.Join(e.reopen(n), e.files(n, key)); err != nil {
		return err
	}
	// The agent starts first, as at boot: links come when the hosts have met.
	if err := e.start(n, 0); err != nil {
		return err
	}
	for _, c := range plugged {
		other := c.nodes[0]
		if other == n {
			other = c.nodes[1]
		}
		if _, dark := w.dark[other]; dark {
			w.dark[other] = append(w.dark[other], c) // it comes with the other's power
			continue
		}
		if err := c.connect(w.nextIndex()); err != nil {
			return err
		}
	}
	return ctx.Err()
}
