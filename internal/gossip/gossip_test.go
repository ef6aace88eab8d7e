package gossip

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A change reaches every node within a few packets' time.
func TestSpread(t *testing.T) {
	for _, n := range []int{2, 3, 8, 32} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, n)
				w.startAll()
				w.announceAll()
				w.settle()
				time.Sleep(time.Second)
				w.nodes["01"].Announce(w.links("01", "1"))
				took := w.until(time.Second, "spread", func(g *Gossip) error { return says(g, "01", "1", false) })
				if took > 5*time.Millisecond {
					t.Errorf("a change took %v", took)
				}
			})
		})
	}
}

// Many changes at once are one or two to the others, and the last one does not wait.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.startAll()
		w.announceAll()
		w.settle()
		time.Sleep(2 * time.Second)
		before := w.air.sentBy(identity(1))
		for range 100 {
			w.nodes["01"].Announce(w.links("01", "4"))
			w.nodes["01"].Announce(w.links("01", "1"))
		}
		took := w.until(time.Second, "spread", func(g *Gossip) error { return says(g, "01", "1", false) })
		if took > ownGap+5*time.Millisecond {
			t.Errorf("the last of many changes took %v", took)
		}
		time.Sleep(900 * time.Millisecond)
		if n := w.air.sentBy(identity(1)) - before; n > 5000 {
			t.Errorf("%d bytes were sent", n)
		}
	})
}

// The same with 30 % of all datagrams lost.
func TestSpreadWithLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		r := rand.New(rand.NewPCG(1, 2))
		w.air.lose = func() bool { return r.IntN(10) < 3 }
		w.startAll()
		w.announceAll()
		w.settle()
		slow := 0
		for i := range 40 {
			down := i%2 == 0
			links := w.links("01")
			if down {
				links = w.links("01", "1")
			}
			w.nodes["01"].Announce(links)
			took := w.until(5*time.Second, "spread", func(g *Gossip) error { return says(g, "01", "1", !down) })
			if took > time.Second {
				t.Errorf("change %d took %v", i, took)
			}
			if took > 200*time.Millisecond {
				slow++
			}
			time.Sleep(time.Second)
		}
		if slow > 5 {
			t.Errorf("%d changes of 40 took more than 200 ms", slow)
		}
	})
}

// A node whose packets reach only one neighbour is heard by all the same.
func TestRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		w.startAll()
		w.announceAll()
		w.settle()
		w.air.set(func(from, to netip.Addr) bool { return from != identity(1) || to == identity(2) })
		w.nodes["01"].Announce(w.links("01", "8"))
		took := w.until(time.Second, "spread", func(g *Gossip) error { return says(g, "01", "8", false) })
		if took > 150*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestPartition(t *testing.T) {
	for _, n := range []int{8, 32} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, n)
				w.startAll()
				w.announceAll()
				w.settle()
				low := func(a netip.Addr) bool { return int(a.As4()[3]) <= n/2 }
				w.air.set(func(from, to netip.Addr) bool { return low(from) == low(to) })
				one, other := fmt.Sprint(n/2), fmt.Sprint(n)
				w.nodes[name(n/2)].Announce(w.links(name(n/2), one))
				w.nodes[name(n)].Announce(w.links(name(n), other))
				// Long enough that the other half is forgotten by memberlist.
				time.Sleep(2 * time.Minute)
				for _, m := range w.nodes["01"].Members() {
					if want := low(w.plan.Members[m.Node][0]); m.Alive != want {
						t.Errorf("parted: member %s alive %v, want %v", m.Node, m.Alive, want)
					}
				}
				if err := says(w.nodes["01"], name(n), other, true); err != nil {
					t.Errorf("parted: %v", err)
				}
				w.air.set(nil)
				w.nodes[name(n/2)].Kick()
				w.nodes[name(n)].Kick()
				took := w.until(10*time.Second, "heal", func(g *Gossip) error {
					if err := says(g, name(n/2), one, false); err != nil {
						return err
					}
					return says(g, name(n), other, false)
				})
				if took > 500*time.Millisecond {
					t.Errorf("states took %v after the partition", took)
				}
				start := time.Now()
				w.settle()
				if took := time.Since(start); took > 3*time.Second {
					t.Errorf("members took %v after the partition", took)
				}
			})
		})
	}
}

