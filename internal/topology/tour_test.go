package topology

import (
	"slices"
	"testing"
)

func TestTour(t *testing.T) {
	tests := []struct {
		name   string
		n      int
		links  [][2]int
		closed bool
	}{
		{"ring", 9, ring(9), true},
		{"hypercube", 32, cube(32), true},
		{"Heawood", 14, heawood(), true},
		{"random of three", 200, RandomRegular(200, 3, 5), true},
		{"Petersen has none", 10, petersen(), false},
		{"chain", 5, chain(5), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			order, closed := Tour(test.n, test.links, 1)
			if closed != test.closed {
				t.Errorf("closed %v, want %v", closed, test.closed)
			}
			joined := map[[2]int]bool{}
			for _, l := range test.links {
				joined[l], joined[[2]int{l[1], l[0]}] = true, true
			}
			for i, v := range order {
				if next := order[(i+1)%len(order)]; closed && !joined[[2]int{v, next}] {
					t.Errorf("%d and %d follow each other and are not joined", v, next)
				}
			}
			slices.Sort(order)
			if len(slices.Compact(order)) != test.n {
				t.Errorf("not every node once: %v", order)
			}
		})
	}
}
