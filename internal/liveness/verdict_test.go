package liveness

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// cut makes the wire lose what the given nodes send.
func (s *sim) cut(from ...int) {
	s.carries = func(i int) (bool, time.Duration) { return !slices.Contains(from, i), simDelay }
}

// settled returns two nodes whose link is alive.
func settled(t *testing.T) *sim {
	t.Helper()
	s := newSim(t, midJitter)
	s.run(time.Second)
	if s.verdict(0) != Alive || s.verdict(1) != Alive {
		t.Fatalf("not alive: %v %v", s.ends[0].verdicts, s.ends[1].verdicts)
	}
	return s
}

// after runs until a node has the verdict and returns how long that took.
func (s *sim) after(i int, want Verdict, most time.Duration) time.Duration {
	s.t.Helper()
	began := s.now
	for s.verdict(i) != want {
		if s.now.Sub(began) > most {
			s.t.Fatalf("node %d: not %s after %s: %v\n%+v", i, want, most, s.ends[i].verdicts, s.ends[i].session)
		}
		s.run(time.Millisecond)
	}
	return s.now.Sub(began)
}

// stays fails if a verdict changes within the time.
func (s *sim) stays(d time.Duration) {
	s.t.Helper()
	before := [2][]Verdict{slices.Clone(s.ends[0].verdicts), slices.Clone(s.ends[1].verdicts)}
	s.run(d)
	for i, e := range s.ends {
		if diff := cmp.Diff(before[i], e.verdicts); diff != "" {
			s.t.Fatalf("node %d: the verdict changed: %s", i, diff)
		}
	}
}

