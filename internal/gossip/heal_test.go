package gossip

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMayHealRule(t *testing.T) {
	const soon, late = 10 * time.Second, patience
	for _, tt := range []struct {
		self, peer string
		alive      bool
		does       Heal
		down       time.Duration
		want       bool
	}{
		{"01", "02", true, HealNone, soon, true},
		{"01", "02", true, HealDone, soon, true},
		{"01", "02", true, HealActing, soon, false},
		{"01", "02", true, HealActing, late, false},
		{"01", "02", false, HealNone, soon, true},
		{"01", "02", false, HealActing, soon, false}, // it was about to when it was lost
		{"01", "02", false, HealActing, late, true},
		{"02", "01", true, HealNone, soon, false},
		{"02", "01", true, HealNone, late, false},
		{"02", "01", true, HealActing, late, false},
		{"02", "01", true, HealDone, soon, true},
		{"02", "01", false, HealNone, soon, false},
		{"02", "01", false, HealDone, soon, false}, // said before it was lost; it may have begun anew
		{"02", "01", false, HealNone, late, true},
		{"02", "01", false, HealActing, late, true},
	} {
		if got, why := mayHeal(tt.self, tt.peer, tt.alive, tt.does, tt.down); got != tt.want || got == (why != "") {
			t.Errorf("%s, while %s (alive %v) does %q, after %v: %v %q", tt.self, tt.peer, tt.alive, tt.does, tt.down, got, why)
		}
	}
}

// Whatever the two ends want and however long words take, they never work at the
// same time as long as they hear each other.
func TestNeverBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.air.delay = 20 * time.Millisecond
		w.startAll()
		w.announceAll()
		w.settle()
		var acting atomic.Int32
		turns := map[string]*atomic.Int32{"01": {}, "02": {}}
		down := time.Now()
		end := func(node string) {
			say := func(h Heal) {
				links := w.links(node, "1")
				for i := range links {
					if !links[i].Up {
						links[i].Heal = h
					}
				}
				w.nodes[node].Announce(links)
			}
			say(HealNone)
			may := func() bool {
				ok, _ := w.nodes[node].MayHeal("1", time.Since(down))
				return ok
			}
			for time.Since(down) < 10*time.Minute {
				time.Sleep(700 * time.Millisecond)
				if !may() {
					continue
				}
				say(HealActing)
				time.Sleep(time.Second)
				if !may() {
					say(HealNone)
					continue
				}
				turns[node].Add(1)
				if acting.Add(1) > 1 {
					t.Errorf("both ends work at once, after %v", time.Since(down))
				}
				time.Sleep(3 * time.Second)
				acting.Add(-1)
				say(HealDone)
				time.Sleep(20 * time.Second)
				if node == "01" && turns[node].Load()%3 == 0 { // begins anew
					say(HealNone)
				}
			}
		}
		done := make(chan bool)
		for _, node := range []string{"01", "02"} {
			go func() { end(node); done <- true }()
		}
		<-done
		<-done
		if one, two := turns["01"].Load(), turns["02"].Load(); one < 3 || two < 3 {
			t.Errorf("%d and %d turns", one, two)
		}
		if ok, _ := w.nodes["03"].MayHeal("99", time.Hour); ok {
			t.Error("a cable that is not in the plan may be healed")
		}
	})
}
