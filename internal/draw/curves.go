package draw

// lead draws every cable from socket to socket and puts its badge on it.
func (s *scene) lead() {
	for i := range s.cables {
		s.cables[i].curve = s.way(&s.cables[i])
	}
	var taken []rect
	for _, n := range s.nodes {
		taken = append(taken, n.grow(4))
	}
	for _, c := range s.cables {
		taken = append(taken, c.sockets[0].grow(3), c.sockets[1].grow(3))
	}
	for i := range s.cables {
		c := &s.cables[i]
		c.badge = s.label(i, taken)
		taken = append(taken, c.badge.grow(3))
	}
}

// Ways around boxes are tried only while that is quick.
const maxDetours = 300

// way returns a curve that leaves both sockets straight and, if one can be found, runs
// behind no box.
func (s *scene) way(c *cable) bezier {
	a, b := c.sockets[0], c.sockets[1]
	p, q := a.plug(), b.plug()
	reach := min(max(q.sub(p).length()*0.4, 24), 170)
	across := q.sub(p).unit().left()
	lane := across.scale(c.lane * 14)
	if c.nodes[0] > c.nodes[1] {
		lane = lane.scale(-1)
	}
	var straight bezier
	for i, bow := range []float64{0, 60, -60, 120, -120, 200, -200, 300, -300, 420, -420} {
		side := lane.add(across.scale(bow))
		curve := bezier{p, p.add(a.out.scale(reach)).add(side), q.add(b.out.scale(reach)).add(side), q}
		if i == 0 {
			straight = curve
		}
		if len(s.cables) > maxDetours || !s.blocked(c, curve) {
			return curve
		}
	}
	return straight
}

// blocked reports whether a curve runs behind a box or over a socket that is not its own.
func (s *scene) blocked(c *cable, curve bezier) bool {
	for i, n := range s.nodes {
		own := i == c.nodes[0] || i == c.nodes[1]
		if !own && curve.hits(n.grow(8)) || own && curve.hits(n.grow(-2)) {
			return true
		}
	}
	for i := range s.cables {
		if d := &s.cables[i]; d != c && (curve.hits(d.sockets[0].grow(4)) || curve.hits(d.sockets[1].grow(4))) {
			return true
		}
	}
	return false
}

// label returns the place for the badge of cable i: on its curve, near the middle, over
// nothing that is taken and, if possible, over no other cable.
func (s *scene) label(i int, taken []rect) rect {
	c := &s.cables[i]
	w, h := badgeSize(c.plan)
	at := func(t float64) rect { return rect{c.curve.at(t).round(), w, h} }
	free := func(r rect, others bool) bool {
		for _, o := range taken {
			if r.overlaps(o) {
				return false
			}
		}
		if others && len(s.cables) <= maxDetours {
			for k, d := range s.cables {
				if k != i && d.curve.hits(r.grow(2)) {
					return false
				}
			}
		}
		return true
	}
	for _, others := range []bool{true, false} {
		for step := range 20 {
			for _, sign := range []float64{1, -1} {
				if r := at(0.5 + sign*0.02*float64(step)); free(r, others) {
					return r
				}
			}
		}
	}
	return at(0.5)
}
