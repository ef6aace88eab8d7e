// Package plan computes everything that follows from a cluster: which cable goes
// where, what interfaces are called, which addresses nodes have, and the
// forwarding tables with the proof that they survive any single cut.
//
// Make is pure and deterministic: equal clusters give equal plans. Each choice
// carries its reason as text, so that a person can question it.
package plan

import (
	"fmt"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Make plans the cluster. Findings carry paths of the cluster file
// (config.Locate gives them positions). Where a finding is an error, the plan
// holds what could still be computed and must not be applied.
func Make(c mesh.Cluster) (mesh.Plan, []finding.Finding) {
	p := planner{cluster: c, plan: mesh.Plan{Mesh: c.Name, Source: c.Source, MTU: c.MTU}}
	if p.plan.MTU == 0 {
		p.plan.MTU = mesh.DefaultMTU
	}
	p.resolvePorts()
	p.wire()
	p.assignIdentities()
	if finding.HasErrors(p.findings) {
		return p.plan, p.findings
	}
	p.nameLinks()
	p.forward()
	return p.plan, p.findings
}

// planner carries the state of one Make. Nodes and cables are known by their
// index, the same in cluster and plan.
type planner struct {
	cluster  mesh.Cluster
	plan     mesh.Plan
	ports    [][]mesh.Port // of each node, in order
	links    []link        // of each cable: its ends by index
	linkOf   []map[int]int // of each node: cable to position in NodePlan.Links
	findings []finding.Finding
}

// link is a cable by indices: nodes and positions in planner.ports.
type link struct{ node, port [2]int }

func (p *planner) report(f finding.Finding) { p.findings = append(p.findings, f) }

// cablePath is the place of a cable in the file: its own entry, or the topology
// that asked for it.
func (p *planner) cablePath(i int) string {
	if p.cluster.Topology.Shape != "" {
		return "topology"
	}
	return fmt.Sprintf("cables[%d]", i)
}

// wiringPath is the place of the wiring as a whole.
func (p *planner) wiringPath() string {
	if p.cluster.Topology.Shape != "" {
		return "topology"
	}
	return "cables"
}

// ends returns a cable as people write it: 01:left - 02:right.
func (p *planner) ends(i int) string {
	c := p.plan.Cables[i]
	return c.Ends[0].String() + " - " + c.Ends[1].String()
}
