package agent

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/cables"
	"github.com/usb4mesh/usb4mesh/internal/agent/heal"
	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// A node that is about to reboot reserves its absence as it does healing: it says so,
// waits until all have heard of it and it of them, and looks again. All others count a
// node that has its reservation as gone; a node that still asks is counted so by those
// that go second, should they ask as well. No clock is trusted: a reservation says how long it lasts, and everybody
// counts from when he hears of it.

// noteLeave is the note by which a node says so: what it does (see below), for how many
// seconds, and a word that tells this reservation from the one before.
const noteLeave = "leaving"

// What a node says in it.
const (
	leaveAsks  = "asks"
	leaveHolds = "holds"
)

// MaxHold bounds a reservation, and with it how long a node that never came back keeps
// others from rebooting.
const MaxHold = time.Hour

// leave is this node's own reservation, and those of others as heard.
type leave struct {
	asking sync.Mutex // one at a time

	mu    sync.Mutex // never held while a.mu is
	note  string
	until time.Time
	heard map[string]claim // by node
}

// claim is another node's note, and when it ends.
type claim struct {
	note  string
	until time.Time
}

// Reserve makes the others count this node as gone for a while, if they reach each other
// without it. It takes as long as announcements need, or ends with ctx.
func (a *Agent) Reserve(ctx context.Context, hold time.Duration) mesh.RebootVerdict {
	a.leave.asking.Lock()
	defer a.leave.asking.Unlock()
	hold = min(max(hold, time.Second), MaxHold).Round(time.Second)
	before := a.rebootVerdict()
	if !before.OK {
		return before // a reservation from before stands until its time is over
	}
	say := func(what string) {
		a.setLeave(fmt.Sprintf("%s %d %s", what, int(hold.Seconds()), rand.Text()[:8]), time.Now().Add(hold))
	}
	if !before.HeldUntil.IsZero() {
		say(leaveHolds)
		return a.rebootVerdict()
	}
	say(leaveAsks)
	select {
	case <-ctx.Done():
		a.Release()
		return mesh.RebootVerdict{Reason: "who asked did not wait for the answer of the others"}
	case <-time.After(heal.Announced):
	}
	after := a.rebootVerdict()
	if !after.OK {
		a.Release()
		after.HeldUntil = time.Time{}
		return after
	}
	say(leaveHolds)
	a.log.Info("this node is about to leave; the others count it as gone", "for", hold)
	return a.rebootVerdict()
}

// Release ends the reservation of this node, if it has one.
func (a *Agent) Release() mesh.RebootVerdict {
	a.setLeave("", time.Time{})
	return a.rebootVerdict()
}

// rebootVerdict is as of now.
func (a *Agent) rebootVerdict() mesh.RebootVerdict {
	s := a.Status()
	s.Reboot = a.mayReboot(time.Now())
	return s.MayReboot()
}

func (a *Agent) setLeave(note string, until time.Time) {
	a.leave.mu.Lock()
	a.leave.note, a.leave.until = note, until
	a.leave.mu.Unlock()
	a.mu.Lock()
	g := a.shared.gossip
	a.mu.Unlock()
	if g != nil {
		a.tellLeave(time.Now(), g)
	}
	a.wake.up(causeGossip) // to publish it
}

// tellLeave keeps the note of this node's reservation, and returns when it ends.
func (a *Agent) tellLeave(now time.Time, g Gossip) time.Time {
	l := &a.leave
	l.mu.Lock()
	defer l.mu.Unlock()
	if !now.Before(l.until) {
		l.note, l.until = "", time.Time{}
	}
	g.Note(noteLeave, l.note)
	return l.until
}

// leaving returns the nodes that are counted as gone: those that have a reservation, and
// those that ask for one and go before this node.
func (a *Agent) leaving(now time.Time, members []gossip.Member) (names []string) {
	l := &a.leave
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := map[string]claim{}
	for _, m := range members {
		note := m.Notes[noteLeave]
		what, seconds, ok := parseLeave(note)
		if !ok || m.Node == a.options.Node {
			continue
		}
		c := l.heard[m.Node]
		if c.note != note {
			c = claim{note, now.Add(seconds)}
		}
		heard[m.Node] = c
		if now.Before(c.until) && (what == leaveHolds || gossip.GoesFirst(m.Node, a.options.Node)) {
			names = append(names, m.Node)
		}
	}
	l.heard = heard
	return names
}

func parseLeave(note string) (what string, d time.Duration, ok bool) {
	var seconds int
	var word string
	if n, err := fmt.Sscanf(note, "%s %d %s", &what, &seconds, &word); n != 3 || err != nil || seconds < 0 {
		return "", 0, false
	}
	return what, min(time.Duration(min(seconds, int(MaxHold.Seconds())))*time.Second, MaxHold), what == leaveAsks || what == leaveHolds
}

// mayReboot asks about the cabling that is beyond doubt.
func (a *Agent) mayReboot(now time.Time) mesh.RebootVerdict {
	a.mu.Lock()
	s := &a.shared
	g, p := s.gossip, s.plan
	m := cables.Mesh{
		Plan: p, Left: s.installed, Node: a.options.Node, Digest: s.digest,
		Digests: map[string]string{}, Gossip: g != nil,
	}
	for _, k := range s.ports {
		if k.Part() && k.Kernel.Carrier {
			m.InUse++
		}
	}
	tables := maps.Clone(s.out)
	a.mu.Unlock()
	out, doubtful := a.outNow(p)
	gone := outs{}
	for c := range out {
		gone[c] = true
	}
	for c := range doubtful {
		gone[c] = true
	}
	if m.Left == nil || !maps.Equal(gone, tables) {
		m.Left = plan.Without(p, gone)
	}
	alive := map[string]bool{}
	if g != nil {
		members := g.Members()
		for _, k := range members {
			alive[k.Node], m.Digests[k.Node] = k.Alive, k.Digest
		}
		m.Leaving = a.leaving(now, members)
	}
	m.Alive = func(n string) bool { return alive[n] }
	v := cables.MayReboot(m)
	v.Leaving = append([]string{}, m.Leaving...)
	a.leave.mu.Lock()
	defer a.leave.mu.Unlock()
	if now.Before(a.leave.until) && strings.HasPrefix(a.leave.note, leaveHolds) {
		v.HeldUntil = a.leave.until
	}
	return v
}
