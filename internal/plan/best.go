package plan

import (
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/search"
	"github.com/usb4mesh/usb4mesh/internal/topology"
)

// What a search for the best wiring may cost while a file is planned: every plan of a file
// must be the same, so it is bounded by rounds, and an editor waits for it.
const (
	mostSearched = 32
	searchRounds = 8
)

// bestCables wires nodes as well as is known: of the shapes the best, or a searched graph
// that has fewer hops.
func bestCables(req topology.Request) ([]topology.Cable, error) {
	cables, err := topology.Wire(req)
	n := len(req.Ports)
	if n < 3 || n > mostSearched || slices.Min(req.Ports) < 2 {
		return cables, err
	}
	found, failed := search.Find(search.Problem{Nodes: n, Ports: min(slices.Min(req.Ports), search.MaxPorts)}, search.Control{Seed: 1, Rounds: searchRounds})
	if failed != nil || found.Links == nil || len(topology.Bridges(n, found.Links)) > 0 {
		return cables, err
	}
	if err == nil {
		links := topology.Links(cables)
		if _, average := topology.Hops(n, links); average <= found.Average+1e-12 && len(topology.Bridges(n, links)) == 0 {
			return cables, nil
		}
	}
	return topology.Plug(topology.Wiring{Name: req.Shape, Links: found.Links}, req.Ports)
}
