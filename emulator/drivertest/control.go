package drivertest

import (
	"errors"
	"fmt"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/packet"
)

// StartControl sets up the rings for control packets.
func (d *Driver) StartControl() {
	d.t.Helper()
	d.NewRing(0, 10, true)
	d.NewRing(0, 10, false).Post(9)
}

// SendControl sends a control packet.
func (d *Driver) SendControl(p packet.Packet) {
	d.t.Helper()
	d.tx[0].Reap()
	d.tx[0].Send(uint8(p.PDF), uint8(p.PDF), p.Append(nil))
}

// Next returns the next control packet; its buffer is posted again.
func (d *Driver) Next() (packet.Packet, error) {
	if len(d.late) > 0 {
		p := d.late[0]
		d.late = d.late[1:]
		return p, nil
	}
	return d.receive()
}

func (d *Driver) receive() (packet.Packet, error) {
	r := d.rx[0]
	if err := r.Wait(); err != nil {
		return packet.Packet{}, err
	}
	f, _ := r.Take()
	r.Post(1)
	if f.SOF != 0 {
		return packet.Packet{}, fmt.Errorf("control packet with SOF %d: Linux warns of anything but 0", f.SOF)
	}
	p, err := packet.Parse(packet.PDF(f.EOF), f.Data)
	if err == nil && p.Words[0]>>31 != 1 {
		err = fmt.Errorf("%v: bit 31 of the first word is not set: Linux warns", p)
	}
	return p, err
}

