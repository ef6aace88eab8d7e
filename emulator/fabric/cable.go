package fabric

import (
	"fmt"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/router"
)

// cable joins two ends.
type cable struct {
	fabric  *Fabric
	spec    Cable
	ends    [2]*end
	plugged bool
	up      bool
	link    router.Link
	trained uint64

	training *time.Timer // runs while the link trains
	flapping *time.Timer
	flapDown bool // a flapping fault holds the link down
}

// ready reports whether everything is there that a link needs.
func (c *cable) ready() bool {
	if !c.plugged || c.flapDown {
		return false
	}
	for _, e := range c.ends {
		if !e.node.on() || e.fault.Dead || e.node.router.Wish(e.port).Reset {
			return false
		}
	}
	return true
}

// evaluate lets the link rise or fall as its parts demand.
func (c *cable) evaluate() {
	ready := c.ready()
	switch {
	case !ready:
		c.fall()
	case c.up:
		c.tune()
	case c.training == nil:
		c.training = c.fabric.after(c.spec.Training, c.rise)
	}
}

// rise is the end of training.
func (c *cable) rise() {
	c.training = nil
	if c.up || !c.ready() {
		return
	}
	c.up = true
	c.trained++
	c.link = router.Link{}
	c.tune()
}

// fall takes the link down, or ends its training.
func (c *cable) fall() {
	if c.training != nil {
		c.training.Stop()
		c.training = nil
	}
	if !c.up {
		return
	}
	c.up = false
	c.link = router.Link{}
	c.fabric.tracer.event(c.spec.Name, "link down")
	for _, e := range c.ends {
		e.clear()
		e.node.router.SetLink(e.port, c.link)
	}
	for _, e := range c.ends {
		e.node.retry() // frames that waited have no way now
	}
}

// tune tells both ends about lanes, speed and width. Lanes are bonded when all four
// adapters have been told to, and one end has started it (xdomain.c,
// tb_xdomain_bond_lanes_uuid_high).
func (c *cable) tune() {
	l := router.Link{Up: true, Lanes: c.spec.Lanes, Speed: c.spec.Speed, Width: 1}
	dual, started := true, false
	for _, e := range c.ends {
		w := e.node.router.Wish(e.port)
		if !w.Lane1 || e.fault.Lanes == 1 {
			l.Lanes = 1
		}
		if e.fault.Speed == 10 {
			l.Speed = 10
		}
		dual = dual && w.Dual
		started = started || w.Bonding
	}
	if l.Lanes == 2 && dual && started {
		l.Width = 2
	}
	if l == c.link {
		return
	}
	if !c.link.Up || l.Width != c.link.Width || l.Speed != c.link.Speed {
		c.fabric.tracer.event(c.spec.Name, fmt.Sprintf("link up, %d Gb/s, %d of %d lanes", l.Speed, l.Width, l.Lanes))
	}
	c.link = l
	for _, e := range c.ends {
		e.node.router.SetLink(e.port, l)
	}
}

// flap starts or ends flapping as the ends' faults say.
func (c *cable) flap() {
	if c.flapping != nil {
		c.flapping.Stop()
		c.flapping = nil
	}
	c.flapDown = false
	var up, down time.Duration
	for _, e := range c.ends {
		if e.fault.FlapUp > 0 && e.fault.FlapDown > 0 {
			up, down = e.fault.FlapUp, e.fault.FlapDown
		}
	}
	if up == 0 {
		return
	}
	var turn func()
	turn = func() {
		c.flapDown = !c.flapDown
		c.evaluate()
		next := up
		if c.flapDown {
			next = down
		}
		c.flapping = c.fabric.after(next, turn)
	}
	c.flapping = c.fabric.after(up, turn)
}

func (c *cable) stopTimers() {
	for _, t := range []*time.Timer{c.training, c.flapping} {
		if t != nil {
			t.Stop()
		}
	}
	for _, e := range c.ends {
		e.clear()
	}
}

// setPlugged plugs or pulls both ends.
func (c *cable) setPlugged(in bool) {
	if c.plugged == in {
		return
	}
	c.plugged = in
	if in {
		c.fabric.tracer.event(c.spec.Name, "plugged")
	} else {
		c.fabric.tracer.event(c.spec.Name, "pulled")
	}
	c.evaluate()
}
