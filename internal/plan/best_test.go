package plan

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/search"
	"github.com/usb4mesh/usb4mesh/internal/topology"
)

// TestBestIsSearched wants of best what no named shape gives, the same at every call, within the
// ports there are.
func TestBestIsSearched(t *testing.T) {
	for _, n := range []int{9, 12, 18, 24} {
		req := topology.Request{Shape: "best", Ports: slices.Repeat([]int{3}, n), Hub: -1}
		req.Ports[n-1] = 4 // one port more somewhere is left free
		cables, err := bestCables(req)
		if err != nil {
			t.Fatal(err)
		}
		shape, err := topology.Wire(req)
		if err != nil {
			t.Fatal(err)
		}
		links := topology.Links(cables)
		_, average := topology.Hops(n, links)
		_, before := topology.Hops(n, topology.Links(shape))
		bound := search.LowerBound(n, 3).Average
		if average >= before || average > bound*1.03 || len(topology.Bridges(n, links)) > 0 {
			t.Errorf("%d nodes: %v hops on average, the best shape has %v, the bound is %v", n, average, before, bound)
		}
		for _, c := range cables {
			if c.PortA >= req.Ports[c.A] || c.PortB >= req.Ports[c.B] {
				t.Errorf("%d nodes: cable %+v in a port that is not there", n, c)
			}
		}
		again, err := bestCables(req)
		if diff := cmp.Diff(cables, again); diff != "" || err != nil {
			t.Errorf("%d nodes: not the same twice: %v\n%s", n, err, diff)
		}
	}
}

// TestBestTakesWhatPortsAllow leaves it to the shapes where the search has no say.
func TestBestTakesWhatPortsAllow(t *testing.T) {
	for _, ports := range [][]int{{1, 2, 1}, {1, 1}, {4, 1, 1, 1, 1}, slices.Repeat([]int{2}, 40)} {
		req := topology.Request{Shape: "best", Ports: ports, Hub: -1}
		got, err := bestCables(req)
		want, wantErr := topology.Wire(req)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (wantErr == nil) {
			t.Errorf("%v: %v\n%s", ports, err, diff)
		}
	}
}
