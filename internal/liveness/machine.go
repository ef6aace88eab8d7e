package liveness

import "time"

// slowest is how often a session that is not up sends at most (RFC 5880, section
// 6.8.3: at least one second).
const slowest = time.Second

// machine is one end of a BFD session in asynchronous mode (RFC 5880, section 6.8): no
// sockets, and no clock but the times it is given, which never go back. Names in
// comments like bfd.LocalDiag are the state variables of section 6.8.1.
//
// What the peer asks for by its demand bit is ignored: we keep sending, since a link
// nobody sends over is a link nobody watches.
type machine struct {
	interval   time.Duration // bfd.DesiredMinTxInterval when up, and bfd.RequiredMinRxInterval
	multiplier uint8         // bfd.DetectMult
	jitter     func() float64

	state      state      // bfd.SessionState
	diagnostic diagnostic // bfd.LocalDiag
	mine       uint32     // bfd.LocalDiscr
	yours      uint32     // bfd.RemoteDiscr, 0 while unknown
	polling    bool       // a poll sequence waits for its final packet

	remoteKnown      bool  // anything was ever received
	remote           state // bfd.RemoteSessionState
	remoteDiagnostic diagnostic
	remoteMinRx      time.Duration // bfd.RemoteMinRxInterval; 0: the peer wants no periodic packets
	remoteMinTx      time.Duration // the peer's desired interval, as last received
	remoteMultiplier uint8
	heard            time.Time // the last valid packet; zero: none within a detection time

	sent   time.Time // the last packet
	early  time.Time // when the next periodic packet may be sent, if somebody is awake anyway
	next   time.Time // when it must be sent; zero: none
	final  bool      // a poll is to be answered
	change bool      // the peer is to hear of a new state before the next periodic packet
	extra  bucket    // packets besides the periodic ones: what a peer can make us send
}

// newMachine returns a session that is down and sends its first packet at once.
// jitter returns numbers in [0, 1).
func newMachine(interval time.Duration, multiplier int, mine uint32, jitter func() float64, now time.Time) *machine {
	return &machine{
		interval:   interval,
		multiplier: uint8(multiplier),
		jitter:     jitter,
		state:      stateDown,
		mine:       mine,
		remote:     stateDown,
		// RFC 5880, section 6.8.1: "initially 1".
		remoteMinRx: time.Microsecond,
		next:        now,
		extra:       bucket{burst: 10, refill: max(interval/2, 5*time.Millisecond)},
	}
}

// desired is how often this end wants to send.
func (m *machine) desired() time.Duration {
	if m.state == stateUp {
		return m.interval
	}
	return max(m.interval, slowest)
}

// sending is the interval between periodic packets before jitter (section 6.8.2).
// ok is false if there are none.
func (m *machine) sending() (interval time.Duration, ok bool) {
	return max(m.desired(), m.remoteMinRx), m.remoteMinRx > 0
}

// receiving is the interval in which the peer's packets are to come.
func (m *machine) receiving() time.Duration { return max(m.interval, m.remoteMinTx) }

// detection is bfd's Detection Time (section 6.8.4); 0 before the first packet.
func (m *machine) detection() time.Duration {
	return time.Duration(m.remoteMultiplier) * m.receiving()
}

// expires is when the session ends unless a packet comes; zero: it does not.
func (m *machine) expires() time.Time {
	if m.heard.IsZero() {
		return time.Time{}
	}
	return m.heard.Add(m.detection())
}

// accepts tells whether a packet is for this session (section 6.8.6).
func (m *machine) accepts(p *packet) bool { return p.yours == 0 || p.yours == m.mine }

