package search

import (
	"math"
	"math/bits"
)

// pow is x to the power of y.
func pow(x, y float64) float64 { return math.Pow(x, y) }

// Measure returns the sum of hops over all ordered pairs of n nodes and the most hops
// between two; the sum is 1<<60 or more if links do not join all nodes. It walks from 64
// nodes at a time, one bit each.
func Measure(n int, links [][2]int) (sum, diameter int) {
	first := make([]int32, n+1)
	for _, l := range links {
		first[l[0]+1]++
		first[l[1]+1]++
	}
	for v := range n {
		first[v+1] += first[v]
	}
	next := make([]int32, first[n])
	fill := append([]int32(nil), first...)
	for _, l := range links {
		next[fill[l[0]]] = int32(l[1])
		next[fill[l[1]]] = int32(l[0])
		fill[l[0]]++
		fill[l[1]]++
	}
	now, then := make([]uint64, n), make([]uint64, n)
	for base := 0; base < n; base += 64 {
		roots := min(64, n-base)
		clear(now)
		for i := range roots {
			now[base+i] = 1 << i
		}
		for hops, reached := 0, roots; reached < roots*n; {
			sum += roots*n - reached
			hops++
			count := 0
			for v := range n {
				w := now[v]
				for _, u := range next[first[v]:first[v+1]] {
					w |= now[u]
				}
				then[v] = w
				count += bits.OnesCount64(w)
			}
			if count == reached {
				return none, hops
			}
			reached = count
			now, then = then, now
			diameter = max(diameter, hops)
		}
	}
	return sum, diameter
}
