package liveness

import (
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// retryOpen is how often sockets are tried that could not be opened.
	retryOpen = time.Second
	// A peer at 10 ms sends 133 packets a second. What comes beyond this stays in the
	// queue of the socket, where the kernel throws it away for nothing.
	floodBurst  = 256
	floodRefill = time.Millisecond
	floodPause  = 50 * time.Millisecond
)

// watch is a link with its sockets. All of it belongs to the loop.
type watch struct {
	session
	link     Link
	port     uint16
	receiver int // descriptors; -1 while there is none
	sender   int
	pinger   int
	to       target
	poller   *poller
	listens  bool // the receiver is in the poller; the pinger always is
	ns       namespace
	retry    time.Time // when to try again to open sockets; zero: all are open
	problems []string  // why not

	echoes echoes
	bucket bucket
	count  Session // the counters
	told   Verdict // what the last event said
}

func newWatch(link Link, l *loop, now time.Time) *watch {
	c := l.config
	w := &watch{
		link: link, port: c.Port,
		receiver: -1, sender: -1, pinger: -1,
		to:     targetOf(link.Remote, c.Port, link.Index),
		poller: l.poller, ns: l.ns,
		echoes: echoes{v4: link.Local.Is4(), id: uint16(rand.Uint32()), nonce: rand.Uint64()},
		bucket: bucket{burst: floodBurst, refill: floodRefill},
		told:   Unknown,
	}
	w.session = session{
		machine: *newMachine(c.Interval, c.Multiplier, l.discriminator(), l.jitter, now),
		judge:   *newJudge(c.Interval, c.Multiplier, now),
	}
	w.open(now)
	if l.held[link.Name] {
		w.hold(true, now)
	}
	return w
}

// open opens the sockets that are missing.
func (w *watch) open(now time.Time) {
	w.problems, w.retry = nil, time.Time{}
	missing := func(fd *int, open func() (int, error)) {
		if *fd >= 0 {
			return
		}
		var err error
		if *fd, err = open(); err != nil {
			w.problems = append(w.problems, err.Error())
			w.retry = now.Add(retryOpen)
		}
	}
	err := w.ns.within(func() {
		missing(&w.receiver, func() (int, error) { return openReceiver(w.link, w.port) })
		missing(&w.sender, func() (int, error) { return openSender(w.link) })
		missing(&w.pinger, func() (int, error) {
			fd, err := openEcho(w.link)
			if err == nil {
				err = w.poller.add(fd)
			}
			if err != nil && fd >= 0 {
				unix.Close(fd)
				fd = -1
			}
			return fd, err
		})
	})
	if err != nil {
		w.problems, w.retry = []string{err.Error()}, now.Add(retryOpen)
	}
	w.judge.blind = w.pinger < 0
}

func (w *watch) close() {
	for _, fd := range []*int{&w.receiver, &w.sender, &w.pinger} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
	w.listens = false
}

// listen makes packets wake the loop, or not. Where that can't be had, listens says so.
func (w *watch) listen(on bool) {
	switch {
	case on == w.listens || w.receiver < 0:
	case on:
		w.listens = w.poller.add(w.receiver) == nil
	default:
		w.listens = w.poller.remove(w.receiver) != nil
	}
}

// calm tells that nothing is expected of this link but one packet after the other, and
// that these may wait in the socket for the next time when the loop is awake. When
// they arrived is what counts, and the kernel knows.
func (w *watch) calm() bool { return w.state == stateUp && w.judge.verdict == Alive && !w.polling }

// receive reads what has come for the session since the loop was last awake, as long as
// that is not a flood.
func (w *watch) receive(r *reader, now, last time.Time) {
	if w.receiver < 0 {
		return
	}
	// A thread that was away for longer does not take what waited for what is late.
	most := min(now.Sub(last), w.interval)
	for {
		n := r.read(w.receiver, w.bucket.left(now))
		w.bucket.spend(n)
		for i := range n {
			d := r.datagram(i)
			if lost := uint64(d.lost); lost > w.count.Drops.Flood {
				w.count.Drops.Flood = lost
			}
			if err := w.take(&d, now.Add(-d.age(now, most))); err != nil {
				w.drop(err)
				continue
			}
			w.count.Received++
		}
		if n < batch {
			return
		}
	}
}

