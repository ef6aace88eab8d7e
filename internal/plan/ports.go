package plan

import (
	"fmt"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/catalog"
	"github.com/usb4mesh/usb4mesh/internal/mesh"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// resolvePorts finds the ports of every node: from the catalogue, or as given.
func (p *planner) resolvePorts() {
	p.ports = make([][]mesh.Port, len(p.cluster.Nodes))
	warned := map[string]bool{}
	for i, n := range p.cluster.Nodes {
		p.plan.Nodes = append(p.plan.Nodes, mesh.NodePlan{Name: n.Name, Machine: n.Machine, Format: n.Format, Settings: n.Settings})
		if n.Machine == "" {
			p.ports[i] = n.Ports
			continue
		}
		at := fmt.Sprintf("nodes[%d].machine", i)
		m, ok := catalog.Lookup(n.Machine)
		if !ok {
			f := finding.New(unknownMachine, "machine %q is not in the catalogue", n.Machine).At(at)
			if near := catalog.Suggest(n.Machine); len(near) > 0 {
				f = f.Hinted("did you mean %s? `usb4mesh machines` lists all; or list the node's ports by hand", strings.Join(near, " or "))
			} else {
				f = f.Hinted("`usb4mesh machines` lists the catalogue; for others list the node's ports by hand")
			}
			p.report(f)
			p.cluster.Nodes[i].Incomplete = true
			continue
		}
		var uncertain []string
		for _, port := range m.Ports {
			p.ports[i] = append(p.ports[i], port.Port)
			if !port.Certain {
				uncertain = append(uncertain, port.Name+" ("+port.Path+")")
			}
		}
		if len(uncertain) > 0 && !warned[n.Machine] {
			warned[n.Machine] = true
			f := finding.New(uncertainMachine, "%s: not certain about port %s", m.Name, strings.Join(uncertain, ", ")).At(at)
			if m.Note != "" {
				f = f.Hinted("%s", m.Note)
			} else {
				f = f.Hinted("compare with `udevadm info -q property /sys/class/net/thunderbolt0` (ID_PATH) on the machine")
			}
			p.report(f)
		}
	}
}

// portIndex finds a port by name, or -1.
func (p *planner) portIndex(node int, name string) int {
	for i, port := range p.ports[node] {
		if port.Name == name {
			return i
		}
	}
	return -1
}

func portNames(ports []mesh.Port) string {
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = p.Name
	}
	return strings.Join(names, ", ")
}
