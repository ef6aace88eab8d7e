package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/forwarding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Simulation is what a plan does while cables or nodes are out.
type Simulation struct {
	Cables, Nodes []string // what failed, by name
	Pairs         []PairPath
	Same          int // pairs whose path the failure does not touch
	Worst         [2]CableLoad
}

// PairPath is how one pair's packets travel before and during the failure.
type PairPath struct {
	Pair
	Before, During []string // nodes passed, both ends included; During ends where the packet was lost
	Outcome        forwarding.Outcome
}

// Pair is an ordered pair of nodes.
type Pair = mesh.Pair

// CableLoad says how many ordered pairs of nodes use a cable.
type CableLoad struct {
	Cable string
	Pairs int
}

// Simulate answers "what if": it walks the plan's tables for every pair while
// the named cables and nodes are out. An element is a cable by name or by its
// ends ("3", "01-02", "01:left"), or a node by name ("node:02", or "02" where no
// cable has that name). Only pairs whose path changes are listed.
func Simulate(p *mesh.Plan, failed []string) (Simulation, []finding.Finding) {
	var sim Simulation
	var failure forwarding.Failure
	var findings []finding.Finding
	for _, name := range failed {
		cables, node := Element(p, name)
		switch {
		case len(cables) > 0:
			failure.Links = append(failure.Links, cables...)
		case node >= 0:
			failure.Nodes = append(failure.Nodes, node)
		default:
			findings = append(findings, finding.New(unknownElement, "there is no cable or node %q in the plan", name).
				Hinted("cables: %s; nodes: %s", strings.Join(cableNames(p), ", "), strings.Join(allNodeNames(p), ", ")))
		}
	}
	if len(findings) > 0 {
		return sim, findings
	}
	slices.Sort(failure.Links)
	failure.Links = slices.Compact(failure.Links)
	for _, c := range failure.Links {
		sim.Cables = append(sim.Cables, p.Cables[c].Name)
	}
	for _, n := range failure.Nodes {
		sim.Nodes = append(sim.Nodes, p.Nodes[n].Name)
	}

	g := Graph(p)
	tables := forwarding.Compile(g)
	whole, broken := forwarding.NewWalk(g, tables, forwarding.Failure{}), forwarding.NewWalk(g, tables, failure)
	for s := range p.Nodes {
		for d := range p.Nodes {
			if s == d || slices.Contains(failure.Nodes, s) || slices.Contains(failure.Nodes, d) {
				continue
			}
			before, _ := whole.Path(s, d)
			during, outcome := broken.Path(s, d)
			if slices.Equal(before, during) && outcome == forwarding.Delivered {
				sim.Same++
				continue
			}
			sim.Pairs = append(sim.Pairs, PairPath{
				Pair:   Pair{From: p.Nodes[s].Name, To: p.Nodes[d].Name},
				Before: stations(p, g, s, before), During: stations(p, g, s, during), Outcome: outcome,
			})
		}
	}
	sim.Worst[0] = worst(p, forwarding.Load(g, tables, forwarding.Failure{}))
	sim.Worst[1] = worst(p, forwarding.Load(g, tables, failure))
	return sim, nil
}

// Element finds what a person means by name: cables (all between two nodes for
// "01-02"), or a node, by index. Neither found: no cables and -1.
func Element(p *mesh.Plan, name string) (cables []int, node int) {
	kind, bare, _ := strings.Cut(name, ":")
	if kind == "node" {
		return nil, slices.Index(allNodeNames(p), bare)
	}
	if kind == "cable" {
		name = bare
	}
	for i, c := range p.Cables {
		a, b := c.Ends[0], c.Ends[1]
		switch name {
		case c.Name:
			return []int{i}, -1
		case a.String(), b.String():
			return []int{i}, -1
		case a.Node + "-" + b.Node, b.Node + "-" + a.Node:
			cables = append(cables, i)
		}
	}
	if len(cables) > 0 || kind == "cable" {
		return cables, -1
	}
	return nil, slices.Index(allNodeNames(p), name)
}

// stations turns a path of links into the names of the nodes it passes.
func stations(p *mesh.Plan, g forwarding.Graph, src int, links []int) []string {
	names := []string{p.Nodes[src].Name}
	at := src
	for _, l := range links {
		if g.Links[l].A == at {
			at = g.Links[l].B
		} else {
			at = g.Links[l].A
		}
		names = append(names, p.Nodes[at].Name)
	}
	return names
}

func worst(p *mesh.Plan, load []int) CableLoad {
	var w CableLoad
	for i, n := range load {
		if n > w.Pairs {
			w = CableLoad{Cable: p.Cables[i].Name, Pairs: n}
		}
	}
	return w
}

func cableNames(p *mesh.Plan) []string {
	var names []string
	for _, c := range p.Cables {
		names = append(names, fmt.Sprintf("%s (%s-%s)", c.Name, c.Ends[0].Node, c.Ends[1].Node))
	}
	return names
}

func allNodeNames(p *mesh.Plan) []string {
	var names []string
	for _, n := range p.Nodes {
		names = append(names, n.Name)
	}
	return names
}
