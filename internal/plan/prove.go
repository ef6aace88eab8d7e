package plan

import (
	"fmt"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/forwarding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/topology"
)

// checkConnectivity warns of parts that no cable joins, and of cables and nodes
// whose loss would part the mesh.
func (p *planner) checkConnectivity(g forwarding.Graph) {
	if g.Nodes < 2 || len(g.Links) == 0 {
		return
	}
	pairs := make([][2]int, len(g.Links))
	for i, l := range g.Links {
		pairs[i] = [2]int{l.A, l.B}
	}
	if parts := topology.Components(g.Nodes, pairs); len(parts) > 1 {
		var words []string
		for _, part := range parts {
			names := p.nodeNames(part)
			p.plan.Proof.Parts = append(p.plan.Proof.Parts, names)
			words = append(words, "{"+strings.Join(names, ", ")+"}")
		}
		p.report(finding.New(partedMesh, "no cable joins %s", strings.Join(words, " and ")).
			At(p.wiringPath()).Hinted("add a cable between the parts"))
	}
	p.reportBridges(topology.Bridges(g.Nodes, pairs))
	for _, i := range topology.Articulations(g.Nodes, pairs) {
		name := p.plan.Nodes[i].Name
		p.plan.Proof.ArticulationNodes = append(p.plan.Proof.ArticulationNodes, name)
		p.report(finding.New(articulation, "while node %s is down, other nodes can't reach each other", name).
			At(fmt.Sprintf("nodes[%d]", i)).Hinted("one more cable between its neighbours mends that"))
	}
}

// reportBridges names the cables without a way around: each where it is listed,
// or all at once where a shape asked for them.
func (p *planner) reportBridges(cables []int) {
	var words []string
	for _, i := range cables {
		p.plan.Proof.Bridges = append(p.plan.Proof.Bridges, p.plan.Cables[i].Name)
		words = append(words, fmt.Sprintf("cable %s (%s)", p.plan.Cables[i].Name, p.ends(i)))
	}
	hint := "one more cable around it protects these pairs"
	switch {
	case len(words) == 0:
	case p.cluster.Topology.Shape == "":
		for k, i := range cables {
			p.report(finding.New(bridge, "%s is the only way between the nodes on either side", words[k]).At(p.cablePath(i)).Hinted("%s", hint))
		}
	case len(words) == 1:
		p.report(finding.New(bridge, "%s is the only way between the nodes on either side", words[0]).At("topology").Hinted("%s", hint))
	default:
		if more := len(words) - 4; more > 0 {
			words = append(words[:4], fmt.Sprintf("%d more", more))
		}
		p.report(finding.New(bridge, "%s have no way around them: each is the only one between the nodes on either side", strings.Join(words, ", ")).
			At("topology").Hinted("a ring needs one cable more than a chain and survives any single cut"))
	}
}

// prove walks every single cut through the tables.
func (p *planner) prove(g forwarding.Graph, tables *forwarding.Tables) {
	if len(g.Links) == 0 {
		return
	}
	r := forwarding.Verify(g, tables, forwarding.SingleLinks(g))
	proof := &p.plan.Proof
	proof.Cables = int(r.Failures)
	proof.Cases = int(r.Cases)
	proof.Delivered = int(r.Delivered)
	proof.Lost = int(r.Dropped)
	proof.Looped = int(r.Looped)
	proof.Avoidable = int(r.Avoidable)
	proof.LongestPath = r.LongestPath
	proof.LongestDetour = r.LongestDetour
	for _, c := range r.Unprotected {
		proof.Unprotected = append(proof.Unprotected, mesh.Pair{From: p.plan.Nodes[c.Source].Name, To: p.plan.Nodes[c.Dest].Name})
		if !c.Separated {
			p.report(finding.New(proofGap, "%s to %s would be lost while cable %s is cut, although a way is left",
				p.plan.Nodes[c.Source].Name, p.plan.Nodes[c.Dest].Name, p.plan.Cables[c.Failure].Name).At(p.cablePath(c.Failure)))
		}
	}
}

func (p *planner) nodeNames(nodes []int) []string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = p.plan.Nodes[n].Name
	}
	return names
}