// take gives a datagram to the session, if it is for it.
func (w *watch) take(d *datagram, now time.Time) error {
	switch {
	case d.hopLimit != hopLimit:
		return errHopLimit
	case d.from != w.link.Remote:
		return errSource
	}
	p, err := parsePacket(d.data)
	if err != nil {
		return err
	}
	return w.session.receive(&p, now)
}

func (w *watch) drop(err error) {
	c := &w.count.Drops
	switch {
	case errors.Is(err, errHopLimit):
		c.HopLimit++
	case errors.Is(err, errSource):
		c.Source++
	case errors.Is(err, errDiscriminator) && w.state != stateUp:
		c.Stale++
	case errors.Is(err, errDiscriminator):
		c.Discriminator++
	default:
		c.Malformed++
	}
}

// replies reads answers to echo requests.
func (w *watch) replies(r *reader) {
	for i := range r.read(w.pinger, batch) {
		if sent, ok := w.echoes.reply(r.datagram(i).data); ok {
			w.count.Replies++
			w.judge.reply(sent)
		}
	}
}

// work does and sends what is due.
func (w *watch) work(now time.Time) {
	if !w.retry.IsZero() && !now.Before(w.retry) {
		w.open(now)
	}
	w.advance(now)
	for {
		p, ok := w.due(now)
		if !ok {
			break
		}
		w.send(&p)
	}
	if may, _ := w.judge.asks(); !may.IsZero() && !now.Before(may) {
		var b [echoLen]byte
		w.echoes.request(&b, now)
		// A request that can't be sent is as lost as one that is not answered.
		w.judge.echo(now)
		w.count.Echoes++
		if err := w.poller.send(w.pinger, b[:], nil); err != nil {
			w.count.SendErrors++
		}
	}
	w.judge.advance(now)
}

func (w *watch) send(p *packet) {
	var b [packetLen]byte
	p.marshal(&b)
	if w.sender < 0 {
		return
	}
	if err := w.poller.send(w.sender, b[:], &w.to); err != nil {
		w.count.SendErrors++
		return
	}
	w.count.Sent++
}

// wakes is when work is to be called next, if nothing is received before.
func (w *watch) wakes(now time.Time) time.Time {
	d := earliest(w.deadline(now), w.retry)
	if w.bucket.left(now) == 0 {
		d = earliest(d, now.Add(floodPause))
	}
	return d
}

// inherit takes over what is remembered of an interface that went and came back.
func (w *watch) inherit(old *watch) {
	w.count = old.count
	w.lost = old.lost
	w.judge.flaps, w.judge.deaths, w.judge.died = old.judge.flaps, old.judge.deaths, old.judge.died
}

// report is what is known of the link.
func (w *watch) report(realTime bool) Session {
	s := w.count
	s.Link = w.link
	s.State = stateNames[w.state]
	if w.remoteKnown {
		s.Remote = stateNames[w.remote]
		s.Said = w.remoteDiagnostic.String()
	}
	s.Verdict = w.judge.verdict
	s.Since = w.judge.since
	s.EverUp = w.judge.everUp
	s.Held = w.state == stateAdminDown
	s.Diagnostic = w.diagnostic.String()
	s.Interval, _ = w.sending()
	s.DetectionTime = w.detection()
	s.RealTime = realTime
	s.Problems = append([]string(nil), w.problems...)
	d := s.Drops
	s.Dropped = d.Malformed + d.HopLimit + d.Source + d.Discriminator + d.Stale + d.Flood
	s.Lost = w.lost
	s.Flaps = w.judge.flaps
	return s
}
