package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/cables"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// step is the forwarding that a turn brings about: that of a cabling, or a turn of
// the passage there.
type step struct {
	routes []mesh.Route
	rules  []mesh.Rule
	left   *plan.Left // the new forwarding, once it is reached; nil on the way
	turn   int        // of the passage
}

// noteTurn is the note that tells how far this node is on a passage.
const noteTurn = "turn"

// stall is how long a node waits for others that are to go before it. Whoever is
// so slow may not know of the change yet, or be gone.
const stall = 250 * time.Millisecond

// decide chooses the cabling to forward over, and how to get there. Whatever is
// out, packets flow meanwhile: a single cut is bridged by the tables that stand,
// or by steering. So there is time to go over in an order in which nothing goes
// round. Where there is none, as at a second cut, the new tables come at once.
func (a *Agent) decide(t *turn) step {
	out, doubtful := a.outNow(&a.loop.plan)
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.shared
	a.loop.out, s.doubtful = out, doubtful
	target := s.aim(out)
	if a.options.Once { // no other turn follows, so the plan as such must stand
		target = outs{}
	}
	if s.bypass != nil {
		s.passage = nil // packets go as at its end
	}
	switch {
	case s.installed != nil && maps.Equal(target, s.target):
		a.loop.gathering = time.Time{}
	case s.installed == nil || s.gossip == nil || s.isolated() || s.bypass != nil || newlyOut(s.target, target) > 0:
		// More than one cut is beyond what the passage is proved for, and whoever
		// reaches nobody has nothing to lose.
		urgent := s.installed == nil || s.gossip == nil || s.isolated() || s.passage != nil || s.bypass != nil || newlyOut(s.out, target) > 1
		a.goTo(t, target, out, urgent)
	case s.passage != nil: // one thing after the other
		a.turnAgain(t.started.Add(gather))
	case a.loop.gathering.IsZero() || !maps.Equal(target, a.loop.gathered):
		a.loop.gathering, a.loop.gathered = t.started, target
		a.turnAgain(t.started.Add(gather))
	case t.started.Before(a.loop.gathering.Add(gather)):
		a.turnAgain(a.loop.gathering.Add(gather))
	default:
		a.goTo(t, target, out, false)
	}
	if s.passage == nil {
		if a.loop.next != nil {
			return a.whole(a.loop.next)
		}
		return a.whole(s.installed)
	}
	return a.nextTurn(t)
}

// aim returns the cabling to be reached while these cables are out.
func (s *shared) aim(out map[string]string) outs {
	target := outs{}
	if s.gossip == nil && len(out) < 2 && s.passage == nil {
		// The others do not know, and go on as planned; so does this node, whose
		// tables and steering bridge a single cut for all of them.
		return target
	}
	for c := range out {
		target[c] = true
	}
	return target
}

// gather is how long a node waits for more when cables come back: with a machine
// that was switched on, several do, and the other nodes hear of it at other moments.
const gather = 150 * time.Millisecond

// goTo sets the cabling to be reached, at once or turn by turn. Agent.mu is held.
func (a *Agent) goTo(t *turn, target outs, out map[string]string, urgent bool) {
	s := &a.shared
	a.log.Info("the cabling that is left", "out", outText(out), "cause", t.cause, "urgent", urgent)
	a.loop.next, a.loop.moved, a.loop.gathering = plan.Without(&a.loop.plan, target), t.started, time.Time{}
	a.loop.passage = ""
	if s.passage = nil; !urgent {
		s.passage = s.installed.To(a.loop.next)
		a.loop.passage = passageName(s.out, target)
	}
	s.target, s.turn = target, -1
}

// isolated reports whether the tables lead over none of the node's own cables.
func (s *shared) isolated() bool {
	for _, p := range s.ports {
		if !s.out[p.Plan.Cable] {
			return false
		}
	}
	return true
}

func (a *Agent) whole(l *plan.Left) step {
	st := step{left: l}
	st.routes, st.rules = l.Rows(a.shared.node)
	return st
}

