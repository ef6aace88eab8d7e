package fabric

import (
	"fmt"
	"time"
)

// Plug puts a cable in at both ends. Cables are named as in the topology.
func (f *Fabric) Plug(name string) error { return f.setPlugged(name, true) }

// Unplug pulls a cable at both ends.
func (f *Fabric) Unplug(name string) error { return f.setPlugged(name, false) }

// Replug pulls a cable and puts it in again after a pause; it does not wait.
func (f *Fabric) Replug(name string, pause time.Duration) error {
	if err := f.Unplug(name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.cable(name)
	f.after(pause, func() { c.setPlugged(true) })
	return nil
}

func (f *Fabric) setPlugged(name string, in bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.cable(name)
	if c == nil {
		return fmt.Errorf("no cable %q", name)
	}
	c.setPlugged(in)
	return nil
}

func (f *Fabric) cable(name string) *cable {
	for _, c := range f.cables {
		if c.spec.Name == name {
			return c
		}
	}
	return nil
}

// Fault sets the faults of one end, in place of what was set before. End is "host:port" as
// in the topology, the host's name, or "" for both ends.
func (f *Fabric) Fault(name, where string, fault Fault) error {
	if err := fault.check(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.cable(name)
	if c == nil {
		return fmt.Errorf("no cable %q", name)
	}
	found := false
	for _, e := range c.ends {
		if where == "" || where == e.name || where == e.node.host.spec.Name {
			c.setFault(e, fault)
			found = true
		}
	}
	if !found {
		return fmt.Errorf("cable %q has the ends %s and %s, not %q", name, c.ends[0].name, c.ends[1].name, where)
	}
	c.flap()
	c.evaluate()
	return nil
}

// setFault sets the faults of one end. Lanes and speed are trained: a change takes the
// link down.
func (c *cable) setFault(e *end, fault Fault) {
	old := e.fault
	e.fault, e.requests = fault, 0
	if old.Lanes != fault.Lanes || old.Speed != fault.Speed {
		c.fall()
	}
	c.fabric.tracer.event(e.name, "fault: "+fault.String())
	e.release()
}

// ClearFaults puts all ends of all cables in order.
func (f *Fabric) ClearFaults() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.cables {
		for _, e := range c.ends {
			if e.fault != (Fault{}) {
				c.setFault(e, Fault{})
			}
		}
		c.flap()
		c.evaluate()
	}
}

// Stats is what the fabric has seen, in the order of the topology.
func (f *Fabric) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	var s Stats
	for _, h := range f.hosts {
		hs := HostStats{Name: h.spec.Name, Powered: h.powered, Connected: true}
		for _, n := range h.nodes {
			x := n.nhi.Stats
			hs.Connected = hs.Connected && n.nhi.Connected()
			hs.NHIs = append(hs.NHIs, NHIStats{
				Socket: n.path, Connected: n.nhi.Connected(), Asleep: n.nhi.Asleep(), Events: n.router.Events, Stats: x,
			})
		}
		s.Hosts = append(s.Hosts, hs)
	}
	for _, c := range f.cables {
		cs := CableStats{Name: c.spec.Name, Plugged: c.plugged, Up: c.up, Lanes: c.link.Width, Speed: c.link.Speed, Trained: c.trained}
		for i, e := range c.ends {
			cs.Ends[i] = End{Port: e.name, Control: e.control, Frames: e.frames, Bytes: e.bytes, Lost: e.lost, Fault: e.fault}
		}
		s.Cables = append(s.Cables, cs)
	}
	return s
}
