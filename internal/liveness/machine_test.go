package liveness

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func midJitter() float64 { return 0.5 }

// inState returns a session in the given state, which knows a peer with discriminator 9.
func inState(s state) *machine {
	m := newMachine(DefaultInterval, DefaultMultiplier, 7, midJitter, epoch)
	m.due(epoch)
	if s != stateAdminDown {
		m.receive(&packet{state: stateDown, multiplier: 3, mine: 9, desiredMinTx: 1000000, requiredMinRx: 50000}, epoch)
	}
	m.enter(s, diagNone, epoch)
	for range 3 {
		m.due(epoch)
	}
	return m
}

// TestTransitions is section 6.8.6 (and the figure of section 6.2) as a table.
func TestTransitions(t *testing.T) {
	for _, c := range []struct {
		have, heard, want state
		diagnostic        diagnostic
	}{
		{stateDown, stateAdminDown, stateDown, diagNone},
		{stateDown, stateDown, stateInit, diagNone},
		{stateDown, stateInit, stateUp, diagNone},
		{stateDown, stateUp, stateDown, diagNone},
		{stateInit, stateAdminDown, stateDown, diagNeighborDown},
		{stateInit, stateDown, stateInit, diagNone},
		{stateInit, stateInit, stateUp, diagNone},
		{stateInit, stateUp, stateUp, diagNone},
		{stateUp, stateAdminDown, stateDown, diagNeighborDown},
		{stateUp, stateDown, stateDown, diagNeighborDown},
		{stateUp, stateInit, stateUp, diagNone},
		{stateUp, stateUp, stateUp, diagNone},
		{stateAdminDown, stateAdminDown, stateAdminDown, diagNone},
		{stateAdminDown, stateDown, stateAdminDown, diagNone},
		{stateAdminDown, stateInit, stateAdminDown, diagNone},
		{stateAdminDown, stateUp, stateAdminDown, diagNone},
	} {
		t.Run(fmt.Sprintf("%s hears %s", stateNames[c.have], stateNames[c.heard]), func(t *testing.T) {
			m := inState(c.have)
			m.receive(&packet{state: c.heard, multiplier: 3, mine: 9, yours: 7, desiredMinTx: 50000, requiredMinRx: 50000}, epoch)
			if m.state != c.want || m.diagnostic != c.diagnostic {
				t.Errorf("is %s, %q; want %s, %q", stateNames[m.state], m.diagnostic, stateNames[c.want], c.diagnostic)
			}
			p, now := m.due(epoch)
			if now != (c.have != c.want) {
				t.Errorf("tells its peer at once: %v", now)
			}
			if now && (p.state != c.want || p.yours != 9 || p.poll != (c.want == stateUp)) {
				t.Errorf("tells its peer %+v", p)
			}
		})
	}
}

