package topology

import (
	"errors"
	"fmt"
	"math/bits"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// ports returns n nodes with the same number of ports.
func ports(n, each int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = each
	}
	return p
}

func TestWireNumbersCablesAsTheyArePlugged(t *testing.T) {
	const left, right = 0, 1
	tests := []struct {
		name string
		ask  Request
		want []Cable
	}{
		{"ring of 3", Request{Shape: "ring", Ports: ports(3, 2)},
			[]Cable{{0, left, 1, right}, {1, left, 2, right}, {2, left, 0, right}}},
		{"full mesh of 3 is that ring", Request{Shape: "full-mesh", Ports: ports(3, 2)},
			[]Cable{{0, left, 1, right}, {1, left, 2, right}, {2, left, 0, right}}},
		{"ring leaves middle ports free", Request{Shape: "ring", Ports: []int{2, 3, 4}},
			[]Cable{{0, 0, 1, 2}, {1, 0, 2, 3}, {2, 0, 0, 1}}},
		{"ring of 2", Request{Shape: "ring", Ports: ports(2, 2)},
			[]Cable{{0, left, 1, right}, {1, left, 0, right}}},
		{"full mesh of 4, by offsets", Request{Shape: "full-mesh", Ports: ports(4, 3)},
			[]Cable{{0, 0, 1, 2}, {1, 0, 2, 2}, {2, 0, 3, 2}, {3, 0, 0, 2}, {0, 1, 2, 1}, {1, 1, 3, 1}}},
		{"full mesh of 2", Request{Shape: "full-mesh", Ports: ports(2, 1)}, []Cable{{0, 0, 1, 0}}},
		{"chain", Request{Shape: "chain", Ports: []int{1, 2, 1}}, []Cable{{0, 0, 1, 1}, {1, 0, 2, 0}}},
		{"star chooses the node with most ports", Request{Shape: "star", Ports: []int{1, 1, 3, 3}, Hub: -1},
			[]Cable{{2, 0, 0, 0}, {2, 1, 1, 0}, {2, 2, 3, 2}}},
		{"star around a given hub", Request{Shape: "star", Ports: ports(3, 2), Hub: 1},
			[]Cable{{1, 0, 0, 1}, {1, 1, 2, 1}}},
		{"grid of 2 columns", Request{Shape: "grid", Ports: ports(6, 3), Columns: 2},
			[]Cable{{0, 0, 1, 2}, {2, 0, 3, 2}, {4, 0, 5, 2}, {0, 1, 2, 2}, {1, 0, 3, 1}, {2, 1, 4, 2}, {3, 0, 5, 1}}},
		{"hypercube", Request{Shape: "hypercube", Ports: ports(4, 2)},
			[]Cable{{0, 0, 1, 1}, {2, 0, 3, 1}, {0, 1, 2, 1}, {1, 0, 3, 0}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Wire(test.ask)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("cables (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWireNeedsNoCableForOneNode(t *testing.T) {
	for _, shape := range Shapes() {
		for n := range 2 {
			if cables, err := Wire(Request{Shape: shape, Ports: ports(n, 0), Hub: -1}); err != nil || len(cables) != 0 {
				t.Errorf("%s of %d: %v, %v; want no cable", shape, n, cables, err)
			}
		}
	}
}

func TestWireSaysWhatIsMissing(t *testing.T) {
	tests := []struct {
		ask  Request
		want error
		text string
	}{
		{Request{Shape: "full-mesh", Ports: ports(4, 2)},
			&PortsError{"full-mesh", []Shortage{{0, 3, 2}, {1, 3, 2}, {2, 3, 2}, {3, 3, 2}}},
			"full-mesh: node 0 needs 3 free ports and has 2, and 3 more nodes have too few"},
		{Request{Shape: "ring", Ports: []int{2, 1, 2}}, &PortsError{"ring", []Shortage{{1, 2, 1}}},
			"ring: node 1 needs 2 free ports and has 1"},
		{Request{Shape: "chain", Ports: []int{1, 1, 1}}, &PortsError{"chain", []Shortage{{1, 2, 1}}},
			"chain: node 1 needs 2 free ports and has 1"},
		{Request{Shape: "star", Ports: []int{2, 2, 2, 0}, Hub: -1}, &PortsError{"star", []Shortage{{0, 3, 2}, {3, 1, 0}}},
			"star: node 0 needs 3 free ports and has 2, and 1 more node has too few"},
		{Request{Shape: "star", Ports: ports(3, 2), Hub: 3}, &RangeError{"star", "Hub", 3, -1, 2},
			"star: hub is 3, want -1 to 2"},
		{Request{Shape: "grid", Ports: ports(6, 4), Columns: 7}, &RangeError{"grid", "Columns", 7, 0, 6},
			"grid: columns is 7, want 0 to 6"},
		{Request{Shape: "grid", Ports: ports(6, 4), Columns: 4}, &SizeError{"grid", 6, 4, "a multiple of 4, its columns"},
			"grid of 6 nodes: the number of nodes must be a multiple of 4, its columns"},
		{Request{Shape: "grid", Ports: ports(7, 4)}, &SizeError{"grid", 7, 0, "a product of two numbers above 1"},
			"grid of 7 nodes: the number of nodes must be a product of two numbers above 1"},
		{Request{Shape: "hypercube", Ports: ports(6, 4)}, &SizeError{"hypercube", 6, 0, "a power of two"},
			"hypercube of 6 nodes: the number of nodes must be a power of two"},
		{Request{Shape: "best", Ports: []int{2, 0}, Hub: -1}, &NoShapeError{2},
			"no known shape joins these 2 nodes with the ports they have"},
		{Request{Shape: "rign", Ports: ports(2, 2)}, &UnknownShapeError{"rign"},
			`unknown shape "rign", want one of full-mesh, ring, chain, star, grid, torus, hypercube, petersen, heawood, circulant, best`},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			cables, err := Wire(test.ask)
			if cables != nil {
				t.Errorf("cables %v beside an error", cables)
			}
			if diff := cmp.Diff(test.want, err); diff != "" {
				t.Fatalf("error (-want +got):\n%s", diff)
			}
			if err.Error() != test.text {
				t.Errorf("text %q, want %q", err, test.text)
			}
		})
	}
}

func TestFeasible(t *testing.T) {
	tests := []struct {
		ports []int
		want  []string
	}{
		{ports(4, 2), []string{"ring", "chain", "grid", "torus", "hypercube", "circulant"}},
		{ports(4, 3), []string{"full-mesh", "ring", "chain", "star", "grid", "torus", "hypercube", "circulant"}},
		{[]int{1, 2, 2, 2, 1}, []string{"chain"}},
		{[]int{1, 1, 1, 0}, nil},
	}
	for _, test := range tests {
		got := Feasible(Request{Ports: test.ports, Hub: -1})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.ports, diff)
		}
	}
}

