// Package drivertest is a scripted driver for tests of the emulator without a guest: it
// does over vfio-user what linux drivers/thunderbolt does, step by step, and says at
// once what went wrong.
package drivertest

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/packet"
	"github.com/usb4mesh/usb4mesh/emulator/vfiouser/vfiousertest"
)

// Patience is how long a packet may take on a busy machine.
const Patience = 20 * time.Second

// Registers that the driver uses (linux drivers/thunderbolt/nhi_regs.h).
const (
	txRing, rxRing       = 0x00000, 0x08000
	txOptions, rxOptions = 0x19800, 0x29800
	Notify               = 0x37800
	IntClear             = 0x37808
	IntEnable            = 0x38200
	IntMaskClear         = 0x38208
	Vectors              = 0x38c40
	Caps                 = 0x39640
	DMAMisc              = 0x39864
	HostReset            = 0x39898

	AutoClear        = 1 << 2
	DisableAutoClear = 1 << 17
	enableRaw        = 1<<31 | 1<<30
	enableFrame      = 1 << 31

	descCompleted = 2
	descPost      = 4 | 8 // posted, interrupt
)

// Rings of an NHI.
const Rings = 12

// Driver is a host's driver for one host interface.
type Driver struct {
	*vfiousertest.Client
	t    testing.TB
	next uint64 // first address that is not used
	rx   map[int]*Ring
	tx   map[int]*Ring
	seq  int
	// Upstream is the adapter number of the host interface, after Start.
	Upstream int
	// Ports are the first lane adapters of the USB4 ports, after Start.
	Ports []int
	late  []packet.Packet // received while something else was awaited
}

// Ring is a descriptor ring with its buffers.
type Ring struct {
	d       *Driver
	number  int
	tx      bool
	size    int
	base    uint64 // descriptors
	buffers uint64
	frame   int
	head    int // next to post
	tail    int // next to complete
}

const memory = 8 << 20

// Connect connects to a host interface's socket.
func Connect(t testing.TB, path string) *Driver {
	t.Helper()
	d := &Driver{Client: vfiousertest.Dial(t, path, memory), t: t, next: vfiousertest.Base, rx: map[int]*Ring{}, tx: map[int]*Ring{}}
	d.Listen(16)
	return d
}

// alloc reserves guest memory.
func (d *Driver) alloc(n int) uint64 {
	at := d.next
	d.next += uint64(n+4095) &^ 4095
	if d.next > vfiousertest.Base+memory {
		d.t.Fatal("the test's guest memory is used up")
	}
	return at
}

// NewRing sets a ring up as tb_ring_start does; ring 0 is for control packets.
func (d *Driver) NewRing(number, size int, tx bool) *Ring {
	d.t.Helper()
	r := &Ring{d: d, number: number, tx: tx, size: size, frame: 4096}
	options, base := uint64(rxOptions), uint64(rxRing)
	flags, limit := uint32(enableFrame), uint32(0)
	if tx {
		options, base = txOptions, txRing
	}
	if number == 0 {
		r.frame, flags, limit = 256, enableRaw, 256
	}
	r.base, r.buffers = d.alloc(16*size), d.alloc(r.frame*size)
	d.Write32(base+16*uint64(number), uint32(r.base))
	d.Write32(base+16*uint64(number)+4, uint32(r.base>>32))
	if tx {
		limit = 0
	}
	d.Write32(base+16*uint64(number)+12, limit<<16|uint32(size))
	d.Write32(options+32*uint64(number)+4, 0xffffffff)
	d.Write32(options+32*uint64(number), flags)
	bit := r.bit()
	if d.Read32(DMAMisc)&(AutoClear|DisableAutoClear) == 0 {
		d.Write32(DMAMisc, DisableAutoClear)
	}
	at := uint64(Vectors + 4*(bit/8))
	shift := bit % 8 * 4
	d.Write32(at, d.Read32(at)&^(0xf<<shift)|uint32(r.Vector())<<shift)
	d.Write32(IntEnable, d.Read32(IntEnable)|1<<bit)
	if tx {
		d.tx[number] = r
	} else {
		d.rx[number] = r
	}
	return r
}

func (r *Ring) bit() int {
	if r.tx {
		return r.number
	}
	return Rings + r.number
}

// Vector of the ring's interrupt: the driver has 16 for all rings.
func (r *Ring) Vector() int {
	if r.tx {
		return r.number % 8
	}
	return 8 + r.number%8
}

