package search

import "math"

// random is the generator SplitMix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", OOPSLA 2014): small, and the same on every machine and
// with every release of Go.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 to n-1, n below 2^31.
func (r *random) below(n int) int { return int(uint64(uint32(r.next()>>32)) * uint64(n) >> 32) }

// exponential returns -ln(u) of a uniform u in (0, 1].
func (r *random) exponential() float64 {
	return -math.Log(float64(r.next()>>11+1) / (1 << 53))
}

// fork returns a generator of its own for task number i.
func fork(seed uint64, i int) *random {
	r := random{seed ^ uint64(i+1)*0xd1342543de82ef95}
	r.next()
	return &random{r.next()}
}
