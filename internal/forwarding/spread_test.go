package forwarding

import (
	"slices"
	"testing"
)

// TestSpread holds the comparison that spread.go documents: the worst-loaded
// link with the trees of Compile, and with trees that take the lowest, or the
// lowest scattered, link among equally short ways.
func TestSpread(t *testing.T) {
	tests := []struct {
		name               string
		g                  Graph
		lowest, hash, here int
		even               int // rounded down
	}{
		{"two parallel cables", Graph{Nodes: 2, Links: []Link{{0, 1, 1}, {0, 1, 1}}}, 2, 1, 1, 1},
		{"grid 3x3", grid(3, 3), 20, 20, 13, 12},
		{"grid 8x8", grid(8, 8), 480, 397, 266, 192},
		{"Petersen", petersen(), 10, 10, 10, 10},
		{"hypercube of 16", hypercube(4), 54, 25, 18, 16},
		{"hypercube of 64", hypercube(6), 486, 121, 71, 64},
		{"random, 256 x 4", regular(256, 4, 1), 895, 891, 706, 568},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			load := Load(test.g, Compile(test.g), Failure{})
			sum := 0
			for _, l := range load {
				sum += l
			}
			if here, even := slices.Max(load), sum/len(load); here != test.here || even != test.even {
				t.Errorf("worst link %d of even %d, documented %d of %d", here, even, test.here, test.even)
			}
			lowest := worst(test.g, func(_, _ int) uint64 { return 0 })
			hash := worst(test.g, func(dest, link int) uint64 { return scatter(dest, link) >> 40 })
			if lowest != test.lowest || hash != test.hash {
				t.Errorf("worst link %d by lowest, %d by hash; documented %d, %d", lowest, hash, test.lowest, test.hash)
			}
		})
	}
}

// worst returns the load of the worst-loaded link when every node takes, among
// its shortest ways, one with the least sum of fees, by lowest link.
func worst(g Graph, fee func(dest, link int) uint64) int {
	c := newCompiler(g)
	tables := newTables(g.Nodes)
	price := make([]uint64, g.Nodes)
	for dest := range g.Nodes {
		primary, _, _ := tables.row(dest)
		c.distances(int32(dest))
		price[dest] = 0
		for _, u := range c.order[1:] {
			for _, a := range c.of(u) {
				if c.dist[a.to]+c.cost[a.link] != c.dist[u] {
					continue
				}
				if p := price[a.to] + fee(dest, int(a.link)); primary[u] < 0 || p < price[u] {
					primary[u], price[u] = a.link, p
				}
			}
		}
	}
	return slices.Max(Load(g, tables, Failure{}))
}
