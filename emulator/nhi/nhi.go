package nhi

import (
	"github.com/usb4mesh/usb4mesh/emulator/packet"
	"github.com/usb4mesh/usb4mesh/emulator/vfiouser"
)

// Frame is a data frame. Data is valid during the call that passes it.
type Frame struct {
	SOF, EOF uint8 // protocol defined fields of start and end
	Data     []byte
}

// Outcome says what became of a frame.
type Outcome int

// Outcomes.
const (
	Sent    Outcome = iota // it has gone on, or will
	Waiting                // there is no room now: try again at Retry
	Lost                   // there is no way for it
)

// Router is what the NHI belongs to.
type Router interface {
	// Control takes a control packet whose checksum was right, without the checksum.
	Control(packet.Packet)
	// Transmit takes a frame from a TX ring.
	Transmit(ring int, f Frame) Outcome
	// Posted says that the driver has given buffers to an RX ring.
	Posted(ring int)
	// Reset says that the host router was reset, by the driver or with the machine.
	Reset()
	// Attached says that a machine is there or gone.
	Attached(bool)
	// Awake says that the function has left D3hot.
	Awake()
}

// Stats counts what an NHI has done.
type Stats struct {
	Control   uint64 `json:"control"`   // control packets from the driver
	Delivered uint64 `json:"delivered"` // control packets to the driver
	TxFrames  uint64 `json:"tx_frames"` // data frames from the driver
	RxFrames  uint64 `json:"rx_frames"` // data frames to the driver
	TxBytes   uint64 `json:"tx_bytes"`
	RxBytes   uint64 `json:"rx_bytes"`
	Lost      uint64 `json:"lost"`   // data frames that had no way
	Stalls    uint64 `json:"stalls"` // times that a TX ring had to wait for the far end

	Interrupts uint64 `json:"interrupts"`
	Wakes      uint64 `json:"wakes"` // by PME
	Resets     uint64 `json:"resets"`

	BadAddress uint64 `json:"bad_address"` // descriptors and buffers outside of guest memory
	BadFrame   uint64 `json:"bad_frame"`   // malformed control packets
	Overflow   uint64 `json:"overflow"`    // control packets that the driver did not fetch
}

// maxPending is the number of control packets that wait for the driver.
const maxPending = 64

// NHI is one host interface. It is a vfiouser.Device.
type NHI struct {
	Stats  Stats
	router Router
	id     Identity

	pci    pci
	memory *vfiouser.Memory
	irqs   *vfiouser.Interrupts

	tx, rx   [Rings]ring
	status   uint32 // interrupt bits: ring for TX, Rings+ring for RX
	enable   uint32
	misc     uint32
	throttle [Vectors]uint32
	vectors  [2 * Rings / 8]uint32

	pending []packet.Packet // for RX ring 0
	frame   [MaxFrame]byte
}

// New makes an NHI as it is after power on.
func New(id Identity, r Router) *NHI {
	n := &NHI{router: r, id: id}
	n.clear()
	return n
}

// clear puts all registers into the state after power on.
func (n *NHI) clear() {
	n.pci = newPCI(n.id)
	n.clearRings()
}

// clearRings is what a reset of the host router does: PCI stays.
func (n *NHI) clearRings() {
	n.tx, n.rx = [Rings]ring{}, [Rings]ring{}
	n.status, n.enable, n.misc = 0, 0, 0
	n.throttle, n.vectors = [Vectors]uint32{}, [2 * Rings / 8]uint32{}
	n.pending = nil
}

// Asleep reports whether the function is in D3hot.
func (n *NHI) Asleep() bool { return n.pci.asleep() }

// Connected reports whether a machine is there.
func (n *NHI) Connected() bool { return n.memory != nil }

// Listening reports whether the driver has set up the ring for control packets.
func (n *NHI) Listening() bool { return n.memory != nil && n.rx[0].enabled() }

// Wake asks a sleeping machine to resume the function; it reports whether it could.
func (n *NHI) Wake() bool {
	if !n.pci.wake() {
		return false
	}
	n.Stats.Wakes++
	return true
}

// Deliver gives a control packet to the driver, when it next has room for one.
func (n *NHI) Deliver(p packet.Packet) {
	if !n.Listening() {
		return
	}
	if len(n.pending) >= maxPending {
		n.Stats.Overflow++
		return
	}
	n.pending = append(n.pending, p)
	n.deliverPending()
}

func (n *NHI) deliverPending() {
	for len(n.pending) > 0 && n.rx[0].posted() {
		p := n.pending[0]
		n.pending = n.pending[1:]
		wire := p.Append(n.frame[:0])
		if n.receive(0, Frame{EOF: uint8(p.PDF), Data: wire}) == Sent {
			n.Stats.Delivered++
		}
	}
}

