package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/match"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/liveness"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// turn is one turn of the loop: what it found and did.
type turn struct {
	started  time.Time
	cause    string
	hardware mesh.Hardware
	have     mesh.State // of the kernel, at the end as verified
	match    match.Result
	stand    []mesh.Change
	failed   []kernel.Failure
	missing  []mesh.Change // applied, and not there
	findings []finding.Finding
	err      error // why the turn could not be finished
}

func (t *turn) report(f ...finding.Finding) { t.findings = append(t.findings, f...) }

// turn reads the world, and brings the node nearer to what the plan wants of it.
func (a *Agent) turn(ctx context.Context, cause string) {
	t := &turn{started: time.Now(), cause: cause}
	a.loop.turn++
	a.loop.again = time.Time{}
	t.err = a.work(ctx, t)
	if ctx.Err() != nil && !a.options.Once {
		return
	}
	if t.err != nil {
		a.log.Error("the turn was not finished", "cause", cause, "error", t.err)
	}
	a.turned()
	a.loop.gap.done(cause, len(t.stand) > 0 || t.err != nil)
	a.conclude(t)
}

func (a *Agent) work(ctx context.Context, t *turn) error {
	if err := a.observe(ctx, t); err != nil {
		return err
	}
	a.guard(ctx, t)
	a.judge(t)
	step := a.decide(t)
	want := a.want(t, step)
	if err := a.apply(ctx, t, want); err != nil {
		return err
	}
	a.taken(ctx, t, step)
	a.follow(t)
	if a.options.Once {
		return nil
	}
	a.prepareSteering(ctx)
	a.speak(t)
	a.offerMeasuring(t)
	a.heal(ctx, t)
	a.tune(t)
	return nil
}

// observe scans the hardware, matches it to the plan, and gives interfaces their
// names.
func (a *Agent) observe(ctx context.Context, t *turn) error {
	for try := 0; ; try++ {
		var found []finding.Finding
		err := a.ask(func() (err error) {
			t.hardware, found = a.parts.hardware.Scan() // files of interfaces wait for RTNL too
			t.have, err = a.parts.door.Snapshot(ctx)
			return err
		})
		if err != nil {
			return err
		}
		if l, ok := link(t.have, mesh.IdentityInterface); ok && l.Kind == mesh.KindBridge && strings.HasPrefix(l.Alias, mesh.AliasPrefix) {
			a.loop.kind = mesh.KindBridge // this kernel had no dummy when it was made
		}
		t.match = match.Find(a.known(t))
		if try == 0 {
			t.report(found...)
		}
		if len(t.match.Names) == 0 || try == 2 {
			break
		}
		if err := a.rename(ctx, t); err != nil {
			t.report(finding.New(kernelRefuses, "interfaces can't be renamed: %v", err))
			break
		}
	}
	t.report(t.match.Findings...)
	a.loop.memory.remember(t.match.Seen)
	return nil
}

// rename gives interfaces their names.
func (a *Agent) rename(ctx context.Context, t *turn) error {
	changes := mesh.Renames(t.have.Links, t.match.Names)
	err := a.ask(func() error { return a.parts.door.Apply(ctx, changes) })
	for _, c := range changes {
		a.log.Info("interface is named", "index", c.Link.Index, "name", c.Link.Name, "reason", c.Reason, "error", err)
	}
	if err == nil {
		t.stand = append(t.stand, changes...)
	}
	return err
}

// judge updates what is known of the ports, and tells the others if it is news.
func (a *Agent) judge(t *turn) {
	a.mu.Lock()
	now := time.Now()
	sessions := map[string]liveness.Session{}
	if a.shared.liveness != nil {
		for _, s := range a.shared.liveness.Sessions() {
			sessions[s.Link.Name] = s
		}
	}
	changed := false
	for i, p := range a.shared.ports {
		m := t.match.Ports[i]
		if m.Kernel.Name != m.Plan.Interface {
			m.Kernel = mesh.Link{} // it could not be named: it takes no part
		}
		p.see(now, m, a.loop.turn == 1 && routed(t.have, p.Plan.Interface))
		if s, ok := sessions[p.Plan.Interface]; ok && s.Verdict != liveness.Unknown { // what was known stands until there is better
			p.hear(s.Link.Index, s.Verdict) // an event may be on its way still
		}
		again, news := p.judge(now, a.shared.watched)
		changed = changed || news
		if news {
			a.log.Info("link", "link", p.Plan.Interface, "usable", p.usable, "why", p.why, "index", p.index)
		}
		a.turnAgain(again)
	}
	says, talk := a.shared.says(), a.shared.gossip
	a.mu.Unlock()
	if changed && talk != nil {
		talk.Announce(says)
		talk.Kick()
	}
}

