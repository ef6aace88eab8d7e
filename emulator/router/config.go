package router

import "github.com/usb4mesh/usb4mesh/emulator/packet"

// configRead answers a read of a configuration space.
func (r *Router) configRead(p packet.Packet) {
	a, ok := p.Address()
	if !ok {
		return
	}
	data, code, ok := r.read(a)
	if !ok {
		r.traceConfig('>', p.PDF, a, nil)
		r.deliver(packet.NewError(0, code, a.Adapter))
		return
	}
	r.traceConfig('<', p.PDF, a, data) // one line for question and answer
	r.host.Deliver(packet.NewReply(p, a, r.upstream, data...))
}

// configWrite does a write to a configuration space.
func (r *Router) configWrite(p packet.Packet) {
	a, ok := p.Address()
	if !ok {
		return
	}
	data := p.Words[3:]
	r.traceConfig('>', p.PDF, a, data)
	if len(data) != a.Length {
		r.deliver(packet.NewError(0, packet.BadSpace, a.Adapter))
		return
	}
	after, code, ok := r.write(a, data)
	if !ok {
		r.deliver(packet.NewError(0, code, a.Adapter))
		return
	}
	r.host.Deliver(packet.NewReply(p, a, r.upstream)) // not traced: it says nothing new
	if after != nil {
		after() // what follows from the write comes after its answer
	}
}

// check finds the adapter of an address; nil is the router itself.
func (r *Router) check(a packet.Address) (x *adapter, code packet.Code, ok bool) {
	if a.Length < 1 || a.Length > packet.MaxLength {
		return nil, packet.BadSpace, false
	}
	if a.Space == packet.SpaceRouter {
		return nil, packet.BadSpace, a.Offset+a.Length <= routerSize
	}
	if a.Adapter < 1 || a.Adapter >= len(r.adapters) {
		return nil, packet.NoSuchPort, false
	}
	x = r.adapters[a.Adapter]
	switch a.Space {
	case packet.SpaceAdapter:
		ok = a.Offset+a.Length <= adapterSize
	case packet.SpacePath:
		ok = x.hasPaths() && a.Offset+a.Length <= 2*len(x.paths)
	case packet.SpaceCounters:
		ok = true
	}
	return x, packet.BadSpace, ok
}

func (r *Router) read(a packet.Address) ([]uint32, packet.Code, bool) {
	x, code, ok := r.check(a)
	if !ok {
		return nil, code, false
	}
	data := make([]uint32, a.Length)
	switch a.Space {
	case packet.SpaceRouter:
		copy(data, r.space[a.Offset:])
	case packet.SpaceAdapter:
		copy(data, x.space[a.Offset:])
	case packet.SpacePath:
		for i := range data {
			at := a.Offset + i
			data[i] = x.paths[at/2][at%2]
		}
	case packet.SpaceCounters: // nothing is counted
	}
	return data, 0, true
}

func (r *Router) write(a packet.Address, data []uint32) (after func(), code packet.Code, ok bool) {
	x, code, ok := r.check(a)
	if !ok {
		return nil, code, false
	}
	changed := false
	for i, v := range data {
		at := a.Offset + i
		switch a.Space {
		case packet.SpaceRouter:
			r.writeRouter(at, v)
		case packet.SpaceAdapter:
			changed = x.write(at, v) || changed
		case packet.SpacePath:
			if at%2 == 1 {
				v &^= pathPending
			}
			x.paths[at/2][at%2] = v
		case packet.SpaceCounters:
		}
	}
	switch {
	case a.Space == packet.SpacePath:
		return r.fabric.PathsChanged, 0, true
	case changed && x.port != nil:
		return func() {
			r.fabric.Changed(x.port.index)
			r.flush()
		}, 0, true
	}
	return nil, 0, true
}

// writeRouter stores a dword of the router configuration space.
func (r *Router) writeRouter(at int, v uint32) {
	old := r.space[at]
	switch {
	case at == routerCS1:
		r.space[at] = old&^cs1Depth | v&cs1Depth
	case at == routerCS4:
		r.space[at] = old&^cs4Writable | v&cs4Writable
	case at == routerCS5:
		r.space[at] = v
		status := uint32(cs6Ready)
		if v&cs5Sleep != 0 {
			r.forgetWakes()
			status |= cs6SleepReady
		}
		if v&cs5Valid != 0 {
			status |= cs6Configured
		}
		r.space[routerCS6] = status
	case at == routerCS26 && v&cs26Valid != 0:
		// No router operation is supported: no DROM, no NVM, no buffer allocation.
		r.space[at] = v&^cs26Valid | cs26NotSupported
	case at == routerCS2, at == routerCS3, at >= routerCS9 && at <= routerCS26, at > routerTMU:
		r.space[at] = v
	}
}
