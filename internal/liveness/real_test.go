package liveness

import (
	"syscall"
	"testing"
	"time"
)

func bothFamilies(t *testing.T, f func(t *testing.T, v4 bool)) {
	t.Run("IPv6", func(t *testing.T) { f(t, false) })
	t.Run("IPv4", func(t *testing.T) { f(t, true) })
}

func TestUp(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v4 bool) {
		w := newWorld(t)
		links := w.plug(1, v4)
		began := time.Now()
		a := w.nodes[0].engine(realTimeConfig, links[0])
		b := w.nodes[1].engine(realTimeConfig, links[1])
		until(t, a, Alive)
		until(t, b, Alive)
		t.Logf("up after %s", time.Since(began).Round(time.Millisecond))
		time.Sleep(500 * time.Millisecond) // polls and finals
		for _, e := range []*Engine{a, b} {
			s := only(t, e)
			if s.State != Up || s.Remote != Up || s.Interval != DefaultInterval || s.DetectionTime != 3*DefaultInterval || !s.EverUp {
				t.Errorf("not a session that is up at 50 ms x 3: %+v", s)
			}
			if s.Dropped != 0 || s.SendErrors != 0 || (len(s.Problems) != 0) == s.RealTime || s.Sent < 5 || s.Received < 5 {
				t.Errorf("something went wrong on the way: %+v", s)
			}
		}
		quiet(t, 500*time.Millisecond, a, b)
	})
}

func TestSilentLoss(t *testing.T) {
	for _, c := range []struct {
		name   string
		silent []int // nodes that lose what they receive
	}{{"both ways", []int{0, 1}}, {"one way", []int{0}}, {"the other way", []int{1}}} {
		t.Run(c.name, func(t *testing.T) {
			bothFamilies(t, func(t *testing.T, v4 bool) {
				w := newWorld(t)
				links := w.plug(1, v4)
				engines := []*Engine{w.nodes[0].engine(realTimeConfig, links[0]), w.nodes[1].engine(realTimeConfig, links[1])}
				for _, e := range engines {
					until(t, e, Alive)
				}
				time.Sleep(500 * time.Millisecond)
				var cut time.Time
				for _, i := range c.silent {
					cut = w.nodes[i].silence(1, true)
				}
				for i, e := range engines {
					ev, at := until(t, e, Dead)
					t.Logf("node %d: dead after %s (%s)", i, at.Sub(cut).Round(time.Millisecond), ev.Session.Diagnostic)
					if ev.Previous != Alive || ev.Session.Flaps != 1 {
						t.Errorf("%+v", ev)
					}
				}
				quiet(t, 2*time.Second, engines...)
				for _, i := range c.silent {
					w.nodes[i].silence(1, false)
				}
				// The kernel may have proved itself before the next slow BFD packet.
				for _, e := range engines {
					until(t, e, Alive, Absent)
				}
			})
		})
	}
}

// A peer whose engine goes away in whatever way is absent, not dead, as long as its
// kernel answers; and dead when that does not answer any more.
func TestPeerWithoutAgent(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v4 bool) {
		w := newWorld(t)
		links := w.plug(1, v4)
		e := w.nodes[0].engine(realTimeConfig, links[0])
		p := w.nodes[1].start(realTimeConfig, links[1])
		until(t, e, Alive)
		time.Sleep(500 * time.Millisecond)

		p.signal(syscall.SIGSTOP)
		until(t, e, Absent)
		quiet(t, time.Second, e)
		p.signal(syscall.SIGCONT)
		until(t, e, Alive)
		time.Sleep(500 * time.Millisecond)

		killed := time.Now()
		p.end(syscall.SIGKILL)
		_, at := until(t, e, Absent)
		t.Logf("kill -9: absent after %s", at.Sub(killed).Round(time.Millisecond))
		quiet(t, time.Second, e)

		// It starts again.
		p = w.nodes[1].start(realTimeConfig, links[1])
		until(t, e, Alive)
		time.Sleep(500 * time.Millisecond)
		// It is replaced, and at most found absent meanwhile: nobody notices if it is
		// fast.
		p.end(syscall.SIGKILL)
		p = w.nodes[1].start(realTimeConfig, links[1])
		time.Sleep(time.Second)
		for s := only(t, e); s.Verdict != Alive || s.State != Up; s = only(t, e) {
			until(t, e, Alive, Absent)
		}
		drain(t, e, Absent, Alive)

		p.end(syscall.SIGTERM)
		ev, _ := until(t, e, Absent)
		if ev.Session.Remote != AdminDown {
			t.Errorf("a planned end did not say so: %+v", ev.Session)
		}
		quiet(t, time.Second, e)

		cut := w.nodes[1].silence(1, true)
		_, at = until(t, e, Dead)
		t.Logf("silent without agent: dead after %s", at.Sub(cut).Round(time.Millisecond))
		w.nodes[1].silence(1, false)
		until(t, e, Absent)
		if s := only(t, e); s.Flaps != 1 {
			t.Errorf("%d flaps, want the one silence: %+v", s.Flaps, s)
		}
	})
}

// An agent that starts while its link is silent finds out.
func TestDeadFromTheStart(t *testing.T) {
	w := newWorld(t)
	links := w.plug(1, false)
	w.nodes[0].silence(1, true)
	a := w.nodes[0].engine(realTimeConfig, links[0])
	b := w.nodes[1].engine(realTimeConfig, links[1])
	for _, e := range []*Engine{a, b} {
		if ev, _ := until(t, e, Dead); ev.Previous != Unknown || ev.Session.EverUp || ev.Session.Flaps != 0 {
			t.Errorf("%+v", ev)
		}
	}
	w.nodes[0].silence(1, false)
	until(t, a, Alive)
	until(t, b, Alive)
}

// A cable that is plugged again has another index under the same name.
func TestRebirth(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v4 bool) {
		w := newWorld(t)
		links := w.plug(1, v4)
		a := w.nodes[0].engine(realTimeConfig, links[0])
		b := w.nodes[1].engine(realTimeConfig, links[1])
		until(t, a, Alive)
		until(t, b, Alive)
		for range 3 {
			w.unplug(1)
			until(t, a, Dead)
			until(t, b, Dead)
			again := w.plug(1, v4)
			if again[0].Index == links[0].Index {
				t.Fatalf("index %d came back", again[0].Index)
			}
			links = again
			began := time.Now()
			a.Set(links[:1])
			b.Set(links[1:])
			// The engine's own judgement starts anew with the interface.
			until(t, a, Alive, Unknown)
			until(t, b, Alive, Unknown)
			t.Logf("alive %s after the new interface was known", time.Since(began).Round(time.Millisecond))
		}
		a.Set(nil)
		if s := a.Sessions(); len(s) != 0 {
			t.Errorf("still watched: %+v", s)
		}
	})
}
