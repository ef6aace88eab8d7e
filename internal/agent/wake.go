package agent

import (
	"context"
	"sync"
	"time"
)

// Causes of a turn.
const (
	causeStart    = "start"
	causeTimer    = "timer"
	causeKernel   = "kernel"
	causeHardware = "hardware"
	causeLiveness = "liveness"
	causeGossip   = "gossip"
	causeReload   = "reload"
)

const (
	// settle lets what belongs together arrive together: the driver's events for
	// one cable come within a millisecond.
	settle = 2 * time.Millisecond
	// The kernel may have much to tell that is not about us: a container host, a
	// routing daemon. Turns that found nothing to do make the next one wait longer.
	shortGap = 50 * time.Millisecond
	longGap  = time.Second
)

// waker joins wake-ups: however many there are, one turn follows.
type waker struct {
	bell  chan struct{}
	night chan struct{} // for who sees to things while the loop waits for the kernel
	mu    sync.Mutex
	why   string
}

func newWaker() *waker { return &waker{bell: make(chan struct{}, 1), night: make(chan struct{}, 1)} }

// up wakes the loop. Of several causes a reload is kept, else the first.
func (w *waker) up(cause string) {
	w.mu.Lock()
	if w.why == "" || cause == causeReload {
		w.why = cause
	}
	w.mu.Unlock()
	select {
	case w.bell <- struct{}{}:
	default:
	}
	w.ringNight()
}

func (w *waker) ringNight() {
	select {
	case w.night <- struct{}{}:
	default:
	}
}

func (w *waker) cause() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.why
	w.why = ""
	return c
}

// pause waits for the next turn and returns its cause; false when ctx has ended.
func (a *Agent) pause(ctx context.Context) (string, bool) {
	wait := a.options.Timer
	if !a.loop.again.IsZero() {
		wait = min(wait, max(0, time.Until(a.loop.again)))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return "", false
	case <-timer.C:
		return causeTimer, true
	case <-a.wake.bell:
	}
	select {
	case <-ctx.Done():
		return "", false
	case <-time.After(a.loop.gap.next(a.wake)):
		return a.wake.cause(), true
	}
}

// gap is how long the loop rests before it turns for the kernel's sake.
type gap struct{ idle int }

// next returns the rest before the turn that was asked for.
func (g *gap) next(w *waker) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.why != causeKernel || g.idle < 2 {
		return settle
	}
	return min(shortGap<<min(g.idle-2, 8), longGap)
}

// done tells of a turn: its cause, and whether it found anything to do.
func (g *gap) done(cause string, effect bool) {
	switch {
	case effect:
		g.idle = 0
	case cause == causeKernel:
		g.idle++
	case cause == causeTimer:
		g.idle = max(0, g.idle-1)
	}
}
