package liveness

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// loop watches all links and does all work itself, one thing after the other. It takes no
// lock, so nobody of lower priority can make it wait, and while nothing happens it leaves
// the garbage collector nothing to do.
type loop struct {
	config   Config
	realTime bool
	problem  string // why the thread is not what the configuration asks for

	commands chan func(*loop)
	wake     int // eventfd: there are commands
	poller   *poller
	ns       namespace
	closing  bool

	watches []*watch // sorted by name
	held    map[string]bool
	events  []Event // not yet fetched; at most one per link
	news    func()  // tells that there are events; does not block
	late    time.Duration
	dice    float64 // the jitter of this turn

	turns  bucket
	reader *reader
}

const (
	// idle is how long the loop sleeps at most.
	idle = time.Minute
	// A loop that does not get to sleep would, on a real-time thread, take a core away
	// from everybody. This many turns a second are far more than 16 links at 10 ms need.
	turnsBurst  = 1000
	turnsRefill = 200 * time.Microsecond
)

// newLoop returns a loop for the network namespace of the calling thread.
func newLoop(c Config) (*loop, error) {
	ns, err := callers()
	if err != nil {
		return nil, fmt.Errorf("name the network namespace: %w", err)
	}
	l := &loop{
		config: c, ns: ns, wake: -1,
		commands: make(chan func(*loop), 16),
		held:     map[string]bool{},
		reader:   newReader(),
		turns:    bucket{burst: turnsBurst, refill: turnsRefill},
	}
	// Not when the first link comes: who opens is to hear of it if this is not permitted.
	if err = ns.within(func() {}); err == nil {
		l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		err = os.NewSyscallError("eventfd", err)
	}
	if err == nil {
		l.poller, err = newPoller(c.RealTime)
	}
	if err == nil {
		err = l.poller.add(l.wake)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// close closes what the loop has beside the links.
func (l *loop) close() {
	l.ns.Close()
	if l.poller != nil {
		l.poller.close()
	}
	if l.wake >= 0 {
		unix.Close(l.wake)
		l.wake = -1
	}
}

// hasten makes the calling thread, which is the loop's, a real-time thread.
func (l *loop) hasten() {
	err := realTime()
	if l.realTime = err == nil; err != nil {
		l.problem = err.Error()
	}
}

func (l *loop) run() {
	last := time.Now()
	for !l.closing {
		now := time.Now()
		planned := l.prepare(now)
		l.poller.sleep(planned.Sub(now))
		now = time.Now()
		if late := now.Sub(planned); late > l.late {
			l.late = late
		}
		if !l.turns.take(now) {
			time.Sleep(time.Millisecond)
		}
		// What waits in the sockets is read before anything is found to be missing, so
		// that a thread which was kept from running does not blame others.
		for _, w := range l.watches {
			if l.poller.readable(w.pinger) {
				w.replies(l.reader)
			}
			w.receive(l.reader, now, last)
		}
		last = now
		l.dice = rand.Float64()
		for _, w := range l.watches {
			w.work(now)
			l.notice(w)
		}
		l.obey()
	}
	l.farewell()
}

// jitter is random from packet to packet, but one for all that are sent in the same
// turn: sessions that met once stay together, and the loop wakes once for all of them.
func (l *loop) jitter() float64 { return l.dice }

// prepare says which packets are to wake the loop, and returns when it must go on in any
// case: not before now.
func (l *loop) prepare(now time.Time) time.Time {
	next := now.Add(idle)
	for _, w := range l.watches {
		next = earliest(next, w.wakes(now))
		if w.listen(!w.calm() && w.bucket.left(now) > 0); !w.listens {
			next = earliest(next, now.Add(l.config.Interval))
		}
	}
	if next.Before(now) {
		return now
	}
	return next
}

// obey runs the commands that have come.
func (l *loop) obey() {
	if !l.poller.readable(l.wake) {
		return
	}
	var b [8]byte
	_, _ = unix.Read(l.wake, b[:]) // sets it back; what it counts is in the channel
	for {
		select {
		case f := <-l.commands:
			f(l)
		default:
			return
		}
	}
}

// notice makes an event of a new verdict, or brings the one that waits up to date.
func (l *loop) notice(w *watch) {
	if w.judge.verdict == w.told {
		return
	}
	e := Event{Session: l.report(w), Previous: w.told}
	w.told = w.judge.verdict
	if i := slices.IndexFunc(l.events, func(o Event) bool { return o.Session.Link == w.link }); i >= 0 {
		// What happened to other links meanwhile stays behind what happened first.
		e.Previous = l.events[i].Previous
		l.events[i] = e
		return
	}
	l.events = append(l.events, e)
	l.news()
}

func (l *loop) report(w *watch) Session {
	s := w.report(l.realTime)
	s.Late = l.late
	if l.problem != "" {
		s.Problems = append(s.Problems, l.problem)
	}
	return s
}

// set makes the links the ones that are watched.
func (l *loop) set(links []Link) {
	now := time.Now()
	old := l.watches
	l.watches = make([]*watch, 0, len(links))
	for _, link := range links {
		i := slices.IndexFunc(old, func(w *watch) bool { return w.link.Name == link.Name })
		if i >= 0 && old[i].link == link {
			l.watches = append(l.watches, old[i])
			continue
		}
		// A socket keeps the port of its index and address until it is closed.
		if i >= 0 {
			old[i].close()
		}
		w := newWatch(link, l, now)
		if i >= 0 {
			w.inherit(old[i])
		}
		l.watches = append(l.watches, w)
	}
	for _, w := range old {
		if !slices.Contains(l.watches, w) {
			w.close()
		}
	}
	slices.SortFunc(l.watches, func(a, b *watch) int { return strings.Compare(a.link.Name, b.link.Name) })
	// Nobody wants to hear of links that are not watched any more.
	l.events = slices.DeleteFunc(l.events, func(e Event) bool {
		return !slices.ContainsFunc(l.watches, func(w *watch) bool { return w.link == e.Session.Link })
	})
}

// discriminator returns a number that no other session of this engine has.
func (l *loop) discriminator() uint32 {
	for {
		d := rand.Uint32()
		if d != 0 && !slices.ContainsFunc(l.watches, func(w *watch) bool { return w.mine == d }) {
			return d
		}
	}
}

// farewell tells the peers that the sessions end on purpose (RFC 5880, section 6.8.16:
// a peer that hears it calls nothing failed), and closes all sockets.
func (l *loop) farewell() {
	const times = 3 // on a link that works, all three are not lost
	for i := range times {
		for _, w := range l.watches {
			if i == 0 {
				w.hold(true, time.Now())
			}
			p := w.packet()
			w.send(&p)
		}
		if i < times-1 {
			time.Sleep(time.Millisecond)
		}
	}
	for _, w := range l.watches {
		w.close()
	}
}

func (l *loop) hold(name string, hold bool) {
	if hold {
		l.held[name] = true
	} else {
		delete(l.held, name)
	}
	for _, w := range l.watches {
		if w.link.Name == name {
			w.hold(hold, time.Now())
		}
	}
}

// poke makes the loop look for commands.
func poke(fd int) {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], 1)
	_, _ = unix.Write(fd, b[:])
}