// Silence fails if a control packet arrives within a time.
func (d *Driver) Silence(limit time.Duration) error {
	if len(d.late) > 0 {
		return fmt.Errorf("%v has arrived", d.late[0])
	}
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		if d.rx[0].Completed() {
			p, err := d.receive()
			return errors.Join(fmt.Errorf("%v has arrived", p), err)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// ConfigError is an error packet that answers a request.
type ConfigError struct {
	Code    packet.Code
	Adapter int
}

// Error implements error.
func (e ConfigError) Error() string {
	return fmt.Sprintf("error packet: %v, adapter %d", e.Code, e.Adapter)
}

// Config sends a read or write packet and waits for its answer. Other packets that arrive
// before are kept for Next.
func (d *Driver) Config(pdf packet.PDF, route uint64, a packet.Address, data ...uint32) ([]uint32, error) {
	d.seq = (d.seq + 1) % 4
	a.Seq = d.seq
	d.SendControl(packet.NewRequest(pdf, route, a, data...))
	for {
		p, err := d.receive()
		if err != nil {
			return nil, fmt.Errorf("%v %v: %w", pdf, a, err)
		}
		if p.PDF == packet.Error {
			return nil, ConfigError{Code: packet.Code(p.Words[2] & 0xf), Adapter: int(p.Words[2] >> 8 & 0x3f)}
		}
		if p.PDF != pdf {
			d.late = append(d.late, p)
			continue
		}
		got, ok := p.Address()
		want := a
		want.Adapter = got.Adapter // the upstream adapter of the router that answers
		if !ok || got != want {
			return nil, fmt.Errorf("%v %v: answered with %v", pdf, a, got)
		}
		d.Upstream = got.Adapter
		return p.Words[3:], nil
	}
}

// Read reads n dwords of a configuration space of the host router.
func (d *Driver) Read(space packet.Space, adapter, offset, n int) []uint32 {
	d.t.Helper()
	data, err := d.Config(packet.Read, 0, packet.Address{Space: space, Adapter: adapter, Offset: offset, Length: n})
	if err != nil {
		d.t.Fatal(err)
	}
	if len(data) != n {
		d.t.Fatalf("%d dwords instead of %d", len(data), n)
	}
	return data
}

// Write writes dwords of a configuration space of the host router.
func (d *Driver) Write(space packet.Space, adapter, offset int, data ...uint32) {
	d.t.Helper()
	if _, err := d.Config(packet.Write, 0, packet.Address{Space: space, Adapter: adapter, Offset: offset, Length: len(data)}, data...); err != nil {
		d.t.Fatal(err)
	}
}

// Change reads a dword, changes it and writes it back.
func (d *Driver) Change(space packet.Space, adapter, offset int, clear, set uint32) {
	d.t.Helper()
	v := d.Read(space, adapter, offset, 1)[0]
	d.Write(space, adapter, offset, v&^clear|set)
}

// Capability finds a capability of an adapter, as cap.c does; 0 if there is none.
func (d *Driver) Capability(adapter int, id uint32) int {
	d.t.Helper()
	at := int(d.Read(packet.SpaceAdapter, adapter, 1, 1)[0] & 0xff)
	for range 32 {
		if at == 0 {
			return 0
		}
		v := d.Read(packet.SpaceAdapter, adapter, at, 1)[0]
		if v>>8&0xff == id {
			return at
		}
		at = int(v & 0xff)
	}
	d.t.Fatalf("adapter %d: the list of capabilities has no end", adapter)
	return 0
}

// Capabilities of adapters (enum tb_port_cap).
const (
	CapLane = 1
	CapPort = 6
)

// Start does what tb_start does: it finds the adapters, enables hot plug and resets the
// ports.
func (d *Driver) Start() {
	d.t.Helper()
	d.StartControl()
	header := d.Read(packet.SpaceRouter, 0, 0, 5)
	last := int(header[1] >> 14 & 0x3f)
	d.Write(packet.SpaceRouter, 0, 1, header[1], 0, 1<<31, header[4])
	d.Ports = nil
	for a := 1; a <= last; a++ {
		h := d.Read(packet.SpaceAdapter, a, 0, 8)
		if h[2]&0xffffff == 1 && d.Capability(a, CapPort) != 0 {
			d.Ports = append(d.Ports, a)
		}
	}
	for _, a := range d.Ports {
		d.Change(packet.SpaceAdapter, a, 5, 1<<31, 0)
	}
	for _, a := range d.Ports {
		at := d.Capability(a, CapPort) + 0x13
		d.Change(packet.SpaceAdapter, a, at, 0, 1)
		d.Change(packet.SpaceAdapter, a, at, 1, 0)
	}
}

// Plugged waits for a plug or unplug event of an adapter and acknowledges it. Events that
// say the contrary may come before: links fall and rise while both ends start.
func (d *Driver) Plugged(adapter int, in bool) error {
	want := packet.NewPlug(adapter, !in)
	for {
		p, err := d.Next()
		if err != nil {
			return fmt.Errorf("waiting for %v: %w", want, err)
		}
		if p.PDF != packet.Event {
			continue
		}
		d.SendControl(packet.Packet{PDF: packet.Error, Words: []uint32{0, 0, uint32(packet.AckPlug) | p.Words[2]&0x3f<<8}})
		if p.Words[2] == want.Words[2] {
			return nil
		}
	}
}

// Lane is the state of a lane adapter.
type Lane struct{ State, Speed, Width uint32 }

// Lane reads the state of a lane adapter.
func (d *Driver) Lane(adapter int) Lane {
	d.t.Helper()
	v := d.Read(packet.SpaceAdapter, adapter, d.Capability(adapter, CapLane)+1, 1)[0]
	return Lane{State: v >> 26 & 0xf, Speed: v >> 16 & 0xf, Width: v >> 20 & 0x3f}
}

// Path writes a path entry.
func (d *Driver) Path(adapter, hop, out, next int, enable bool) {
	d.t.Helper()
	v := uint32(next) | uint32(out)<<11
	if enable {
		v |= 1 << 31
	}
	d.Write(packet.SpacePath, adapter, 2*hop, v, 0)
}

// Tunnel makes the paths of a network connection through a port: frames of TX ring `ring`
// leave with HopID out, frames that arrive with HopID in go to RX ring `ring`.
func (d *Driver) Tunnel(port, ring, out, in int) {
	d.t.Helper()
	d.Path(d.Upstream, ring, port, out, true)
	d.Path(port, in, d.Upstream, ring, true)
}

// Late returns a packet that has arrived already, without waiting.
func (d *Driver) Late() (packet.Packet, bool) {
	if len(d.late) == 0 && !d.rx[0].Completed() {
		return packet.Packet{}, false
	}
	p, err := d.Next()
	if err != nil {
		d.t.Fatal(err)
	}
	return p, true
}

// Settle waits until no events arrive for a moment, and forgets those that have.
func (d *Driver) Settle() {
	for quiet := 0; quiet < 20; quiet++ {
		if _, ok := d.Late(); ok {
			quiet = 0
		}
		time.Sleep(time.Millisecond)
	}
}

// StopControl stops the rings for control packets.
func (d *Driver) StopControl() {
	d.t.Helper()
	d.rx[0].Stop()
	d.tx[0].Stop()
}
