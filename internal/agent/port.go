package agent

import (
	"slices"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/cables"
	"github.com/usb4mesh/usb4mesh/internal/agent/match"
	"github.com/usb4mesh/usb4mesh/internal/liveness"
)

// port is one link of the plan with its history.
type port struct {
	match.Port

	// A replug makes another interface, about which nothing is known.
	index    int
	presumed bool // its routes stood before this agent started
	first    time.Time
	verdict  liveness.Verdict
	alive    time.Time // since when it is

	usable bool
	why    string
	since  time.Time
	flaps  int         // times that it became unusable
	deaths []time.Time // by liveness, of late
}

const (
	// verdictDue bounds how long a new link may be without a verdict; the engine
	// gives one much earlier.
	verdictDue = 5 * time.Second
	// A link that dies again and again is used again only after it was alive for a
	// while, doubled with every death within memory.
	firstHold   = 500 * time.Millisecond
	longestHold = 10 * time.Second
	memory      = time.Minute
)

// Reasons for which a link is not usable, as told to the other nodes.
const (
	whyStranger  = "stranger"
	whyUnplugged = "unplugged"
	whySetDown   = "set down"
	whyNoCarrier = "no carrier"
	whyUntried   = "not alive yet"
	whyUnsteady  = cables.Unsteady
	whyAbsent    = "its kernel answers, its agent does not" // usable all the same
)

// see takes what a scan has found. What liveness said of another interface does
// not count for this one.
func (p *port) see(now time.Time, m match.Port, presumed bool) {
	p.Port = m
	if index := m.Kernel.Index; index != p.index {
		p.index, p.presumed, p.first, p.verdict, p.alive = index, presumed, now, liveness.Unknown, time.Time{}
	}
}

// hear takes a verdict about the interface of that index.
func (p *port) hear(now time.Time, index int, v liveness.Verdict) {
	if index != p.index || v == p.verdict {
		return
	}
	if v == liveness.Dead && p.verdict != liveness.Unknown {
		p.deaths = append(slices.DeleteFunc(p.deaths, func(t time.Time) bool { return now.Sub(t) > memory }), now)
	}
	if v == liveness.Alive && p.verdict != liveness.Absent { // absent, it was usable all the time
		p.alive = now
	}
	p.verdict = v
}

// judge decides whether the link may carry traffic, as far as this end sees. If
// time alone may change that, again is when. It reports whether the answer is new.
func (p *port) judge(now time.Time, watched bool) (again time.Time, changed bool) {
	usable, why := false, ""
	switch {
	case p.Stranger != "":
		why = whyStranger
	case p.Kernel.Name == "":
		why = whyUnplugged
	case !p.Kernel.Up:
		why = whySetDown
	case !p.Kernel.Carrier:
		why = whyNoCarrier
	case !watched:
		usable = true
	case p.verdict == liveness.Dead:
		why = cables.Dead
	case p.verdict == liveness.Absent:
		usable, why = true, whyAbsent
	case p.verdict == liveness.Unknown:
		again = p.first.Add(verdictDue)
		if usable = p.presumed || !now.Before(again); usable {
			again = time.Time{}
		} else {
			why = whyUntried
		}
	default:
		hold := p.hold(now)
		again = p.alive.Add(hold)
		if usable = hold == 0 || !now.Before(again); usable {
			again = time.Time{}
		} else {
			why = whyUnsteady
		}
	}
	if changed = usable != p.usable || p.since.IsZero(); changed {
		if !usable && !p.since.IsZero() {
			p.flaps++
		}
		p.usable, p.since = usable, now
	}
	changed = changed || why != p.why
	p.why = why
	return again, changed
}

// hold is how long the link has to be alive before it is used.
func (p *port) hold(now time.Time) time.Duration {
	n := 0
	for _, t := range p.deaths {
		if now.Sub(t) <= memory {
			n++
		}
	}
	if n < 2 {
		return 0
	}
	return min(firstHold<<min(n-2, 8), longestHold)
}
