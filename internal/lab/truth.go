package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/usb4mesh/usb4mesh/internal/forwarding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// The lab knows which cables carry frames, because it cut them. From that it computes
// what every kernel should hold, without asking any agent, and compares.

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
// left alone.
func (l *Lab) Verify(ctx context.Context) (Verdict, error) {
	var v Verdict
	err := l.call(ctx, opVerify, nil, &v)
	return v, err
}

// truth is what the cabling that is left asks for.
type truth struct {
	w      *world
	graph  forwarding.Graph // links are usable cables only
	cable  []int            // of each link: index in the plan's cables
	tables *forwarding.Tables
}

// usable reports whether frames cross a cable in both directions.
func (c *cable) usable() bool { return c.cut == "" }

func (w *world) truth() *truth {
	t := &truth{w: w}
	full := plan.Graph(w.plan)
	t.graph.Nodes = full.Nodes
	for i, c := range w.cables {
		if c.usable() {
			t.graph.Links = append(t.graph.Links, full.Links[i])
			t.cable = append(t.cable, i)
		}
	}
	t.tables = forwarding.Compile(t.graph)
	return t
}

// isolated reports whether no usable cable leads to node i.
func (t *truth) isolated(i int) bool {
	return !slices.ContainsFunc(t.graph.Links, func(l forwarding.Link) bool { return l.A == i || l.B == i })
}

// state is what the kernel of node i should hold: the plan's, with the routes and rules
// for the cables that are left.
func (t *truth) state(want mesh.State, i int) mesh.State {
	n := &t.w.plan.Nodes[i]
	want.Routes, want.Rules = nil, nil
	// A compiled entry names a link of the graph; the node knows it by its port.
	port := func(link int) int {
		name := t.w.plan.Cables[t.cable[link]].Name
		return slices.IndexFunc(n.Links, func(l mesh.LinkPlan) bool { return l.Cable == name })
	}
	rules := map[int]bool{}
	for family, source := range n.Identity {
		for d := range t.w.plan.Nodes {
			if d == i {
				continue
			}
			to := t.w.plan.Nodes[d].Identity[family]
			add := func(link, metric int, table mesh.Table) {
				l := n.Links[port(link)]
				r := mesh.Route{Destination: mesh.HostPrefix(to), Interface: l.Interface, Metric: metric, Table: table, Source: source, Protocol: mesh.RouteProtocol}
				if l.Peer != t.w.plan.Nodes[d].Name {
					r.Via = t.w.plan.Node(l.Peer).Identity[family]
				}
				want.Routes = append(want.Routes, r)
			}
			e := t.tables.At(i, d)
			if e.Primary >= 0 {
				add(e.Primary, 10, mesh.MainTable)
			}
			if e.Detour >= 0 {
				add(e.Detour, 20, mesh.MainTable)
			}
			if e.Return >= 0 {
				k := port(e.Primary)
				rules[k] = true
				add(e.Return, 10, portTable(k))
			}
		}
	}
	for k := range n.Links {
		for _, id := range n.Identity {
			if rules[k] {
				want.Rules = append(want.Rules, mesh.Rule{Incoming: n.Links[k].Interface, Table: portTable(k), Priority: int(portTable(k)), IPv6: id.Is6()})
			}
		}
	}
	return want
}

// portTable is the table for packets that come back over the k-th port.
func portTable(k int) mesh.Table { return mesh.Table(mesh.RulePriorityFirst + k + 1) }

// way follows the compiled tables from a to b and returns the nodes passed, both
// included, and the links between them; nil where no way leads.
func (t *truth) way(a, b int) (nodes, links []int) {
	nodes = []int{a}
	for at := a; at != b; {
		e := t.tables.At(at, b)
		if e.Primary < 0 || len(nodes) > t.graph.Nodes {
			return nil, nil
		}
		l := t.graph.Links[e.Primary]
		at = l.A + l.B - at
		nodes, links = append(nodes, at), append(links, e.Primary)
	}
	return nodes, links
}

