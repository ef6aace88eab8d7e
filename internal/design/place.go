package design

import (
	"github.com/usb4mesh/usb4mesh/internal/cost"
	"github.com/usb4mesh/usb4mesh/internal/topology"
)

// maxPlaced is the most boxes that are placed.
const maxPlaced = 1024

// place renumbers a wiring so that its cables get short: nodes that are joined stand near
// each other. Two boxes change places as long as that helps, from several starts. It
// returns false if some cable would still be longer than any for sale.
func place(r *Request, links [][2]int) ([][2]int, bool) {
	n := r.Nodes
	longest := cost.Longest(r.Prices)
	near := make([][]int, n)
	for _, l := range links {
		near[l[0]] = append(near[l[0]], l[1])
		near[l[1]] = append(near[l[1]], l[0])
	}
	// A cable that can't be had weighs more than everything else.
	badness := func(a, b int) float64 {
		m := r.Layout.Length(a, b)
		if m > longest+1e-9 {
			m += 1000
		}
		return m
	}
	dice := r.Seed
	var best []int
	bestSum := -1.0
	starts := max(1, min(8, 20000/(n*n)))
	for start := range starts {
		at := make([]int, n) // place of each node
		for i := range at {
			at[i] = i
		}
		if start > 0 {
			for i, v := range topology.Shuffle(n, dice+uint64(start)) {
				at[i] = v
			}
		}
		around := func(v int) float64 {
			sum := 0.0
			for _, u := range near[v] {
				sum += badness(at[v], at[u])
			}
			return sum
		}
		for improved, rounds := true, 0; improved && rounds < 50; rounds++ {
			improved = false
			for a := range n {
				for b := range a {
					before := around(a) + around(b)
					at[a], at[b] = at[b], at[a]
					if around(a)+around(b) < before-1e-9 {
						improved = true
					} else {
						at[a], at[b] = at[b], at[a]
					}
				}
				if a%16 == 0 && r.Stop() {
					improved = false
					break
				}
			}
		}
		sum := 0.0
		for v := range n {
			sum += around(v)
		}
		if bestSum < 0 || sum < bestSum {
			best, bestSum = append(best[:0], at...), sum
		}
	}
	placed := make([][2]int, len(links))
	fits := true
	for i, l := range links {
		placed[i] = [2]int{best[l[0]], best[l[1]]}
		fits = fits && r.Layout.Length(placed[i][0], placed[i][1]) <= longest+1e-9
	}
	return placed, fits
}