func TestVerdicts(t *testing.T) {
	const detection = DefaultMultiplier * DefaultInterval
	t.Run("silent both ways", func(t *testing.T) {
		s := settled(t)
		s.cut(0, 1)
		s.after(0, Dead, detection+time.Millisecond)
		s.after(1, Dead, DefaultInterval)
		s.stays(time.Minute)
		s.cut()
		// Ten intervals of proof, after the slow packet that starts it.
		s.after(0, Alive, 2*time.Second)
		s.after(1, Alive, DefaultInterval)
		for _, e := range s.ends {
			if diff := cmp.Diff([]Verdict{Unknown, Alive, Dead, Alive}, e.verdicts); diff != "" {
				t.Error(diff)
			}
		}
	})
	t.Run("silent one way", func(t *testing.T) {
		s := settled(t)
		s.cut(0)
		s.after(1, Dead, detection+time.Millisecond)
		s.after(0, Dead, 40*time.Millisecond) // what it takes to ask three times
		s.stays(time.Minute)
		s.cut()
		s.after(0, Alive, 2*time.Second)
	})
	t.Run("agent killed", func(t *testing.T) {
		s := settled(t)
		s.kill(1)
		s.after(0, Absent, detection+time.Millisecond)
		s.stays(time.Minute)
		s.start(1)
		s.after(0, Alive, time.Second)
		if s.ends[0].judge.flaps != 0 {
			t.Error("counted as a flap")
		}
	})
	t.Run("silent while the agent is absent", func(t *testing.T) {
		s := settled(t)
		s.kill(1)
		s.after(0, Absent, time.Second)
		s.run(time.Minute)
		s.cut(0)
		s.after(0, Dead, detection+2*DefaultInterval)
		s.stays(time.Minute)
		s.cut()
		s.after(0, Absent, 2*time.Second)
		s.start(1)
		s.after(0, Alive, time.Second)
	})
	t.Run("both at once", func(t *testing.T) {
		s := settled(t)
		s.kill(1)
		s.cut(1)
		s.after(0, Dead, detection+time.Millisecond)
	})
	t.Run("node without power", func(t *testing.T) {
		s := settled(t)
		s.kill(1)
		s.ends[1].kernel = false
		s.after(0, Dead, detection+time.Millisecond)
		s.run(time.Minute)
		s.ends[1].kernel = true // it boots; its agent comes later
		s.after(0, Absent, 2*time.Second)
		s.run(10 * time.Second)
		s.start(1)
		s.after(0, Alive, time.Second)
	})
	t.Run("agent restarted at once", func(t *testing.T) {
		s := settled(t)
		s.start(1)
		s.run(time.Minute)
		if diff := cmp.Diff([]Verdict{Unknown, Alive}, s.ends[0].verdicts); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("agent restarted on a busy machine", func(t *testing.T) {
		s := settled(t)
		s.start(1)
		s.run(simDelay)
		s.ends[1].stopped = true
		s.run(DefaultInterval)
		s.proceed(1)
		s.run(time.Second)
		if diff := cmp.Diff([]Verdict{Unknown, Alive}, s.ends[0].verdicts); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("some answers lost", func(t *testing.T) {
		s := settled(t)
		s.kill(1)
		s.after(0, Absent, time.Second)
		n := 0
		s.carries = func(int) (bool, time.Duration) { n++; return n%3 > 0, simDelay }
		s.stays(time.Minute)
	})
	t.Run("agent stopped for a while", func(t *testing.T) {
		s := settled(t)
		for _, d := range []time.Duration{20 * time.Millisecond, 160 * time.Millisecond, 5 * time.Second} {
			s.ends[1].stopped = true
			s.run(d)
			s.proceed(1)
			s.run(5 * time.Second)
		}
		for i, e := range s.ends {
			if slices.Contains(e.verdicts, Dead) || s.verdict(i) != Alive {
				t.Errorf("node %d: %v", i, e.verdicts)
			}
		}
	})
	t.Run("held", func(t *testing.T) {
		s := settled(t)
		s.ends[1].hold(true, s.now)
		s.after(0, Absent, time.Millisecond)
		s.after(1, Absent, time.Millisecond)
		s.stays(time.Minute)
		s.cut(0, 1)
		s.after(0, Dead, detection+2*DefaultInterval)
		s.after(1, Dead, detection+2*DefaultInterval)
		s.cut()
		s.ends[1].hold(false, s.now)
		s.after(0, Alive, 3*time.Second)
	})
	t.Run("never there", func(t *testing.T) {
		s := newSim(t, midJitter)
		s.kill(1)
		s.ends[1].kernel = false
		s.after(0, Dead, newcomer+slowEcho)
		s.start(1) // at last; that is no flap, and nothing to be careful about
		s.after(0, Alive, 10*time.Millisecond)
	})
	t.Run("never an agent", func(t *testing.T) {
		s := newSim(t, midJitter)
		s.kill(1)
		s.after(0, Absent, newcomerAbsent+slowEcho)
		s.stays(time.Minute)
	})
	t.Run("one way from the start", func(t *testing.T) {
		s := newSim(t, midJitter)
		s.cut(0)
		s.after(0, Dead, newcomer+slowEcho)
		s.after(1, Dead, slowEcho)
	})
	t.Run("without permission to ask", func(t *testing.T) {
		s := settled(t)
		s.ends[0].judge.blind = true
		s.start(1)
		s.run(time.Minute)
		if diff := cmp.Diff([]Verdict{Unknown, Alive}, s.ends[0].verdicts); diff != "" {
			t.Errorf("restarted: %s", diff)
		}
		s.kill(1) // which it can't tell from a dead link
		s.after(0, Dead, detection+time.Millisecond)
	})
}

// Nobody wakes up for a packet that may wait in the socket: the loop is awake at least once
// in an interval. But when a session ends it has been asked for long enough.
func TestAsks(t *testing.T) {
	for _, c := range []struct {
		interval, may, must time.Duration
		multiplier          int
	}{
		{50 * time.Millisecond, 56250 * time.Microsecond, 100 * time.Millisecond, 3},
		{50 * time.Millisecond, 56250 * time.Microsecond, 56250 * time.Microsecond, 2},
		{20 * time.Millisecond, 22500 * time.Microsecond, 40 * time.Millisecond, 3},
		{10 * time.Millisecond, 11250 * time.Microsecond, 11250 * time.Microsecond, 3},
	} {
		j := newJudge(c.interval, c.multiplier, epoch)
		ends := epoch.Add(time.Duration(c.multiplier) * c.interval)
		j.packet(epoch, c.interval, ends)
		j.advance(epoch)
		may, must := j.asks()
		if may.Sub(epoch) != c.may || must.Sub(epoch) != c.must {
			t.Errorf("%s x %d: asks from %s on, at %s at the latest, want %s and %s", c.interval, c.multiplier, may.Sub(epoch), must.Sub(epoch), c.may, c.must)
		}
		now := must
		for range lostEchoes {
			j.echo(now)
			_, now = j.asks()
		}
		if c.multiplier < 3 {
			continue // the verdict waits until it was asked for long enough
		}
		j.down(expired, ends)
		if j.advance(ends); j.verdict != Dead {
			t.Errorf("%s x %d: when the session ends, the link is %s", c.interval, c.multiplier, j.verdict)
		}
	}
}

// An engine that was kept from running has not asked, so it blames nobody: neither for
// packets that could not come while all stood still, nor for one lost answer.
func TestStandstill(t *testing.T) {
	for _, d := range []time.Duration{60 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		s := settled(t)
		for _, e := range s.ends {
			e.stopped = true
		}
		s.run(d)
		for i := range s.ends {
			s.proceed(i)
		}
		s.run(10 * time.Second)
		for i, e := range s.ends {
			if slices.Contains(e.verdicts, Dead) || s.verdict(i) != Alive {
				t.Errorf("node %d stood still for %s: %v", i, d, e.verdicts)
			}
		}
	}
	j := newJudge(DefaultInterval, DefaultMultiplier, epoch)
	j.packet(epoch, DefaultInterval, epoch.Add(DefaultMultiplier*DefaultInterval))
	j.advance(epoch)
	j.echo(epoch.Add(60 * time.Millisecond))
	j.down(expired, epoch.Add(time.Minute))
	j.advance(epoch.Add(time.Minute))
	if j.verdict != Alive {
		t.Errorf("one lost answer, and the link is %s", j.verdict)
	}
}

// A link that dies again and again must prove itself for longer and longer, up to a
// limit, and is forgiven.
func TestDamping(t *testing.T) {
	s := settled(t)
	e := s.ends[0]
	fail := func(settle time.Duration) {
		t.Helper()
		s.cut(0, 1)
		s.after(0, Dead, time.Second)
		s.cut()
		healed := s.now
		s.after(0, Alive, time.Minute)
		// The proof begins with the next answer or, if that is sooner, packet.
		if took := e.judge.since.Sub(healed); took < settle || took > settle+slowest+slowEcho {
			t.Errorf("alive %s after it worked, want %s", took, settle)
		}
		s.run(100 * time.Millisecond)
	}
	const first = settleIntervals * DefaultInterval
	for _, settle := range []time.Duration{first, 2 * first, 4 * first, 8 * first, 16 * first, settleMost, settleMost} {
		fail(settle)
	}
	s.run(forgive + time.Second)
	fail(first)
	if e.judge.flaps != 8 {
		t.Errorf("%d flaps", e.judge.flaps)
	}
}

// A link that was dead and works is used again after ten seconds at most, also if the peer
// is so busy that the session hardly ever lasts.
func TestBusyPeer(t *testing.T) {
	s := settled(t)
	for range 8 {
		s.cut(0, 1)
		s.after(0, Dead, time.Second)
		s.cut()
		for healed := s.now; s.verdict(0) == Dead; {
			if took := s.now.Sub(healed); took > settleMost+slowest+slowEcho {
				t.Fatalf("still dead after %s: %+v", took, s.ends[0].judge)
			}
			s.run(1500 * time.Millisecond)
			s.ends[1].stopped = true
			s.run(300 * time.Millisecond)
			s.proceed(1)
		}
	}
}

// A link on which every second frame is lost comes up now and then and goes down
// again. Traffic must not follow it.
func TestHalfOfFramesLost(t *testing.T) {
	s := settled(t)
	random := uint64(1)
	s.carries = func(int) (bool, time.Duration) {
		random = random*6364136223846793005 + 1442695040888963407
		return random>>63 == 0, simDelay
	}
	s.run(5 * time.Minute)
	if n := s.ends[0].judge.flaps; n < 1 || n > 20 {
		t.Errorf("%d flaps in five minutes: %v", n, s.ends[0].verdicts)
	}
}

// TestVerdictsHold tries random faults, one after the other. Whatever came before: a link
// that carries nothing one way at least is dead soon at each end that has an agent; one
// that works and whose peer's kernel answers is not called dead while it works; and
// when all is well it is alive.
func TestVerdictsHold(t *testing.T) {
	const (
		soon = 500 * time.Millisecond // to find out what is bad
		slow = settleMost + forgive   // to believe what is good: more than enough
	)
	rapid.Check(t, func(t *rapid.T) {
		j := rapid.Float64Range(0, 0.999).Draw(t, "jitter")
		s := newSim(t, func() float64 { return j })
		s.run(5 * time.Second)
		wire := rapid.SampledFrom([][]int{{}, {0}, {1}, {0, 1}})
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			cut := wire.Draw(t, "cut")
			s.cut(cut...)
			i := rapid.IntRange(0, 1).Draw(t, "node")
			what := rapid.SampledFrom([]string{"", "kill", "start", "stop", "continue", "hold", "release"}).Draw(t, "what")
			switch e := s.ends[i]; {
			case what == "start":
				s.start(i)
			case e.session == nil:
			case what == "kill":
				s.kill(i)
			case what == "stop":
				e.stopped = true
			case what == "continue":
				s.proceed(i)
			case what == "hold", what == "release":
				e.hold(what == "hold", s.now)
			}
			if len(cut) > 0 {
				// A newcomer is given time, and so is a slow session that has just come up.
				s.run(newcomer + soon + 3*time.Second)
				for k, e := range s.ends {
					if e.session != nil && !e.stopped && s.verdict(k) != Dead {
						t.Fatalf("node %d: cut %v, and the link is %s: %v", k, cut, s.verdict(k), e.verdicts)
					}
				}
				continue
			}
			s.run(slow)
			seen := [2]int{len(s.ends[0].verdicts), len(s.ends[1].verdicts)}
			s.run(10 * time.Second)
			for k, e := range s.ends {
				if e.session == nil || e.stopped {
					continue
				}
				want := Alive
				if p := s.ends[1-k]; p.session == nil || p.stopped || p.state == stateAdminDown || e.state == stateAdminDown {
					want = Absent
				}
				if s.verdict(k) != want || len(e.verdicts) != seen[k] {
					t.Fatalf("node %d: a good link is not %s for good: %v\n%+v", k, want, e.verdicts, e.session)
				}
			}
		}
	})
}
