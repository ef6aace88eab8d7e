package flow

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"
)

// cables makes a network of cables of one capacity.
func cables(nodes int, capacity float64, links ...[2]int) *Network {
	n := &Network{Nodes: nodes}
	for _, l := range links {
		both := Both(l[0], l[1], capacity)
		n.Arcs = append(n.Arcs, both[:]...)
	}
	return n
}

// allToAll adds a demand of 1 between every two nodes.
func (n *Network) allToAll() *Network {
	for v := range n.Nodes {
		n.Demands = append(n.Demands, Demand{From: v, Others: 1})
	}
	return n
}

func circle(n int) [][2]int {
	var links [][2]int
	for i := range n {
		links = append(links, [2]int{i, (i + 1) % n})
	}
	return links
}

// TestKnown compares with what can be worked out by hand.
func TestKnown(t *testing.T) {
	petersen := append(circle(5), [2]int{5, 7}, [2]int{7, 9}, [2]int{9, 6}, [2]int{6, 8}, [2]int{8, 5},
		[2]int{0, 5}, [2]int{1, 6}, [2]int{2, 7}, [2]int{3, 8}, [2]int{4, 9})
	detour := cables(3, 10, circle(3)...)
	detour.Demands = []Demand{{To: []int{1}, Amount: []float64{1}}}
	tests := []struct {
		name string
		net  *Network
		want float64
	}{
		{"one cable", cables(2, 7, [2]int{0, 1}).allToAll(), 7},
		{"triangle, everybody direct", cables(3, 10, circle(3)...).allToAll(), 10},
		{"triangle, one pair may use both ways", detour, 20},
		{"ring of 4: 8 arcs carry 4*(1+1+2) hops", cables(4, 10, circle(4)...).allToAll(), 5},
		{"ring of 5: 10 arcs carry 5*(1+1+2+2) hops", cables(5, 9, circle(5)...).allToAll(), 3},
		{"star of 4 leaves: the cable of a leaf carries 4", cables(5, 8, [2]int{0, 1}, [2]int{0, 2}, [2]int{0, 3}, [2]int{0, 4}).allToAll(), 2},
		{"chain of 4: the middle cable carries 4", cables(4, 8, [2]int{0, 1}, [2]int{1, 2}, [2]int{2, 3}).allToAll(), 2},
		{"Petersen: 30 arcs carry 10*(3+6*2) hops", cables(10, 10, petersen...).allToAll(), 2},
		{"nobody wants anything", cables(2, 7, [2]int{0, 1}), 0},
		{"two parts", cables(4, 7, [2]int{0, 1}, [2]int{2, 3}).allToAll(), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := Concurrent(test.net, Options{Epsilon: 0.01})
			if err != nil {
				t.Fatal(err)
			}
			if r.Reached > test.want*(1+1e-9) || r.Limit < test.want*(1-1e-9) || r.Reached < test.want*0.99 {
				t.Errorf("reached %v, limit %v, want %v in between and within 1%%", r.Reached, r.Limit, test.want)
			}
		})
	}
}

// TestAgainstLinearProgram compares 50 random networks with an exact solution by the
// simplex method of gonum: flows over all simple paths, and one factor to maximize.
func TestAgainstLinearProgram(t *testing.T) {
	const epsilon = 0.01
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			n := randomNetwork(rand.New(rand.NewPCG(seed, 7)))
			want := exact(t, n)
			r, err := Concurrent(n, Options{Epsilon: epsilon})
			if err != nil {
				t.Fatal(err)
			}
			if r.Reached > want+1e-7 || r.Limit < want-1e-7 {
				t.Errorf("reached %v, limit %v: %v is not in between", r.Reached, r.Limit, want)
			}
			if r.Reached < r.Limit*(1-epsilon) {
				t.Errorf("reached %v, limit %v: further apart than %v", r.Reached, r.Limit, epsilon)
			}
			checkLoads(t, n, &r)
		})
	}
}

// checkLoads looks whether the result keeps its word: no arc is overfull, and the one said to be
// tight is full.
func checkLoads(t *testing.T, n *Network, r *Result) {
	t.Helper()
	sum := 0.0
	for i := range n.Arcs {
		if r.Load[i] > 1+1e-9 {
			t.Errorf("arc %d is loaded to %v", i, r.Load[i])
		}
		sum += r.Price[i]
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("prices add up to %v", sum)
	}
	if tight := r.Tight(); r.Load[tight] < 0.98 {
		t.Errorf("tight arc %d is loaded to %v", tight, r.Load[tight])
	}
}

