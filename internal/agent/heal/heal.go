// Package heal decides what to do about a link that is plugged and does not work,
// and when: a ladder of steps, each tried once, with pauses between them.
//
// The order follows what helped people: the driver's own login comes first, then
// the interface is set down and up, then the driver is bound anew, and then only
// hands help. Modules are never loaded anew: that has wedged whole controllers.
package heal

import (
	"cmp"
	"slices"
	"time"
)

// Step is a rung of the ladder.
type Step string

// The steps, in order.
const (
	DownUp Step = "set-down-up" // set the interface down and up
	Rebind Step = "rebind"      // unbind the driver from the service and bind it again
	Replug Step = "replug"      // tell a person to replug the cable
)

var ladder = []struct {
	step  Step
	pause time.Duration // until the next step: what this one may take to help
}{
	{DownUp, 20 * time.Second}, // thunderbolt_net logs in after 1 s and then every 5 s
	{Rebind, 30 * time.Second},
	{Replug, 0},
}

// Announced is how long after a node has said what it is about to do all others have
// heard of it, and it of those who said the same at the same moment.
const Announced = time.Second

const (
	patience = 15 * time.Second // before the first step
	refused  = 10 * time.Second // until we ask again
	rest     = 10 * time.Minute // after the last step, doubled with every round
	longest  = 2 * time.Hour
	wellFor  = 10 * time.Minute // a link that works for so long starts afresh
)

// Link is a link as the agent sees it.
type Link struct {
	Name   string // of the interface, as planned
	Cable  string
	Sick   bool      // plugged, and carries nothing
	Reason string    // in what way
	Since  time.Time // sick or not
}

// Action is a step to take now.
type Action struct {
	Link   Link
	Step   Step
	Reason string
}

// Ladder remembers what was tried. The zero value is ready.
type Ladder struct {
	links map[string]*state
}

type state struct {
	next   int       // rung
	round  int       // times that the ladder was gone up
	due    time.Time // not before
	acting time.Time // announced that we are about to act; zero if not
	done   bool      // this round's steps are all taken
	why    string    // the other end's turn
}

// Turn returns what to do now, and when to ask again at the latest (zero: when
// something changes). may says whether this end may act on a cable that was down
// for so long, and if not why.
func (l *Ladder) Turn(now time.Time, links []Link, may func(cable string, down time.Duration) (bool, string)) ([]Action, time.Time) {
	if l.links == nil {
		l.links = map[string]*state{}
	}
	var actions []Action
	var wake time.Time
	for _, link := range links {
		s := l.links[link.Name]
		if s == nil {
			s = &state{}
			l.links[link.Name] = s
		}
		if !link.Sick {
			s.acting, s.done, s.why = time.Time{}, false, ""
			if now.Sub(link.Since) >= wellFor {
				*s = state{}
			}
			continue
		}
		a, again := s.turn(now, link, may)
		if a != nil {
			actions = append(actions, *a)
		}
		if !again.IsZero() && (wake.IsZero() || again.Before(wake)) {
			wake = again
		}
	}
	return actions, wake
}

func (s *state) turn(now time.Time, link Link, may func(string, time.Duration) (bool, string)) (*Action, time.Time) {
	due := link.Since.Add(patience)
	if s.due.After(due) {
		due = s.due
	}
	if now.Before(due) {
		return nil, due
	}
	s.done = false
	rung := ladder[s.next]
	if rung.step != Replug { // words harm nobody
		if s.acting.IsZero() {
			s.acting = now
		}
		if again := s.acting.Add(Announced); now.Before(again) {
			return nil, again
		}
		ok, why := may(link.Cable, now.Sub(link.Since))
		if s.why = why; !ok {
			s.acting, s.due = time.Time{}, now.Add(refused)
			return nil, s.due
		}
	}
	s.due = now.Add(rung.pause)
	if s.next++; s.next == len(ladder) {
		s.next, s.acting, s.done = 0, time.Time{}, true
		s.due = now.Add(min(rest<<min(s.round, 8), longest))
		s.round++
	}
	return &Action{link, rung.step, link.Reason + " for " + now.Sub(link.Since).Round(time.Second).String()}, s.due
}

// State says of a link: whether this end is about to act on it, whether it has
// tried all it can, and why it waits ("" if it does not).
func (l *Ladder) State(name string) (acting, done bool, why string) {
	s := l.links[name]
	if s == nil {
		return false, false, ""
	}
	return !s.acting.IsZero(), s.done, s.why
}

// Waiting returns the links that wait for a person, by name.
func (l *Ladder) Waiting() []string {
	var names []string
	for name, s := range l.links {
		if s.done {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}
