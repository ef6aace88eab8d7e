package flow

import "math"

// Options bound the work.
type Options struct {
	Epsilon float64     // how close reached and limit must come, as a part of the limit; 0.01 if 0
	Phases  int         // most rounds over all sources; 0 for no bound but epsilon, below 0 for none at all
	Stop    func() bool // asked once per source; nil never stops
}

// Result is what a network can carry.
type Result struct {
	Reached float64 // every demand times this fits, by the flows found
	Limit   float64 // no more is possible
	Phases  int

	Load  []float64 // of each arc at Reached, as a part of its capacity
	Price []float64 // of each arc: the share of its capacity in the proof of Limit; they add up to 1
}

// Tight returns the arc that holds the network back: of the fullest arcs the one with the
// highest price; -1 if there is no traffic.
func (r *Result) Tight() int {
	best := -1
	for i, load := range r.Load {
		const noise = 0.01
		if best < 0 || load > r.Load[best]+noise || load > r.Load[best]-noise && r.Price[i] > r.Price[best]*(1+noise) {
			best = i
		}
	}
	return best
}

// Concurrent computes the maximum concurrent flow. Without demands, and where a demand
// can't be met at all, both sides are 0. Errors say what is wrong with the network.
func Concurrent(n *Network, o Options) (Result, error) {
	if err := n.check(); err != nil {
		return Result{}, err
	}
	if o.Epsilon == 0 {
		o.Epsilon = 0.01
	}
	if o.Stop == nil {
		o.Stop = func() bool { return false }
	}
	r := Result{Load: make([]float64, len(n.Arcs)), Price: make([]float64, len(n.Arcs))}
	out := newOutgoing(n)
	flow, cost := even(n, out)
	if cost <= 0 {
		return r, nil
	}
	s := &solver{Network: n, Options: o, result: r, length: make([]float64, len(n.Arcs))}
	s.tree = newTree(n, out, s.length)
	s.result.Limit = math.Inf(1)
	s.offer(flow, 1)
	for i := range n.Arcs {
		s.length[i] = 1
	}
	s.bound(cost)
	s.solve()
	return s.result, nil
}

// solver is a computation under way.
type solver struct {
	*Network
	Options
	result Result
	tree   *tree
	length []float64
}

// offer takes flows that carry every demand times the given factor, if they are the best.
func (s *solver) offer(flow []float64, times float64) {
	fullest := 0.0
	for i, f := range flow {
		fullest = max(fullest, f/s.Arcs[i].Capacity)
	}
	if reached := times / fullest; reached > s.result.Reached {
		s.result.Reached = reached
		for i, f := range flow {
			s.result.Load[i] = f / s.Arcs[i].Capacity / fullest
		}
	}
}

// bound takes the present lengths as prices: what all demands cost at least, against what all
// capacity is worth.
func (s *solver) bound(cost float64) {
	worth := 0.0
	for i, a := range s.Arcs {
		worth += s.length[i] * a.Capacity
	}
	if limit := worth / cost; limit < s.result.Limit {
		s.result.Limit = limit
		for i, a := range s.Arcs {
			s.result.Price[i] = s.length[i] * a.Capacity / worth
		}
	}
}

func (s *solver) near() bool { return s.result.Reached >= s.result.Limit*(1-s.Epsilon) }

// solve runs phases. In each, every source sends its demand over its shortest ways, and
// arcs grow longer the more they carry. The average over the phases is the flow; a
// window over the later phases forgets the poor beginning.
func (s *solver) solve() {
	arcs := len(s.Arcs)
	flow, window, single := make([]float64, arcs), make([]float64, arcs), make([]float64, arcs)
	step := 0.5
	times, inWindow := 0.0, 0.0
	restart := 8
	for i, a := range s.Arcs {
		s.length[i] = 1 / a.Capacity
	}
	for phase := 1; !s.near() && (s.Phases == 0 || phase <= s.Phases); phase++ {
		cost := 0.0
		scale := s.result.Limit // so that a phase about fills the network
		for i := range s.Demands {
			if s.Stop() {
				return
			}
			d := &s.Demands[i]
			clear(single)
			s.tree.grow(d.From)
			s.tree.load(s.Network, d, scale, single)
			s.lengthen(single, step)
			for a, f := range single {
				flow[a] += f
				window[a] += f
			}
		}
		times += scale
		inWindow += scale
		s.offer(flow, times)
		s.offer(window, inWindow)
		for i := range s.Demands {
			s.tree.grow(s.Demands[i].From)
			s.each(&s.Demands[i], func(to int, amount float64) { cost += amount * s.tree.far[to] })
		}
		s.bound(cost)
		s.normalize()
		s.result.Phases = phase
		if phase == restart {
			restart *= 2
			clear(window)
			inWindow = 0
			step = max(s.Epsilon/4, step*0.7)
		}
	}
}

// lengthen makes arcs longer by what they just carried.
func (s *solver) lengthen(carried []float64, step float64) {
	for i, f := range carried {
		if f > 0 {
			s.length[i] *= math.Exp(step * f / s.Arcs[i].Capacity)
		}
	}
}

// normalize keeps lengths away from overflow.
func (s *solver) normalize() {
	longest := 0.0
	for _, l := range s.length {
		longest = max(longest, l)
	}
	for i := range s.length {
		s.length[i] = max(s.length[i]/longest, 1e-200)
	}
}
