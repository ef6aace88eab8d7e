package router

import (
	"fmt"

	"github.com/usb4mesh/usb4mesh/emulator/packet"
)

// port is a USB4 port: two lane adapters and the link behind them.
type port struct {
	index int
	lanes [2]*adapter
	link  Link
	told  bool // what the driver knows: a link is there
}

// Link is the state of a port's link.
type Link struct {
	Up    bool
	Lanes int // 2: the second lane is up, too
	Speed int // of a lane in Gb/s: 10 or 20
	Width int // lanes that work as one: 1 or 2
}

// Wish is what the driver has asked of a port's link.
type Wish struct {
	Reset   bool // downstream port reset is asserted
	Lane1   bool // the second lane is not disabled
	Dual    bool // both lanes have the target width 2
	Bonding bool // lane bonding was started from this end
}

// Wish of a port.
func (r *Router) Wish(i int) Wish {
	p := r.ports[i]
	l0, l1 := p.lanes[0].space[laneCS1], p.lanes[1].space[laneCS1]
	return Wish{
		Reset:   p.lanes[0].space[portCS19]&portReset != 0,
		Lane1:   l1&laneDisable == 0,
		Dual:    l0&targetWidth == targetDual && l1&targetWidth == targetDual,
		Bonding: l0&laneBond != 0,
	}
}

// SetLink tells the router about a port's link; the driver gets a plug event if the link
// has come or gone.
func (r *Router) SetLink(i int, l Link) {
	p := r.ports[i]
	p.link = l
	if !l.Up {
		for _, lane := range p.lanes {
			lane.setLane(0, widthSingle, stateUnplugged)
		}
		r.flush()
		return
	}
	speed := uint32(speedGen3)
	if l.Speed == 10 {
		speed = speedGen2
	}
	p.lanes[0].setLane(speed, uint32(l.Width), stateUp)
	switch {
	case l.Lanes == 2:
		p.lanes[1].setLane(speed, uint32(l.Width), stateUp)
	case p.lanes[1].space[laneCS1]&laneDisable != 0:
		p.lanes[1].setLane(speed, widthSingle, stateDisabled)
	default:
		p.lanes[1].setLane(speed, widthSingle, stateUnplugged)
	}
	r.flush()
}

// Link is the state that SetLink has set.
func (r *Router) Link(i int) Link { return r.ports[i].link }

// flush tells the driver of links that have come or gone since it was told last, as far as
// it listens. A sleeping driver is woken instead and told when it is back.
func (r *Router) flush() {
	for _, p := range r.ports {
		if p.told == p.link.Up {
			continue
		}
		if r.host.Asleep() {
			r.wake(p)
			continue
		}
		if !r.host.Listening() || p.lanes[0].space[adpCS5]&adpNoHotPlug != 0 {
			continue
		}
		p.told = p.link.Up
		r.Events++
		r.deliver(packet.NewPlug(p.lanes[0].number, !p.link.Up))
	}
}

// wake wakes the machine if the driver has armed the port for what has happened
// (usb4.c, usb4_switch_set_wake).
func (r *Router) wake(p *port) {
	armed := p.lanes[0].space[portCS19]
	var status uint32
	switch {
	case p.link.Up && armed&portWakeOnConnect != 0:
		status = wokeOnConnect
	case !p.link.Up && armed&(portWakeDisconnect|portWakeUSB4) != 0:
		status = wokeOnDisconnect
	default:
		return
	}
	p.lanes[0].space[portCS18] |= status
	if r.host.Wake() {
		r.event(fmt.Sprintf("wakes the machine: adapter %d", p.lanes[0].number))
	}
}

// forgetWakes clears what woke the machine last.
func (r *Router) forgetWakes() {
	for _, p := range r.ports {
		p.lanes[0].space[portCS18] &^= wokeOnConnect | wokeOnDisconnect
	}
}
