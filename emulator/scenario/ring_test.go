package scenario_test

import (
	"errors"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/fabric"
	"github.com/usb4mesh/usb4mesh/emulator/guest"
	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
	"github.com/usb4mesh/usb4mesh/emulator/scenario"
)

// ring is three machines, each cabled to both others.
var ring = []string{"a:1-b:2", "b:1-c:2", "c:1-a:2"}

// TestThreeHosts is the short one that every run of the tests has: three AMD machines with Linux 6.12.
func TestThreeHosts(t *testing.T) {
	w := scenario.Start(t, scenario.Spec{Cables: ring})
	w.Up()
	w.PingAll()
	w.Step("cut", func() {
		cut := w.Cut(ring[0])
		delivered(t, cut)
	})
	w.PingAll()
}

// delivered checks that traffic found its way round while a cable was out: otherwise everything would have been lost until it
// was back. How long that took is reported, not judged: it depends on what else the machine has to do.
func delivered(t testing.TB, cut scenario.Cut) {
	t.Helper()
	name, p := cut.Worst()
	if p.Sent == 0 || p.Received == 0 || p.Longest() >= cut.Out {
		t.Errorf("cut of %s: %s lost %d of %d, %v in a row; the cable was out for %v", cut.Cable, name, p.Lost(), p.Sent, p.Longest(), cut.Out)
	}
}

// TestRing tries everything that can happen to a ring of three machines.
func TestRing(t *testing.T) {
	level(t, "drivers")
	t.Parallel()
	everything(t, scenario.Spec{Cables: ring})
}

// TestKernels does the same with the other kernels, and with all of them at once.
func TestKernels(t *testing.T) {
	level(t, "nightly")
	t.Parallel()
	for _, k := range guest.Kernels() {
		if k != guest.Linux612 { // TestRing has it
			t.Run(string(k), func(t *testing.T) {
				t.Parallel()
				everything(t, scenario.Spec{Cables: ring, Kernel: k})
			})
		}
	}
	t.Run("mixed", func(t *testing.T) {
		t.Parallel()
		everything(t, scenario.Spec{Cables: ring, Kernels: map[string]guest.Kernel{"a": guest.Linux61, "b": guest.Linux612, "c": guest.Newest}})
	})
}

// everything takes a ring through all that can happen to it, one after the other.
func everything(t *testing.T, s scenario.Spec) {
	w := scenario.Start(t, s)
	w.Step("up", func() { w.Up() })
	w.Step("ping", w.PingAll)
	w.Step("file", func() { w.Transfer("a", "b", 16<<20) })
	w.Step("cost", func() { cost(w) })
	w.Step("answering ports", func() {
		for _, c := range s.Cables {
			delivered(w.T, w.Cut(c))
		}
	})
	w.Step("silent ports", func() {
		for _, c := range s.Cables {
			w.Fault(c, "", fabric.Fault{Silent: true})
			delivered(w.T, w.Cut(c))
			w.Fault(c, "", fabric.Fault{})
		}
		w.PingAll()
	})
	w.Step("one lane", func() { trains(w, s.Cables[0], fabric.Fault{Lanes: 1}, "1", "20.0 Gb/s") })
	w.Step("slow lanes", func() { trains(w, s.Cables[0], fabric.Fault{Speed: 10}, "2", "10.0 Gb/s") })
	w.Step("as before", func() { trains(w, s.Cables[0], fabric.Fault{}, "2", "20.0 Gb/s") })
	w.Step("peer down", func() { peerDown(w, s.Cables[1], "b", "c") })
	w.Step("one way", func() { oneWay(w, s.Cables[2], "c", "a") })
	w.Step("power", func() {
		w.PowerOff("c")
		w.Gone(s.Cables[1], "b")
		w.Gone(s.Cables[2], "a")
		w.Ping("a", "b")
		w.PowerOn("c")
		w.Up()
		w.PingAll()
	})
	w.Step("ten cycles", func() {
		for range 10 {
			w.Unplug(s.Cables[0])
			w.Gone(s.Cables[0], "a")
			w.Plug(s.Cables[0])
			w.UpCable(s.Cables[0])
		}
		w.PingAll()
	})
}

// trains changes how a cable trains and checks that the driver notices.
func trains(w *scenario.World, cable string, f fabric.Fault, lanes, speed string) {
	w.T.Helper()
	h := w.Host("a")
	before := w.InterfaceOf(cable, "a").Index
	w.Fault(cable, "", f)
	w.Until("a new interface", time.Minute, func() error {
		l, err := h.Interface(1)
		if err == nil && l.Index == before {
			err = errors.New("the old one is still there")
		}
		return err
	})
	w.UpCable(cable)
	if got := h.XDomain(1, "rx_lanes"); got != lanes {
		w.T.Errorf("rx_lanes is %s, want %s", got, lanes)
	}
	if got := h.XDomain(1, "rx_speed"); got != speed {
		w.T.Errorf("rx_speed is %s, want %s", got, speed)
	}
	w.Ping("a", "b")
}

// peerDown takes the peer's interface down: ours stays, without carrier, and comes back with the peer's.
func peerDown(w *scenario.World, cable, me, peer string) {
	w.T.Helper()
	mine, theirs := w.InterfaceOf(cable, me), w.InterfaceOf(cable, peer)
	ctx := w.T.Context()
	if err := w.Host(peer).SetLink(ctx, wire.SetLink{Name: theirs.Name, Down: true}); err != nil {
		w.T.Fatal(err)
	}
	w.Carrier(cable, me, false)
	if l := w.InterfaceOf(cable, me); l.Index != mine.Index || !l.Up {
		w.T.Errorf("the interface changed from %+v to %+v, although only the peer's went down", mine, l)
	}
	w.UpCable(cable)
}

// oneWay lets a cable carry nothing in one direction: carrier stays at both ends and says nothing.
func oneWay(w *scenario.World, cable, from, to string) {
	w.T.Helper()
	w.Fault(cable, from, fabric.Fault{MuteData: true})
	p, err := w.Host(to).Machine.Ping(w.T.Context(), wire.Ping{To: w.Host(from).V4, Count: 3, Wait: time.Second})
	if err != nil {
		w.T.Fatal(err)
	}
	if p.Received != 0 {
		w.T.Errorf("%d of %d pings were answered over a cable that carries nothing from %s", p.Received, p.Sent, from)
	}
	for _, h := range []string{from, to} {
		if l := w.InterfaceOf(cable, h); !l.Carrier {
			w.T.Errorf("%s has lost carrier: %+v", h, l)
		}
	}
	w.Fault(cable, from, fabric.Fault{})
	w.UpCable(cable)
	w.Ping(to, from)
}