// Stop disables the ring.
func (r *Ring) Stop() {
	r.d.t.Helper()
	options, base := uint64(rxOptions), uint64(rxRing)
	if r.tx {
		options, base = txOptions, txRing
	}
	r.d.Write32(IntMaskClear, 1<<r.bit())
	r.d.Write32(options+32*uint64(r.number), 0)
	r.d.Write32(base+16*uint64(r.number)+8, 0)
	r.d.Write32(base+16*uint64(r.number)+12, 0)
	r.head, r.tail = 0, 0
}

func (r *Ring) descriptor(i int) []byte {
	at := r.base + 16*uint64(i) - vfiousertest.Base
	return r.d.Memory[at : at+16]
}

func (r *Ring) buffer(i int) []byte {
	at := r.buffers + uint64(i*r.frame) - vfiousertest.Base
	return r.d.Memory[at : at+uint64(r.frame)]
}

// Post gives n buffers to an RX ring.
func (r *Ring) Post(n int) {
	r.d.t.Helper()
	for range n {
		r.PostTo(r.buffers + uint64(r.head*r.frame))
	}
}

// Send posts a frame to a TX ring; it does not wait.
func (r *Ring) Send(sof, eof uint8, data []byte) {
	r.d.t.Helper()
	copy(r.buffer(r.head), data)
	r.post(r.buffers+uint64(r.head*r.frame), uint32(len(data))&0xfff|uint32(eof)<<12|uint32(sof)<<16)
}

// Completed reports whether the device has completed the oldest descriptor.
func (r *Ring) Completed() bool {
	if r.tail == r.head {
		return false
	}
	return r.d.Load32(r.base+16*uint64(r.tail)+8)>>20&descCompleted != 0
}

// Pending is the number of descriptors that the device has not completed.
func (r *Ring) Pending() int {
	n := 0
	for i := r.tail; i != r.head; i = (i + 1) % r.size {
		if r.d.Load32(r.base+16*uint64(i)+8)>>20&descCompleted == 0 {
			n++
		}
	}
	return n
}

// Frame is a received frame.
type Frame struct {
	SOF, EOF uint8
	Data     []byte
}

// Take returns the oldest completed descriptor of an RX ring, ok false if there is none.
// The buffer is not posted again.
func (r *Ring) Take() (f Frame, ok bool) {
	if !r.Completed() {
		return Frame{}, false
	}
	word := binary.LittleEndian.Uint32(r.descriptor(r.tail)[8:])
	n := int(word & 0xfff)
	if n == 0 {
		n = 4096
	}
	f = Frame{SOF: uint8(word >> 16 & 0xf), EOF: uint8(word >> 12 & 0xf), Data: append([]byte(nil), r.buffer(r.tail)[:n]...)}
	r.tail = (r.tail + 1) % r.size
	return f, true
}

// Reap forgets the completed descriptors of a TX ring.
func (r *Ring) Reap() (n int) {
	for r.Completed() {
		r.tail = (r.tail + 1) % r.size
		n++
	}
	return n
}

// Wait waits for a completed descriptor and clears the interrupt.
func (r *Ring) Wait() error {
	deadline := time.Now().Add(Patience)
	for !r.Completed() {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("nothing completed on ring %d within %v", r.number, Patience)
		}
		if err := r.d.Client.Wait(r.Vector(), left); err != nil && !r.Completed() {
			return err
		}
		r.d.Client.Interrupts(r.Vector())
		r.d.Write32(IntClear, 1<<r.bit())
	}
	return nil
}

// SendFrom posts a descriptor with an address of the test's choice to a TX ring.
func (r *Ring) SendFrom(addr uint64, n int) {
	r.d.t.Helper()
	r.post(addr, uint32(n)&0xfff)
}

// PostTo posts a descriptor with an address of the test's choice to an RX ring.
func (r *Ring) PostTo(addr uint64) {
	r.d.t.Helper()
	r.post(addr, 0)
}

// post writes the next descriptor and tells the device.
func (r *Ring) post(addr uint64, word uint32) {
	r.d.t.Helper()
	b := r.descriptor(r.head)
	binary.LittleEndian.PutUint64(b, addr)
	binary.LittleEndian.PutUint32(b[8:], word|descPost<<20)
	r.head = (r.head + 1) % r.size
	if r.tx {
		r.d.Write32(txRing+16*uint64(r.number)+8, uint32(r.head)<<16)
	} else {
		r.d.Write32(rxRing+16*uint64(r.number)+8, uint32(r.head))
	}
}
