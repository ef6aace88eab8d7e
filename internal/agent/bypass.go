package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// bypass is the forwarding that is steered as a whole while the kernel can't be given
// new tables: a driver that waits for a dead peer holds RTNL for ten seconds, and a
// cable of other nodes may be cut meanwhile.
type bypass struct {
	left     *plan.Left
	out      outs              // cables that it leaves out
	doubtful map[string]string // cables that it uses although they are doubtful
	made     time.Time         // what was known then is in it
}

// bypassAfter is how long the kernel may take, and how long the other nodes have for
// their turns after a first cut, which the tables of all bear (see decide). A second
// one waits for nobody.
const bypassAfter = 100 * time.Millisecond

// standIn acts for the loop while that waits for the kernel.
func (a *Agent) standIn(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var seen outs // the cabling to be reached, and since when it is
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake.night:
		case <-timer.C:
		}
		now := time.Now()
		a.mu.Lock()
		p, asked, begun := a.shared.plan, a.pulse.asked, a.shared.installed != nil
		a.mu.Unlock()
		if asked.IsZero() || !begun { // the loop itself will see to it
			continue
		}
		if wait := asked.Add(bypassAfter).Sub(now); wait > 0 {
			timer.Reset(wait)
			continue
		}
		out, doubtful := a.outNow(p)
		a.mu.Lock()
		s := &a.shared
		target := s.aim(out)
		stands := s.passage == nil && maps.Equal(target, s.out)
		if s.bypass != nil {
			stands = maps.Equal(target, s.bypass.out)
		}
		urgent := s.bypass != nil || s.passage != nil || newlyOut(s.out, target) > 1 || s.isolated()
		a.mu.Unlock()
		if seen == nil || !maps.Equal(target, seen) {
			seen, since = target, now
		}
		switch wait := since.Add(bypassAfter).Sub(now); {
		case stands:
		case !urgent && wait > 0:
			timer.Reset(wait)
		default:
			a.passBy(ctx, &bypass{plan.Without(p, target), target, doubtful, now}, asked)
		}
	}
}

// passBy puts a bypass into force if the loop waits still for what it asked then.
func (a *Agent) passBy(ctx context.Context, b *bypass, asked time.Time) {
	a.mu.Lock()
	s := &a.shared
	if !a.pulse.asked.Equal(asked) {
		a.mu.Unlock()
		return
	}
	note, talk := passageName(s.out, b.out)+" done", s.gossip
	s.bypass = b
	a.mu.Unlock()
	a.log.Info("the kernel takes long; packets are steered as these should be", "out", slices.Sorted(maps.Keys(b.out)), "busy since", asked)
	a.steer(ctx)
	if talk != nil { // who waits for this node's turns need not
		talk.Note(noteTurn, note)
	}
}