func TestBest(t *testing.T) {
	tests := []struct {
		name     string
		ports    []int
		cables   int
		diameter int
		average  float64
	}{
		{"three nodes of two ports: the triangle", ports(3, 2), 3, 1, 1},
		{"five of four: the full mesh", ports(5, 4), 10, 1, 1},
		{"five of two: the ring", ports(5, 2), 5, 2, 1.5},
		{"six of three: every other node one cable away or two", ports(6, 3), 9, 2, 1.4},
		{"eight of three: Moebius ladder", ports(8, 3), 12, 2, 11. / 7},
		{"ten of three: Petersen", ports(10, 3), 15, 2, 15. / 9},
		{"sixteen of five: two rings of chords and the one across", ports(16, 5), 40, 3, 1.8},
		{"a hub loses against a ring, for its bridges", []int{5, 2, 2, 2, 2, 2}, 6, 3, 1.8},
		{"a hub where only a hub fits", []int{1, 1, 3, 1}, 3, 2, 1.5},
		{"two nodes: one cable is all there is", []int{1, 2}, 1, 1, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cables, err := Wire(Request{Shape: "best", Ports: test.ports, Hub: -1})
			if err != nil {
				t.Fatal(err)
			}
			diameter, average := Hops(len(test.ports), Links(cables))
			if len(cables) != test.cables || diameter != test.diameter || fmt.Sprintf("%.6f", average) != fmt.Sprintf("%.6f", test.average) {
				t.Errorf("%d cables, diameter %d, average %f; want %d, %d, %f\n%v",
					len(cables), diameter, average, test.cables, test.diameter, test.average, cables)
			}
		})
	}
}

