package draw

import (
	"cmp"
	"math"
	"slices"
)

// socket is a port at the edge of a box.
type socket struct {
	rect
	port string
	out  point // where a cable leaves: the unit vector away from the box
}

// plug returns where the cable begins.
func (s socket) plug() point {
	return s.c.add(point{s.out.x * s.w / 2, s.out.y * s.h / 2})
}

// The sides of a box, as directions away from it.
var sides = [4]point{{0, -1}, {1, 0}, {0, 1}, {-1, 0}}

// wish is the place at which a cable would leave a box on the straight way to its peer.
type wish struct {
	cable, end int
	at         float64 // along the side, from its middle
}

// placeSockets puts every port on the side of its box that looks towards the peer, in
// the order of the directions, so that cables of one box do not cross at it. It
// returns the width that the fullest sides need, and whether a box must grow taller.
func (s *scene) placeSockets() (wide float64, grown bool) {
	width := s.socketWidth()
	wishes := make([][4][]wish, len(s.nodes))
	for i := range s.cables {
		c := &s.cables[i]
		a, b := s.nodes[c.nodes[0]].c, s.nodes[c.nodes[1]].c
		// The same offset for both ends keeps parallel cables parallel, whichever end
		// the file names first.
		across := b.sub(a).unit().left().scale(c.lane * socketPitch)
		if c.nodes[0] > c.nodes[1] {
			across = across.scale(-1)
		}
		for end, here := range c.nodes {
			n := s.nodes[here]
			d := s.nodes[c.nodes[1-end]].c.sub(n.c)
			side, at := exit(n.rect, d)
			if sides[side].x == 0 {
				at += across.x
			} else {
				at += across.y
			}
			wishes[here][side] = append(wishes[here][side], wish{i, end, at})
		}
	}
	for i := range s.nodes {
		for side, ws := range wishes[i] {
			if len(ws) == 0 {
				continue
			}
			slices.SortFunc(ws, func(a, b wish) int {
				return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.cable, b.cable))
			})
			n, out := s.nodes[i], sides[side]
			level := out.x == 0
			pitch, room := socketPitch, n.h
			if level {
				pitch, room = width+8, n.w
			}
			need := pitch*float64(len(ws)) + 12
			if level {
				wide = max(wide, need)
			} else if need > n.tall {
				s.nodes[i].tall, grown = need, true
			}
			for k, at := range apart(ws, pitch, room-12) {
				c := n.c
				if level {
					c = c.add(point{at, out.y * (n.h + socketHeight) / 2})
				} else {
					c = c.add(point{out.x * (n.w + width) / 2, at})
				}
				w := ws[k]
				s.cables[w.cable].sockets[w.end] = socket{
					rect: rect{c.round(), width, socketHeight},
					port: s.cables[w.cable].plan.Ends[w.end].Port, out: out,
				}
			}
		}
	}
	return wide, grown
}

// exit returns the side at which direction d leaves a box, and where on it.
func exit(r rect, d point) (side int, at float64) {
	if math.Abs(d.y)*r.w >= math.Abs(d.x)*r.h { // above or below
		if d.y < 0 {
			side = 0
		} else {
			side = 2
		}
		return side, d.x / max(math.Abs(d.y), 1) * r.h / 2
	}
	if d.x > 0 {
		side = 1
	} else {
		side = 3
	}
	return side, d.y / max(math.Abs(d.x), 1) * r.w / 2
}

// apart returns places near the sorted wishes, at least pitch from each other and
// within room around 0 (if they fit).
func apart(ws []wish, pitch, room float64) []float64 {
	at := make([]float64, len(ws))
	drift := 0.0
	for i, w := range ws {
		at[i] = w.at
		if i > 0 {
			at[i] = max(at[i], at[i-1]+pitch)
		}
		drift += at[i] - w.at
	}
	shift := -drift / float64(len(ws))
	lo, hi := -(room-pitch)/2, (room-pitch)/2
	shift = min(shift, hi-at[len(at)-1])
	shift = max(shift, lo-at[0])
	for i := range at {
		at[i] += shift
	}
	if len(at) > 1 && at[len(at)-1] > hi { // wishes too far apart: share the side evenly
		for i := range at {
			at[i] = lo + (hi-lo)*float64(i)/float64(len(at)-1)
		}
	}
	return at
}
