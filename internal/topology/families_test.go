package topology

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestClassicalFigures compares with figures that are in every textbook; -1 where the
// bisection is not.
func TestClassicalFigures(t *testing.T) {
	tests := []struct {
		n, ports, hub int
		name          string
		links         int
		diameter      int
		average       float64
		bisection     int
	}{
		{4, 3, 0, "full mesh", 6, 1, 1, 4},
		{6, 2, 0, "ring", 6, 3, 9. / 5, 2},
		{5, 2, 0, "chain", 4, 4, 2, 1},
		{7, 2, 6, "star", 6, 2, 12. / 7, 3},
		{9, 4, 0, "grid 3x3", 12, 4, 2, 4},
		{9, 4, 0, "torus 3x3", 18, 2, 1.5, 8},
		{16, 4, 0, "torus 4x4", 32, 4, 32. / 15, 8},
		{16, 4, 0, "hypercube", 32, 4, 32. / 15, 8},
		{10, 3, 0, "Petersen", 15, 2, 15. / 9, 5},
		{14, 3, 0, "Heawood", 21, 3, 27. / 13, -1},
		{20, 3, 0, "generalized Petersen (10, 4)", 30, 4, 47. / 19, -1}, // fewer than the dodecahedron (10, 2) and the Desargues graph (10, 3): 50/19
		{24, 3, 0, "generalized Petersen (12, 5)", 36, 4, 62. / 23, -1}, // the Nauru graph
		{8, 3, 0, "circulant [1 4]", 12, 2, 11. / 7, 4},
		{13, 4, 0, "circulant [1 5]", 26, 2, 20. / 12, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, w := range Classical(test.n, test.ports, test.hub, 1) {
				if w.Name != test.name {
					continue
				}
				diameter, average := Hops(test.n, w.Links)
				if len(w.Links) != test.links || diameter != test.diameter || average != test.average {
					t.Errorf("%d links, hops %d and %v; want %d, %d, %v", len(w.Links), diameter, average, test.links, test.diameter, test.average)
				}
				if cut, _ := Bisection(test.n, w.Links, 1); test.bisection >= 0 && test.bisection != cut {
					t.Errorf("bisection %d, want %d", cut, test.bisection)
				}
				return
			}
			t.Error("missing")
		})
	}
}

// TestClassicalKeepsToPorts wires every size and looks at ports, doubles and connection.
func TestClassicalKeepsToPorts(t *testing.T) {
	for n := 2; n <= 40; n++ {
		for ports := 1; ports <= 6; ports++ {
			for _, w := range Classical(n, ports, 0, 1) {
				if d := Degree(n, w.Links); d > ports {
					t.Errorf("%s of %d: %d ports of %d", w.Name, n, d, ports)
				}
				if len(Components(n, w.Links)) != 1 {
					t.Errorf("%s of %d: not joined", w.Name, n)
				}
				if len(doubles(w.Links)) > 0 {
					t.Errorf("%s of %d, %d ports: double links %v", w.Name, n, ports, doubles(w.Links))
				}
				cables, err := Plug(w, portsOf(n, ports))
				if err != nil || len(cables) != len(w.Links) {
					t.Errorf("%s of %d: %d cables, %v", w.Name, n, len(cables), err)
				}
			}
		}
	}
}

func portsOf(n, each int) []int { return ports(n, each) }

func TestRandomRegular(t *testing.T) {
	for _, size := range [][2]int{{4, 3}, {5, 3}, {16, 3}, {64, 8}, {101, 5}, {1000, 4}} {
		n, p := size[0], size[1]
		links := RandomRegular(n, p, 7)
		if diff := cmp.Diff(links, RandomRegular(n, p, 7)); diff != "" {
			t.Errorf("%v: not repeatable", size)
		}
		if len(links) != n*p/2 || Degree(n, links) != p || len(doubles(links)) != 0 {
			t.Errorf("%v: %d links, degree %d, %d doubles", size, len(links), Degree(n, links), len(doubles(links)))
		}
	}
	if links := RandomRegular(4, 4, 1); links != nil {
		t.Errorf("four nodes of four links: %v", links)
	}
}

// TestCutsAgainstHops cuts every link of random graphs by leaving it out.
func TestCutsAgainstHops(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 80).Draw(t, "nodes")
		links := chain(n)
		for range rapid.IntRange(0, n).Draw(t, "more") {
			links = append(links, [2]int{rapid.IntRange(0, n-1).Draw(t, "a"), rapid.IntRange(0, n-1).Draw(t, "b")})
		}
		got := Cuts(n, links, nil, func() bool { return false })
		want := CutReport{Tried: len(links), Worst: -1}
		whole, total, worst := 0, 0.0, -1
		for i := range links {
			rest := append(append([][2]int{}, links[:i]...), links[i+1:]...)
			if len(Components(n, rest)) > 1 {
				if want.Bridges++; want.Bridges == 1 {
					want.Parts, want.Worst = true, i
				}
				continue
			}
			diameter, average := Hops(n, rest)
			whole++
			total += average
			if worst < 0 || diameter > want.Diameter || diameter == want.Diameter && average > want.Average {
				worst, want.Diameter, want.Average = i, diameter, average
			}
		}
		if !want.Parts {
			want.Worst = worst
		}
		if whole > 0 {
			want.MeanAverage = total / float64(whole)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestCutsStops(t *testing.T) {
	asked := 0
	r := Cuts(6, ring(6), nil, func() bool { asked++; return asked > 2 })
	if r.Tried != 2 {
		t.Errorf("tried %d, want 2", r.Tried)
	}
}

// TestBisectionHeuristic holds the heuristic against the exact count, which it must never
// fall below, and on graphs like those we wire must meet.
func TestBisectionHeuristic(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		n := 4 + 2*dice.IntN(7)
		links := RandomRegular(n, 3, dice.Uint64())
		want, exact := Bisection(n, links, 1)
		if !exact {
			t.Fatalf("%d nodes are few", n)
		}
		adj := newAdjacency(n, links)
		best := len(links)
		for range 16 {
			side := make([]bool, n)
			for _, v := range dice.Perm(n)[:n/2] {
				side[v] = true
			}
			now := crossing(links, side)
			for less := refine(adj, side, now); less < now; less = refine(adj, side, now) {
				if c := crossing(links, side); c != less {
					t.Fatalf("says %d, is %d", less, c)
				}
				now = less
			}
			best = min(best, now)
		}
		if best != want {
			t.Errorf("%d nodes: heuristic %d, exact %d", n, best, want)
		}
	}
	if cut, exact := Bisection(64, cube(64), 1); cut != 32 || exact {
		t.Errorf("hypercube of 64: %d, exact %v; want 32 as an upper bound", cut, exact)
	}
}