// nextTurn takes the turns of the passage that may be taken now. Agent.mu is held.
func (a *Agent) nextTurn(t *turn) step {
	s := &a.shared
	turn := s.turn
	for {
		k, ok := following(s.passage.Turns(s.node), turn)
		if !ok {
			return a.whole(a.loop.next)
		}
		if wait := a.waitFor(k); wait != "" {
			due := a.loop.moved.Add(stall)
			if t.started.Before(due) {
				a.turnAgain(due)
				break
			}
			a.log.Info("a node is slow to change its routes", "node", wait, "turn", k)
		}
		turn = k
		a.loop.moved = t.started
	}
	st := step{turn: turn}
	st.routes, st.rules = s.passage.Rows(s.node, turn)
	return st
}

func following(turns []int, turn int) (int, bool) {
	for _, k := range turns {
		if k > turn {
			return k, true
		}
	}
	return 0, false
}

// waitFor returns a node that has to take its turns before this one takes turn k.
func (a *Agent) waitFor(k int) string {
	s := &a.shared
	before := s.passage.Before(s.node, k)
	if len(before) == 0 || s.gossip == nil {
		return ""
	}
	for _, m := range s.gossip.Members() {
		if !m.Alive || m.Node == s.node || !slices.Contains(before, m.Node) {
			continue
		}
		name, next, ok := strings.Cut(m.Notes[noteTurn], " ")
		n, err := strconv.Atoi(next)
		if !ok || name != a.loop.passage || next != "done" && (err != nil || n < k) {
			return m.Node
		}
	}
	return ""
}

// taken tells what a turn has brought about, once the kernel holds it.
func (a *Agent) taken(ctx context.Context, t *turn, st step) {
	a.mu.Lock()
	s := &a.shared
	note := ""
	if st.left != nil {
		arrived := s.installed != st.left
		s.installed, s.out, s.passage, s.turn = st.left, s.target, nil, -1
		a.loop.next = nil
		if s.bypass != nil && t.started.After(s.bypass.made) { // else the next turn knows what it knew
			s.bypass = nil
		}
		note = a.loop.passage + " done"
		if arrived {
			a.log.Info("the tables are those for the cabling that is left", "out", slices.Sorted(maps.Keys(s.target)))
		}
	} else {
		s.turn = st.turn
		next, _ := following(s.passage.Turns(s.node), st.turn)
		note = fmt.Sprintf("%s %d", a.loop.passage, next)
	}
	talk := s.gossip
	a.mu.Unlock()
	a.steer(ctx)
	if talk != nil && a.loop.passage != "" {
		talk.Note(noteTurn, note)
	}
}

// outNow returns the cables of a plan that are out or used in doubt, by what the nodes
// say.
func (a *Agent) outNow(p *mesh.Plan) (out, doubtful map[string]string) {
	a.mu.Lock()
	talk, own := a.shared.gossip, a.shared.says()
	a.mu.Unlock()
	alive := map[string]bool{a.options.Node: true}
	var says []cables.Say
	if talk != nil {
		for _, m := range talk.Members() {
			alive[m.Node] = alive[m.Node] || m.Alive
		}
		for _, s := range talk.States() {
			if s.Node != a.options.Node {
				says = append(says, cables.Say{Node: s.Node, Cable: s.Cable, Up: s.Up, Why: s.Why})
			}
		}
	}
	for _, s := range own { // fresher than what gossip has of us
		says = append(says, cables.Say{Node: s.Node, Cable: s.Cable, Up: s.Up, Why: s.Why})
	}
	return cables.Out(p, says, func(n string) bool { return alive[n] })
}

func newlyOut(was, is outs) int {
	n := 0
	for c := range is {
		if !was[c] {
			n++
		}
	}
	return n
}

// passageName is the same on all nodes that go the same way.
func passageName(from, to outs) string {
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(maps.Keys(from)), "\n") + "\n\n" + strings.Join(slices.Sorted(maps.Keys(to)), "\n")))
	return hex.EncodeToString(sum[:4])
}

func outText(out map[string]string) string {
	if len(out) == 0 {
		return "none"
	}
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(out)) {
		parts = append(parts, c+" ("+out[c]+")")
	}
	return strings.Join(parts, "; ")
}
