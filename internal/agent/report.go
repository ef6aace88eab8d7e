package agent

import (
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/cables"
	"github.com/usb4mesh/usb4mesh/internal/diagnose"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/liveness"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// judgeTurn adds what follows from a turn to its findings.
func (a *Agent) judgeTurn(t *turn) {
	t.problems()
	t.report(a.loop.rejected...)
	t.report(a.loop.warnings...)
	a.mu.Lock()
	g, live := a.shared.gossip, a.shared.liveness
	for _, p := range a.shared.ports {
		t.report(a.portFindings(p)...)
	}
	a.mu.Unlock()
	a.heard(t, g)
	a.watched(t, live)
	a.guarded(t)
	a.steering.Lock()
	noSteer, flushed := a.steering.failed, a.steering.pace.Often(t.started)
	a.steering.Unlock()
	if noSteer != nil {
		t.report(finding.New(noSteering, "packets can't be steered past a dead link: %v", noSteer))
	}
	if flushed > 0 {
		t.report(finding.New(foreignChanges, "something takes the table inet usb4mesh of nftables away again and again, %d times so far", flushed).
			Hinted("a program that loads a firewall should replace its own tables, not flush the whole ruleset"))
	}
	if len(a.loop.unsupported) > 0 {
		t.report(finding.New(kernelLacks, "%d settings are not in this kernel, or hidden", len(a.loop.unsupported)))
	}
	if err := a.loop.memory.err; err != nil {
		t.report(finding.New(stateUnwritten, "what should outlive the agent is not kept: %v", err))
	}
	if often := a.loop.limiter.Often(); len(often) > 0 {
		who := "something"
		if m := t.hardware.Host.Managers; len(m) > 0 {
			who = strings.Join(m, ", ") + " (running here) or something else"
		}
		t.report(finding.New(foreignChanges, "%s takes %d objects of the mesh away again and again, one of them %d times: %s", who, len(often), often[0].Count, strings.TrimPrefix(often[0].Object, "add ")).
			Hinted("tell it to leave tbt-*, thunderbolt* and %s alone", mesh.IdentityInterface))
	}
	if t.cause == causeTimer && len(t.stand) == 0 { // what is about to change needs no advice
		a.loop.diagnosis = nil
		for _, f := range diagnose.Run(diagnose.Input{Hardware: t.hardware, MTU: a.loop.plan.MTU}) {
			a.loop.diagnosis = append(a.loop.diagnosis, f.Plain())
		}
	}
	t.report(a.loop.diagnosis...)
}

// portFindings says what is wrong with a port. Agent.mu is held.
func (a *Agent) portFindings(p *port) []finding.Finding {
	name, peer := p.Plan.Interface, p.Plan.Peer
	if _, done, _ := a.loop.ladder.State(name); done && !p.usable {
		return []finding.Finding{finding.New(replugNeeded, "%s carries nothing (%s), and nothing that the agent can do has helped", name, p.why).
			Hinted("replug the cable to node %s, first at this end", peer)}
	}
	switch p.why {
	case cables.Dead:
		if a.shared.doubtful[p.Plan.Cable] != "" {
			return []finding.Finding{finding.New(linkKept, "%s is used although node %s does not answer over it: there is no other way", name, peer)}
		}
		return []finding.Finding{finding.New(linkDead, "%s has carrier, and node %s does not answer over it", name, peer)}
	case whyUnplugged, whySetDown, whyNoCarrier:
		return []finding.Finding{finding.New(linkDown, "%s carries nothing: %s", name, p.why).Hinted("is node %s running, and the cable plugged?", peer)}
	case whyAbsent:
		return []finding.Finding{finding.New(peerAbsent, "the agent of node %s does not answer over %s; its kernel does", peer, name)}
	}
	return nil // a stranger is match's finding
}

// dropMemory is how long BFD packets that were refused are a finding.
const dropMemory = 10 * time.Minute

// drops is how many BFD packets were refused on a link, and when the last of them.
type drops struct {
	count uint64
	at    time.Time
}

// watched turns what liveness knows into findings.
func (a *Agent) watched(t *turn, live Liveness) {
	if err := a.loop.watchError; err != nil {
		t.report(finding.New(livenessOff, "links are not watched: %v", err).
			Hinted("choose another port in the cluster file, under agent: {ports: {bfd: ...}}, or `liveness: none`"))
	}
	if live == nil {
		return
	}
	for _, s := range live.Sessions() {
		d := a.loop.drops[s.Link.Name]
		if s.Dropped != d.count {
			d = drops{s.Dropped, t.started}
			a.loop.drops[s.Link.Name] = d
		}
		if d.count > 0 && t.started.Sub(d.at) < dropMemory {
			t.report(finding.New(livenessStranger, "%s: %d BFD packets were refused (%d malformed, %d not from a neighbour, %d from another address, %d for no session, %d too many)",
				s.Link.Name, s.Dropped, s.Drops.Malformed, s.Drops.HopLimit, s.Drops.Source, s.Drops.Discriminator, s.Drops.Flood))
		}
		for _, problem := range s.Problems {
			t.report(finding.New(livenessProblem, "%s: %s", s.Link.Name, problem))
		}
	}
}

func livenessStatus(s liveness.Session) mesh.LivenessStatus {
	millis := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	return mesh.LivenessStatus{
		State: string(s.State), Verdict: string(s.Verdict), Remote: string(s.Remote), Diagnostic: s.Diagnostic, Since: s.Since,
		IntervalMillis: millis(s.Interval), DetectionMillis: millis(s.DetectionTime),
		Flaps: s.Flaps, Sent: s.Sent, Received: s.Received, Dropped: s.Dropped,
	}
}

// The functions below are called with Agent.mu held.

func (a *Agent) linkStatus(t *turn) []mesh.LinkStatus {
	speed := map[string]int{}
	for _, c := range a.loop.plan.Cables {
		speed[c.Name] = c.Speed
	}
	out := []mesh.LinkStatus{}
	for i, p := range a.shared.ports {
		l := a.shared.judged(p)
		l = mesh.LinkStatus{
			Usable: l.Usable, Why: l.Why, Since: l.Since, Flaps: l.Flaps,
			Interface: p.Plan.Interface, Cable: p.Plan.Cable, Peer: p.Plan.Peer, Port: p.Plan.Port.Name,
			Kernel: t.portKernel(i), Stranger: p.Stranger, Plugged: p.Plugged(), PlannedGbps: speed[p.Plan.Cable],
		}
		if now, ok := link(t.have, p.Plan.Interface); ok && p.Part() {
			l.Carrier = now.Carrier
		}
		if h := p.Peer; h != nil {
			l.Parent, l.Lanes, l.Gbps = h.Parent, min(h.RxLanes, h.TxLanes), h.Gbps()
			l.RxBytes, l.TxBytes = h.Stats["rx_bytes"], h.Stats["tx_bytes"]
		}
		out = append(out, l)
	}
	return out
}

func (t *turn) portKernel(i int) string {
	if i < len(t.match.Ports) {
		return t.match.Ports[i].Kernel.Name
	}
	return ""
}

func (a *Agent) cableStatus() []mesh.CableStatus {
	out := []mesh.CableStatus{}
	for _, c := range a.loop.plan.Cables {
		k := mesh.CableStatus{Cable: c.Name, Ends: [2]string{c.Ends[0].String(), c.Ends[1].String()}, Why: a.loop.out[c.Name]}
		k.Usable = k.Why == ""
		if why := a.shared.doubtful[c.Name]; why != "" {
			k.Why = why + "; used for want of another way"
		}
		out = append(out, k)
	}
	return out
}

func (a *Agent) memberStatus() []mesh.MemberStatus {
	out := []mesh.MemberStatus{}
	for _, n := range a.loop.plan.Nodes {
		m := mesh.MemberStatus{Node: n.Name, Reachable: n.Name == a.options.Node}
		if a.shared.installed != nil && !m.Reachable {
			m.Reachable = a.shared.installed.Path(a.options.Node, n.Name) != nil
		}
		if n.Name == a.options.Node {
			m.Alive, m.PlanDigest, m.Since = true, a.loop.digest, a.status.Since
		}
		out = append(out, m)
	}
	return out
}

// routeSince remembers since when a way is taken.
type routeSince struct {
	inUse string
	since time.Time
}

func (a *Agent) routeStatus(t *turn) []mesh.RouteStatus {
	out := []mesh.RouteStatus{}
	steered := map[string]string{}
	for _, s := range a.shared.steers() {
		if s.Incoming == "" {
			steered[s.Destination.String()] = s.Port
		}
	}
	self := a.loop.plan.Node(a.options.Node)
	for _, n := range a.loop.plan.Nodes {
		if n.Name == self.Name || len(n.Identity) == 0 {
			continue
		}
		r := mesh.RouteStatus{Node: n.Name, Destination: n.Identity[0].String()}
		destination := mesh.HostPrefix(n.Identity[0])
		best := func(routes []mesh.Route, ok func(mesh.Route) bool) string {
			use := mesh.Route{}
			for _, k := range routes {
				if k.Destination == destination && k.Table == mesh.MainTable && ok(k) && (use.Interface == "" || k.Metric < use.Metric) {
					use = k
				}
			}
			return use.Interface
		}
		r.Planned = best(self.Routes, func(mesh.Route) bool { return true })
		r.InUse = best(t.have.Routes, func(k mesh.Route) bool {
			l, present := link(t.have, k.Interface)
			return k.Protocol == mesh.RouteProtocol && present && l.Up && l.Carrier
		})
		if port := steered[r.Destination]; port != "" {
			r.InUse = port
		}
		r.PlannedHops = len(a.loop.whole.Path(self.Name, n.Name))
		if a.shared.installed != nil {
			r.Hops = len(a.shared.installed.Path(self.Name, n.Name))
		}
		r.Detour = r.InUse != r.Planned
		was := a.loop.routes[n.Name]
		if was.inUse != r.InUse || was.since.IsZero() {
			was = routeSince{r.InUse, t.started}
			a.loop.routes[n.Name] = was
		}
		r.Since = was.since
		out = append(out, r)
	}
	return out
}