// TestWireProperties draws requests and holds what every shape promises.
func TestWireProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "nodes")
		most := rapid.SampledFrom([]int{2, 4, 40}).Draw(t, "most ports")
		ask := Request{
			Shape:   rapid.SampledFrom(Shapes()).Draw(t, "shape"),
			Ports:   rapid.SliceOfN(rapid.IntRange(most/2, most), n, n).Draw(t, "ports"),
			Columns: rapid.IntRange(0, n).Draw(t, "columns"),
			Hub:     rapid.IntRange(-1, n-1).Draw(t, "hub"),
		}
		cables, err := Wire(ask)
		if err != nil {
			checkError(t, ask, err)
			return
		}
		degree := make([]int, n)
		used := make(map[[2]int]bool)
		for i, c := range cables {
			for _, end := range [][2]int{{c.A, c.PortA}, {c.B, c.PortB}} {
				if end[0] < 0 || end[0] >= n || end[1] < 0 || end[1] >= ask.Ports[end[0]] {
					t.Fatalf("cable %d: no such port: %v", i, c)
				}
				if used[end] {
					t.Fatalf("cable %d: port %d of node %d used twice", i, end[1], end[0])
				}
				used[end] = true
				degree[end[0]]++
			}
			if c.A == c.B {
				t.Fatalf("cable %d joins node %d to itself", i, c.A)
			}
		}
		if parts := Components(n, Links(cables)); len(parts) != 1 {
			t.Fatalf("falls into %v", parts)
		}
		checkDegrees(t, ask, degree, len(cables))
	})
}

// checkDegrees compares with what the shapes' names promise, not with how they
// are made.
func checkDegrees(t *rapid.T, ask Request, degree []int, cables int) {
	n := len(degree)
	times := make(map[int]int)
	for _, d := range degree {
		times[d]++
	}
	if n == 1 {
		return
	}
	var want map[int]int
	switch ask.Shape {
	case "full-mesh":
		want = map[int]int{n - 1: n}
	case "ring":
		want = map[int]int{2: n}
	case "chain":
		want = map[int]int{1: 2}
		if n > 2 {
			want[2] = n - 2
		}
	case "star":
		want = map[int]int{1: n - 1}
		want[n-1]++
	case "hypercube":
		want = map[int]int{bits.TrailingZeros(uint(n)): n}
	case "grid":
		columns := ask.Columns
		if columns == 0 {
			for columns = 1; columns*columns < n || n%columns != 0; columns++ {
			}
		}
		if rows := n / columns; cables != rows*(columns-1)+columns*(rows-1) {
			t.Fatalf("grid of %d columns and %d rows: %d cables", columns, rows, cables)
		}
		return
	default:
		return
	}
	if diff := cmp.Diff(want, times); diff != "" {
		t.Fatalf("nodes by number of cables (-want +got):\n%s", diff)
	}
}

// checkError accepts only true complaints.
func checkError(t *rapid.T, ask Request, err error) {
	var short *PortsError
	var size *SizeError
	var none *NoShapeError
	switch {
	case errors.As(err, &short):
		for _, s := range short.Short {
			if s.Have != ask.Ports[s.Node] || s.Need <= s.Have {
				t.Fatalf("%+v is no shortage with ports %v", s, ask.Ports)
			}
		}
	case errors.As(err, &size):
		n := len(ask.Ports)
		if ask.Shape == "hypercube" && bits.OnesCount(uint(n)) == 1 || ask.Shape == "grid" && ask.Columns > 0 && n%ask.Columns == 0 {
			t.Fatalf("%v, but %d is", err, n)
		}
	case errors.As(err, &none):
		if feasible := Feasible(ask); feasible != nil {
			t.Fatalf("%v, but feasible are %v", err, feasible)
		}
	default:
		t.Fatal(err)
	}
}

// TestFullMeshCountsPortsFirst: a mesh far too large for its ports is refused
// without laying its two thousand million cables.
func TestFullMeshCountsPortsFirst(t *testing.T) {
	const nodes = 1 << 16
	_, err := Wire(Request{Shape: "full-mesh", Ports: ports(nodes, 2)})
	var short *PortsError
	if !errors.As(err, &short) || len(short.Short) != nodes {
		t.Errorf("error %v, want one that names %d nodes", err, nodes)
	}
}
