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

// take takes one, and tells whether there was one.
func (b *bucket) take(now time.Time) bool {
	b.update(now)
	if b.spent >= b.burst {
		return false
	}
	b.spent++
	return true
}

// empty tells whether nothing can be taken before ready.
func (b *bucket) empty(now time.Time) bool {
	b.update(now)
	return b.spent >= b.burst
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
