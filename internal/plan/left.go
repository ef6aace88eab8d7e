package plan

import (
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/forwarding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Left is a plan's forwarding for the cabling that is left while some cables are
// out: tables that survive one more cut where the rest of the cabling allows it.
type Left struct {
	plan   *mesh.Plan
	graph  forwarding.Graph // of the whole plan
	out    []int            // links of it
	tables *forwarding.Tables
}

// Without compiles a plan's forwarding without the cables of the given names.
// With none it is what Make has put into the plan.
func Without(p *mesh.Plan, out map[string]bool) *Left {
	l := &Left{plan: p, graph: Graph(p)}
	for i, c := range p.Cables {
		if out[c.Name] {
			l.out = append(l.out, i)
		}
	}
	l.tables = forwarding.Without(l.graph, l.out)
	return l
}

// Rows returns the routes and rules of a node.
func (l *Left) Rows(node string) ([]mesh.Route, []mesh.Rule) {
	i := l.index(node)
	if i < 0 {
		return nil, nil
	}
	return rows(l.plan, i, l.links(i), func(d int) forwarding.Entry { return l.tables.At(i, d) })
}

// links leads from the cables at a node to its links.
func (l *Left) links(node int) map[int]int {
	links := map[int]int{}
	for k, own := range l.plan.Nodes[node].Links {
		for c := range l.plan.Cables {
			if own.Cable == l.plan.Cables[c].Name {
				links[c] = k
			}
		}
	}
	return links
}

// Around returns how a node's packets are steered while some of its own cables
// carry nothing although the kernel takes them to be up and its tables still lead
// over them.
func (l *Left) Around(node string, dead map[string]bool) []mesh.Steer {
	return l.steers(node, dead, forwarding.Around)
}

// Instead returns how a node's packets are steered so that they go as Left has it,
// around its dead cables, whatever tables its kernel holds.
func (l *Left) Instead(node string, dead map[string]bool) []mesh.Steer {
	return l.steers(node, dead, forwarding.Hops)
}

func (l *Left) steers(node string, dead map[string]bool, hops func(forwarding.Graph, *forwarding.Tables, int, []int) []forwarding.Hop) []mesh.Steer {
	i := l.index(node)
	if i < 0 {
		return nil
	}
	n := &l.plan.Nodes[i]
	links := l.links(i)
	var down []int
	for c := range links {
		if dead[l.plan.Cables[c].Name] {
			down = append(down, c)
		}
	}
	slices.Sort(down)
	var steers []mesh.Steer
	for _, hop := range hops(l.graph, l.tables, i, down) {
		k := links[hop.Out]
		if k >= mesh.MaxSteered {
			continue
		}
		s := mesh.Steer{Port: n.Links[k].Interface, Mark: mesh.SteerMark(k)}
		if hop.Incoming >= 0 {
			s.Incoming = n.Links[links[hop.Incoming]].Interface
		}
		for _, a := range l.plan.Nodes[hop.Dest].Identity {
			s.Destination = a
			steers = append(steers, s)
		}
	}
	return steers
}

// Path returns the cables between two nodes, by name and in order; nil if no way
// is left.
func (l *Left) Path(from, to string) []string {
	a, b := l.index(from), l.index(to)
	if a < 0 || b < 0 {
		return nil
	}
	links, outcome := forwarding.Path(l.graph, l.tables, a, b, forwarding.Failure{})
	if outcome != forwarding.Delivered {
		return nil
	}
	var path []string
	for _, link := range links {
		path = append(path, l.plan.Cables[link].Name)
	}
	return path
}

// Parts returns the nodes of each part that the cabling falls into without the
// named nodes, which are in no part.
func (l *Left) Parts(without ...string) [][]string {
	gone := map[int]bool{}
	for _, n := range without {
		gone[l.index(n)] = true
	}
	part := make([]int, l.graph.Nodes)
	for i := range part {
		part[i] = i
	}
	var find func(int) int
	find = func(i int) int {
		if part[i] != i {
			part[i] = find(part[i])
		}
		return part[i]
	}
	for k, link := range l.graph.Links {
		if !slices.Contains(l.out, k) && !gone[link.A] && !gone[link.B] {
			a, b := find(link.A), find(link.B)
			part[max(a, b)] = min(a, b)
		}
	}
	var parts [][]string
	at := map[int]int{}
	for i, n := range l.plan.Nodes {
		if gone[i] {
			continue
		}
		k, ok := at[find(i)]
		if !ok {
			k = len(parts)
			at[find(i)] = k
			parts = append(parts, nil)
		}
		parts[k] = append(parts[k], n.Name)
	}
	return parts
}

func (l *Left) index(node string) int {
	for i := range l.plan.Nodes {
		if l.plan.Nodes[i].Name == node {
			return i
		}
	}
	return -1
}
