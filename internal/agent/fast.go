package agent

import (
	"context"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/liveness"
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
	says := a.shared.says()
	talk := a.shared.gossip
	a.mu.Unlock()

	if changed {
		a.steer(ctx)
		if talk != nil {
			talk.Announce(says)
		}
	}
	a.wake.up(causeLiveness)
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
