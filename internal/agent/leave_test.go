package agent

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// asks makes several nodes ask at the same moment, and returns what they hear.
func (w *world) asks(hold time.Duration, names ...string) map[string]mesh.RebootVerdict {
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[string]mesh.RebootVerdict{}
	for _, name := range names {
		all.Go(func() {
			v := w.nodes[name].agent.Reserve(w.t.Context(), hold)
			mu.Lock()
			defer mu.Unlock()
			got[name] = v
		})
	}
	all.Wait()
	w.run(100 * time.Millisecond)
	return got
}

func (w *world) expectVerdict(v mesh.RebootVerdict, ok bool, reason string) {
	w.t.Helper()
	if v.OK != ok || !strings.Contains(v.Reason, reason) {
		w.t.Errorf("verdict %+v, want %t and %q", v, ok, reason)
	}
}

// Of two that ask in the same moment the one with the lower name may, where both would
// part the mesh; the other hears who it is.
func TestTwoAskToReboot(t *testing.T) {
	inWorld(t, 4, "ring", func(w *world) {
		got := w.asks(10*time.Minute, "n1", "n3")
		w.expectVerdict(got["n1"], true, "")
		w.expectVerdict(got["n3"], false, "n1 is about to reboot, and without it and this node there is no way from n2 to n4")
		if got["n1"].HeldUntil.IsZero() || !got["n3"].HeldUntil.IsZero() {
			t.Errorf("%+v", got)
		}
		// The plain question knows of it, and so does status.
		s := w.status("n3")
		w.expectVerdict(s.Reboot, false, "n1 is about to reboot")
		if len(s.Reboot.Leaving) != 1 || s.Reboot.Leaving[0] != "n1" {
			t.Errorf("leaving %v", s.Reboot.Leaving)
		}
		if s := w.status("n1"); s.Reboot.HeldUntil.IsZero() {
			t.Error("n1 does not show its own reservation")
		}
		// A neighbour of n1's leaves a chain of two: that parts nobody.
		got = w.asks(10*time.Minute, "n2")
		w.expectVerdict(got["n2"], true, "without this one and n1")
		w.nodes["n2"].agent.Release()

		w.nodes["n1"].agent.Release()
		w.run(time.Second)
		w.expectVerdict(w.asks(time.Minute, "n3")["n3"], true, "")
	})
}

// Whoever asks first, and however long before the other: never both, and never none.
func TestOneOfTwoMayReboot(t *testing.T) {
	inWorld(t, 4, "ring", func(w *world) {
		w.talk.Delay = 300 * time.Millisecond
		for after := time.Duration(0); after < 1500*time.Millisecond; after += 90 * time.Millisecond {
			for _, order := range [][2]string{{"n1", "n3"}, {"n3", "n1"}} {
				var second mesh.RebootVerdict
				done := make(chan struct{})
				go func() {
					defer close(done)
					time.Sleep(after)
					second = w.nodes[order[1]].agent.Reserve(w.t.Context(), time.Minute)
				}()
				first := w.nodes[order[0]].agent.Reserve(w.t.Context(), time.Minute)
				<-done
				if first.OK == second.OK {
					t.Errorf("%s asks %s after %s: %+v and %+v", order[1], after, order[0], second, first)
				}
				w.nodes["n1"].agent.Release()
				w.nodes["n3"].agent.Release()
				w.run(time.Second)
			}
		}
	})
}

// A reservation holds while its node is away, and ends with its time or with the next
// start of its agent.
func TestReservationEnds(t *testing.T) {
	inWorld(t, 4, "ring", func(w *world) {
		w.expectVerdict(w.asks(10*time.Minute, "n1")["n1"], true, "")
		w.end("n1")
		w.run(10 * time.Second)
		w.expectVerdict(w.asks(time.Minute, "n3")["n3"], false, "n1 is about to reboot")
		w.expectVerdict(w.asks(time.Minute, "n2")["n2"], true, "without this one and n1")
		w.nodes["n2"].agent.Release()
		w.start("n1")
		w.run(5 * time.Second)
		w.expectVerdict(w.asks(time.Minute, "n3")["n3"], true, "")

		w.run(70 * time.Second)
		if s := w.status("n1"); len(s.Reboot.Leaving) > 0 || !s.Reboot.OK {
			t.Errorf("n3's minute is over: %+v", s.Reboot)
		}
		// It never comes back: its time is over all the same, and then it is just gone.
		w.expectVerdict(w.asks(time.Minute, "n1")["n1"], true, "")
		w.end("n1")
		w.run(70 * time.Second)
		w.expectVerdict(w.asks(time.Minute, "n3")["n3"], false, "n1 is not heard of")
	})
}

// Who hears of nobody may not, unless nothing can pass through it.
func TestRebootWithoutAnybody(t *testing.T) {
	inWorld(t, 4, "ring", func(w *world) {
		w.talk.Part([]string{"n1"})
		w.run(time.Second)
		w.expectVerdict(w.asks(time.Minute, "n1")["n1"], false, "not heard of")
		w.unplug("1")
		w.run(time.Second)
		w.expectVerdict(w.asks(time.Minute, "n1")["n1"], true, "nothing passes through")
	})
}

// Who does not wait for the answer has no reservation.
func TestRebootNobodyWaits(t *testing.T) {
	inWorld(t, 4, "ring", func(w *world) {
		ctx, stop := context.WithTimeout(w.t.Context(), 300*time.Millisecond)
		defer stop()
		w.expectVerdict(w.nodes["n1"].agent.Reserve(ctx, time.Minute), false, "did not wait")
		w.run(100 * time.Millisecond)
		w.expectVerdict(w.asks(time.Minute, "n3")["n3"], true, "")
	})
}

// What a peer says is bounded, whatever it says.
func TestParseLeave(t *testing.T) {
	for note, want := range map[string]time.Duration{
		"holds 600 ABC": 10 * time.Minute, "asks 1 x": time.Second, "holds 99999999999 x": MaxHold,
		"": -1, "holds": -1, "holds x y": -1, "holds -5 x": -1, "leaves 5 x": -1, "holds 99999999999999999999999 x": -1,
	} {
		_, d, ok := parseLeave(note)
		if !ok {
			d = -1
		}
		if d != want {
			t.Errorf("%q: %v, want %v", note, d, want)
		}
	}
}
