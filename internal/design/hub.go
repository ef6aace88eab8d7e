package design

import (
	"fmt"
	"math"

	"github.com/usb4mesh/usb4mesh/internal/catalog"
	"github.com/usb4mesh/usb4mesh/internal/search"
)

// hub is the switch made of computers: hosts that only forward, with HubPorts ports on
// cards, and every node on one cable, or on two to different hubs if it has the ports
// (the order/radix problem). Several hubs are wired among themselves by search.
// It returns false if no number of hubs does.
func (r *Request) hub() (Candidate, bool) {
	for _, cables := range []int{min(2, r.Ports), 1} {
		for hubs := 1; hubs <= r.Nodes; hubs++ {
			if cables > hubs && hubs > 1 {
				continue
			}
			if links, ok := r.hubs(hubs, min(cables, hubs)); ok {
				name := fmt.Sprintf("hub of %d ports", r.HubPorts)
				if hubs > 1 {
					name = fmt.Sprintf("%d hubs of %d ports", hubs, r.HubPorts)
				}
				return Candidate{Name: name, Hubs: hubs, Links: links}, true
			}
			if hubs == 1 && cables == 2 && r.Nodes <= r.HubPorts {
				break // one hub does: a second cable to it would not make it safer
			}
		}
	}
	return Candidate{}, false
}

// hubs wires so many hubs with so many cables from each node, or fails.
func (r *Request) hubs(hubs, cables int) ([][2]int, bool) {
	most := (r.Nodes*cables + hubs - 1) / hubs // cables to nodes at one hub
	left := r.HubPorts - most
	if left < 0 || hubs > 1 && left < 1 || hubs > 2 && left < 2 {
		return nil, false
	}
	var links [][2]int
	for v := range r.Nodes {
		for c := range cables {
			links = append(links, [2]int{v, r.Nodes + (v*cables+c)%hubs})
		}
	}
	if hubs == 1 {
		return links, true
	}
	between, err := search.Find(search.Problem{Nodes: hubs, Ports: min(left, search.MaxPorts)}, search.Control{Seed: r.Seed, Rounds: 12, Workers: r.Workers})
	if err != nil || between.Links == nil {
		return nil, false
	}
	for _, l := range between.Links {
		links = append(links, [2]int{r.Nodes + l[0], r.Nodes + l[1]})
	}
	return links, true
}

// hubGbps returns what a cable to a hub carries, and what one hub can forward.
func (r *Request) hubGbps() (cable, forward float64) {
	cable, forward = r.Gbps, math.MaxFloat32
	if c := r.Prices.Of(catalog.USB4Card); len(c) > 0 && c[0].Gbps > 0 {
		cable = min(cable, c[0].Gbps)
	}
	if h := r.Prices.Of(catalog.HubHost); len(h) > 0 && h[0].Gbps > 0 {
		forward = h[0].Gbps
	}
	return cable, forward
}
