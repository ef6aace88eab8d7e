package search

// annealing is one run: a symmetry, a start, and so many changes.
type annealing struct {
	lift    *lift
	counter *counter
	dice    *random
	start   [][2]int // links to begin with, of a lift without symmetry; nil for random ones
	far     int      // hops beyond which distances count more
	stop    func() bool
}

// Temperatures in units of what a typical change costs.
const (
	hottest = 0.24
	coldest = 0.06
	warm    = 12.0 // so many times colder is it where the start is good
)

// run anneals with so many changes and leaves the best graph it saw in the lift. It reports
// false if it was stopped.
func (a *annealing) run(steps int) bool {
	l, c := a.lift, a.counter
	hottest, coldest := hottest, coldest
	if a.start != nil {
		l.take(a.start)
		hottest, coldest = hottest/warm, coldest/warm
	}
	l.scatter(a.dice)
	now, _ := c.count(l, a.far, none-1)
	best, kept := now, a.save()
	unit := a.unit(now)
	cooling := 1.0
	if steps > 1 {
		cooling = pow(coldest/hottest, 1/float64(steps))
	}
	t := hottest * unit
	var m move
	for i := range steps {
		if i%64 == 0 && a.stop() {
			return false
		}
		t *= cooling
		if !l.change(a.dice, &m) {
			continue
		}
		limit := now
		if now < none {
			limit += int(t * a.dice.exponential())
		}
		sum, _ := c.count(l, a.far, min(limit, none-1))
		if sum > limit {
			m.undo(l)
			continue
		}
		now = sum
		if now < best {
			best = now
			a.copyTo(&kept)
		}
	}
	a.load(kept)
	return true
}

// unit estimates what a change costs: the mean over some changes of the start.
func (a *annealing) unit(now int) float64 {
	if now >= none {
		return 1
	}
	const tries = 32
	var m move
	total, n := 0, 0
	for range tries {
		if !a.lift.change(a.dice, &m) {
			continue
		}
		if sum, _ := a.counter.count(a.lift, a.far, none-1); sum < none {
			total += max(sum-now, now-sum)
			n++
		}
		m.undo(a.lift)
	}
	return max(1, float64(total)/float64(max(1, n)))
}

type saved struct{ partner, shift []int32 }

func (a *annealing) save() saved {
	var s saved
	a.copyTo(&s)
	return s
}

func (a *annealing) copyTo(s *saved) {
	s.partner = append(s.partner[:0], a.lift.partner...)
	s.shift = append(s.shift[:0], a.lift.shift...)
}

func (a *annealing) load(s saved) {
	for p := range s.partner {
		a.lift.put(p, s.partner[p], s.shift[p])
	}
}