// routed reports whether a route of the mesh leads over an interface, as when an
// agent has been here before.
func routed(s mesh.State, name string) bool {
	for _, r := range s.Routes {
		if r.Interface == name && r.Protocol == mesh.RouteProtocol && r.Table == mesh.MainTable {
			return true
		}
	}
	return false
}

// turnAgain asks for a turn at a time, if not before.
func (a *Agent) turnAgain(at time.Time) {
	if !at.IsZero() && (a.loop.again.IsZero() || at.Before(a.loop.again)) {
		a.loop.again = at
	}
}

// applyRounds bounds how often the kernel is changed in one turn: a cable that is
// plugged or pulled meanwhile takes another round.
const applyRounds = 3

// apply brings the kernel to what is wanted, and reads it again to see that it is.
func (a *Agent) apply(ctx context.Context, t *turn, want mesh.State) error {
	for round := 0; ; round++ {
		want = a.possible(want)
		all := mesh.Diff(a.unrouted(t.have, want), want)
		changes, wake := a.loop.limiter.Filter(t.started, t.have, all)
		changes = renewing(t.have, changes)
		a.turnAgain(wake)
		if len(changes) == 0 || round == applyRounds {
			t.missing = changes
			break
		}
		t.failed = nil
		var refused *kernel.ApplyError
		err := a.ask(func() error { return a.parts.door.Apply(ctx, changes) })
		switch {
		case err == nil:
			t.stand = append(t.stand, changes...)
		case errors.As(err, &refused):
			t.stand = append(t.stand, refused.Stand...)
			t.failed = refused.Failed
			a.learn(t.have, refused.Failed)
		default:
			return err
		}
		if err := a.ask(func() (err error) { t.have, err = a.parts.door.Snapshot(ctx); return err }); err != nil {
			return err
		}
		a.loop.limiter.Stands(a.unrouted(t.have, want))
	}
	a.loop.limiter.Stands(a.unrouted(t.have, want))
	for _, c := range t.stand {
		a.log.Debug("changed", "change", c.String(), "reason", c.Reason)
	}
	if len(t.stand) > 0 {
		a.log.Info("the kernel was changed", "cause", t.cause, "changes", len(t.stand), "failed", len(t.failed))
	}
	return nil
}

// learn takes from refusals what this kernel can't do. A setting that some interface
// has is none of that: the one it was meant for has gone meanwhile.
func (a *Agent) learn(have mesh.State, failed []kernel.Failure) {
	known := map[string]bool{}
	for _, s := range have.Sysctls {
		known[sysctlKey(s)] = true
	}
	for _, f := range failed {
		switch {
		case errors.Is(f.Err, kernel.ErrNoDummy):
			a.loop.kind = mesh.KindBridge
		case f.Change.Sysctl != nil && errors.Is(f.Err, fs.ErrNotExist):
			if key := sysctlKey(*f.Change.Sysctl); !a.loop.unsupported[key] && !known[key] {
				a.loop.unsupported[key] = true
				a.log.Info("the kernel does not have a setting", "setting", f.Change.Sysctl.Path)
			}
		}
	}
}

// follow lets liveness watch the links that have carrier.
func (a *Agent) follow(t *turn) {
	a.mu.Lock()
	live := a.shared.liveness
	var links []liveness.Link
	for _, p := range a.shared.ports {
		if l, ok := link(t.have, p.Plan.Interface); ok && p.Part() && l.Index == p.index && l.Up && l.Carrier {
			local, remote := a.ends(t.have, p.Plan.Peer)
			links = append(links, liveness.Link{Name: l.Name, Index: l.Index, Local: local, Remote: remote})
		}
	}
	a.mu.Unlock()
	if live != nil {
		live.Set(links)
	}
}

func link(s mesh.State, name string) (mesh.Link, bool) {
	for _, l := range s.Links {
		if l.Name == name {
			return l, true
		}
	}
	return mesh.Link{}, false
}

// problems turns what the kernel did not take into findings.
func (t *turn) problems() {
	for i, f := range t.failed {
		if i == 5 {
			t.report(finding.New(kernelRefuses, "%d more changes were refused", len(t.failed)-i))
			break
		}
		t.report(finding.New(kernelRefuses, "%s: %v", f.Change, f.Err))
	}
	if len(t.failed) == 0 && len(t.missing) > 0 {
		t.report(finding.New(kernelDiffers, "%d changes do not stand although the kernel took them, the first is: %s", len(t.missing), t.missing[0]))
	}
	if t.err != nil {
		t.report(finding.New(kernelRefuses, "the kernel could not be read or changed: %v", fmt.Errorf("%w", t.err)))
	}
}
