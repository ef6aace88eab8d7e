package restore

import (
	"net/netip"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const port = "tbt-b"

func want() mesh.State {
	self := netip.MustParseAddr("10.7.1.1")
	return mesh.State{
		Links:     []mesh.Link{{Name: port, Alias: "usb4mesh:test:1", MTU: 9000, Up: true}},
		Addresses: []mesh.Address{{Interface: port, Local: mesh.HostPrefix(self)}},
		Routes: []mesh.Route{{Destination: netip.MustParsePrefix("10.7.1.2/32"), Interface: port, Metric: 10,
			Table: mesh.MainTable, Source: self, Protocol: mesh.RouteProtocol}},
	}
}

// world is a kernel that a second manager works on between turns.
type world struct {
	t *testing.T
	*kerneltest.Fake
	limiter Limiter
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, Fake: kerneltest.NewFake()}
	w.must(w.Plug(port))
	w.turn(0)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) state() mesh.State {
	s, err := w.Snapshot(w.t.Context())
	w.must(err)
	return s
}

// turn returns how many changes were carried out.
func (w *world) turn(at time.Duration) int {
	have := w.state()
	todo, _ := w.limiter.Filter(start.Add(at), have, mesh.Diff(have, want()))
	w.must(w.Apply(w.t.Context(), todo))
	w.limiter.Stands(w.state())
	return len(todo)
}

func (w *world) takeRoute() {
	r := want().Routes[0]
	w.must(w.Apply(w.t.Context(), []mesh.Change{{Op: mesh.Remove, Route: &r}}))
}

func TestBackOff(t *testing.T) {
	w := newWorld(t)
	restored := 0
	for i := range 600 { // somebody looks every 100 ms and takes the route away
		w.takeRoute()
		restored += w.turn(time.Duration(i) * 100 * time.Millisecond)
	}
	// Three at once, then after 1/8, 1/4, 1/2, 1, 2, 4, 8, 16 s: eleven in 33 s, and the
	// next after 32 more.
	if restored != 3+8 {
		t.Errorf("restored %d times in a minute", restored)
	}
	often := w.limiter.Often()
	if len(often) != 1 || often[0].Count < 4 || often[0].Object != "add "+want().Routes[0].String() {
		t.Errorf("%+v", often)
	}
}

// A program that takes things away in steps undoes what was restored between them. When
// it is done, all is back within a second.
func TestOneWorkOfManySteps(t *testing.T) {
	w := newWorld(t)
	at := time.Duration(0)
	for range 6 {
		w.takeRoute()
		w.turn(at)
		at += 40 * time.Millisecond
	}
	for at < time.Second {
		w.turn(at)
		at += 40 * time.Millisecond
	}
	if len(w.state().Routes) == 0 {
		t.Error("the route is not back after a second")
	}
}

func TestRareLossesAreMendedAtOnce(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.takeRoute()
		if w.turn(time.Duration(i)*(forget+time.Second)) != 1 {
			t.Fatalf("the route is not restored at once, the %d. time", i+1)
		}
	}
	if often := w.limiter.Often(); len(often) > 0 {
		t.Errorf("%+v", often)
	}
}

// A replug takes everything away as well, and is nobody's fault.
func TestReplugIsNoTheft(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		w.must(w.Unplug(port))
		w.must(w.Plug(port))
		if w.turn(time.Duration(i)*time.Second) == 0 {
			t.Fatalf("nothing is restored after replug %d", i+1)
		}
	}
	if often := w.limiter.Often(); len(often) > 0 {
		t.Errorf("%+v", often)
	}
}

func TestForget(t *testing.T) {
	w := newWorld(t)
	down := want().Links[0]
	down.Up = false
	for i := range 20 {
		w.limiter.Forget(port)
		w.must(w.Apply(t.Context(), []mesh.Change{{Op: mesh.Set, Link: &down}}))
		w.turn(time.Duration(i) * time.Second)
	}
	if often := w.limiter.Often(); len(often) > 0 {
		t.Errorf("%+v", often)
	}
}
