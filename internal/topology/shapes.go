package topology

import (
	"fmt"
	"math/bits"
	"slices"
)

const best = "best"

// shape is a way of wiring. Its pairs of nodes are in the order of plugging.
type shape struct {
	name string
	wire func(Request) ([]Cable, error)
}

var shapes []shape

func init() { // not a literal: best refers to the others
	shapes = []shape{
		{"full-mesh", fullMesh},
		{"ring", sized(ring)},
		{"chain", sized(chain)},
		{"star", star},
		{"grid", grid},
		{"torus", torus},
		{"hypercube", hypercube},
		{"petersen", fixed(10, petersen)},
		{"heawood", fixed(14, heawood)},
		{"circulant", circulantShape},
		{best, wireBest},
	}
}

// sized makes a shape of what needs to know the number of nodes only.
func sized(pairs func(nodes int) [][2]int) func(Request) ([]Cable, error) {
	return func(r Request) ([]Cable, error) { return plug(r, pairs(len(r.Ports))) }
}

func chain(n int) [][2]int {
	var pairs [][2]int
	for i := range n - 1 {
		pairs = append(pairs, [2]int{i, i + 1})
	}
	return pairs
}

// ring of two nodes is two parallel cables.
func ring(n int) [][2]int {
	if n < 2 {
		return nil
	}
	return append(chain(n), [2]int{n - 1, 0})
}

// circulant joins every node with the nodes that many numbers further on.
func circulant(n int, offsets ...int) [][2]int {
	var pairs [][2]int
	for _, k := range offsets {
		for i := range n {
			if 2*k == n && i >= k {
				break // the opposite node's cable is this one
			}
			pairs = append(pairs, [2]int{i, (i + k) % n})
		}
	}
	return pairs
}

// fullMesh is the circulant of all offsets: with two ports each it is the ring.
// Its cables grow with the square of the nodes, so ports are counted first.
func fullMesh(r Request) ([]Cable, error) {
	n := len(r.Ports)
	if err := enough(r, func(int) int { return n - 1 }); err != nil {
		return nil, err
	}
	return plug(r, complete(n))
}

func complete(n int) [][2]int {
	var offsets []int
	for k := 1; k <= n/2; k++ {
		offsets = append(offsets, k)
	}
	return circulant(n, offsets...)
}

func star(r Request) ([]Cable, error) {
	n, hub := len(r.Ports), r.Hub
	if n < 2 {
		return nil, nil
	}
	if hub < -1 || hub >= n {
		return nil, &RangeError{Shape: r.Shape, Field: "Hub", Value: hub, Least: -1, Most: n - 1}
	}
	if hub == -1 {
		hub = slices.Index(r.Ports, slices.Max(r.Ports))
	}
	var pairs [][2]int
	for i := range n {
		if i != hub {
			pairs = append(pairs, [2]int{hub, i})
		}
	}
	return plug(r, pairs)
}

// grid numbers its nodes row by row. It must be full: a last row with gaps would
// leave nodes on one cable.
func grid(r Request) ([]Cable, error) { return rectangle(r, gridLinks) }

// torus is a grid whose rows and columns are closed to rings.
func torus(r Request) ([]Cable, error) { return rectangle(r, torusLinks) }

func rectangle(r Request, pairs func(n, columns int) [][2]int) ([]Cable, error) {
	n, columns := len(r.Ports), r.Columns
	if n < 2 {
		return nil, nil
	}
	if columns < 0 || columns > n {
		return nil, &RangeError{Shape: r.Shape, Field: "Columns", Value: columns, Least: 0, Most: n}
	}
	if columns == 0 {
		columns = squarest(n)
		if columns == n && n > 3 {
			return nil, &SizeError{Shape: r.Shape, Nodes: n, Want: "a product of two numbers above 1"}
		}
	}
	if n%columns != 0 {
		return nil, &SizeError{Shape: r.Shape, Nodes: n, Columns: columns, Want: fmt.Sprintf("a multiple of %d, its columns", columns)}
	}
	return plug(r, pairs(n, columns))
}

// fixed makes a shape of a graph of one size.
func fixed(size int, pairs func() [][2]int) func(Request) ([]Cable, error) {
	return func(r Request) ([]Cable, error) {
		switch len(r.Ports) {
		case 0, 1:
			return nil, nil
		case size:
			return plug(r, pairs())
		}
		return nil, &SizeError{Shape: r.Shape, Nodes: len(r.Ports), Want: fmt.Sprint(size)}
	}
}

// circulantShape is a ring with chords, as many as the node with the fewest ports allows, of
// the lengths that shorten the ways most.
func circulantShape(r Request) ([]Cable, error) {
	n := len(r.Ports)
	if n < 2 {
		return nil, nil
	}
	return plug(r, circulant(n, offsets(n, slices.Min(r.Ports))...))
}

// squarest returns the least number of columns that is at least the number of
// rows and leaves no gap.
func squarest(n int) int {
	for columns := 1; ; columns++ {
		if columns*columns >= n && n%columns == 0 {
			return columns
		}
	}
}

func hypercube(r Request) ([]Cable, error) {
	n := len(r.Ports)
	if n&(n-1) != 0 {
		return nil, &SizeError{Shape: r.Shape, Nodes: n, Want: "a power of two"}
	}
	return plug(r, cube(n))
}

// cube joins nodes whose numbers differ in one bit.
func cube(n int) [][2]int {
	var pairs [][2]int
	for k := range bits.Len(uint(n)) - 1 {
		for i := range n {
			if j := i ^ 1<<k; i < j {
				pairs = append(pairs, [2]int{i, j})
			}
		}
	}
	return pairs
}

// petersen is the largest graph of three cables per node and two hops at most
// (Hoffman and Singleton, "On Moore graphs with diameters 2 and 3", 1960).
func petersen() [][2]int {
	var pairs [][2]int
	for i := range 5 {
		pairs = append(pairs, [2]int{i, (i + 1) % 5})
	}
	for i := range 5 {
		pairs = append(pairs, [2]int{5 + i, 5 + (i+2)%5})
	}
	for i := range 5 {
		pairs = append(pairs, [2]int{i, 5 + i})
	}
	return pairs
}
