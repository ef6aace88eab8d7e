package nhi_test

import (
	"encoding/binary"
	"testing"

	"github.com/usb4mesh/usb4mesh/emulator/nhi"
	"github.com/usb4mesh/usb4mesh/emulator/packet"
	"github.com/usb4mesh/usb4mesh/emulator/vfiouser/vfiousertest"
)

// FuzzRegisters writes whatever to registers, with whatever in guest memory, while packets
// and frames arrive. Nothing may panic or go on for ever.
func FuzzRegisters(f *testing.F) {
	op := func(kind byte, at, value uint32) []byte {
		b := []byte{kind}
		b = binary.LittleEndian.AppendUint32(b, at)
		return binary.LittleEndian.AppendUint32(b, value)
	}
	ring := func(base uint32) (b []byte) {
		b = append(b, op(0, base, vfiousertest.Base)...)
		b = append(b, op(0, base+12, 16)...)
		return append(b, op(0, 0x38200, 0xffffffff)...)
	}
	f.Add(append(append(ring(0x10), op(0, 0x19820, 1<<31)...), op(0, 0x18, 5<<16)...), []byte("\x00\x00\x10\x00\x00\x00\x00\x00\x10\x10\xc1\x00"))
	f.Add(append(append(ring(0x8010), op(0, 0x29820, 1<<31)...), op(1, 1, 100)...), []byte{})
	f.Add(append(append(ring(0x8000), op(0, 0x29800, 1<<31)...), op(2, 0, 0)...), []byte{})
	f.Add(append(op(3, 0x44, 0x103), op(4, 0, 0)...), []byte{})

	m := start(f, nhi.Identity{})
	f.Fuzz(func(t *testing.T, ops, memory []byte) {
		m.mu.Lock()
		defer m.mu.Unlock()
		n := m.nhi
		n.Reset()
		m.router.control, m.router.frames = nil, nil
		clear(m.Memory[:1<<16])
		copy(m.Memory[:1<<16], memory)
		for i := 0; len(ops) >= 9 && i < 1000; i++ {
			at, v := binary.LittleEndian.Uint32(ops[1:]), binary.LittleEndian.Uint32(ops[5:])
			switch ops[0] % 6 {
			case 0:
				n.WriteRegion(0, uint64(at%(0x40000-4))&^3, ops[5:9])
			case 1:
				n.Receive(int(at%16)-2, nhi.Frame{Data: make([]byte, v%(nhi.MaxFrame+1))})
			case 2:
				n.Deliver(packet.Packet{PDF: packet.PDF(at), Words: make([]uint32, 2+v%62)})
			case 3:
				n.WriteRegion(7, uint64(at%252), ops[5:9])
			case 4:
				n.Wake()
				n.Retry(int(at % nhi.Rings))
			case 5:
				m.router.outcome = nhi.Outcome(v % 3)
				n.ReadRegion(0, uint64(at%(0x40000-8)), make([]byte, 8))
			}
			ops = ops[9:]
		}
		if got := len(m.router.frames); got > 1<<20 {
			t.Errorf("%d frames", got)
		}
	})
}
