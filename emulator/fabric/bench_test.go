package fabric_test

import (
	"testing"

	"github.com/usb4mesh/usb4mesh/emulator/packet"
)

// BenchmarkFrame carries frames of 4096 bytes, one at a time: two doorbells and two
// interrupts each, as much as a guest causes at worst.
func BenchmarkFrame(b *testing.B) {
	w, x, y := two(b, pair)
	tx, _, _, rx := tunnel(x, y, 1)
	frame := make([]byte, 4096)
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		tx.Send(1, 2, frame)
		if _, ok := rx.Take(); !ok {
			b.Fatal("the frame has not arrived")
		}
		tx.Reap()
		rx.Post(1)
	}
	_ = w
}

// BenchmarkConfigRead reads a register through ring 0.
func BenchmarkConfigRead(b *testing.B) {
	_, x, _ := two(b, pair)
	for b.Loop() {
		x.Read(packet.SpaceRouter, 0, 0, 5)
	}
}