// Without anybody's kick the halves find each other by themselves.
func TestPartitionUnnoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.startAll()
		w.announceAll()
		w.settle()
		w.air.set(func(from, to netip.Addr) bool { return from.As4()[3]%2 == to.As4()[3]%2 })
		w.nodes["01"].Announce(w.links("01", "1"))
		time.Sleep(5 * time.Minute)
		w.air.set(nil)
		took := w.until(time.Minute, "heal", func(g *Gossip) error { return says(g, "01", "1", false) })
		if took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
		w.settle()
	})
}

// A node that is killed and started again says other things under the same name.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		w.startAll()
		w.announceAll()
		w.settle()
		for i := range 30 { // a high number
			w.nodes["03"].Note("n", fmt.Sprint(i))
		}
		w.nodes["03"].Announce(w.links("03", "3"))
		w.until(time.Second, "spread", func(g *Gossip) error { return says(g, "03", "3", false) })
		w.kill("03")
		g := w.start("03")
		if got := g.States(); len(got) != 0 {
			t.Errorf("a new node knows %v", got)
		}
		g.Announce(w.links("03"))
		took := w.until(time.Second, "restart", func(g *Gossip) error { return says(g, "03", "3", true) })
		if took > 100*time.Millisecond {
			t.Errorf("the restarted node was believed after %v", took)
		}
		w.settle()
		for _, m := range w.nodes["01"].Members() {
			if m.Node == "03" && !m.Alive {
				t.Error("the restarted node is not alive")
			}
		}
		for node, g := range w.nodes {
			if s := g.Strangers(); len(s) > 0 {
				t.Errorf("node %s took a restart for a stranger: %v", node, s)
			}
		}
	})
}

// A node that stays away is seen to be away; its words stand.
func TestDeath(t *testing.T) {
	for _, fast := range []bool{false, true} {
		t.Run(fmt.Sprintf("fast=%v", fast), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 4)
				w.plan.Fast = fast
				w.startAll()
				w.announceAll()
				w.settle()
				w.kill("04")
				took := w.until(time.Minute, "death", func(g *Gossip) error {
					if g.isAlive("04") {
						return fmt.Errorf("04 is alive")
					}
					return nil
				})
				t.Logf("noticed after %v", took)
				if most := map[bool]time.Duration{false: 6 * time.Second, true: 2 * time.Second}[fast]; took > most {
					t.Errorf("it took %v", took)
				}
				if err := says(w.nodes["01"], "04", "4", true); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A planned end is known at once.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.startAll()
		w.announceAll()
		w.settle()
		g := w.nodes["02"]
		delete(w.nodes, "02")
		start := time.Now()
		g.Announce(w.links("02", "2"))
		g.Announce(w.links("02", "1"))
		closed := make(chan error)
		go func() { closed <- g.Close() }()
		took := w.until(time.Second, "last word", func(g *Gossip) error { return says(g, "02", "1", false) })
		if took > 5*time.Millisecond {
			t.Errorf("the last word took %v", took)
		}
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		if err := g.Close(); err != nil {
			t.Errorf("closed twice: %v", err)
		}
		w.until(time.Second, "leave", func(g *Gossip) error {
			if g.isAlive("02") {
				return fmt.Errorf("02 is alive")
			}
			return nil
		})
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v", took)
		}
		w.start("02").Announce(w.links("02"))
		w.settle()
	})
}

// Whatever is sent in two seconds is lost: the next probes find out that nodes know
// different things.
func TestDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		w.startAll()
		w.announceAll()
		w.settle()
		var deaf atomic.Bool
		w.air.mu.Lock()
		w.air.lose = deaf.Load
		w.air.mu.Unlock()
		for i := range 5 {
			deaf.Store(true)
			up := i%2 == 1
			links := w.links("01", "1")
			if up {
				links = w.links("01")
			}
			w.nodes["01"].Announce(links)
			time.Sleep(2 * time.Second)
			deaf.Store(false)
			took := w.until(time.Minute, "found out", func(g *Gossip) error { return says(g, "01", "1", up) })
			if took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
			time.Sleep(10 * time.Second)
		}
	})
}