func TestTimers(t *testing.T) {
	hear := func(m *machine, tx, rx microseconds, multiplier uint8) {
		m.receive(&packet{state: stateUp, multiplier: multiplier, mine: 9, yours: 7, desiredMinTx: tx, requiredMinRx: rx}, epoch)
	}
	for _, c := range []struct {
		name                string
		state               state
		tx, rx              microseconds
		multiplier          uint8
		sending, detection  time.Duration
		desired, requiredRx microseconds
	}{
		{"equal ends", stateUp, 50000, 50000, 3, 50 * time.Millisecond, 150 * time.Millisecond, 50000, 50000},
		{"a slower receiver", stateUp, 50000, 300000, 3, 300 * time.Millisecond, 150 * time.Millisecond, 50000, 50000},
		{"a slower sender", stateUp, 300000, 50000, 5, 50 * time.Millisecond, 1500 * time.Millisecond, 50000, 50000},
		{"a faster peer", stateUp, 10000, 10000, 3, 50 * time.Millisecond, 150 * time.Millisecond, 50000, 50000},
		{"slow while down", stateDown, 50000, 50000, 3, time.Second, 150 * time.Millisecond, 1000000, 50000},
		{"the slowest there is", stateUp, 1<<32 - 1, 1<<32 - 1, 255, (1<<32 - 1) * time.Microsecond, 255 * (1<<32 - 1) * time.Microsecond, 50000, 50000},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := inState(stateUp)
			hear(m, c.tx, c.rx, c.multiplier)
			if c.state != stateUp {
				m.enter(c.state, diagNone, epoch)
			}
			if got, ok := m.sending(); got != c.sending || !ok {
				t.Errorf("sends every %s, %v; want %s", got, ok, c.sending)
			}
			if got := m.detection(); got != c.detection {
				t.Errorf("detects in %s, want %s", got, c.detection)
			}
			if p := m.packet(); p.desiredMinTx != c.desired || p.requiredMinRx != c.requiredRx {
				t.Errorf("offers %+v", p)
			}
		})
	}

	t.Run("jitter", func(t *testing.T) {
		for _, c := range []struct {
			multiplier  int
			least, most float64
		}{{3, 0.75, 1}, {1, 0.75, 0.9}} {
			for _, j := range []float64{0, 0.25, 0.5, 0.999999} {
				m := newMachine(DefaultInterval, c.multiplier, 7, func() float64 { return j }, epoch)
				m.due(epoch)
				part := float64(m.next.Sub(epoch)) / float64(time.Second)
				if part < c.least-1e-6 || part > c.most+1e-6 {
					t.Errorf("multiplier %d: waits %.3f of the interval, want %.2f to %.2f", c.multiplier, part, c.least, c.most)
				}
			}
		}
	})

	t.Run("expiry", func(t *testing.T) {
		m := inState(stateUp)
		hear(m, 50000, 50000, 3)
		m.advance(epoch.Add(150*time.Millisecond - 1))
		if m.state != stateUp {
			t.Fatal("down before the detection time is over")
		}
		m.advance(epoch.Add(150 * time.Millisecond))
		if m.state != stateDown || m.diagnostic != diagExpired || m.yours != 0 {
			t.Errorf("after the detection time: %+v", m)
		}
	})

	t.Run("a peer that wants nothing", func(t *testing.T) {
		m := inState(stateUp)
		hear(m, 50000, 0, 3)
		if _, ok := m.due(epoch.Add(time.Hour)); ok {
			t.Error("sends although the peer wants no packets")
		}
		m.receive(&packet{poll: true, state: stateUp, multiplier: 3, mine: 9, yours: 7}, epoch.Add(time.Hour))
		if p, ok := m.due(epoch.Add(time.Hour)); !ok || !p.final {
			t.Errorf("a poll is not answered: %+v", p)
		}
		m.advance(epoch.Add(2 * time.Hour))
		if _, ok := m.due(epoch.Add(2*time.Hour + slowest)); !ok {
			t.Error("silent for ever after the peer has gone")
		}
	})
}

// Coming up changes the interval, so it is polled until the peer has heard.
func TestPollSequence(t *testing.T) {
	m := inState(stateUp)
	now := epoch
	for range 3 {
		now = now.Add(DefaultInterval)
		if p, ok := m.due(now); !ok || !p.poll || p.desiredMinTx != 50000 {
			t.Fatalf("no poll: %+v", p)
		}
	}
	// A poll of the peer is answered at once, and without polling in the same packet.
	m.receive(&packet{poll: true, state: stateUp, multiplier: 3, mine: 9, yours: 7, desiredMinTx: 50000, requiredMinRx: 50000}, now)
	if p, ok := m.due(now); !ok || !p.final || p.poll {
		t.Errorf("not the final of a poll: %+v", p)
	}
	m.receive(&packet{final: true, state: stateUp, multiplier: 3, mine: 9, yours: 7, desiredMinTx: 50000, requiredMinRx: 50000}, now)
	if p, ok := m.due(now.Add(DefaultInterval)); !ok || p.poll || p.final {
		t.Errorf("polls on after the final: %+v", p)
	}
}

