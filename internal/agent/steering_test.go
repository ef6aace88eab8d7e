package agent

import (
	"testing"
	"time"
)

// A program that loads a firewall anew takes away what is steered around a dead link;
// it comes back without the loop, which waits for the kernel, but not at full speed
// against somebody who does it all the time.
func TestSteeringComesBack(t *testing.T) {
	inWorld(t, 4, "ring", func(w *world) {
		n := w.nodes["n1"]
		n.kernel.hold(true)
		w.cables["1"].silent = true
		w.run(300 * time.Millisecond)
		ways := len(n.kernel.Steered())
		if ways == 0 {
			t.Fatal("nothing is steered around a silent cable")
		}
		back := func(within time.Duration) bool {
			w.must(n.kernel.FlushFilters())
			w.run(within)
			return len(n.kernel.Steered()) == ways
		}
		for i := range 3 {
			if !back(50 * time.Millisecond) {
				t.Errorf("flush %d: %d ways are steered, want %d", i+1, len(n.kernel.Steered()), ways)
			}
		}
		if back(50 * time.Millisecond) {
			t.Error("a fourth flush within a second is undone at once")
		}
		w.run(2 * time.Second)
		w.reaches()
		n.kernel.hold(false)
		w.run(time.Second)
		w.expect("n1", "foreign-changes", "table inet usb4mesh")

		w.cables["1"].silent = false
		w.run(10 * time.Minute)
		if f := w.finds("n1", "foreign-changes"); len(f) > 0 {
			t.Errorf("long after the last flush: %+v", f)
		}
	})
}
