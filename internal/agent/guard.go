package agent

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/match"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// guard is what the packet filter against strangers has told.
type guard struct {
	err     error        // why it does not stand
	stands  mesh.Guard   // what was asked for last
	looked  time.Time    // and when
	refused mesh.Refused // in all, but for what strangers' kernels chatter
	at      time.Time    // the last of it

	denied map[string]time.Time // interfaces whose planned peer says that it is not there, since when
}

// denial is how long the two ends of a cable may say different things of it: they do
// not see a plug at the same moment, and hear of each other later.
const denial = 5 * time.Second

// deny notes at which ports somebody bears the name of a node that says of itself, with
// the key of the mesh, that it is not plugged there. Name and UUID are what a host says
// of itself over the cable, so that is another one, or the node has no network there;
// either way nothing of the mesh can come in.
func (a *Agent) deny(t *turn) {
	a.mu.Lock()
	talk := a.shared.gossip
	a.mu.Unlock()
	was := a.loop.guard.denied
	a.loop.guard.denied = map[string]time.Time{}
	if talk == nil {
		return
	}
	alive := map[string]bool{}
	for _, m := range talk.Members() {
		alive[m.Node] = m.Alive
	}
	says := map[[2]string]gossip.LinkState{}
	for _, s := range talk.States() {
		says[[2]string{s.Node, s.Cable}] = s
	}
	for _, p := range t.match.Ports {
		s, told := says[[2]string{p.Plan.Peer, p.Plan.Cable}]
		if !p.Part() || !told || !alive[p.Plan.Peer] || s.Up || s.Why != whyUnplugged && s.Why != whyStranger {
			continue
		}
		since, again := was[p.Kernel.Name]
		if !again {
			since = t.started
		}
		a.loop.guard.denied[p.Kernel.Name] = since
		if due := since.Add(denial); t.started.Before(due) {
			a.turnAgain(due)
		}
	}
}

// denied reports whether the planned peer has said for long that it is not at a port.
func (a *Agent) denied(t *turn, p match.Port) bool {
	since, ok := a.loop.guard.denied[p.Kernel.Name]
	return ok && t.started.Sub(since) >= denial
}

// relook is how long the filter is believed to stand, unless the kernel tells of somebody
// who changed it. To read it costs about as much as to steer.
const relook = 4 * time.Second

// guard brings the packet filter about that keeps strangers out. In a turn it comes
// before anything else is changed: a stranger's interface may be up already, by the hand
// of another manager.
func (a *Agent) guard(ctx context.Context, t *turn) {
	a.deny(t)
	g, want := &a.loop.guard, a.guardOf(t)
	taken := a.unguarded.Swap(false)
	if g.err == nil && !taken && t.started.Sub(g.looked) < relook && reflect.DeepEqual(want, g.stands) {
		return
	}
	refused, err := a.parts.kernel.Guard(ctx, want)
	if ctx.Err() != nil {
		return
	}
	g.stands, g.looked = want, t.started
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
		if p.Kernel.Name != "" && (p.Stranger != "" || a.denied(t, p)) {
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
	for _, p := range t.match.Ports {
		if p.Part() && a.denied(t, p) {
			t.report(finding.New(peerDenies, "%s leads to a machine that calls itself %s, and node %s says that it has nothing there; every packet from there is dropped", p.Kernel.Name, p.Plan.Peer, p.Plan.Peer).
				Hinted("look where the cable leads; if it is node %s, see whether thunderbolt_net is loaded there, and replug the cable", p.Plan.Peer))
		}
	}
	if !g.at.IsZero() && t.started.Sub(g.at) < dropMemory {
		t.report(finding.New(outsideRefused, "at USB4 ports that the plan does not use, %d packets with an address of the mesh were refused, and %d on their way into the mesh or out of it", g.refused.Forged, g.refused.Crossing).
			Hinted("`nft list table inet usb4mesh-guard` shows the counters; `usb4mesh discover` shows who is plugged there"))
	}
}
