package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/cables"
	"github.com/usb4mesh/usb4mesh/internal/agent/heal"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// maxHeals is how many steps of healing status shows.
const maxHeals = 20

// aloneFor is how long the end with the higher name leaves a link to the other one
// where there is no gossip to ask.
const aloneFor = 3 * time.Minute

// heal takes the steps that are due for links which are plugged and carry nothing.
// A link that is in use, be it for want of anything better, is never touched.
func (a *Agent) heal(ctx context.Context, t *turn) {
	a.mu.Lock()
	g := a.shared.gossip
	var links []heal.Link
	parents := map[string]string{}
	for _, p := range a.shared.ports {
		name := p.Plan.Interface
		sick := !p.usable && p.Part() && (p.why == whyNoCarrier || p.why == cables.Dead) && a.loop.out[p.Plan.Cable] != ""
		since := p.since
		if p.first.After(since) {
			since = p.first // a cable that was plugged again has the driver's own time to come up
		}
		links = append(links, heal.Link{Name: name, Cable: p.Plan.Cable, Sick: sick, Reason: p.why, Since: since})
		if p.Peer != nil {
			parents[name] = p.Peer.Parent
		}
		if !sick {
			a.healed(name, p.usable)
		}
	}
	a.mu.Unlock()

	actions, again := a.loop.ladder.Turn(t.started, links, a.mayHeal(g))
	a.turnAgain(again)
	for _, action := range actions {
		step := mesh.HealStep{Time: t.started, Link: action.Link.Name, Step: string(action.Step), Reason: action.Reason}
		if err := a.healStep(ctx, t, action, parents[action.Link.Name]); err != nil {
			step.Error = err.Error()
		}
		a.log.Warn("healing", "link", step.Link, "step", step.Step, "reason", step.Reason, "error", step.Error)
		a.loop.heals = append(a.loop.heals, step)
		a.loop.heals = a.loop.heals[max(0, len(a.loop.heals)-maxHeals):]
	}
	a.tellHealing(links)
}

// tellHealing announces which cables this end works on, so that the other does not.
func (a *Agent) tellHealing(links []heal.Link) {
	a.mu.Lock()
	now := map[string]healing{}
	changed := false
	for _, l := range links {
		acting, done, _ := a.loop.ladder.State(l.Name)
		now[l.Name] = healing{acting, done}
		changed = changed || now[l.Name] != a.shared.healing[l.Name]
	}
	a.shared.healing = now
	says, g := a.shared.says(), a.shared.gossip
	a.mu.Unlock()
	if changed && g != nil {
		g.Announce(says)
	}
}

// mayHeal is gossip's rule, or one that needs no gossip: the end with the lower name
// goes first.
func (a *Agent) mayHeal(g Gossip) func(string, time.Duration) (bool, string) {
	if g != nil {
		return g.MayHeal
	}
	return func(cable string, down time.Duration) (bool, string) {
		for _, c := range a.loop.plan.Cables {
			first := min(c.Ends[0].Node, c.Ends[1].Node)
			if c.Name == cable && first != a.options.Node && down < aloneFor {
				return false, fmt.Sprintf("node %s goes first", first)
			}
		}
		return true, ""
	}
}

func (a *Agent) healStep(ctx context.Context, t *turn, action heal.Action, parent string) error {
	name := action.Link.Name
	switch action.Step {
	case heal.DownUp:
		l, ok := link(t.have, name)
		if !ok {
			return fmt.Errorf("the interface %s is gone", name)
		}
		a.loop.limiter.Forget(name)
		down := mesh.Link{Name: l.Name, Kind: l.Kind, Alias: l.Alias, MTU: l.MTU}
		a.wake.up(causeLiveness) // the next turn sets it up again
		return a.ask(func() error {
			return a.parts.door.Apply(ctx, []mesh.Change{{Op: mesh.Set, Link: &down, Reason: "healing"}})
		})
	case heal.Rebind:
		a.loop.limiter.Forget(name)
		return a.ask(func() error { return a.parts.hardware.Rebind(parent) })
	}
	return nil // for hands
}

// healed marks the last step on a link that works again.
func (a *Agent) healed(name string, usable bool) {
	if !usable {
		return
	}
	for i := len(a.loop.heals) - 1; i >= 0; i-- {
		if h := &a.loop.heals[i]; h.Link == name {
			h.Healed = true
			return
		}
	}
}
