package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Status returns what the agent knows. What changes all the time, such as counters
// of BFD, is as of now; the rest as of the last turn. The caller must not change it.
func (a *Agent) Status() mesh.Status {
	a.mu.Lock()
	s, live, g := a.status, a.shared.liveness, a.shared.gossip
	now := time.Now()
	s.Now = now
	s.BusySince, s.KernelBusy = a.pulse.busy(now)
	if !s.KernelBusy {
		s.BusySince = time.Time{}
	}
	ports := map[string]mesh.LinkStatus{}
	for _, p := range a.shared.ports {
		ports[p.Plan.Interface] = a.shared.judged(p)
	}
	a.mu.Unlock()

	s.Links = slices.Clone(s.Links)
	for i := range s.Links {
		if p, ok := ports[s.Links[i].Interface]; ok {
			l := &s.Links[i]
			l.Usable, l.Why, l.Since, l.Flaps = p.Usable, p.Why, p.Since, p.Flaps
		}
	}
	if live != nil {
		for _, e := range live.Sessions() {
			for i := range s.Links {
				if s.Links[i].Interface == e.Link.Name {
					s.Links[i].Liveness = livenessStatus(e)
				}
			}
		}
	}
	if g != nil {
		s.Members = slices.Clone(s.Members)
		for _, m := range g.Members() {
			for i := range s.Members {
				if o := &s.Members[i]; o.Node == m.Node {
					o.Alive, o.Since, o.PlanDigest = m.Alive, m.Since, m.Digest
					if m.Address.IsValid() {
						o.Address = m.Address.String()
					}
				}
			}
		}
	}
	if s.KernelBusy {
		f := finding.New(kernelBusy, "the kernel has not answered for %s", now.Sub(s.BusySince).Round(time.Second))
		s.Findings = append([]mesh.StatusFinding{statusFinding(f, s.BusySince)}, s.Findings...)
	}
	return s
}

// judged is what is said of a link: one that is used for want of another is usable.
func (s *shared) judged(p *port) mesh.LinkStatus {
	l := mesh.LinkStatus{Usable: p.usable, Why: p.why, Since: p.since, Flaps: p.flaps}
	if !l.Usable && s.doubtful[p.Plan.Cable] != "" {
		l.Usable, l.Why = true, l.Why+", used for want of another way"
	}
	return l
}

// Subscribe returns a channel that gets a value some time after the status has
// changed, the first at once. It is closed when ctx ends.
func (a *Agent) Subscribe(ctx context.Context) <-chan struct{} {
	wake := make(chan struct{}, 1)
	wake <- struct{}{}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.readers[wake] = true
	context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.readers, wake)
		close(wake)
	})
	return wake
}

func (a *Agent) tellReaders() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for wake := range a.readers {
		select {
		case wake <- struct{}{}:
		default: // one is waiting already
		}
	}
}

// conclude makes what a turn found the status, and tells systemd.
func (a *Agent) conclude(t *turn) {
	a.judgeTurn(t)
	a.mu.Lock()
	on := a.shared.passage != nil || !a.loop.gathering.IsZero()
	s := mesh.Status{
		Mesh: a.loop.plan.Mesh, Node: a.options.Node, Version: a.options.Version, PlanDigest: a.loop.digest,
		Since: a.status.Since, Turn: a.loop.turn,
		LastTurn: mesh.TurnStatus{Started: t.started, Millis: float64(time.Since(t.started).Microseconds()) / 1e3, Cause: t.cause, Changes: len(t.stand)},
		Links:    a.linkStatus(t), Cables: a.cableStatus(), Routes: a.routeStatus(t), Members: a.memberStatus(),
		Healing: append([]mesh.HealStep{}, a.loop.heals...),
	}
	a.mu.Unlock()
	if t.err != nil {
		s.LastTurn.Error = t.err.Error()
	} else if len(t.failed) > 0 {
		s.LastTurn.Error = t.failed[0].Error()
	}
	s.Findings = a.statusFindings(t)
	s.State, s.Why = stateOf(t, s, on)
	if s.State != a.loop.state {
		a.log.Info("the mesh is "+string(s.State), "why", s.Why)
		a.loop.state, a.loop.stateSince = s.State, t.started
	}
	s.StateSince = a.loop.stateSince
	s.Reboot = a.mayReboot(t.started)

	a.mu.Lock()
	a.status = s
	a.mu.Unlock()
	a.tellReaders()
	state := "STATUS=" + string(s.State)
	if s.Why != "" {
		state += ": " + s.Why
	}
	if a.loop.turn == 1 {
		state = "READY=1\n" + state
	}
	a.parts.notify(state)
}

// stateOf says in a word, and a line, how things are.
func stateOf(t *turn, s mesh.Status, onTheWay bool) (mesh.AgentState, string) {
	switch {
	case t.err != nil:
		return mesh.StateFailed, t.err.Error()
	case len(t.failed) > 0:
		return mesh.StateFailed, fmt.Sprintf("the kernel refuses %d changes: %v", len(t.failed), t.failed[0])
	case len(t.missing) > 0:
		return mesh.StateFailed, fmt.Sprintf("%d changes do not stand: %s", len(t.missing), t.missing[0])
	}
	for _, c := range s.Cables {
		if !c.Usable {
			return mesh.StateDegraded, "cable " + c.Cable + " (" + strings.Join(c.Ends[:], " - ") + ") is out: " + c.Why
		}
	}
	for _, c := range s.Cables {
		if c.Why != "" {
			return mesh.StateDegraded, "cable " + c.Cable + " (" + strings.Join(c.Ends[:], " - ") + "): " + c.Why
		}
	}
	for _, l := range s.Links {
		if !l.Usable {
			return mesh.StateDegraded, l.Interface + ": " + l.Why
		}
	}
	if onTheWay {
		return mesh.StateDegraded, "the routes are being changed, node by node"
	}
	return mesh.StateConverged, ""
}

// lasting is how long a finding must hold to be worth a line in the log: at a
// replug there are some that are over in a moment.
const lasting = time.Second

// sighting is a finding that was seen before.
type sighting struct {
	since  time.Time
	logged bool
}

// statusFindings sorts the worst first, and keeps since when each holds. A finding is
// the same as before if code and place are; counts in the message may change.
func (a *Agent) statusFindings(t *turn) []mesh.StatusFinding {
	seen := map[string]sighting{}
	out := []mesh.StatusFinding{}
	for _, f := range t.findings {
		key := f.Code() + " " + strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}, f.Message)
		if _, ok := seen[key]; !ok {
			s, ok := a.loop.seen[key]
			if !ok {
				s.since = t.started
			}
			if !s.logged && f.Severity != finding.Info && t.started.Sub(s.since) >= lasting {
				s.logged = true
				a.log.Warn("finding", "code", f.Code(), "message", f.Message, "hint", f.Hint)
			}
			seen[key] = s
		}
		out = append(out, statusFinding(f, seen[key].since))
	}
	a.loop.seen = seen
	slices.SortStableFunc(out, func(x, y mesh.StatusFinding) int { return cmp.Compare(y.Severity, x.Severity) })
	return out
}

func statusFinding(f finding.Finding, since time.Time) mesh.StatusFinding {
	return mesh.StatusFinding{
		JSON:  finding.JSON{Code: f.Code(), Severity: f.Severity, File: f.Pos.File, Line: f.Pos.Line, Column: f.Pos.Column, Message: f.Message, Hint: f.Hint},
		Since: since,
	}
}
