package liveness

import "time"

// bucket limits how often something happens: burst times at once, and again after
// each refill. The zero value of last is a full bucket.
type bucket struct {
	burst  int
	refill time.Duration // for one
	spent  int
	last   time.Time // when spent was last brought up to date
}

// left is how many can be taken now.
func (b *bucket) left(now time.Time) int {
	b.update(now)
	return b.burst - b.spent
}

// spend takes n, which are left.
func (b *bucket) spend(n int) { b.spent += n }

// take takes one, and tells whether there was one.
func (b *bucket) take(now time.Time) bool {
	if b.left(now) <= 0 {
		return false
	}
	b.spent++
	return true
}

// ready is when one can be taken again, if the bucket is empty.
func (b *bucket) ready() time.Time { return b.last.Add(b.refill) }

func (b *bucket) update(now time.Time) {
	if b.spent == 0 || b.last.IsZero() {
		b.last = now
		return
	}
	passed := now.Sub(b.last)
	n := int(passed / b.refill)
	switch {
	case n <= 0:
	case n >= b.spent:
		b.spent, b.last = 0, now
	default:
		b.spent -= n
		b.last = now.Add(-(passed % b.refill))
	}
}
