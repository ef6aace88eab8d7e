package agent

import (
	"context"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/cables"
	"github.com/usb4mesh/usb4mesh/internal/agent/restore"
	"github.com/usb4mesh/usb4mesh/internal/liveness"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// steering is what the kernel was told of packets that take another way than its
// tables say.
type steering struct {
	sync.Mutex
	on       bool         // something is steered
	prepared bool         // the table stands, as far as anybody knows
	failed   error        // why nothing can be steered
	pace     restore.Pace // of others who take the table away
}

// steer makes the kernel steer as it should now, unless that is nothing and was
// nothing. What is asked last counts: the entries are gathered under the lock.
func (a *Agent) steer(ctx context.Context) {
	a.steering.Lock()
	defer a.steering.Unlock()
	a.steerLocked(ctx, false)
}

// steerLocked does it; always writes the table even if nothing is steered.
func (a *Agent) steerLocked(ctx context.Context, always bool) {
	a.mu.Lock()
	steers := a.shared.steers()
	a.mu.Unlock()
	s := &a.steering
	if len(steers) == 0 && !s.on && !always {
		return
	}
	err := a.parts.kernel.Steer(ctx, steers)
	if ctx.Err() != nil {
		return
	}
	if err != nil && s.failed == nil {
		a.log.Error("packets can't be steered", "error", err)
	}
	if s.failed = err; err != nil {
		return
	}
	if s.on != (len(steers) > 0) {
		a.log.Info("steering", "ways", len(steers))
	}
	s.on, s.prepared = len(steers) > 0, true
}

// prepareSteering replaces what an agent before this one may have left, once there
// are verdicts to steer by, and finds out whether this kernel can steer at all.
func (a *Agent) prepareSteering(ctx context.Context) {
	a.mu.Lock()
	ready := !a.shared.watched
	if !ready {
		ready = true
		for _, p := range a.shared.ports {
			ready = ready && (p.index == 0 || p.verdict != liveness.Unknown || time.Since(p.first) > verdictDue)
		}
	}
	a.mu.Unlock()
	if a.loop.prepared || !ready {
		return
	}
	a.loop.prepared = true
	a.steering.Lock()
	defer a.steering.Unlock()
	a.steering.on = true // as far as anybody knows
	a.steerLocked(ctx, true)
}

// keepFilters puts back what is steered when somebody else takes it away, as every
// program does that loads a firewall anew, and makes the loop look after the filter
// against strangers. The kernel forgets what is steered at once, so this neither waits
// for the loop nor needs RTNL; but it is not done at full speed against somebody who
// goes on.
func (a *Agent) keepFilters(ctx context.Context, taken <-chan struct{}) {
	for range taken {
		time.Sleep(settle) // all that is told of one flush counts once
		select {
		case <-taken:
		default:
		}
		a.steering.Lock()
		now := time.Now()
		due := a.steering.pace.Taken(now)
		a.steering.Unlock()
		a.log.Warn("somebody changed the packet filters of the mesh", "put back in", due.Sub(now))
		select {
		case <-ctx.Done():
			return
		case <-time.After(due.Sub(now)):
		}
		a.steering.Lock()
		if a.steering.prepared { // else nothing of this agent's was there
			a.steerLocked(ctx, true)
		}
		a.steering.Unlock()
		a.unguarded.Store(true)
		a.wake.up(causeKernel)
	}
}

// steers is how packets are to be steered now: past the node's own links that are
// dead while the tables still lead over them.
func (s *shared) steers() []mesh.Steer {
	if s.installed == nil {
		return nil
	}
	if s.bypass != nil {
		return s.bypass.left.Instead(s.node, s.silent(s.bypass))
	}
	down, silent, foreseen := map[string]bool{}, false, true
	for _, p := range s.ports {
		if p.usable || s.out[p.Plan.Cable] {
			continue
		}
		down[p.Plan.Cable] = true
		silent = silent || p.why == cables.Dead
		foreseen = foreseen && s.target[p.Plan.Cable]
	}
	switch {
	case s.passage != nil && foreseen:
		return s.passage.Steers(s.node, s.turn)
	case silent:
		return s.installed.Around(s.node, down)
	}
	return nil // what has no carrier the kernel leaves by itself
}

// silent returns the node's own cables that died since the bypass was made.
func (s *shared) silent(b *bypass) map[string]bool {
	dead := map[string]bool{}
	for _, p := range s.ports {
		if !p.usable && p.why == cables.Dead && !b.out[p.Plan.Cable] && b.doubtful[p.Plan.Cable] == "" {
			dead[p.Plan.Cable] = true
		}
	}
	return dead
}
