package fabric_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/emulator/drivertest"
	"github.com/usb4mesh/usb4mesh/emulator/fabric"
)

func TestMute(t *testing.T) {
	w, a, b := two(t, pair)
	ta, ra, tb, rb := tunnel(a, b, 16)
	w.must(w.Fault("c", "a:1", fabric.Fault{MuteData: true}))
	ta.Send(1, 2, []byte("lost"))
	w.must(ta.Wait()) // the sender notices nothing
	tb.Send(1, 2, []byte("arrives"))
	w.must(ra.Wait())
	if _, ok := rb.Take(); ok {
		t.Error("a data frame left a mute end")
	}
	a.SendControl(request(a.Ports[0], 0))
	if _, err := b.Next(); err != nil {
		t.Errorf("control packets must pass: %v", err)
	}

	w.must(w.Fault("c", "a", fabric.Fault{MuteControl: true}))
	a.SendControl(request(a.Ports[0], 0))
	w.must(b.Silence(20 * time.Millisecond))
	w.must(a.Silence(0)) // the link is up: no error either
	b.SendControl(request(b.Ports[0], 0))
	if _, err := a.Next(); err != nil {
		t.Errorf("the other direction: %v", err)
	}
	ta.Send(1, 2, []byte("arrives"))
	w.must(rb.Wait())
	if lost := w.cable("c").Ends[0].Lost; lost != 2 {
		t.Errorf("%d counted as lost, expected 2", lost)
	}
}

func TestDropRequests(t *testing.T) {
	w, a, b := two(t, pair)
	w.must(w.Fault("c", "a", fabric.Fault{DropRequests: 3}))
	answer := request(a.Ports[0], 0)
	answer.Words[7] = 2
	for i := range 9 {
		a.SendControl(request(a.Ports[0], uint32(i%3)))
		a.SendControl(answer)
	}
	var requests []uint32 // sequence numbers
	answers := 0
	for range 15 {
		p, err := b.Next()
		w.must(err)
		if p.Words[7] == 2 {
			answers++
		} else {
			requests = append(requests, p.Words[2]>>27)
		}
	}
	w.must(b.Silence(20 * time.Millisecond))
	if diff := cmp.Diff([]uint32{0, 1, 0, 1, 0, 1}, requests); diff != "" || answers != 9 {
		t.Errorf("%d of 9 answers arrived, and requests (-want +got):\n%s", answers, diff)
	}
}

func TestLanesAndSpeed(t *testing.T) {
	w, a, b := two(t, pair)
	for _, x := range []struct {
		fault        fabric.Fault
		lane0, lane1 drivertest.Lane
	}{
		{fabric.Fault{Lanes: 1}, drivertest.Lane{State: up, Speed: 4, Width: 1}, drivertest.Lane{State: unplugged, Speed: 4, Width: 1}},
		{fabric.Fault{Speed: 10}, drivertest.Lane{State: up, Speed: 8, Width: 1}, drivertest.Lane{State: up, Speed: 8, Width: 1}},
		{fabric.Fault{}, drivertest.Lane{State: up, Speed: 4, Width: 1}, drivertest.Lane{State: up, Speed: 4, Width: 1}},
	} {
		before := w.cable("c").Trained
		w.must(w.Fault("c", "b", x.fault))
		for _, d := range []*drivertest.Driver{a, b} {
			w.must(d.Plugged(d.Ports[0], false))
			w.must(d.Plugged(d.Ports[0], true))
			if l0, l1 := d.Lane(d.Ports[0]), d.Lane(d.Ports[0]+1); l0 != x.lane0 || l1 != x.lane1 {
				t.Errorf("%v: lanes %+v %+v, expected %+v %+v", x.fault, l0, l1, x.lane0, x.lane1)
			}
		}
		if after := w.cable("c").Trained; after != before+1 {
			t.Errorf("%v: trained %d times, expected once", x.fault, after-before)
		}
	}
}

func TestDeadAndCleared(t *testing.T) {
	w, a, b := two(t, pair)
	w.must(w.Fault("c", "a", fabric.Fault{Dead: true}))
	w.must(a.Plugged(a.Ports[0], false))
	w.must(b.Plugged(b.Ports[0], false))
	w.must(b.Silence(20 * time.Millisecond))
	w.ClearFaults()
	w.must(a.Plugged(a.Ports[0], true))
	w.must(b.Plugged(b.Ports[0], true))
}

func TestFlapping(t *testing.T) {
	w, a, b := two(t, pair)
	w.must(w.Fault("c", "b", fabric.Fault{FlapUp: 5 * time.Millisecond, FlapDown: 3 * time.Millisecond}))
	for range 5 {
		for _, d := range []*drivertest.Driver{a, b} {
			w.must(d.Plugged(d.Ports[0], false))
			w.must(d.Plugged(d.Ports[0], true))
		}
	}
	w.ClearFaults()
	w.until("the link is back", func() bool { return w.cable("c").Up })
	a.Settle()
	w.must(a.Silence(20 * time.Millisecond))
}

