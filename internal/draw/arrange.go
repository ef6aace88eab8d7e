package draw

import (
	"math"
	"slices"
)

// arrange gives every node, a box of width w, its place. It tries a few arrangements
// that people would draw, and takes the one in which fewest cables cross each other or
// run behind a box; of equals the first.
func (s *scene) arrange(w float64) {
	tallest := 0.0
	for _, n := range s.nodes {
		tallest = max(tallest, n.tall)
	}
	gapW, gapH := s.gaps()
	var best []point
	bestScore := math.MaxInt
	for _, places := range s.candidates() {
		spread(places, w+gapW, tallest+gapH)
		if score := s.score(places, w, tallest); score < bestScore {
			best, bestScore = places, score
		}
	}
	for i, p := range best {
		s.nodes[i].rect = rect{p.round(), w, s.nodes[i].tall}
	}
}

// candidates returns arrangements of any size; spread makes them fit.
func (s *scene) candidates() [][]point {
	n := len(s.nodes)
	if n == 0 {
		return nil
	}
	inOrder := make([]int, n)
	for i := range inOrder {
		inOrder[i] = i
	}
	all := [][]point{circle(inOrder)}
	if hub, alone := s.hub(); n > 3 && hub >= 0 {
		around := make([]int, 0, n-1)
		for i := range n {
			if i != hub {
				around = append(around, i)
			}
		}
		places := make([]point, n)
		for i, p := range circle(inOrder[:n-1]) {
			places[around[i]] = p
		}
		all = append(all, places)
		if alone { // a star is drawn as one
			all[0], all[1] = all[1], all[0]
		}
	}
	for columns := 2; columns <= n/2; columns++ {
		if n%columns == 0 || columns == int(math.Ceil(math.Sqrt(float64(n)))) {
			all = append(all, grid(n, columns))
		}
	}
	if n >= 6 && n%2 == 0 {
		all = append(all, rings(n))
	}
	if n > 3 && n <= 24 {
		all = append(all, circle(s.untangle(inOrder)))
	}
	return all
}

// circle puts order[k] at the k-th place of a circle, clockwise from the top; two
// nodes stand side by side.
func circle(order []int) []point {
	n := len(order)
	places := make([]point, n)
	if n < 2 {
		return places
	}
	start := -math.Pi / 2
	if n == 2 {
		start = math.Pi
	}
	if n == 4 {
		start = -3 * math.Pi / 4 // a square, not a diamond
	}
	for k, i := range order {
		a := start + 2*math.Pi*float64(k)/float64(n)
		places[i] = point{math.Cos(a), math.Sin(a)}
	}
	return places
}

// grid fills rows from left to right.
func grid(n, columns int) []point {
	places := make([]point, n)
	for i := range places {
		places[i] = point{float64(i % columns), float64(i / columns)}
	}
	return places
}

// rings puts the first half on a circle and the second half on one inside it.
func rings(n int) []point {
	half := make([]int, n/2)
	for i := range half {
		half[i] = i
	}
	outer := circle(half)
	places := append([]point{}, outer...)
	for _, p := range outer {
		places = append(places, p.scale(0.5))
	}
	return places
}

// hub returns the one node with more cables than every other, or -1, and whether every
// cable ends there.
func (s *scene) hub() (hub int, alone bool) {
	degree := make([]int, len(s.nodes))
	for _, c := range s.cables {
		degree[c.nodes[0]]++
		degree[c.nodes[1]]++
	}
	most := slices.Max(degree)
	hub = slices.Index(degree, most)
	if slices.Contains(degree[hub+1:], most) {
		return -1, false
	}
	return hub, most == len(s.cables)
}

// untangle swaps places on the circle as long as that takes crossings away.
func (s *scene) untangle(order []int) []int {
	order = append([]int{}, order...)
	best := s.crossings(circle(order))
	for improved := true; improved; {
		improved = false
		for i := range order {
			for j := range i {
				order[i], order[j] = order[j], order[i]
				if now := s.crossings(circle(order)); now < best {
					best, improved = now, true
				} else {
					order[i], order[j] = order[j], order[i]
				}
			}
		}
	}
	return order
}

// crossings counts the pairs of cables that would cross, drawn straight.
func (s *scene) crossings(places []point) int {
	n := 0
	for i, c := range s.cables {
		for _, d := range s.cables[:i] {
			if crosses(places[c.nodes[0]], places[c.nodes[1]], places[d.nodes[0]], places[d.nodes[1]]) {
				n++
			}
		}
	}
	return n
}

// score is the number of crossings; a cable behind a box counts as many.
func (s *scene) score(places []point, w, h float64) int {
	const behind = 8
	score := s.crossings(places)
	for _, c := range s.cables {
		a, b := places[c.nodes[0]], places[c.nodes[1]]
		line := bezier{a, between(a, b, 1./3), between(a, b, 2./3), b}
		for i, p := range places {
			if i != c.nodes[0] && i != c.nodes[1] && line.hits(rect{p, w, h}) {
				score += behind
			}
		}
	}
	return score
}

// spread scales places until every two of them are w apart sideways or h apart in
// height. Drawings are wider than high, like screens and boxes.
func spread(places []point, w, h float64) {
	const aspect = 1.25
	need := 0.0
	for i, p := range places {
		for _, q := range places[:i] {
			d := p.sub(q)
			sx, sy := math.Inf(1), math.Inf(1)
			if d.x = math.Abs(d.x); d.x > 1e-9 {
				sx = w / (d.x * aspect)
			}
			if d.y = math.Abs(d.y); d.y > 1e-9 {
				sy = h / d.y
			}
			need = max(need, min(sx, sy))
		}
	}
	if math.IsInf(need, 1) { // two nodes in one place: no arrangement does that
		need = w
	}
	for i, p := range places {
		places[i] = point{p.x * need * aspect, p.y * need}.round()
	}
}
