package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

const opVerify = "verify"

// Verdict is how the mesh differs from what the cabling that is left allows.
type Verdict struct {
	// Wrong says what is not as it should be, a line each, the first ones only.
	Wrong []string `json:"wrong"`
	// Tables counts the nodes whose kernel was compared, Walked the pairs whose
	// routes were followed and Reached those that a packet crossed on its shortest way.
	Tables  int `json:"tables"`
	Walked  int `json:"walked"`
	Reached int `json:"reached"`
	// Separated counts the pairs that the cabling that is left does not connect.
	Separated int `json:"separated"`
}

// maxWrong bounds what a verdict lists.
const maxWrong = 12

func (v *Verdict) wrong(format string, args ...any) {
	if len(v.Wrong) < maxWrong {
		v.Wrong = append(v.Wrong, fmt.Sprintf(format, args...))
	}
}

// Verify compares the mesh as it is with what it should be for the cables that carry
// frames both ways just now: the kernels' addresses, routes, rules and settings; the way
// of each pair, followed through the routing tables of the kernels, which must be the
// expected one and pass no node twice; a packet of each pair whose hop limit is just
// enough for that way; and what agents say of cables. Nodes that no cable reaches are
// left alone. A silent cable counts as usable where there is no other way: a doubtful link
// is better than none. Of cables in parts of the mesh that they do not reach agents may
// believe what they like, but all of them the same.
func (l *Lab) Verify(ctx context.Context) (Verdict, error) {
	var v Verdict
	err := l.call(ctx, opVerify, nil, &v)
	return v, err
}

// words asks all agents that run what they say of cables.
func (w *world) words(ctx context.Context, v *Verdict) map[*Node]words {
	said := map[*Node]words{}
	e, ok := w.engine.(*agentEngine)
	if !ok {
		return said
	}
	for _, n := range w.nodes {
		if _, dark := w.dark[n]; dark || !e.runs(n) {
			continue
		}
		s, err := n.agentStatus(ctx)
		if err != nil {
			v.wrong("node %s: %v", n.Name, err)
			continue
		}
		if s.State == mesh.StateFailed || s.State == mesh.StateStarting {
			v.wrong("node %s: its agent is %s: %s", n.Name, s.State, s.Why)
		}
		said[n] = words{}
		for _, c := range s.Cables {
			said[n][c.Cable] = c.Usable
		}
	}
	return said
}

func (w *world) verify(ctx context.Context) (Verdict, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := Verdict{Wrong: []string{}}
	d, err := w.openedDoors()
	if err != nil {
		return v, err
	}
	truths := w.truths(w.words(ctx, &v), &v)
	for _, t := range truths {
		for i, n := range w.nodes {
			if !t.part[i] {
				continue
			}
			v.Tables++
			have, err := d.door[n].Snapshot(ctx)
			if err != nil {
				return v, fmt.Errorf("node %s: %w", n.Name, err)
			}
			t.compare(&v, n, have, t.state(d.want(n), i))
		}
	}
	limits := w.walkAll(&v, truths)
	if len(v.Wrong) == 0 {
		err = w.reachAll(ctx, &v, limits)
	}
	return v, err
}

// openedDoors returns the doors of the engine.
func (w *world) openedDoors() (*doors, error) {
	switch e := w.engine.(type) {
	case *agentEngine:
		return e.doors, nil
	case *netlinkEngine:
		return e.doors, nil
	}
	return nil, fmt.Errorf("the engine %s does not keep the plan's tables", w.setup.Engine)
}

// compare notes how a kernel differs. What usb4mesh has beside the plan's own tables is
// not looked at: those by which traffic leaves a dead link at once, and link-local addresses.
func (t *truth) compare(v *Verdict, n *Node, have, want mesh.State) {
	last := portTable(len(n.Plan.Links) - 1)
	for _, c := range mesh.Diff(have, want) {
		var table mesh.Table
		switch {
		case c.Route != nil && t.beyond(c.Route.Destination.Addr()):
			continue
		case c.Route != nil:
			table = c.Route.Table
		case c.Rule != nil:
			table = c.Rule.Table
		}
		if c.Op == mesh.Remove && table != 0 && table != mesh.MainTable && (table < portTable(0) || table > last) {
			continue
		}
		v.wrong("node %s should %s", n.Name, c)
	}
}

// beyond reports whether an address is that of a node to which no way leads: where
// packets for it go is of no matter.
func (t *truth) beyond(a netip.Addr) bool {
	for i, n := range t.w.nodes {
		if slices.Contains(n.Plan.Identity, a) {
			return !t.part[i]
		}
	}
	return false
}

