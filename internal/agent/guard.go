package agent

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// guard is what the packet filter against strangers has told.
type guard struct {
	err     error        // why it does not stand
	refused mesh.Refused // in all, but for what strangers' kernels chatter
	at      time.Time    // the last of it
}

// guard brings the packet filter about that keeps strangers out. It is looked at in
// every turn, before anything else is changed: a stranger's interface may be up already,
// by the hand of another manager.
func (a *Agent) guard(ctx context.Context, t *turn) {
	g := &a.loop.guard
	refused, err := a.parts.kernel.Guard(ctx, a.guardOf(t))
	if ctx.Err() != nil {
		return
	}
	if err != nil && g.err == nil {
		a.log.Error("strangers are kept out by settings alone", "error", err)
	}
	g.err = err
	if refused.Stranger = 0; refused != (mesh.Refused{}) {
		g.refused, g.at = g.refused.Plus(refused), t.started
	}
}

// guardOf says what is to be refused, for the plan and who is at the ports now.
func (a *Agent) guardOf(t *turn) mesh.Guard {
	g := mesh.Guard{Outside: t.match.Outside}
	for _, p := range t.match.Ports {
		g.Ports = append(g.Ports, p.Plan.Interface)
		if p.Stranger != "" && p.Kernel.Name != "" {
			g.Strangers = append(g.Strangers, p.Kernel.Name)
		}
	}
	for _, n := range a.loop.plan.Nodes {
		g.Addresses = append(g.Addresses, n.Identity...)
		for _, l := range n.Links {
			for _, k := range l.Addresses {
				g.Addresses = append(g.Addresses, k.Local.Addr())
			}
		}
	}
	slices.SortFunc(g.Addresses, netip.Addr.Compare)
	g.Addresses = slices.DeleteFunc(slices.Compact(g.Addresses), netip.Addr.IsLinkLocalUnicast) // everybody has such
	return g
}

// guarded turns what the filter told into findings.
func (a *Agent) guarded(t *turn) {
	g := a.loop.guard
	if g.err != nil {
		t.report(finding.New(noGuard, "strangers are kept out by settings of their interfaces alone: %v", g.err))
	}
	if !g.at.IsZero() && t.started.Sub(g.at) < dropMemory {
		t.report(finding.New(outsideRefused, "at USB4 ports that the plan does not use, %d packets with an address of the mesh were refused, and %d on their way into the mesh or out of it", g.refused.Forged, g.refused.Crossing).
			Hinted("`nft list table inet usb4mesh-guard` shows the counters; `usb4mesh discover` shows who is plugged there"))
	}
}
