package design

import (
	"fmt"
	"net/netip"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/topology"
)

// MaxWritten is the most nodes of a cluster file.
const MaxWritten = 1024

// NodeName returns the name of node i in files and answers: n1, n2, ..., and hub1, hub2, ... for
// those that only forward.
func (c *Candidate) NodeName(i int) string {
	if i >= c.Nodes {
		return fmt.Sprintf("hub%d", i-c.Nodes+1)
	}
	return fmt.Sprintf("n%d", i+1)
}

// Cluster returns the candidate as a cluster that can be planned, checked and run in the lab. The
// PCI paths of its ports are made up: two ports of the processor, and cards with two
// ports each.
func (c *Candidate) Cluster() (mesh.Cluster, error) {
	nodes := c.Nodes + c.Hubs
	if nodes > MaxWritten {
		return mesh.Cluster{}, fmt.Errorf("a cluster file of %d nodes: at most %d", nodes, MaxWritten)
	}
	free := make([]int, nodes)
	for _, l := range c.Links {
		free[l[0]]++
		free[l[1]]++
	}
	out := mesh.Cluster{
		Name:     fmt.Sprintf("design-%dx%d", c.Nodes, c.Ports),
		Identity: []netip.Prefix{netip.MustParsePrefix("10.75.0.0/16"), netip.MustParsePrefix("fd75:7362:3475::/64")},
	}
	for i, ports := range free {
		n := mesh.Node{Name: c.NodeName(i)}
		for k := range ports {
			n.Ports = append(n.Ports, port(k))
		}
		out.Nodes = append(out.Nodes, n)
	}
	cables, err := topology.Plug(topology.Wiring{Name: c.Name, Links: c.Links}, free)
	if err != nil {
		return mesh.Cluster{}, err
	}
	for i, p := range cables {
		out.Cables = append(out.Cables, mesh.Cable{
			Name: fmt.Sprint(i + 1),
			Ends: [2]mesh.Endpoint{
				{Node: c.NodeName(p.A), Port: port(p.PortA).Name},
				{Node: c.NodeName(p.B), Port: port(p.PortB).Name},
			},
		})
	}
	return out, nil
}

// port is the k-th port of every node.
func port(k int) mesh.Port {
	p := mesh.Port{Name: fmt.Sprintf("p%d", k+1)}
	if k < 2 {
		p.Path = fmt.Sprintf("pci-0000:c7:00.%d", 5+k)
		return p
	}
	p.Path = fmt.Sprintf("pci-0000:%02x:00.0", 4+(k-2)/2)
	p.Adapter = 1 + 2*(k%2)
	return p
}
