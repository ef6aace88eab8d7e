package search

import (
	"fmt"
	"slices"
)

// maxGroup is the largest group used: beyond, so few nodes are left to choose freely that
// the graphs are poor.
const maxGroup = 512

// group is a finite group, as tables. Element 0 is the neutral one.
type group struct {
	name        string
	order       int
	right       []int32 // g times k is right[k*order+g]
	inverse     []int32
	involutions []int32 // elements, other than 0, that are their own inverse
}

func (g *group) times(a, k int) int { return int(g.right[k*g.order+a]) }

func newGroup(name string, order int, times func(a, b int) int) *group {
	g := &group{name: name, order: order, right: make([]int32, order*order), inverse: make([]int32, order)}
	for k := range order {
		for a := range order {
			p := times(a, k)
			g.right[k*order+a] = int32(p)
			if p == 0 {
				g.inverse[k] = int32(a)
				if a == k && k != 0 {
					g.involutions = append(g.involutions, int32(k))
				}
			}
		}
	}
	return g
}

// cyclic is the rotations of a circle of so many places.
func cyclic(order int) *group {
	return newGroup(fmt.Sprintf("C%d", order), order, func(a, b int) int { return (a + b) % order })
}

// metacyclic is the pairs (x, y), x below m and y below k, with (x, y)(u, v) =
// (x + r^y u, y + v): for r = 1 the product of two circles, for k = 2 and r = m-1
// the rotations and reflections of one. r^k must be 1 modulo m. Element (x, y) has
// number x*k+y.
func metacyclic(m, k, r int) *group {
	power := make([]int, k)
	power[0] = 1 % m
	for i := 1; i < k; i++ {
		power[i] = power[i-1] * r % m
	}
	return newGroup(fmt.Sprintf("C%d:C%d(%d)", m, k, r), m*k, func(a, b int) int {
		x, y, u, v := a/k, a%k, b/k, b%k
		return (x+power[y]*u)%m*k + (y+v)%k
	})
}

// flips is the product of so many groups of order 2 and a circle of the given order.
func flips(count, circle int) *group {
	return newGroup(fmt.Sprintf("2^%d*C%d", count, circle), circle<<count, func(a, b int) int {
		return (a>>count+b>>count)%circle<<count | (a^b)&(1<<count-1)
	})
}

// groups returns groups of an order, all different in kind: the circle first, then the
// others made of two circles or of flips.
func groups(order int) []*group {
	all := []*group{cyclic(order)}
	for k := 2; k*2 <= order; k++ {
		if order%k != 0 {
			continue
		}
		m := order / k
		if m >= k && gcd(m, k) > 1 {
			all = append(all, metacyclic(m, k, 1))
		}
		seen := map[int]bool{} // orders of r: of equal ones the group is mostly the same
		for r := m - 1; r > 1; r-- {
			if o := multiplicative(r, m); o > 0 && k%o == 0 && !seen[o] {
				seen[o] = true
				all = append(all, metacyclic(m, k, r))
			}
		}
	}
	for count := 2; order%(1<<count) == 0 && order>>count > 0; count++ {
		if circle := order >> count; circle%2 == 1 || circle == 4 || count == 2 {
			all = append(all, flips(count, circle))
		}
	}
	return slices.Clip(all)
}

// multiplicative returns the least o with r^o = 1 modulo m, or 0 if there is none.
func multiplicative(r, m int) int {
	if gcd(r, m) != 1 {
		return 0
	}
	p := r % m
	for o := 1; ; o++ {
		if p == 1 {
			return o
		}
		p = p * r % m
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
