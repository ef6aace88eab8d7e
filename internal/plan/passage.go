package plan

import (
	"net/netip"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/forwarding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Passage is the way of a mesh from the forwarding for one cabling to that for
// another, such that nothing is lost or goes round on the way, although the nodes
// do not change at the same moment (forwarding.Transition has the proof).
//
// The passage has turns, counted from 0. In each turn a node goes over for some
// destinations. A node may take its turn when the nodes that Before names have
// taken theirs; turns in which it has nothing to do (Turns leaves them out) need
// not be waited for. Every node computes the passage for itself; they agree as
// far as they agree on which cables are out.
type Passage struct {
	old, new *Left
	dead     map[string]bool // cables of old that are not in new
	turns    *forwarding.Turns
}

// To returns the passage from l to next, of the same plan. Cables that next leaves
// out count as dead from now on: their ends go around them until they have
// changed.
func (l *Left) To(next *Left) *Passage {
	p := &Passage{old: l, new: next, dead: map[string]bool{}}
	var down []int
	for _, c := range next.out {
		if !slices.Contains(l.out, c) {
			down = append(down, c)
			p.dead[l.plan.Cables[c].Name] = true
		}
	}
	p.turns = forwarding.Transition(l.graph, l.tables, down, next.tables)
	return p
}

// Turns returns the turns in which a node has something to change, in order. What
// makes no difference to any packet, as at the ends of a dead cable, which go
// around it already, is changed in turn 0.
func (p *Passage) Turns(node string) []int {
	i := p.old.index(node)
	var turns []int
	for dest := range p.old.plan.Nodes {
		if i < 0 {
			break
		}
		k := p.turns.Of(i, dest)
		if k < 0 && p.old.tables.At(i, dest) != p.new.tables.At(i, dest) {
			k = 0
		}
		if k >= 0 && !slices.Contains(turns, k) {
			turns = append(turns, k)
		}
	}
	slices.Sort(turns)
	return turns
}

// Before returns the nodes that must have taken all their turns below turn before
// this node takes it, in the order of the plan.
func (p *Passage) Before(node string, turn int) []string {
	i := p.old.index(node)
	before := map[int]bool{}
	for dest := range p.old.plan.Nodes {
		if i < 0 || p.turns.Of(i, dest) != turn {
			continue
		}
		path, _ := forwarding.Path(p.new.graph, p.new.tables, i, dest, forwarding.Failure{})
		at := i
		for _, link := range path {
			l := p.new.graph.Links[link]
			at = l.A + l.B - at
			if at != dest && p.turns.Of(at, dest) >= 0 {
				before[at] = true
			}
		}
	}
	var names []string
	for k, n := range p.old.plan.Nodes {
		if before[k] {
			names = append(names, n.Name)
		}
	}
	return names
}

// Last is the last turn of any node, -1 where nobody has to change anything.
func (p *Passage) Last() int { return p.turns.Last() }

// Rows returns the routes and rules that a node holds once it has taken a turn
// and those before; -1 for before the passage. After Last they are those of the
// new forwarding.
func (p *Passage) Rows(node string, turn int) ([]mesh.Route, []mesh.Rule) {
	if turn >= p.turns.Last() {
		return p.new.Rows(node)
	}
	i := p.old.index(node)
	if i < 0 {
		return nil, nil
	}
	return rows(p.old.plan, i, p.old.links(i), func(dest int) forwarding.Entry {
		if p.over(i, dest, turn) {
			return p.new.tables.At(i, dest)
		}
		return p.old.tables.At(i, dest)
	})
}

// Steers returns how a node steers meanwhile: around its dead cables, for the
// destinations for which it has not gone over. It is empty once it has for all.
func (p *Passage) Steers(node string, turn int) []mesh.Steer {
	i := p.old.index(node)
	if i < 0 || turn >= p.turns.Last() {
		return nil
	}
	over := map[netip.Addr]bool{}
	for dest, n := range p.old.plan.Nodes {
		for _, id := range n.Identity {
			over[id] = p.over(i, dest, turn)
		}
	}
	return slices.DeleteFunc(p.old.Around(node, p.dead), func(s mesh.Steer) bool { return over[s.Destination] })
}

// over reports whether a node holds the new rows for a destination after a turn.
func (p *Passage) over(node, dest, turn int) bool { return p.turns.Of(node, dest) <= turn && turn >= 0 }
