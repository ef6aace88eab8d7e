package fabric

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/identity"
	"github.com/usb4mesh/usb4mesh/emulator/nhi"
	"github.com/usb4mesh/usb4mesh/emulator/packet"
	"github.com/usb4mesh/usb4mesh/emulator/router"
	"github.com/usb4mesh/usb4mesh/emulator/vfiouser"
)

// node is one host interface with its router. It implements router.Fabric.
type node struct {
	fabric   *Fabric
	host     *host
	index    int
	name     string // "alpha/0", for traces
	path     string
	function identity.Function
	nhi      *nhi.NHI
	router   *router.Router
	ends     []*end // by port of the router
	listener *net.UnixListener
	hangUp   context.CancelFunc // ends the connection with the guest, if there is one
	stalled  uint32             // TX rings that wait for the far end, one bit each
}

var _ router.Fabric = (*node)(nil)

// serve accepts one guest after the other.
func (n *node) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = n.listener.Close() })
	defer stop()
	for {
		conn, err := n.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptors left, for example: it may pass
			n.fabric.log.Error("accepting a guest", "nhi", n.name, "error", err)
			select {
			case <-time.After(time.Second):
				continue
			case <-ctx.Done():
				return
			}
		}
		if !n.wait(ctx) {
			_ = conn.Close()
			return
		}
		n.guest(ctx, conn)
	}
}

// wait blocks while the host has no power; false if ctx ends.
func (n *node) wait(ctx context.Context) bool {
	n.fabric.mu.Lock()
	gate := n.host.gate
	n.fabric.mu.Unlock()
	select {
	case <-gate:
		return true
	case <-ctx.Done():
		return false
	}
}

// guest serves one guest until it goes away.
func (n *node) guest(ctx context.Context, conn *net.UnixConn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.fabric.mu.Lock()
	n.hangUp = cancel
	n.fabric.mu.Unlock()

	server := vfiouser.Server{Device: n.nhi, Lock: &n.fabric.mu, Log: n.fabric.log.With("nhi", n.name)}
	if err := server.Serve(ctx, conn); err != nil {
		n.fabric.log.Warn("connection with the guest ended", "nhi", n.name, "error", err)
	}

	n.fabric.mu.Lock()
	n.hangUp = nil
	n.fabric.mu.Unlock()
}

// on reports whether the router has power.
func (n *node) on() bool { return n.host.powered && n.nhi.Connected() }

func (n *node) evaluate() {
	for _, e := range n.ends {
		if e.cable != nil {
			e.cable.evaluate()
		}
	}
}

// Forward implements router.Fabric.
func (n *node) Forward(port int, p packet.Packet) router.Answer {
	e := n.ends[port]
	if e.cable == nil || !e.cable.up {
		if e.fault.Silent {
			return router.Ignored
		}
		return router.Refused
	}
	e.sendControl(p)
	return router.Forwarded
}

// Silent implements router.Fabric.
func (n *node) Silent(port int) bool { return n.ends[port].fault.Silent }

// Send implements router.Fabric.
func (n *node) Send(port, hop, ring int, f nhi.Frame) nhi.Outcome {
	e := n.ends[port]
	if e.cable == nil || !e.cable.up {
		return nhi.Lost
	}
	outcome := e.sendFrame(hop, f)
	if outcome == nhi.Waiting {
		n.stalled |= 1 << ring
	}
	return outcome
}

// Changed implements router.Fabric.
func (n *node) Changed(port int) {
	if c := n.ends[port].cable; c != nil {
		c.evaluate()
	}
}

// PathsChanged implements router.Fabric.
func (n *node) PathsChanged() {
	for _, e := range n.ends {
		e.release()
		if far := e.far(); far != nil {
			far.release()
		}
	}
}

// Posted implements router.Fabric: frames that wait for this node's buffers go on.
func (n *node) Posted(int) {
	for _, e := range n.ends {
		if far := e.far(); far != nil {
			far.release()
		}
	}
}

// retry sends what waits in the node's TX rings.
func (n *node) retry() {
	waiting := n.stalled
	n.stalled = 0
	for ring := 0; waiting != 0; ring, waiting = ring+1, waiting>>1 {
		if waiting&1 != 0 {
			n.nhi.Retry(ring)
		}
	}
}

// Drop implements router.Fabric.
func (n *node) Drop() {
	for _, e := range n.ends {
		if e.cable != nil {
			e.cable.fall()
		}
	}
}

// Power implements router.Fabric.
func (n *node) Power(on bool) {
	if on {
		n.fabric.tracer.event(n.name, "guest connected")
	} else {
		n.fabric.tracer.event(n.name, "guest gone")
		n.stalled = 0
	}
	n.evaluate()
}

// Trace implements router.Fabric.
func (n *node) Trace(direction byte, text string) { n.fabric.tracer.line(n.name, direction, text) }

// Tracing implements router.Fabric.
func (n *node) Tracing() bool { return n.fabric.tracer != nil }
