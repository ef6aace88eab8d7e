package liveness

import "time"

// How a judge weighs.
const (
	// A dead link is one on which this many echo requests in a row were lost ...
	lostEchoes = 3
	// ... over at least this part of an interval. The peer's kernel answers at once,
	// in an interrupt, and a full queue on the way is some milliseconds long; so the
	// last of them was given a quarter of an interval.
	lostOver = 0.75
	// Where intervals are short it is at least so long, but not longer than this part.
	lostLeast = 15 * time.Millisecond
	lostMost  = 1.5
	// newcomer is how long an interface that has just appeared may be silent: the peer
	// gives its end an address, and its agent hears of the cable.
	newcomer = 3 * time.Second
	// newcomerAbsent is how long a peer that answers echo requests may be without BFD.
	newcomerAbsent = time.Second
	// slowEcho is the interval of echo requests where no traffic waits for the answer.
	slowEcho = 200 * time.Millisecond
	// A dead link must be good for settleIntervals intervals before it is used again, so that
	// one on which every second packet is lost does not come back (ten in a row: 1 in 1000),
	// and twice as long after each further death within forgive. Long enough for a loose
	// plug, short enough that a cable that was plugged properly is back at once.
	settleIntervals = 10
	settleLeast     = 200 * time.Millisecond
	settleMost      = 10 * time.Second
	forgive         = time.Minute
)

// judge makes a verdict on a link from the state of its BFD session and the answers
// of the peer's kernel. Like machine it has no clock and no sockets.
//
// A session that goes down says only that two BFD engines do not hear each other. Which
// of three things has happened the peer's kernel knows: it answers echo requests over
// this link also when the agent is stopped, killed or restarted, and it does not where
// the link carries nothing in one direction or in both. So while packets are missing,
// and as long as the session is down, the judge asks.
type judge struct {
	interval   time.Duration
	multiplier int
	blind      bool // no socket for echo requests: the session is all there is

	verdict Verdict
	since   time.Time
	began   time.Time // the interface appeared
	everUp  bool
	flaps   int
	deaths  int       // since there was a minute without
	died    time.Time // last

	up      bool      // the session
	heard   time.Time // the last packet of a session that is up, or when it came up
	expect  time.Duration
	expires time.Time // when the session ends unless a packet comes
	doubt   time.Time // a session that was up has ended; until then it may come back unnoticed

	asked     time.Time // last echo request
	lost      int       // requests since the last answer
	lostSince time.Time // the first of them
	answered  time.Time // last answer, or packet of a session that is up
	answering time.Time // since when there were such without a gap
}

func newJudge(interval time.Duration, multiplier int, now time.Time) *judge {
	return &judge{interval: interval, multiplier: multiplier, verdict: Unknown, since: now, began: now}
}

// lapse is for how long a link may be silent, as BFD has it.
func (j *judge) lapse() time.Duration { return j.interval * time.Duration(j.multiplier) }

// packet tells that the session is up and has received a packet; the next is expected
// within the given time, and the session ends at another.
func (j *judge) packet(now time.Time, expect time.Duration, expires time.Time) {
	if !j.up {
		j.up, j.everUp = true, true
		j.doubt = time.Time{}
	}
	j.heard, j.expect, j.expires = now, expect, expires
	j.good(now)
}

// reason is why a session that was up is not any more.
type reason int

const (
	expired  reason = iota // nothing was heard for a detection time
	signaled               // the peer says that it is down: it has not heard us, or is new
	ordered                // one of the two ends was told to
)

// down tells that the session has gone down.
func (j *judge) down(r reason, now time.Time) {
	if !j.up && r != ordered {
		return
	}
	heard := j.heard
	if j.up {
		j.up, j.heard = false, now
	}
	switch {
	case j.verdict != Alive:
	case r == ordered:
		// Somebody said so, over this link or here: the link works. From now on the
		// kernel must answer.
		j.answered = now
		j.decide(Absent, now)
	case r == expired:
		j.doubt, j.heard = now, heard
	case j.blind:
		// An agent that starts again is back within the second in which it sends.
		j.doubt = now.Add(2 * slowest)
	default:
		// Ask anew: the peer is there, one way at least.
		j.doubt, j.lost = now.Add(2*j.interval), 0
	}
}

// echo tells that an echo request was sent.
func (j *judge) echo(now time.Time) {
	j.asked = now
	if j.lost == 0 {
		j.lostSince = now
	}
	j.lost++
}

// reply tells that the echo request that was sent then was answered.
func (j *judge) reply(sent time.Time) { j.good(sent) }

// good tells that packets passed both ways at that time. A session that comes and goes,
// as with a peer that is busy, is no doubt of the link as long as the kernel answers
// in between.
func (j *judge) good(at time.Time) {
	if j.answering.IsZero() || at.Sub(j.answered) > max(j.lapse(), lostEchoes*slowEcho) {
		j.answering = at
	}
	if at.After(j.answered) {
		j.answered = at
	}
	j.lost = 0
}

