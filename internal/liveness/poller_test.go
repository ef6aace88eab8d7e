package liveness

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Both beds keep the time, wake for what can be read, and tell what that is.
func TestPoller(t *testing.T) {
	for name, thread := range map[string]bool{"in the kernel": true, "parked": false} {
		t.Run(name, func(t *testing.T) {
			p, err := newPoller(thread)
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			var fds [2]int
			for i := range fds {
				if fds[i], err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
					t.Fatal(err)
				}
				defer unix.Close(fds[i])
				if err := p.add(fds[i]); err != nil {
					t.Fatal(err)
				}
			}
			expect := func(what string, want ...bool) {
				t.Helper()
				for i, fd := range fds {
					if p.readable(fd) != want[i] {
						t.Errorf("%s: descriptor %d: readable is %t", what, i, !want[i])
					}
				}
			}
			for _, most := range []time.Duration{0, -time.Second, 30 * time.Millisecond} {
				began := time.Now()
				p.sleep(most)
				if took := time.Since(began); took < most || took > most+patience {
					t.Errorf("slept %s instead of %s", took, most)
				}
				expect("nothing there", false, false)
			}
			began := time.Now()
			go func() {
				time.Sleep(10 * time.Millisecond)
				poke(fds[1])
			}()
			p.sleep(time.Minute)
			if took := time.Since(began); took > patience {
				t.Errorf("woken after %s", took)
			}
			expect("one poked", false, true)
			p.sleep(time.Minute)
			expect("not read yet", false, true)

			if err := p.remove(fds[1]); err != nil {
				t.Fatal(err)
			}
			poke(fds[0])
			p.sleep(time.Minute)
			expect("removed", true, false)
			if err := p.add(-1); err == nil {
				t.Error("a descriptor that is none is in the set")
			}
		})
	}
}

// Without a thread of its own the engine does all the same, if not as punctually.
func TestOrdinaryLoop(t *testing.T) {
	w := newWorld(t)
	links, second := w.plug(1, false), w.plug(2, true)
	a := w.nodes[0].engine(Config{}, links[0])
	b := w.nodes[1].engine(Config{}, links[1])
	until(t, a, Alive, Absent) // on a busy machine
	until(t, b, Alive, Absent)
	a.Set([]Link{links[0], second[0]})
	b.Set([]Link{links[1], second[1]})
	until(t, a, Alive, Absent)
	until(t, b, Alive, Absent)
	w.nodes[0].silence(2, true)
	ev, _ := until(t, a, Dead, Absent, Alive)
	if ev.Session.Link != second[0] {
		t.Errorf("the wrong link is dead: %+v", ev)
	}
	until(t, b, Dead, Absent, Alive)
	w.nodes[0].silence(2, false)
	until(t, a, Alive, Absent)
	until(t, b, Alive, Absent)
	if s := a.Sessions()[0]; s.Flaps != 0 {
		t.Errorf("the other link suffered: %+v", s)
	}
}
