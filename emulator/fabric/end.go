package fabric

import (
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/nhi"
	"github.com/usb4mesh/usb4mesh/emulator/packet"
)

// maxQueue is the number of frames and packets that are under way on a cable with
// latency or limited bandwidth; more wait in the sender's ring.
const maxQueue = 256

// end is one end of a cable: a port, its faults, and what is under way from it to the
// other end.
type end struct {
	node  *node
	port  int // of the router
	name  string
	cable *cable // nil: nothing was ever plugged in
	side  int
	fault Fault

	control, frames, bytes, lost uint64
	requests                     int // for Fault.DropRequests

	queue []parcel
	busy  time.Time // until then the bandwidth is used
	timer *time.Timer
}

// parcel is a frame or an XDomain packet under way.
type parcel struct {
	due     time.Time
	control *packet.Packet
	hop     int
	frame   nhi.Frame
}

// far is the other end, nil without a cable.
func (e *end) far() *end {
	if e.cable == nil {
		return nil
	}
	return e.cable.ends[1-e.side]
}

// limited reports whether things take time from this end.
func (e *end) limited() bool {
	return e.fault.Latency > 0 || e.fault.Bandwidth > 0 || len(e.queue) > 0
}

func (e *end) sendControl(p packet.Packet) {
	e.control++
	if n := e.fault.DropRequests; n > 0 && p.Request() {
		e.requests++
		if e.requests%n == 0 {
			e.lost++
			e.node.Trace('!', "lost on the cable: "+p.String())
			return
		}
	}
	switch {
	case e.fault.MuteControl:
		e.lost++
	case !e.limited():
		far := e.far()
		far.node.router.Arrive(far.port, p)
	case len(e.queue) >= maxQueue:
		e.lost++
	default:
		e.enqueue(parcel{control: &p}, 0)
	}
}

func (e *end) sendFrame(hop int, f nhi.Frame) nhi.Outcome {
	outcome := nhi.Sent
	switch {
	case e.fault.MuteData:
		e.lost++
	case !e.limited():
		far := e.far()
		outcome = far.node.router.Incoming(far.port, hop, f)
	case len(e.queue) >= maxQueue:
		return nhi.Waiting
	default:
		f.Data = append([]byte(nil), f.Data...)
		e.enqueue(parcel{hop: hop, frame: f}, len(f.Data))
	}
	if outcome == nhi.Sent {
		e.frames++
		e.bytes += uint64(len(f.Data))
	}
	return outcome
}

// enqueue sends a parcel that takes time.
func (e *end) enqueue(p parcel, bytes int) {
	now := time.Now()
	if e.busy.Before(now) {
		e.busy = now
	}
	if b := e.fault.Bandwidth; b > 0 {
		e.busy = e.busy.Add(time.Duration(float64(bytes) * 8 / float64(b) * float64(time.Second)))
	}
	p.due = e.busy.Add(e.fault.Latency)
	e.queue = append(e.queue, p)
	e.arm()
}

func (e *end) arm() {
	if e.timer == nil && len(e.queue) > 0 {
		e.timer = e.node.fabric.after(max(0, time.Until(e.queue[0].due)), func() {
			e.timer = nil
			e.drain()
		})
	}
}

// drain delivers what is due. A frame for which the receiver has no buffer stays at the
// head: release continues.
func (e *end) drain() {
	far := e.far()
	now := time.Now()
	for len(e.queue) > 0 && !e.queue[0].due.After(now) {
		p := e.queue[0]
		if p.control != nil {
			far.node.router.Arrive(far.port, *p.control)
		} else if far.node.router.Incoming(far.port, p.hop, p.frame) == nhi.Waiting {
			return
		}
		if len(e.queue) == 0 {
			return // delivery has led to a reset, which has cleared the queue
		}
		e.queue = e.queue[1:]
	}
	e.arm()
	e.node.retry()
}

// release goes on after something has waited for the far end.
func (e *end) release() {
	if len(e.queue) > 0 {
		e.drain()
		return
	}
	if e.node.stalled != 0 {
		e.node.retry()
	}
}

// clear forgets what is under way.
func (e *end) clear() {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	e.lost += uint64(len(e.queue))
	e.queue, e.busy = nil, time.Time{}
}