// TestLatency measures in one direction only. The bounds are those of a busy machine: not
// before, and at some time.
func TestLatency(t *testing.T) {
	w, a, b := two(t, pair)
	ta, ra, tb, rb := tunnel(a, b, 16)
	const latency = 30 * time.Millisecond
	w.must(w.Fault("c", "a", fabric.Fault{Latency: latency}))
	start := time.Now()
	ta.Send(1, 2, []byte("slow"))
	w.must(ta.Wait())
	if ta.Reap() != 1 {
		t.Error("the sender waits for the cable's latency")
	}
	w.must(rb.Wait())
	if took := time.Since(start); took < latency {
		t.Errorf("the frame took %v, latency is %v", took, latency)
	}
	start = time.Now()
	a.SendControl(request(a.Ports[0], 0))
	if _, err := b.Next(); err != nil || time.Since(start) < latency {
		t.Errorf("the request took %v: %v", time.Since(start), err)
	}
	tb.Send(1, 2, []byte("fast")) // this direction is in order
	w.must(ra.Wait())
}

func TestBandwidth(t *testing.T) {
	w, a, b := two(t, pair)
	ta, _, _, rb := tunnel(a, b, 255)
	const bandwidth = 10_000_000
	w.must(w.Fault("c", "a", fabric.Fault{Bandwidth: bandwidth}))
	frame := make([]byte, 4000)
	start := time.Now()
	const frames = 20
	for range frames {
		ta.Send(1, 2, frame)
	}
	for range frames {
		w.must(rb.Wait())
		if _, ok := rb.Take(); !ok {
			t.Fatal("no frame")
		}
	}
	if took, least := time.Since(start), time.Duration(frames*len(frame)*8)*time.Second/bandwidth; took < least {
		t.Errorf("%d frames took %v, %d bit/s allow not less than %v", frames, took, bandwidth, least)
	}
}

// TestQueueBounds sends more than a slow cable holds: the rest waits in the ring.
func TestQueueBounds(t *testing.T) {
	w, a, b := two(t, `
hosts: [{name: a}, {name: b}]
cables: [{name: c, a: "a:1", b: "b:1", fault_a: latency=1m}]
`)
	ta, _, _, _ := tunnel(a, b, 16)
	sent := 0
	for range 3 {
		for range 200 {
			ta.Send(1, 2, []byte("x"))
		}
		sent += ta.Reap()
		if ta.Pending() > 0 {
			break
		}
	}
	if waiting := ta.Pending(); sent+ta.Reap() != 256 || waiting == 0 {
		t.Errorf("%d frames went on the cable, %d wait; expected 256 and some", sent, waiting)
	}
	w.must(w.Unplug("c"))
	w.until("all are given up", func() bool { return ta.Pending() == 0 })
}

func TestFaultText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string, max int) int { return rapid.IntRange(0, max).Draw(t, name) }
		x := fabric.Fault{
			Dead: n("dead", 1) == 1, Silent: n("silent", 1) == 1, MuteControl: n("control", 1) == 1, MuteData: n("data", 1) == 1,
			DropRequests: n("drop", 9), Lanes: n("lanes", 2), Speed: 10 * n("speed", 2),
			Bandwidth: int64(n("bandwidth", 1<<40)), Latency: time.Duration(n("latency", 1e9)),
		}
		if up := n("flap", 1e9); up > 0 {
			x.FlapUp, x.FlapDown = time.Millisecond+time.Duration(up), time.Hour
		}
		got, err := fabric.ParseFault(x.String())
		if err != nil || got != x {
			t.Fatalf("%q is read as %+v, %v; it was %+v", x, got, err, x)
		}
	})
}

func TestBadFaults(t *testing.T) {
	w := build(t, pair)
	for _, text := range []string{
		"broken", "dead=1", "silent=yes", "lanes=3", "lanes", "speed=15", "drop-requests=-1", "drop-requests=x",
		"bandwidth=-1", "bandwidth=1M", "latency=-1s", "latency=5", "latency=2h", "flap=1s", "flap=1s/x", "flap=1us/1s", "flap=1s/0s",
	} {
		if x, err := fabric.ParseFault(text); err == nil {
			t.Errorf("%q is read as %+v", text, x)
		}
	}
	for _, x := range []struct{ cable, end string }{{"d", ""}, {"c", "z"}, {"c", "a:2"}} {
		if err := w.Fault(x.cable, x.end, fabric.Fault{}); err == nil {
			t.Errorf("fault of cable %q, end %q: no error", x.cable, x.end)
		}
	}
	if err := w.Fault("c", "", fabric.Fault{Lanes: 9}); err == nil {
		t.Error("nine lanes: no error")
	}
}
