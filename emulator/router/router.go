package router

import (
	"github.com/usb4mesh/usb4mesh/emulator/nhi"
	"github.com/usb4mesh/usb4mesh/emulator/packet"
)

// Config says what a router is.
type Config struct {
	// Vendor and Device of the router, which are not those of the PCI function.
	Vendor, Device uint16
	// UID from which the driver makes the UUID, and from that the MAC addresses.
	UID uint64
	// Ports is the number of USB4 ports.
	Ports int
	// HostFirst: the host interface is adapter 1 and the lanes follow (AMD); otherwise
	// the lanes come first (Intel).
	HostFirst bool
	// Bonding: ports can join two lanes.
	Bonding bool
	// Version is the USB4 version in ROUTER_CS_4, 0x20 for version 1.
	Version uint8
}

// Version1 is ROUTER_CS_4's version of a USB4 1.0 router: "generation 4" in sysfs.
const Version1 = 0x20

// MaxHopID is the largest HopID of an adapter: thunderbolt_net needs one for each
// direction of each peer, from 8 up.
const MaxHopID = 19

// Host is the driver's side of the router: an *nhi.NHI.
type Host interface {
	Deliver(packet.Packet)
	Receive(ring int, f nhi.Frame) nhi.Outcome
	Wake() bool
	Asleep() bool
	Listening() bool
}

// Fabric is what the ports are plugged into. Ports are counted from 0.
type Fabric interface {
	// Forward sends an XDomain packet out of a port.
	Forward(port int, p packet.Packet) Answer
	// Silent reports whether a port without a link ignores packets for the other end.
	Silent(port int) bool
	// Send sends a data frame out of a port; hop is its HopID at the far end.
	Send(port, hop, ring int, f nhi.Frame) nhi.Outcome
	// Changed says that the driver has written something that a port's link depends on.
	Changed(port int)
	// PathsChanged says that frames that wait may have a way, or none, now.
	PathsChanged()
	// Drop says that all links of the router fall.
	Drop()
	// Power says that the machine is there or gone.
	Power(on bool)
	// Posted says that the driver has given buffers to a ring.
	Posted(ring int)
	// Trace records an event; direction is '>' for what comes from the driver and '<' for
	// what goes to it.
	Trace(direction byte, text string)
	// Tracing reports whether Trace is listened to.
	Tracing() bool
}

// Answer is what a port does with a packet for the other end.
type Answer int

// Answers.
const (
	Forwarded Answer = iota // it is on its way, or lost on it
	Refused                 // there is no link: the port answers with an error
	Ignored                 // there is no link, and the port keeps silent
)

// Router is one host router. It implements nhi.Router.
type Router struct {
	config   Config
	host     Host
	fabric   Fabric
	space    [routerSize]uint32
	adapters []*adapter // by number; 0, the control adapter, is nil
	ports    []*port
	upstream int    // number of the host interface adapter
	Events   uint64 // plug events given to the driver
}

var _ nhi.Router = (*Router)(nil)

// New makes a router as it is after power on. SetHost must follow.
func New(c Config, f Fabric) *Router {
	r := &Router{config: c, fabric: f}
	r.layout()
	return r
}

// SetHost tells the router who its host interface is.
func (r *Router) SetHost(h Host) { r.host = h }

// layout makes the adapters. Neighbouring lane adapters are the two lanes of a port
// (switch.c, tb_switch_default_link_ports).
func (r *Router) layout() {
	r.adapters, r.ports = []*adapter{nil}, nil
	host := func() {
		r.upstream = len(r.adapters)
		r.adapters = append(r.adapters, newAdapter(r.config, r.upstream, typeNHI, nil, 0))
	}
	if r.config.HostFirst {
		host()
	}
	for i := range r.config.Ports {
		p := &port{index: i}
		for lane := range p.lanes {
			a := newAdapter(r.config, len(r.adapters), typeLane, p, lane)
			p.lanes[lane] = a
			r.adapters = append(r.adapters, a)
		}
		r.ports = append(r.ports, p)
	}
	if !r.config.HostFirst {
		host()
	}
	c := r.config
	r.space = [routerSize]uint32{
		0:             uint32(c.Vendor) | uint32(c.Device)<<16,
		routerCS1:     routerTMU | uint32(r.upstream)<<cs1UpstreamShift | uint32(len(r.adapters)-1)<<cs1MaxShift,
		routerCS3:     0,
		routerCS4:     uint32(c.Version) << cs4VersionShift,
		routerCS6:     cs6Ready,
		routerCS7:     uint32(c.UID),
		routerCS7 + 1: uint32(c.UID >> 32),
		routerTMU:     capTMU<<capShift | tmuOneWay,
	}
}

