package agent

import (
	"context"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/cables"
	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/liveness"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// listen is the fast path: what liveness says is acted upon here, in order, and
// not by the loop, which may wait for the kernel. Packets are steered off a dead
// link first, since that helps at once and asks nobody; then the other nodes are
// told; then the loop computes what to do for good.
func (a *Agent) listen(ctx context.Context, live Liveness) {
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-live.Events():
			if !ok {
				return
			}
			a.hear(ctx, e)
		}
	}
}

func (a *Agent) hear(ctx context.Context, e liveness.Event) {
	now := time.Now()
	a.mu.Lock()
	changed := false
	for _, p := range a.shared.ports {
		if p.Plan.Interface == e.Session.Link.Name {
			p.hear(e.Session.Link.Index, e.Session.Verdict)
			_, changed = p.judge(now, a.shared.watched)
		}
	}
	steers := a.shared.steers()
	says := a.shared.says()
	talk := a.shared.gossip
	a.mu.Unlock()

	if changed {
		a.steer(ctx, steers)
		if talk != nil {
			talk.Announce(says)
		}
	}
	a.wake.up(causeLiveness)
}

// steer makes the kernel steer as given, unless that is nothing and was nothing.
func (a *Agent) steer(ctx context.Context, steers []mesh.Steer) {
	a.steering.Lock()
	defer a.steering.Unlock()
	if len(steers) == 0 && !a.steered {
		return
	}
	err := a.parts.kernel.Steer(ctx, steers)
	if ctx.Err() != nil {
		return
	}
	if err != nil && a.noSteer == nil {
		a.log.Error("packets can't be steered", "error", err)
	}
	if a.noSteer = err; err != nil {
		return
	}
	if was := a.steered; was != (len(steers) > 0) {
		a.log.Info("steering", "ways", len(steers))
	}
	a.steered = len(steers) > 0
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
	steers := a.shared.steers()
	a.mu.Unlock()
	if a.loop.prepared || !ready {
		return
	}
	a.loop.prepared = true
	a.steering.Lock()
	a.steered = true // as far as anybody knows
	a.steering.Unlock()
	a.steer(ctx, steers)
}

// steers is how packets are to be steered now: past the node's own links that are
// dead while the tables still lead over them.
func (s *shared) steers() []mesh.Steer {
	if s.installed == nil {
		return nil
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

// says is what this node says of its links.
func (s *shared) says() []gossip.LinkState {
	var out []gossip.LinkState
	for _, p := range s.ports {
		l := gossip.LinkState{Node: s.node, Cable: p.Plan.Cable, Up: p.usable, Why: p.why}
		switch h := s.healing[p.Plan.Interface]; {
		case h.acting:
			l.Heal = gossip.HealActing
		case h.done:
			l.Heal = gossip.HealDone
		}
		out = append(out, l)
	}
	return out
}