// A peer can't make a session send more than a few packets besides the periodic ones.
func TestPollFlood(t *testing.T) {
	m := inState(stateUp)
	now, sent := epoch, 0
	const polls = 100000
	for range polls {
		now = now.Add(10 * time.Microsecond)
		m.receive(&packet{poll: true, state: stateUp, multiplier: 3, mine: 9, yours: 7, desiredMinTx: 50000, requiredMinRx: 50000}, now)
		if _, ok := m.due(now); ok {
			sent++
		}
	}
	if sent < 20 || sent > 60 {
		t.Errorf("%d packets in the second in which %d polls came", sent, polls)
	}
}

// lossy returns a wire that loses, delays and so reorders frames.
func lossy(t *rapid.T, s *sim) {
	loss := [2]int{rapid.IntRange(0, 100).Draw(t, "loss 0"), rapid.IntRange(0, 100).Draw(t, "loss 1")}
	late := rapid.SampledFrom([]time.Duration{simDelay, 10 * time.Millisecond, 400 * time.Millisecond}).Draw(t, "delay")
	random := rapid.Uint64().Draw(t, "seed")
	s.carries = func(from int) (bool, time.Duration) {
		random = random*6364136223846793005 + 1442695040888963407
		arrives := int(random>>33%100) >= loss[from]
		return arrives, simDelay + time.Duration(random>>40)%late
	}
}

// TestTwoMachines lets two sessions talk over wires that lose, delay and reorder, lets
// agents start anew and be held; then the wire is good and they must come up and agree.
func TestTwoMachines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := rapid.Float64Range(0, 0.999).Draw(t, "jitter")
		s := newSim(t, func() float64 { return j })
		for range rapid.IntRange(0, 8).Draw(t, "steps") {
			lossy(t, s)
			i := rapid.IntRange(0, 1).Draw(t, "end")
			switch rapid.SampledFrom([]string{"", "restart", "hold", "release", "stop", "continue"}).Draw(t, "what") {
			case "restart":
				s.start(i)
			case "hold":
				s.ends[i].hold(true, s.now)
			case "release":
				s.ends[i].hold(false, s.now)
			case "stop":
				s.ends[i].stopped = true
			case "continue":
				s.proceed(i)
			}
			s.run(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
		}
		s.carries = func(int) (bool, time.Duration) { return true, simDelay }
		for i := range s.ends {
			s.ends[i].hold(false, s.now)
			s.proceed(i)
		}
		// What is under way arrives, a detection time of the slow kind passes, and a
		// slow packet starts it all.
		s.run(time.Second + 3*time.Second + 2*time.Second)
		a, b := s.ends[0], s.ends[1]
		if a.state != stateUp || b.state != stateUp {
			t.Fatalf("stuck in %s and %s\n%+v\n%+v", stateNames[a.state], stateNames[b.state], a.machine, b.machine)
		}
		if a.yours != b.mine || b.yours != a.mine || a.polling || b.polling || a.remote != stateUp || b.remote != stateUp {
			t.Fatalf("up, but not agreed:\n%+v\n%+v", a.machine, b.machine)
		}
		for _, e := range s.ends {
			if d := e.detection(); d != 3*DefaultInterval {
				t.Fatalf("detects in %s", d)
			}
		}
		// And stay so.
		seen := [2]int{len(a.verdicts), len(b.verdicts)}
		s.run(20 * time.Second)
		if a.state != stateUp || b.state != stateUp || s.verdict(0) != Alive || s.verdict(1) != Alive {
			t.Fatalf("did not stay up: %v, %v", a.verdicts, b.verdicts)
		}
		for i, e := range s.ends {
			for _, v := range e.verdicts[seen[i]:] {
				if v != Alive {
					t.Fatalf("a good wire, and the verdicts %v", slices.Clone(e.verdicts))
				}
			}
		}
	})
}
