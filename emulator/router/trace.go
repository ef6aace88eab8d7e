package router

import "github.com/usb4mesh/usb4mesh/emulator/packet"

// trace records a control packet in words.
func (r *Router) trace(direction byte, p packet.Packet) {
	if r.fabric.Tracing() {
		r.fabric.Trace(direction, r.describe(p))
	}
}

// event records something that is no packet.
func (r *Router) event(text string) {
	if r.fabric.Tracing() {
		r.fabric.Trace('*', text)
	}
}

func (r *Router) describe(p packet.Packet) string { return p.String() }
