package remote

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// session is a coordinator's hold of this agent.
type session struct {
	id    string
	who   string // a node, or what the coordinator calls itself and from where
	since time.Time
	until time.Time // at the latest

	ctx    context.Context // ends with the hold
	cancel context.CancelFunc
	jobs   sync.WaitGroup
	room   chan struct{}
}

func (s *session) busy() string {
	return fmt.Sprintf("busy with a survey of %s since %s, until %s at the latest", s.who, clock(s.since), clock(s.until))
}

func clock(t time.Time) string { return t.Format("15:04:05") }

// hold makes a session the one that this agent works for, or says for whom it does.
func (a *Agent) hold(r request, from netip.Addr) (*session, error) {
	who := fmt.Sprintf("%q at %s", r.Coordinator, from)
	if a.owner[from] != "" {
		who = "node " + a.owner[from]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held != nil {
		return nil, errors.New(a.held.busy())
	}
	now := time.Now()
	s := &session{id: r.Session, who: who, since: now, until: now.Add(r.Limit), room: make(chan struct{}, maxJobs)}
	s.ctx, s.cancel = context.WithDeadline(a.ctx, s.until)
	a.held = s
	return s, nil
}

// over says why a session is over; nil while it is not.
func (a *Agent) over(s *session) error {
	switch {
	case a.ctx.Err() != nil:
		return errors.New("the agent ends, or uses another plan now")
	case errors.Is(s.ctx.Err(), context.DeadlineExceeded):
		return errors.New("the time of the survey is over")
	case s.ctx.Err() != nil:
		return errors.New("the survey has ended")
	}
	return nil
}

// release ends what the session has begun, and then lets the next one in.
func (a *Agent) release(s *session) {
	a.mu.Lock()
	s.cancel() // under the lock: whoever joins later sees it
	a.mu.Unlock()
	s.jobs.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = nil
}

// join adds a job to the session of that name. leave must follow.
func (a *Agent) join(id string) (s *session, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s = a.held
	if s == nil || s.id != id || s.ctx.Err() != nil {
		return nil, errors.New("the session does not hold this node any more")
	}
	select {
	case s.room <- struct{}{}:
		s.jobs.Add(1)
		return s, nil
	default:
		return nil, fmt.Errorf("%d jobs run already", maxJobs)
	}
}

func (s *session) leave() {
	<-s.room
	s.jobs.Done()
}