// silent tells that the peer's kernel does not answer. An engine that was not scheduled
// has not asked, so it does not take its own sleep for the silence of others.
func (j *judge) silent(now time.Time) bool {
	return j.lost >= lostEchoes && !now.Before(j.lostSince.Add(j.patience()))
}

// patience is for how long requests must have been lost.
func (j *judge) patience() time.Duration {
	interval := float64(j.interval)
	return time.Duration(max(lostOver*interval, min(float64(lostLeast), lostMost*interval)))
}

// pace is the time between requests: the last of those that must be lost is given as long
// for its answer.
func (j *judge) pace() time.Duration { return j.patience() / lostEchoes }

// advance gives the verdict of this moment.
func (j *judge) advance(now time.Time) {
	switch j.verdict {
	case Unknown:
		switch {
		case j.up:
			j.decide(Alive, now)
		case now.Before(j.began.Add(newcomerAbsent)):
		case !j.answering.IsZero() && now.Sub(j.answered) < j.lapse()+slowEcho:
			j.decide(Absent, now)
		case !now.Before(j.began.Add(newcomer)) && j.silent(now):
			j.decide(Dead, now)
		}
	case Alive:
		switch {
		case j.doubt.IsZero():
		case j.silent(now) && !j.answered.After(j.heard):
			j.decide(Dead, now)
		case now.Before(j.doubt):
		case j.answered.After(j.heard):
			j.decide(Absent, now)
		case j.blind:
			j.decide(Dead, now)
		}
	case Absent:
		switch {
		case j.up:
			j.decide(Alive, now)
		case j.silent(now) && !now.Before(j.answered.Add(j.lapse())):
			j.decide(Dead, now)
		}
	case Dead:
		switch {
		case j.up && (!now.Before(j.answering.Add(j.settle())) || j.flaps == 0):
			j.decide(Alive, now)
		case !j.up && j.lost < lostEchoes && !j.answering.IsZero() && j.answered.Sub(j.answering) >= j.settle():
			j.decide(Absent, now)
		}
	}
}

func (j *judge) decide(v Verdict, now time.Time) {
	if v == Dead && j.verdict != Unknown {
		j.flaps++
		if now.Sub(j.died) > forgive {
			j.deaths = 0
		}
		j.deaths++
		j.died = now
	}
	if v == Dead {
		j.answering = time.Time{}
	}
	j.verdict, j.since = v, now
	j.doubt = time.Time{}
}

// settle is for how long a dead link must be good.
func (j *judge) settle() time.Duration {
	d := max(settleIntervals*j.interval, settleLeast)
	for range j.deaths - 1 {
		if d >= settleMost {
			break
		}
		d *= 2
	}
	return min(d, settleMost)
}

// asks is when the next echo request is to be sent: from the first of two times on, if
// somebody is awake anyway, and at the second at the latest; zero: no need.
func (j *judge) asks() (may, must time.Time) {
	var every time.Duration
	switch {
	case j.blind, j.up && j.verdict == Dead:
		return may, must
	case j.up && j.asked.Before(j.heard):
		// A packet is late: jitter makes them early, never late. It may be waiting in the
		// socket, so nobody need wake up for that. But whatever comes of it, the answer
		// is to be there when the session ends.
		may = j.heard.Add(j.expect + max(j.expect/8, time.Millisecond))
		must = j.expires.Add(-j.patience() - j.pace())
		if must.Before(may) {
			must = may
		}
		return may, must
	case j.up, j.verdict == Alive, j.verdict == Absent && j.lost > 0:
		every = j.pace()
	case j.verdict == Absent:
		every = j.interval
	default:
		every = max(j.interval, slowEcho)
	}
	from := j.asked
	if from.IsZero() {
		from = j.began
	}
	return from.Add(every), from.Add(every)
}

// deadline is when advance must be called again, if nothing happens before and
// advance was just called; zero: never.
func (j *judge) deadline(now time.Time) time.Time {
	var d time.Time
	at := func(t time.Time) {
		if t.After(now) { // else what is missing is an answer, or a question
			d = earliest(d, t)
		}
	}
	switch {
	case j.verdict == Unknown:
		at(j.began.Add(newcomer))
	case j.verdict == Alive && j.doubt.IsZero():
		return d
	case j.verdict == Alive:
		at(j.doubt)
	case j.verdict == Absent:
		at(j.answered.Add(j.lapse()))
	case j.up:
		at(j.answering.Add(j.settle()))
	}
	if j.lost >= lostEchoes && j.verdict != Dead {
		at(j.lostSince.Add(j.patience()))
	}
	return d
}
