package lab

import (
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/forwarding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// The lab knows which cables carry frames, because it cut them. From that it computes
// what every kernel should hold, without asking any agent, and compares.

// truth is what the cabling that is left asks of the nodes of one part of the mesh:
// those that usable cables join.
type truth struct {
	w      *world
	part   map[int]bool     // its nodes
	graph  forwarding.Graph // links are the cables that may be used
	cable  []int            // of each link: index in the plan's cables
	tables *forwarding.Tables
}

// usable reports whether frames cross a cable in both directions.
func (c *cable) usable() bool { return c.cut == "" }

// doubtful reports whether a cable is silent: nobody can tell its end from an end that
// is too busy to speak, so agents keep it where there is no other way.
func (c *cable) doubtful() bool { return c.cut == Silent || c.cut == OneWay }

// words are what a node's agent says of cables, by name: whether they are usable.
type words map[string]bool

// truths returns the truth of every part of two nodes or more. What lies beyond a part
// can't be known in it; there the word of its agents counts, as long as it is the same
// for all of them.
func (w *world) truths(said map[*Node]words, v *Verdict) (all []*truth) {
	full := plan.Graph(w.plan)
	for _, part := range w.parts() {
		if len(part) < 2 {
			continue
		}
		t := &truth{w: w, part: part, graph: forwarding.Graph{Nodes: full.Nodes}}
		var beyond words
		var by *Node
		for i, n := range w.nodes {
			if part[i] && said[n] != nil && by == nil {
				beyond, by = said[n], n
			}
		}
		for i, use := range t.used(full, beyond) {
			t.agree(v, said, w.cables[i], use, by)
			if use {
				t.graph.Links = append(t.graph.Links, full.Links[i])
				t.cable = append(t.cable, i)
			}
		}
		t.tables = forwarding.Compile(t.graph)
		all = append(all, t)
	}
	return all
}

// used says of each cable whether the part's nodes may use it: those that carry frames,
// of those beyond the part what its agents say, and silent ones that lead out of it, in
// the order of the plan, where nothing else leads there.
func (t *truth) used(full forwarding.Graph, beyond words) []bool {
	use := make([]bool, len(t.w.cables))
	var out []string
	for i, c := range t.w.cables {
		use[i] = c.usable()
		if l := full.Links[i]; !t.part[l.A] && !t.part[l.B] {
			use[i] = beyond[c.plan.Name]
		}
		if !use[i] {
			out = append(out, c.plan.Name)
		}
	}
	for i, c := range t.w.cables {
		l := full.Links[i]
		if !c.doubtful() || t.part[l.A] == t.part[l.B] || connected(t.w.plan, out...)(c.nodes[0].Name, c.nodes[1].Name) {
			continue
		}
		use[i] = true
		out = slices.DeleteFunc(out, func(name string) bool { return name == c.plan.Name })
	}
	return use
}

// agree notes which agents of the part say something else of a cable.
func (t *truth) agree(v *Verdict, said map[*Node]words, c *cable, use bool, by *Node) {
	for i, n := range t.w.nodes {
		if word, ok := said[n][c.plan.Name]; t.part[i] && said[n] != nil && (!ok || word != use) {
			why := "it is " + map[bool]string{true: "", false: "not "}[use] + "so"
			if c.usable() != use {
				why = "node " + by.Name + " says otherwise"
			}
			v.wrong("node %s: its agent says of cable %s usable %t; %s", n.Name, c.plan.Name, word, why)
		}
	}
}

// parts returns the nodes of each part that the usable cables join.
func (w *world) parts() []map[int]bool {
	var out []string
	for _, c := range w.cables {
		if !c.usable() {
			out = append(out, c.plan.Name)
		}
	}
	joined := connected(w.plan, out...)
	var all []map[int]bool
	for i, n := range w.nodes {
		k := slices.IndexFunc(all, func(p map[int]bool) bool {
			for j := range p {
				return joined(n.Name, w.nodes[j].Name)
			}
			return false
		})
		if k < 0 {
			k, all = len(all), append(all, map[int]bool{})
		}
		all[k][i] = true
	}
	return all
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