// cables returns the names of the cables on the way from a to b, nil where none leads.
func (t *truth) cables(a, b int) (names []string) {
	_, links := t.way(a, b)
	for _, l := range links {
		names = append(names, t.w.plan.Cables[t.cable[l]].Name)
	}
	return names
}

func (w *world) verify(ctx context.Context) (Verdict, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := Verdict{Wrong: []string{}}
	d, err := w.openedDoors()
	if err != nil {
		return v, err
	}
	t := w.truth()
	for i, n := range w.nodes {
		if t.isolated(i) {
			continue
		}
		v.Tables++
		have, err := d.door[n].Snapshot(ctx)
		if err != nil {
			return v, fmt.Errorf("node %s: %w", n.Name, err)
		}
		t.compare(&v, n, have, t.state(d.want(n), i))
	}
	limits := t.walkAll(&v)
	if len(v.Wrong) == 0 {
		err = w.reachAll(ctx, &v, limits)
	}
	if e, ok := w.engine.(*agentEngine); ok && err == nil && len(v.Wrong) == 0 {
		t.compareWords(ctx, &v, e)
	}
	return v, err
}

// compareWords notes where an agent says something else of a cable than what is so. Of
// cables in parts of the mesh that no cable leads to it may believe anything.
func (t *truth) compareWords(ctx context.Context, v *Verdict, e *agentEngine) {
	connects := t.parts()
	for i, n := range t.w.nodes {
		if t.isolated(i) || !e.runs(n) {
			continue
		}
		s, err := n.agentStatus(ctx)
		if err != nil {
			v.wrong("node %s: %v", n.Name, err)
			continue
		}
		says := map[string]mesh.CableStatus{}
		for _, c := range s.Cables {
			says[c.Cable] = c
		}
		for _, c := range t.w.cables {
			heard := connects(n.Name, c.nodes[0].Name) || connects(n.Name, c.nodes[1].Name)
			if word, ok := says[c.plan.Name]; heard && (!ok || word.Usable != c.usable()) {
				v.wrong("node %s: its agent says of cable %s usable %t %q, and it is %t", n.Name, c.plan.Name, word.Usable, word.Why, c.usable())
			}
		}
		if s.State == mesh.StateFailed || s.State == mesh.StateStarting {
			v.wrong("node %s: its agent is %s: %s", n.Name, s.State, s.Why)
		}
	}
}

// parts reports which nodes the usable cables connect.
func (t *truth) parts() func(a, b string) bool {
	var out []string
	for _, c := range t.w.cables {
		if !c.usable() {
			out = append(out, c.plan.Name)
		}
	}
	return connected(t.w.plan, out...)
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

// walkAll follows the kernels' routes of every pair and returns how many hops each that
// is connected needs.
func (t *truth) walkAll(v *Verdict) map[Pair]int {
	limits := map[Pair]int{}
	index := map[string]int{}
	for i, n := range t.w.nodes {
		index[n.Name] = i
	}
	for _, p := range t.w.paths {
		if p.Hops() == 0 {
			continue
		}
		want, _ := t.way(index[p.From], index[p.To])
		if want == nil {
			v.Separated++
			continue
		}
		limits[p.Pair] = len(want) - 1
		v.Walked++
		got, err := t.w.follow(p)
		var names []string
		for _, i := range want {
			names = append(names, t.w.nodes[i].Name)
		}
		switch {
		case err != nil:
			v.wrong("%s to %s (%s): %v; on the way %s", p.From, p.To, p.Family, err, strings.Join(got, ", "))
		case !slices.Equal(got, names):
			v.wrong("%s to %s (%s): routes lead over %s instead of %s", p.From, p.To, p.Family, strings.Join(got, ", "), strings.Join(names, ", "))
		}
	}
	return limits
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
	t := w.truth()
	index := map[string]int{}
	for i, n := range w.nodes {
		index[n.Name] = i
	}
	all := []Path{}
	for _, p := range w.paths {
		if p.Hops() == 0 {
			continue
		}
		if p.Cables = t.cables(index[p.From], index[p.To]); p.Cables != nil {
			all = append(all, p)
		}
	}
	return all
}
