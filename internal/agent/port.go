package agent

import (
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

	usable bool
	why    string
	since  time.Time
	flaps  int // times that it became unusable
}

// verdictDue bounds how long a new link may be without a verdict; the engine gives
// one much earlier.
const verdictDue = 5 * time.Second

// Reasons for which a link is not usable, as told to the other nodes.
const (
	whyStranger  = "stranger"
	whyUnplugged = "unplugged"
	whySetDown   = "set down"
	whyNoCarrier = "no carrier"
	whyUntried   = "not alive yet"
	whyAbsent    = "its kernel answers, its agent does not" // usable all the same
)

// see takes what a scan has found. What liveness said of another interface does
// not count for this one.
func (p *port) see(now time.Time, m match.Port, presumed bool) {
	p.Port = m
	if index := m.Kernel.Index; index != p.index {
		p.index, p.presumed, p.first, p.verdict = index, presumed, now, liveness.Unknown
	}
}

// hear takes a verdict about the interface of that index. It is believed at once:
// liveness itself holds down what dies again and again.
func (p *port) hear(index int, v liveness.Verdict) {
	if index == p.index {
		p.verdict = v
	}
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
		usable = true
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
