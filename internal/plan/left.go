package plan

import (
	"github.com/usb4mesh/usb4mesh/internal/forwarding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Left is a plan's forwarding for the cabling that is left while some cables are
// out: tables that survive one more cut where the rest of the cabling allows it.
type Left struct {
	plan   *mesh.Plan
	whole  forwarding.Graph // all cables of the plan
	graph  forwarding.Graph // those that are left
	cables []int            // link of graph to cable of the plan
	tables *forwarding.Tables
}

// Without compiles a plan's forwarding without the cables of the given names.
// With none it is what Make has put into the plan.
func Without(p *mesh.Plan, out map[string]bool) *Left {
	l := &Left{plan: p, whole: Graph(p)}
	l.graph.Nodes = l.whole.Nodes
	for i, link := range l.whole.Links {
		if !out[p.Cables[i].Name] {
			l.graph.Links = append(l.graph.Links, link)
			l.cables = append(l.cables, i)
		}
	}
	l.tables = forwarding.Compile(l.graph)
	return l
}

// Rows returns the routes and rules of a node.
func (l *Left) Rows(node string) ([]mesh.Route, []mesh.Rule) {
	i := l.index(node)
	if i < 0 {
		return nil, nil
	}
	linkOf := map[int]int{}
	for c := range l.plan.Cables {
		for k, own := range l.plan.Nodes[i].Links {
			if own.Cable == l.plan.Cables[c].Name {
				linkOf[c] = k
			}
		}
	}
	return rows(l.plan, i, linkOf, func(d int) forwarding.Entry {
		e := l.tables.At(i, d)
		for _, f := range []*int{&e.Primary, &e.Detour, &e.Return} {
			if *f >= 0 {
				*f = l.cables[*f]
			}
		}
		return e
	})
}

// Tables returns the compiled tables, and the graph that they are for: its nodes
// are those of the plan, its links the cables that Cable names.
func (l *Left) Tables() (*forwarding.Tables, forwarding.Graph) { return l.tables, l.graph }

// Cable returns the index in the plan of a link of the graph.
func (l *Left) Cable(link int) int { return l.cables[link] }

// Link returns the link of the graph that is the named cable, -1 if it is out.
func (l *Left) Link(cable string) int {
	for link, c := range l.cables {
		if l.plan.Cables[c].Name == cable {
			return link
		}
	}
	return -1
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
		path = append(path, l.plan.Cables[l.cables[link]].Name)
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
	for _, link := range l.graph.Links {
		if !gone[link.A] && !gone[link.B] {
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
