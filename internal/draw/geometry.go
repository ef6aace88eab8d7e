package draw

import "math"

// point is a place or a direction, in pixels, y downwards.
type point struct{ x, y float64 }

func (p point) add(q point) point         { return point{p.x + q.x, p.y + q.y} }
func (p point) sub(q point) point         { return point{p.x - q.x, p.y - q.y} }
func (p point) scale(f float64) point     { return point{p.x * f, p.y * f} }
func (p point) cross(q point) float64     { return p.x*q.y - p.y*q.x }
func (p point) length() float64           { return math.Hypot(p.x, p.y) }
func (p point) round() point              { return point{math.Round(p.x), math.Round(p.y)} }
func between(a, b point, t float64) point { return a.scale(1 - t).add(b.scale(t)) }

// unit returns p with length 1, or the zero point if p is one.
func (p point) unit() point {
	if l := p.length(); l > 0 {
		return p.scale(1 / l)
	}
	return point{}
}

// left returns p turned by a quarter.
func (p point) left() point { return point{p.y, -p.x} }

// rect is an upright rectangle around its centre.
type rect struct {
	c    point
	w, h float64
}

func (r rect) grow(d float64) rect { return rect{r.c, r.w + 2*d, r.h + 2*d} }

func (r rect) contains(p point) bool {
	return math.Abs(p.x-r.c.x) < r.w/2 && math.Abs(p.y-r.c.y) < r.h/2
}

func (r rect) overlaps(o rect) bool {
	return math.Abs(r.c.x-o.c.x) < (r.w+o.w)/2 && math.Abs(r.c.y-o.c.y) < (r.h+o.h)/2
}

// crosses reports whether the segments a-b and c-d cross inside of both.
func crosses(a, b, c, d point) bool {
	turn := func(p, q, r point) float64 { return q.sub(p).cross(r.sub(p)) }
	return turn(a, b, c)*turn(a, b, d) < 0 && turn(c, d, a)*turn(c, d, b) < 0
}

// bezier is a cubic curve: end, two control points, end.
type bezier [4]point

// at returns the point at t in [0,1].
func (b bezier) at(t float64) point {
	p, q, r := between(b[0], b[1], t), between(b[1], b[2], t), between(b[2], b[3], t)
	return between(between(p, q, t), between(q, r, t), t)
}

// hits reports whether the curve runs through a rectangle.
func (b bezier) hits(r rect) bool {
	const steps = 32
	for i := range steps + 1 {
		if r.contains(b.at(float64(i) / steps)) {
			return true
		}
	}
	return false
}