// walkAll follows the kernels' routes of every pair and returns how many hops each that
// is connected needs.
func (w *world) walkAll(v *Verdict, truths []*truth) map[Pair]int {
	limits := map[Pair]int{}
	for _, p := range w.paths {
		if p.Hops() == 0 {
			continue
		}
		want, _ := w.way(truths, p)
		if want == nil {
			v.Separated++
			continue
		}
		limits[p.Pair] = len(want) - 1
		v.Walked++
		got, err := w.follow(p)
		switch {
		case err != nil:
			v.wrong("%s to %s (%s): %v; on the way %s", p.From, p.To, p.Family, err, strings.Join(got, ", "))
		case !slices.Equal(got, want):
			v.wrong("%s to %s (%s): routes lead over %s instead of %s", p.From, p.To, p.Family, strings.Join(got, ", "), strings.Join(want, ", "))
		}
	}
	return limits
}

// way returns the nodes and cables on the way of a pair; nil where none leads.
func (w *world) way(truths []*truth, p Path) (nodes, cables []string) {
	index := func(name string) int { return slices.IndexFunc(w.nodes, func(n *Node) bool { return n.Name == name }) }
	a, b := index(p.From), index(p.To)
	for _, t := range truths {
		if !t.part[a] || !t.part[b] {
			continue
		}
		passed, links := t.way(a, b)
		for _, i := range passed {
			nodes = append(nodes, w.nodes[i].Name)
		}
		for _, l := range links {
			cables = append(cables, w.plan.Cables[t.cable[l]].Name)
		}
	}
	return nodes, cables
}

// follow asks one kernel after the other where it would send a packet of the pair that
// came in over the cable before (RTM_GETROUTE with the incoming interface), so that
// rules and the tables of ports have their say. It returns the nodes passed.
func (w *world) follow(p Path) ([]string, error) {
	at := w.byName[p.From]
	var in *cable
	way := []string{at.Name}
	for at.Name != p.To {
		if len(way) > len(w.nodes) || slices.Contains(way[:len(way)-1], at.Name) {
			return way, fmt.Errorf("its routes lead in a circle")
		}
		o := &netlink.RouteGetOptions{SrcAddr: p.Source.AsSlice()}
		if in != nil {
			o.IifIndex = in.index
		}
		routes, err := at.handle.RouteGetWithOptions(p.Destination.AsSlice(), o)
		if err != nil {
			return way, fmt.Errorf("node %s: route to %s: %w", at.Name, p.Destination, err)
		}
		if len(routes) == 0 {
			return way, fmt.Errorf("node %s: no route to %s", at.Name, p.Destination)
		}
		out := w.cableAt(at, routes[0].LinkIndex)
		if out == nil {
			return way, fmt.Errorf("node %s: the route to %s leaves by interface %d, which is no cable", at.Name, p.Destination, routes[0].LinkIndex)
		}
		in = out
		if out.nodes[0] == at {
			at = out.nodes[1]
		} else {
			at = out.nodes[0]
		}
		way = append(way, at.Name)
	}
	return way, nil
}

// cableAt returns the cable behind an interface of a node, or nil.
func (w *world) cableAt(n *Node, index int) *cable {
	for _, c := range w.cables {
		if c.cut != Delete && c.index == index && (c.nodes[0] == n || c.nodes[1] == n) {
			return c
		}
	}
	return nil
}

// reachWait is how long a packet may take that has nothing in its way.
const reachWait = 300 * time.Millisecond

// reachAll sends a packet along each way, with a hop limit that is just enough.
func (w *world) reachAll(ctx context.Context, v *Verdict, limits map[Pair]int) error {
	var pairs []Pair
	var hops []int
	for _, p := range w.paths {
		if n, ok := limits[p.Pair]; ok {
			pairs, hops = append(pairs, p.Pair), append(hops, n)
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	checked, err := w.check(ctx, checkArgs{Pairs: pairs, Hops: hops, Wait: reachWait})
	if err != nil {
		return err
	}
	for i, c := range checked {
		if c.Good {
			v.Reached++
		} else {
			v.wrong("%s to %s (%s): a packet for %d hops does not arrive: %s", c.From, c.To, c.Family, hops[i], c.Why)
		}
	}
	return nil
}

const opWays = "ways"

// Ways returns the way of every pair as it should be for the cables that carry frames
// just now; pairs that have none are left out.
func (l *Lab) Ways(ctx context.Context) ([]Path, error) {
	var all []Path
	err := l.call(ctx, opWays, nil, &all)
	return all, err
}

func (w *world) ways() []Path {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ignored Verdict
	truths := w.truths(nil, &ignored)
	all := []Path{}
	for _, p := range w.paths {
		if p.Hops() == 0 {
			continue
		}
		if _, p.Cables = w.way(truths, p); p.Cables != nil {
			all = append(all, p)
		}
	}
	return all
}