// receive takes a packet that it accepts.
func (m *machine) receive(p *packet, now time.Time) {
	m.yours = p.mine
	m.remoteKnown = true
	m.remote = p.state
	m.remoteDiagnostic = p.diagnostic
	m.remoteMinTx = p.desiredMinTx.duration()
	m.remoteMultiplier = p.multiplier
	m.heard = now
	if p.final {
		m.polling = false
	}
	if rx := p.requiredMinRx.duration(); rx != m.remoteMinRx {
		m.remoteMinRx = rx
		m.schedule(now)
	}
	if p.poll {
		m.final = true
	}
	switch {
	case m.state == stateAdminDown:
	case p.state == stateAdminDown:
		if m.state != stateDown {
			m.enter(stateDown, diagNeighborDown, now)
		}
	case m.state == stateDown && p.state == stateDown:
		m.enter(stateInit, m.diagnostic, now)
	case m.state == stateDown && p.state == stateInit,
		m.state == stateInit && (p.state == stateInit || p.state == stateUp):
		m.enter(stateUp, m.diagnostic, now)
	case m.state == stateUp && p.state == stateDown:
		m.enter(stateDown, diagNeighborDown, now)
	}
}

// advance ends the session if its detection time is over, and forgets the peer.
func (m *machine) advance(now time.Time) {
	e := m.expires()
	if e.IsZero() || now.Before(e) {
		return
	}
	m.heard = time.Time{}
	m.yours = 0
	m.remoteMultiplier, m.remoteMinTx = 0, 0
	// A peer that wanted no packets may have gone for good; the next one is to hear us.
	if m.remoteMinRx != time.Microsecond {
		m.remoteMinRx = time.Microsecond
		m.schedule(now)
	}
	if m.state == stateInit || m.state == stateUp {
		m.enter(stateDown, diagExpired, now)
	}
}

// hold takes the session down administratively, or lets it come up again (section 6.8.16).
func (m *machine) hold(hold bool, now time.Time) {
	switch {
	case hold && m.state != stateAdminDown:
		m.enter(stateAdminDown, diagAdminDown, now)
	case !hold && m.state == stateAdminDown:
		m.enter(stateDown, diagNone, now)
	}
}

func (m *machine) enter(s state, d diagnostic, now time.Time) {
	m.state, m.diagnostic = s, d
	// Up is when the desired interval changes, which takes a poll sequence
	// (section 6.8.3).
	m.polling = s == stateUp
	m.change = true
	m.schedule(now)
}

// schedule sets the time of the next periodic packet, anew after the interval has
// changed. Jitter takes off up to a quarter; with a multiplier of one at least a tenth
// (section 6.8.7). Within that the packet may go earlier together with others, as
// waking up costs more than a packet; how much earlier is random as well.
func (m *machine) schedule(now time.Time) {
	interval, ok := m.sending()
	if !ok {
		m.early, m.next = time.Time{}, time.Time{}
		return
	}
	const least = 0.75
	most := 1.0
	if m.multiplier == 1 {
		most = 0.9
	}
	from := m.sent
	if from.IsZero() {
		from = now
	}
	next := most - (most-least)*m.jitter()
	early := next - (next-least)*m.jitter()
	m.early = from.Add(time.Duration(float64(interval) * early))
	m.next = from.Add(time.Duration(float64(interval) * next))
}

// due returns a packet that is to be sent now, if there is one.
func (m *machine) due(now time.Time) (packet, bool) {
	periodic := !m.next.IsZero() && !now.Before(m.early)
	if !periodic && !((m.final || m.change) && m.extra.take(now)) {
		return packet{}, false
	}
	p := m.packet()
	if m.final {
		// Never both (section 6.5): the poll goes on with the next packet.
		p.final, p.poll = true, false
	}
	m.final, m.change = false, false
	m.sent = now
	m.schedule(now)
	return p, true
}

// packet is what the session has to say.
func (m *machine) packet() packet {
	return packet{
		diagnostic:    m.diagnostic,
		state:         m.state,
		poll:          m.polling,
		multiplier:    m.multiplier,
		mine:          m.mine,
		yours:         m.yours,
		desiredMinTx:  inMicroseconds(m.desired()),
		requiredMinRx: inMicroseconds(m.interval),
	}
}

// deadline is when advance or due must be called next, if nothing is received before; zero: never.
func (m *machine) deadline(now time.Time) time.Time {
	d := earliest(m.next, m.expires())
	if m.final || m.change {
		if m.extra.left(now) > 0 {
			return now
		}
		d = earliest(d, m.extra.ready())
	}
	return d
}

// earliest returns the earlier of two times, of which zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