// Adapter is the number of a port's first lane adapter, the one that routes and sysfs
// names ("0-1", "usb4_port1") show.
func (r *Router) Adapter(port int) int { return r.ports[port].lanes[0].number }

// HostAdapter is the number of the host interface adapter.
func (r *Router) HostAdapter() int { return r.upstream }

// Control implements nhi.Router: it answers the driver's packets.
func (r *Router) Control(p packet.Packet) {
	if p.PDF.XDomain() {
		r.trace('>', p)
		r.forward(p)
		return
	}
	if route := p.Route(); route != 0 && p.PDF != packet.Error && p.PDF != packet.NotifyAck {
		// Behind a port is another host, which answers no configuration packets: the
		// driver learns that from the error at once (tb.c, tb_scan_port).
		r.trace('>', p)
		number := int(route & 0xff)
		if out := r.portOf(number); out == nil || out.link.Up || !r.fabric.Silent(out.index) {
			r.deliver(packet.NewError(0, packet.NotConnected, number&0x3f))
		}
		return
	}
	switch p.PDF {
	case packet.Read:
		r.configRead(p)
	case packet.Write:
		r.configWrite(p)
	case packet.Reset:
		r.trace('>', p)
		r.deliver(packet.NewReset(p))
	default: // acknowledgements end here: plug events are not repeated
		r.trace('>', p)
	}
}

func (r *Router) deliver(p packet.Packet) {
	if !r.host.Listening() {
		return
	}
	r.trace('<', p)
	r.host.Deliver(p)
}

// portOf finds the port whose lane adapter has the number.
func (r *Router) portOf(number int) *port {
	if number < 1 || number >= len(r.adapters) {
		return nil
	}
	return r.adapters[number].port
}

// forward sends an XDomain packet to the host at the other end of the port in its route.
func (r *Router) forward(p packet.Packet) {
	route := p.Route()
	number := int(route & 0xff)
	out := r.portOf(number)
	if out == nil || route > 0xff || out.lanes[0].number != number {
		r.deliver(packet.NewError(0, packet.NoSuchPort, number&0x3f))
		return
	}
	if r.fabric.Forward(out.index, p) == Refused {
		r.deliver(packet.NewError(0, packet.NotConnected, number))
	}
}

// Arrive takes an XDomain packet that came in through a port.
func (r *Router) Arrive(port int, p packet.Packet) {
	r.deliver(p.Arrived(r.Adapter(port)))
}

// Transmit implements nhi.Router: the host interface's path entry says where to.
func (r *Router) Transmit(ring int, f nhi.Frame) nhi.Outcome {
	out, hop, ok := r.adapters[r.upstream].next(ring)
	if !ok {
		return nhi.Lost
	}
	p := r.portOf(out)
	if p == nil || p.lanes[0].number != out || !p.link.Up {
		return nhi.Lost
	}
	return r.fabric.Send(p.index, hop, ring, f)
}

// Incoming takes a data frame that came in through a port with a HopID, and gives it to
// the ring that the lane adapter's path entry names.
func (r *Router) Incoming(port, hop int, f nhi.Frame) nhi.Outcome {
	out, ring, ok := r.ports[port].lanes[0].next(hop)
	if !ok || out != r.upstream {
		return nhi.Lost
	}
	return r.host.Receive(ring, f)
}

// Posted implements nhi.Router.
func (r *Router) Posted(ring int) {
	if ring == 0 {
		r.flush()
		return
	}
	r.fabric.Posted(ring)
}

// Reset implements nhi.Router: configuration is lost and all links fall.
func (r *Router) Reset() {
	r.event("router reset")
	r.fabric.Drop()
	r.layout()
	r.fabric.PathsChanged()
	for i := range r.ports {
		r.fabric.Changed(i)
	}
}

// Attached implements nhi.Router.
func (r *Router) Attached(on bool) {
	if !on {
		r.fabric.Power(false)
		r.layout()
		return
	}
	r.layout()
	r.fabric.Power(true)
}

// Awake implements nhi.Router: the router leaves its sleep.
func (r *Router) Awake() {
	r.event("awake")
	r.space[routerCS5] &^= cs5Sleep
	r.space[routerCS6] &^= cs6SleepReady
}
