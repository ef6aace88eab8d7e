package forwarding

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestSingleLinkCutsOfKnownShapes(t *testing.T) {
	shapes := map[string]Graph{
		"petersen":           petersen(),
		"two parallel links": {Nodes: 2, Links: []Link{{0, 1, 1}, {0, 1, 1}}},
	}
	for n := 3; n <= 16; n++ {
		shapes[fmt.Sprintf("ring %d", n)] = ring(n)
	}
	for n := 3; n <= 6; n++ {
		shapes[fmt.Sprintf("full mesh %d", n)] = fullMesh(n)
	}
	for columns := 2; columns <= 6; columns++ {
		for rows := 2; rows <= columns; rows++ {
			shapes[fmt.Sprintf("grid %dx%d", columns, rows)] = grid(columns, rows)
		}
	}
	for d := 2; d <= 6; d++ {
		shapes[fmt.Sprintf("hypercube %d", d)] = hypercube(d)
	}
	for name, g := range shapes {
		r := Verify(g, Compile(g), SingleLinks(g))
		cases := int64(g.Nodes * (g.Nodes - 1) * len(g.Links))
		if r.Cases != cases || r.Delivered != cases || len(r.Unprotected) != 0 {
			t.Errorf("%s: %d of %d cases delivered, want all of %d: %+v", name, r.Delivered, r.Cases, cases, r)
		}
	}
}

func TestSingleLinkCutsOfTwoEdgeConnectedGraphs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := twoEdgeConnected(3, 40, 20).Draw(t, "graph")
		r := Verify(g, Compile(g), SingleLinks(g))
		if r.Delivered != r.Cases {
			t.Fatalf("lost: %+v", r)
		}
	})
}