// Receive gives a data frame to the driver.
func (n *NHI) Receive(ring int, f Frame) Outcome {
	if ring < 1 || ring >= Rings || n.memory == nil || !n.rx[ring].enabled() {
		return Lost
	}
	if !n.rx[ring].posted() {
		return Waiting
	}
	outcome := n.receive(ring, f)
	if outcome == Sent {
		n.Stats.RxFrames++
		n.Stats.RxBytes += uint64(len(f.Data))
	}
	return outcome
}

// receive fills the next descriptor of an RX ring that has one posted.
func (n *NHI) receive(i int, f Frame) Outcome {
	r := &n.rx[i]
	at := r.address()
	r.advance()
	var raw [descSize]byte
	if err := n.memory.Read(at, raw[:]); err != nil {
		n.Stats.BadAddress++
		return Lost
	}
	d := parseDescriptor(raw[:])
	data := f.Data
	if limit := int(r.frame); limit > 0 && len(data) > limit {
		data = data[:limit]
	}
	if err := n.memory.Write(d.buffer, data); err != nil {
		n.Stats.BadAddress++
		return Lost
	}
	word := uint32(len(data))&descLength | uint32(f.EOF)<<descEOFShift | uint32(f.SOF)<<descSOFShift |
		(descCompleted|descInterrupt)<<descFlagShift
	if err := n.memory.Store32(at+8, word); err != nil {
		n.Stats.BadAddress++
		return Lost
	}
	n.raise(Rings + i)
	return Sent
}

// Retry sends what waits on a TX ring.
func (n *NHI) Retry(ring int) { n.transmit(ring) }

// transmit takes what the driver has posted to a TX ring.
func (n *NHI) transmit(i int) {
	if n.memory == nil {
		return
	}
	r := &n.tx[i]
	// The rounds are bounded by the ring's size: nothing in here moves r.driver.
	for r.posted() {
		at := r.address()
		var raw [descSize]byte
		if err := n.memory.Read(at, raw[:]); err != nil {
			n.Stats.BadAddress++
			r.device = r.driver // nothing can be said about the rest
			return
		}
		d := parseDescriptor(raw[:])
		if n.send(i, d) == Waiting {
			n.Stats.Stalls++
			return
		}
		if !r.posted() {
			return // a reset has emptied the ring meanwhile
		}
		r.advance()
		word := d.word&(1<<descFlagShift-1) | (d.word>>descFlagShift|descCompleted)<<descFlagShift
		if err := n.memory.Store32(at+8, word); err != nil {
			n.Stats.BadAddress++
			continue
		}
		if d.interrupt() {
			n.raise(i)
		}
	}
}

// send passes the buffer of one descriptor on.
func (n *NHI) send(i int, d descriptor) Outcome {
	data := n.frame[:d.length()]
	if err := n.memory.Read(d.buffer, data); err != nil {
		n.Stats.BadAddress++
		return Lost
	}
	if i == 0 {
		n.Stats.Control++
		p, err := packet.Parse(packet.PDF(d.eof()), data)
		if err != nil {
			n.Stats.BadFrame++
			return Lost
		}
		n.router.Control(p)
		return Sent
	}
	outcome := n.router.Transmit(i, Frame{SOF: d.sof(), EOF: d.eof(), Data: data})
	switch outcome {
	case Sent:
		n.Stats.TxFrames++
		n.Stats.TxBytes += uint64(len(data))
	case Lost:
		n.Stats.Lost++
	case Waiting:
	}
	return outcome
}

// raise sets an interrupt's status bit and interrupts the driver if the bit is new and
// enabled.
func (n *NHI) raise(bit int) {
	mask := uint32(1) << bit
	if n.status&mask != 0 && n.enable&mask != 0 {
		return // the driver has not cleared the last one
	}
	n.status |= mask
	if n.enable&mask != 0 {
		n.fire(bit)
	}
}

func (n *NHI) fire(bit int) {
	vector := n.vectors[bit/8] >> (bit % 8 * 4) & 0xf
	if n.irqs.Trigger(int(vector)) {
		n.Stats.Interrupts++
	}
	if n.misc&miscAutoClear != 0 {
		n.status &^= 1 << bit
	}
}

// setEnable changes the enabled interrupts. One that became due while it was masked is
// delivered now; the driver's polling relies on it.
func (n *NHI) setEnable(v uint32) {
	due := n.status & v &^ n.enable
	n.enable = v
	for bit := range 2 * Rings {
		if due&(1<<bit) != 0 {
			n.fire(bit)
		}
	}
}
