package liveness

import (
	"container/heap"
	"net/netip"
	"time"
)

// epoch is when simulated time begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// failer is a testing.T or a rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func addrFrom(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

func newTestSession(mine uint32, now time.Time) *session {
	return &session{
		machine: *newMachine(DefaultInterval, DefaultMultiplier, mine, func() float64 { return 0 }, now),
		judge:   *newJudge(DefaultInterval, DefaultMultiplier, now),
	}
}

// newTestWatch returns a watch without sockets, between fe80::1 and fe80::2.
func newTestWatch() *watch {
	l := Link{Name: "tbt-1", Index: 1, Local: netip.MustParseAddr("fe80::1"), Remote: netip.MustParseAddr("fe80::2")}
	return &watch{
		session: *newTestSession(7, epoch), link: l, receiver: -1, sender: -1, pinger: -1,
		bucket: bucket{burst: floodBurst, refill: floodRefill}, told: Unknown,
	}
}

// settleDown does and sends what is due, and checks that the session then has nothing
// to do at once.
func settleDown(t failer, s *session, now time.Time) (sent int) {
	t.Helper()
	s.advance(now)
	for {
		if _, ok := s.due(now); !ok {
			break
		}
		if sent++; sent > 2 {
			t.Fatalf("sends without end: %+v", s.machine)
		}
	}
	if may, _ := s.judge.asks(); !may.IsZero() && !now.Before(may) {
		s.judge.echo(now)
	}
	s.judge.advance(now)
	if d := s.deadline(now); !d.IsZero() && !d.After(now) {
		t.Fatalf("wants to go on at %s, and it is %s: %+v %+v", d, now, s.machine, s.judge)
	}
	return sent
}

// sim is two nodes and a cable in simulated time.
type sim struct {
	t       failer
	now     time.Time
	ends    [2]*end
	flight  flight
	number  int
	serial  uint32                               // of discriminators
	carries func(from int) (bool, time.Duration) // of a frame sent now: whether it arrives, and when
}

type end struct {
	*session          // nil: no agent
	stopped  bool     // SIGSTOP
	waiting  []packet // in the socket of one that is stopped
	kernel   bool     // answers echo requests
	verdicts []Verdict
	jitter   func() float64
}

// frame is under way.
type frame struct {
	at     time.Time
	number int // order of equal times
	to     int
	packet packet
	echo   bool
	reply  bool
	asked  time.Time
	by     *session // who asked
}

type flight []frame

func (f flight) Len() int { return len(f) }
func (f flight) Less(i, j int) bool {
	return f[i].at.Before(f[j].at) || f[i].at.Equal(f[j].at) && f[i].number < f[j].number
}
func (f flight) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flight) Push(x any)   { *f = append(*f, x.(frame)) }
func (f *flight) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

const simDelay = 100 * time.Microsecond

// newSim returns two nodes with agents and a cable that works.
func newSim(t failer, jitter func() float64) *sim {
	s := &sim{t: t, now: epoch, carries: func(int) (bool, time.Duration) { return true, simDelay }}
	for i := range s.ends {
		s.ends[i] = &end{kernel: true, jitter: jitter}
		s.start(i)
	}
	return s
}

// start starts the agent of a node anew.
func (s *sim) start(i int) {
	s.serial++
	e := s.ends[i]
	e.session = &session{
		machine: *newMachine(DefaultInterval, DefaultMultiplier, s.serial, e.jitter, s.now),
		judge:   *newJudge(DefaultInterval, DefaultMultiplier, s.now),
	}
	e.verdicts, e.stopped, e.waiting = []Verdict{Unknown}, false, nil
}

func (s *sim) kill(i int) { s.ends[i].session = nil }

func (s *sim) proceed(i int) {
	e := s.ends[i]
	e.stopped = false
	for _, p := range e.waiting {
		if e.session != nil {
			_ = e.receive(&p, s.now)
		}
	}
	e.waiting = nil
}

func (s *sim) send(f frame, from int) {
	arrives, after := s.carries(from)
	if !arrives {
		return
	}
	s.number++
	f.at, f.number, f.to = s.now.Add(after), s.number, 1-from
	heap.Push(&s.flight, f)
}

// run lets time pass.
func (s *sim) run(d time.Duration) {
	s.t.Helper()
	until := s.now.Add(d)
	for steps := 0; ; steps++ {
		next := until
		for i, e := range s.ends {
			if e.session == nil || e.stopped {
				continue
			}
			s.work(i)
			if t := e.deadline(s.now); !t.IsZero() && t.Before(next) {
				next = t
			}
		}
		if len(s.flight) > 0 && s.flight[0].at.Before(next) {
			next = s.flight[0].at
		}
		if !next.Before(until) {
			s.now = until
			return
		}
		if steps > 100+int(d/time.Millisecond) {
			s.t.Fatalf("does not rest: %+v %+v", s.ends[0].session, s.ends[1].session)
		}
		s.now = next
		for len(s.flight) > 0 && !s.flight[0].at.After(s.now) {
			s.arrive(heap.Pop(&s.flight).(frame))
		}
	}
}

// work does what watch.work does.
func (s *sim) work(i int) {
	e := s.ends[i]
	e.advance(s.now)
	for {
		p, ok := e.due(s.now)
		if !ok {
			break
		}
		s.send(frame{packet: p}, i)
	}
	if may, _ := e.judge.asks(); !may.IsZero() && !s.now.Before(may) {
		e.judge.echo(s.now)
		s.send(frame{echo: true, asked: s.now, by: e.session}, i)
	}
	e.judge.advance(s.now)
	if v := e.judge.verdict; v != e.verdicts[len(e.verdicts)-1] {
		e.verdicts = append(e.verdicts, v)
	}
}

func (s *sim) arrive(f frame) {
	e := s.ends[f.to]
	switch {
	case f.echo && !f.reply:
		if e.kernel {
			f.reply = true
			s.send(f, f.to)
		}
	case e.session == nil:
	case f.echo:
		if f.by == e.session && !e.stopped {
			e.judge.reply(f.asked)
		}
	case e.stopped:
		e.waiting = append(e.waiting, f.packet)
	default:
		_ = e.receive(&f.packet, s.now) // for nobody: dropped
	}
}

func (s *sim) verdict(i int) Verdict { return s.ends[i].verdicts[len(s.ends[i].verdicts)-1] }
