// Package livenesstest has a stand-in for the engine of package liveness, which says
// of links what a test tells it to say.
package livenesstest

import (
	"maps"
	"slices"
	"sync"

	"github.com/usb4mesh/usb4mesh/internal/liveness"
)

// Fake has the methods of liveness.Engine and opens no socket.
type Fake struct {
	mu       sync.Mutex
	sessions map[string]liveness.Session
	held     map[string]bool
	events   chan liveness.Event
	closed   bool
}

// New returns a fake that watches nothing. It holds up to a thousand events that
// nobody reads; a test that makes more panics.
func New() *Fake {
	return &Fake{
		sessions: map[string]liveness.Session{},
		held:     map[string]bool{},
		events:   make(chan liveness.Event, 1000),
	}
}

// Say gives a verdict on a link and makes the event, if it is another than before.
// A link that is not watched is left alone; Say then returns false.
func (f *Fake) Say(name string, v liveness.Verdict) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.sessions[name]
	if !ok || f.closed {
		return false
	}
	previous := s.Verdict
	if previous == v {
		return true
	}
	s.Verdict, s.State = v, liveness.Down
	if v == liveness.Alive {
		s.State, s.EverUp = liveness.Up, true
	}
	if v == liveness.Dead && previous != liveness.Unknown {
		s.Flaps++
	}
	f.sessions[name] = s
	select {
	case f.events <- liveness.Event{Session: s, Previous: previous}:
	default:
		panic("livenesstest: a thousand events, and nobody reads them")
	}
	return true
}

// Held tells whether an interface is held.
func (f *Fake) Held(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held[name]
}

// Set keeps the sessions of links that stay as they are, as the engine does.
func (f *Fake) Set(links []liveness.Link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := map[string]liveness.Session{}
	for _, l := range links {
		s, ok := f.sessions[l.Name]
		if !ok || s.Link != l {
			s = liveness.Session{Link: l, State: liveness.Down, Verdict: liveness.Unknown, Held: f.held[l.Name]}
		}
		next[l.Name] = s
	}
	f.sessions = next
}

// Events returns the verdicts that were said.
func (f *Fake) Events() <-chan liveness.Event { return f.events }

// Sessions returns all sessions, sorted by interface name.
func (f *Fake) Sessions() []liveness.Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []liveness.Session
	for _, name := range slices.Sorted(maps.Keys(f.sessions)) {
		out = append(out, f.sessions[name])
	}
	return out
}

// Hold notes that the interface is held.
func (f *Fake) Hold(name string, hold bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held[name] = hold
	if s, ok := f.sessions[name]; ok {
		s.Held, s.State = hold, liveness.Down
		if hold {
			s.State = liveness.AdminDown
		}
		f.sessions[name] = s
	}
}

// Close ends the events.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.events)
	}
	return nil
}
