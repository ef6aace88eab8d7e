package plan

import (
	"errors"
	"fmt"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/topology"
)

// wire decides which port each cable goes into: by shape, or as listed.
func (p *planner) wire() {
	if p.cluster.Topology.Shape != "" {
		p.wireShape()
	} else {
		p.wireListed()
	}
	for i, l := range p.links {
		c := &p.plan.Cables[i]
		for side := range 2 {
			c.Ends[side] = mesh.Endpoint{Node: p.cluster.Nodes[l.node[side]].Name, Port: p.ports[l.node[side]][l.port[side]].Name}
		}
	}
	if len(p.links) == 0 && len(p.cluster.Nodes) > 1 && !finding.HasErrors(p.findings) {
		p.report(finding.New(noCables, "no cable is planned: the nodes can't reach each other").
			At("mesh").Hinted("add `topology: ring` or a list of `cables`"))
	}
}

func (p *planner) wireShape() {
	t := p.cluster.Topology
	req := topology.Request{Shape: t.Shape, Columns: t.Columns, Hub: -1}
	for i, n := range p.cluster.Nodes {
		if n.Incomplete {
			return // its ports are unknown: errors stand already
		}
		if n.Name == t.Hub {
			req.Hub = i
		}
		req.Ports = append(req.Ports, len(p.ports[i]))
	}
	wire := topology.Wire
	if t.Shape == "best" {
		wire = bestCables
	}
	cables, err := wire(req)
	if err != nil {
		p.report(p.shapeFinding(req, err))
		return
	}
	for i, c := range cables {
		p.links = append(p.links, link{node: [2]int{c.A, c.B}, port: [2]int{c.PortA, c.PortB}})
		p.plan.Cables = append(p.plan.Cables, mesh.CablePlan{
			Name: fmt.Sprint(i + 1), Speed: mesh.DefaultSpeed,
			Reason: fmt.Sprintf("%s of %d nodes; next free ports", t.Shape, len(p.cluster.Nodes)),
		})
	}
}

// shapeFinding words an error of topology.Wire with the names of nodes.
func (p *planner) shapeFinding(req topology.Request, err error) finding.Finding {
	var ports *topology.PortsError
	if errors.As(err, &ports) {
		var short []string
		for _, s := range ports.Short[:min(4, len(ports.Short))] {
			short = append(short, fmt.Sprintf("%s (%d of %d)", p.cluster.Nodes[s.Node].Name, s.Have, s.Need))
		}
		if more := len(ports.Short) - len(short); more > 0 {
			short = append(short, fmt.Sprintf("%d more", more))
		}
		f := finding.New(tooManyCables, "%s of %d nodes needs more ports than there are at %s",
			p.cluster.Topology.Shape, len(p.cluster.Nodes), strings.Join(short, ", ")).At("topology")
		if fits := topology.Feasible(req); len(fits) > 0 {
			return f.Hinted("with these ports works: %s; `best` takes the best of them", strings.Join(fits, ", "))
		}
		return f.Hinted("use machines with more ports, or list the cables")
	}
	return finding.New(shapeImpossible, "%v", err).At("topology").Hinted("`best` takes the best shape that fits")
}

// wireListed takes the cables as listed; ends without a port get the first free one.
func (p *planner) wireListed() {
	type slot struct{ node, port int }
	used := map[slot]bool{}
	byName := map[string]int{}
	for i, n := range p.cluster.Nodes {
		byName[n.Name] = i
	}
	count := make([]int, len(p.cluster.Nodes))
	links := make([]link, len(p.cluster.Cables))
	ok := make([]bool, len(links))
	for i, c := range p.cluster.Cables {
		ok[i] = true
		for side, e := range c.Ends {
			node, known := byName[e.Node]
			if !known || p.cluster.Nodes[node].Incomplete {
				ok[i] = false // reported where it was read
				continue
			}
			count[node]++
			port := -1
			if e.Port != "" {
				if port = p.portIndex(node, e.Port); port < 0 {
					p.report(finding.New(unknownPort, "node %s (%s) has no port %q", e.Node, p.cluster.Nodes[node].Machine, e.Port).
						At(fmt.Sprintf("cables[%d].endpoints[%d]", i, side)).Hinted("its ports: %s", portNames(p.ports[node])))
					ok[i] = false
				} else {
					used[slot{node, port}] = true
				}
			}
			links[i].node[side], links[i].port[side] = node, port
		}
	}
	for node, n := range p.cluster.Nodes {
		if have := len(p.ports[node]); count[node] > have && !n.Incomplete {
			p.report(finding.New(tooManyCables, "node %s has %d cables and %d ports", n.Name, count[node], have).
				At(fmt.Sprintf("nodes[%d]", node)).Hinted("its ports: %s", portNames(p.ports[node])))
		}
	}
	if finding.HasErrors(p.findings) {
		return
	}
	for i, c := range p.cluster.Cables {
		if !ok[i] {
			continue
		}
		reason := "as listed in the file"
		for side := range 2 {
			if links[i].port[side] >= 0 {
				continue
			}
			node := links[i].node[side]
			for port := range p.ports[node] {
				if s := (slot{node, port}); !used[s] {
					used[s] = true
					links[i].port[side] = port
					break
				}
			}
			reason = "as listed in the file; first free port where none was named"
		}
		speed := c.Speed
		if speed == 0 {
			speed = mesh.DefaultSpeed
		}
		p.links = append(p.links, links[i])
		p.plan.Cables = append(p.plan.Cables, mesh.CablePlan{Name: c.Name, Addresses: c.Addresses, Speed: speed, Reason: reason})
	}
}
