package agent

import (
	"context"
	"fmt"
	"time"
)

const (
	// busyAfter is how long a request to the kernel may take before status says so.
	busyAfter = time.Second
	// A loop that does not turn for so long is stuck; one that waits for the kernel
	// may take longer, since a driver can hold RTNL for ten seconds and more.
	stuckAfter     = 30 * time.Second
	stuckInKernel  = 2 * time.Minute
	superviseEvery = time.Second
)

// pulse is what the loop is at, guarded by Agent.mu.
type pulse struct {
	turned time.Time // the last turn ended
	asked  time.Time // the kernel was asked; zero while it is not
}

// ask runs a request to the kernel, so that others can see how long it takes.
func (a *Agent) ask(request func() error) error {
	a.mu.Lock()
	a.pulse.asked = time.Now()
	a.mu.Unlock()
	a.wake.ringNight()
	err := request()
	a.mu.Lock()
	a.pulse.asked = time.Time{}
	a.mu.Unlock()
	return err
}

func (a *Agent) turned() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pulse.turned = time.Now()
}

// busy returns since when the kernel has not answered, if that is long.
func (p pulse) busy(now time.Time) (since time.Time, ok bool) {
	return p.asked, !p.asked.IsZero() && now.Sub(p.asked) > busyAfter
}

// Healthy returns nil while the loop turns, else what is the matter. A loop that
// waits for the kernel is alive for a while: liveness and steering go on.
func (a *Agent) Healthy() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	switch p := a.pulse; {
	case p.turned.IsZero() && p.asked.IsZero():
		return nil // about to start
	case !p.asked.IsZero() && now.Sub(p.asked) > stuckInKernel:
		return fmt.Errorf("the kernel has not answered for %s", now.Sub(p.asked).Round(time.Second))
	case p.asked.IsZero() && now.Sub(p.turned) > stuckAfter+a.options.Timer:
		return fmt.Errorf("the loop has not turned for %s", now.Sub(p.turned).Round(time.Second))
	}
	return nil
}

// supervise feeds systemd's watchdog while the loop is alive, and tells readers
// when the kernel has become slow to answer, which the loop can't do then.
func (a *Agent) supervise(ctx context.Context) {
	tick := time.NewTicker(superviseEvery)
	defer tick.Stop()
	was := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if a.Healthy() == nil {
			a.parts.notify("WATCHDOG=1")
		}
		a.mu.Lock()
		since, busy := a.pulse.busy(time.Now())
		a.mu.Unlock()
		if busy != was {
			was = busy
			if busy {
				a.log.Warn("the kernel does not answer; traffic is steered past it meanwhile", "since", since)
			} else {
				a.log.Info("the kernel answers again")
			}
			a.tellReaders()
		}
	}
}