// randomNetwork joins 3 to 6 nodes by a random tree and a few cables more, of capacities
// 1 to 5, with demands between some.
func randomNetwork(r *rand.Rand) *Network {
	n := &Network{Nodes: 3 + r.IntN(4)}
	join := func(a, b int) {
		both := Both(a, b, float64(1+r.IntN(5)))
		n.Arcs = append(n.Arcs, both[:]...)
	}
	for v := 1; v < n.Nodes; v++ {
		join(v, r.IntN(v))
	}
	for range r.IntN(4) {
		if a, b := r.IntN(n.Nodes), r.IntN(n.Nodes); a != b {
			join(a, b)
		}
	}
	for v := range n.Nodes {
		d := Demand{From: v}
		for to := range n.Nodes {
			if to != v && r.IntN(3) == 0 || v == 0 && to == 1 {
				d.To = append(d.To, to)
				d.Amount = append(d.Amount, float64(1+r.IntN(3)))
			}
		}
		n.Demands = append(n.Demands, d)
	}
	return n
}

// exact solves the network as a linear program: for every demand the sum of its path flows
// less its amount times the factor is 0, and the flows over an arc with its slack are its
// capacity.
func exact(t *testing.T, n *Network) float64 {
	t.Helper()
	var columns [][]float64
	rows := len(n.Arcs)
	for _, d := range n.Demands {
		rows += len(d.To)
	}
	factor := make([]float64, rows)
	row := len(n.Arcs)
	for _, d := range n.Demands {
		for k, to := range d.To {
			for _, path := range paths(n, d.From, to, 1<<d.From) {
				c := make([]float64, rows)
				for _, arc := range path {
					c[arc] = 1
				}
				c[row] = 1
				columns = append(columns, c)
			}
			factor[row] = -d.Amount[k]
			row++
		}
	}
	for i := range n.Arcs {
		c := make([]float64, rows)
		c[i] = 1
		columns = append(columns, c)
	}
	columns = append(columns, factor)
	a := mat.NewDense(rows, len(columns), nil)
	for j, c := range columns {
		a.SetCol(j, c)
	}
	b := make([]float64, rows)
	for i, arc := range n.Arcs {
		b[i] = arc.Capacity
	}
	cost := make([]float64, len(columns))
	cost[len(cost)-1] = -1
	value, _, err := lp.Simplex(cost, a, b, 1e-10, nil)
	if err != nil {
		t.Fatalf("linear program of %d rows and %d columns: %v", rows, len(columns), err)
	}
	return -value
}

// paths lists the simple paths, as arcs; seen holds the nodes passed.
func paths(n *Network, from, to, seen int) [][]int {
	if from == to {
		return [][]int{nil}
	}
	var all [][]int
	for i, a := range n.Arcs {
		if a.From == from && seen>>a.To&1 == 0 {
			for _, rest := range paths(n, a.To, to, seen|1<<a.To) {
				all = append(all, append([]int{i}, rest...))
			}
		}
	}
	return all
}

func TestTightNamesTheNarrowCable(t *testing.T) {
	n := cables(6, 10, [2]int{0, 1}, [2]int{1, 2}, [2]int{2, 0}, [2]int{3, 4}, [2]int{4, 5}, [2]int{5, 3}, [2]int{2, 3}).allToAll()
	r, err := Concurrent(n, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a := n.Arcs[r.Tight()]; a.From+a.To != 5 || a.From*a.To != 6 {
		t.Errorf("tight is %d - %d, want 2 - 3", a.From, a.To)
	}
}

func TestBadNetworks(t *testing.T) {
	arc := []Arc{{0, 1, 1}}
	tests := []struct {
		net  Network
		want string
	}{
		{Network{Nodes: 2, Arcs: []Arc{{0, 2, 1}}}, "flow: arc 0 leads from 0 to 2 in a network of 2 nodes"},
		{Network{Nodes: 2, Arcs: []Arc{{0, 0, 1}}}, "flow: arc 0 leads from 0 to 0 in a network of 2 nodes"},
		{Network{Nodes: 2, Arcs: []Arc{{0, 1, math.NaN()}}}, "flow: arc 0 has capacity NaN, want a number above 0"},
		{Network{Nodes: 2, Arcs: arc, Demands: []Demand{{To: []int{1}}}}, "flow: demand 0 from node 0 is no source of its own, or lists 1 nodes and 0 amounts"},
		{Network{Nodes: 2, Arcs: arc, Demands: []Demand{{To: []int{0}, Amount: []float64{1}}}}, "flow: demand 0: 1 from 0 to 0 in a network of 2 nodes"},
	}
	for _, test := range tests {
		_, err := Concurrent(&test.net, Options{})
		if err == nil {
			t.Errorf("no error, want %q", test.want)
			continue
		}
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
	}
}

func BenchmarkAllToAll(b *testing.B) {
	for _, size := range []int{16, 64, 128} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			links := circle(size)
			for i := range size {
				links = append(links, [2]int{i, (i*7 + 3) % size})
			}
			var ok [][2]int
			for _, l := range links {
				if l[0] != l[1] {
					ok = append(ok, l)
				}
			}
			n := cables(size, 10, ok...).allToAll()
			for b.Loop() {
				r, err := Concurrent(n, Options{Epsilon: 0.02})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(r.Phases), "phases")
			}
		})
	}
}
