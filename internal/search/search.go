package search

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
)

// MaxNodes and MaxPorts bound a problem, so that it fits memory and patience.
const (
	MaxNodes = 1 << 14
	MaxPorts = 64
)

// Problem asks for a wiring.
type Problem struct {
	Nodes int
	Ports int // of each node, at most Nodes-1 count

	// Where the nodes stand, if cables are short: Rows of Columns nodes, numbered
	// row by row, and which two of them a cable can join. Allowed is nil if
	// cables are long enough for all; it must not depend on the order of its arguments.
	Columns, Rows int
	Allowed       func(a, b int) bool
}

// Control says how hard to try. The zero value tries the shortest useful time.
type Control struct {
	Seed     uint64
	Rounds   int             // annealings; 0 for as many as Stop allows, or few without Stop
	Workers  int             // annealings at the same time; they don't change the result
	Stop     func() bool     // asked often, from all workers; nil never stops
	Progress func(r *Result) // told of every better graph, from one goroutine at a time
}

// Proof says why nothing is better.
type Proof string

// Proofs.
const (
	NoProof  Proof = ""
	ByBound  Proof = "bound"      // diameter and average reach the lower bound
	ByTrying Proof = "exhaustive" // every graph was tried
)

// Result is the best wiring found.
type Result struct {
	Links    [][2]int // each once, lower node first, in order; none if no wiring was found
	Diameter int
	Average  float64 // hops between two nodes
	Bound    Bound
	Proof    Proof
	Symmetry string // group of symmetries that the search assumed; C1 is none
	Rounds   int    // annealings that count: with the same seed so many give this graph again
}

// better reports whether a is a better wiring than b.
func (r *Result) better(b *Result) bool {
	if b.Links == nil || r.Links == nil {
		return b.Links == nil && r.Links != nil
	}
	if r.Diameter != b.Diameter {
		return r.Diameter < b.Diameter
	}
	return r.Average < b.Average-1e-12
}

// fewRounds is what a search without any limit does.
const fewRounds = 24

// Find searches. Errors say which number of the problem is out of range.
func Find(p Problem, c Control) (Result, error) {
	if p.Nodes < 2 || p.Nodes > MaxNodes {
		return Result{}, fmt.Errorf("search: %d nodes, want 2 to %d", p.Nodes, MaxNodes)
	}
	if p.Ports < 1 || p.Ports > MaxPorts {
		return Result{}, fmt.Errorf("search: %d ports, want 1 to %d", p.Ports, MaxPorts)
	}
	if p.Allowed != nil && p.Columns*p.Rows != p.Nodes {
		return Result{}, fmt.Errorf("search: %d rows of %d columns are not %d nodes", p.Rows, p.Columns, p.Nodes)
	}
	p.Ports = min(p.Ports, p.Nodes-1)
	if c.Stop == nil {
		c.Stop = func() bool { return false }
		if c.Rounds == 0 {
			c.Rounds = fewRounds
		}
	}
	if c.Rounds == 0 {
		c.Rounds = math.MaxInt
	}
	s := newSeeker(p, c)
	if p.Ports == 1 && p.Nodes > 2 {
		return Result{Bound: s.bound}, nil // one cable each joins pairs, no more
	}
	if p.Allowed == nil && s.easy() {
		return s.best, nil
	}
	s.seek()
	return s.best, nil
}

// seeker is a search under way.
type seeker struct {
	Problem
	Control
	bound      Bound
	symmetries []symmetry

	mu     sync.Mutex
	best   Result
	rounds map[int]*Result // finished, not yet merged into best
	merged int             // rounds merged, always a beginning of all
	next   int             // round to start
	pass   pass
	ready  *sync.Cond // signals that a pass is over
	done   bool
}

// pass is a row of rounds, one for each symmetry still in the race. After a pass the worst
// third falls out, down to a few, and those that stay get half as much work again.
type pass struct {
	first  int       // number of its first round
	field  []int     // indices of symmetries
	work   int       // of each round
	scores []*Result // best of each symmetry, by index, over all passes
}

func newSeeker(p Problem, c Control) *seeker {
	s := &seeker{Problem: p, Control: c, rounds: map[int]*Result{}}
	s.ready = sync.NewCond(&s.mu)
	s.bound = s.lowerBound()
	s.symmetries = s.findSymmetries()
	s.pass = pass{work: firstWork, scores: make([]*Result, len(s.symmetries))}
	for i := range s.symmetries {
		s.pass.field = append(s.pass.field, i)
	}
	s.best = Result{Bound: s.bound}
	return s
}

// easy settles what needs no search: the full mesh, and what few nodes allow to try out.
func (s *seeker) easy() bool {
	if s.Ports == s.Nodes-1 {
		var links [][2]int
		for a := range s.Nodes {
			for b := a + 1; b < s.Nodes; b++ {
				links = append(links, [2]int{a, b})
			}
		}
		s.take(s.rate(links, "C1"))
		return true
	}
	if s.Nodes > maxExhaustive {
		return false
	}
	links, whole := exhaustive(s.Nodes, s.Ports, s.Stop)
	if !whole || links == nil {
		return false
	}
	r := s.rate(links, "C1")
	if r.Proof == NoProof {
		r.Proof = ByTrying
	}
	s.take(r)
	return true
}

// rate measures a wiring on its own, whatever the search believed of it.
func (s *seeker) rate(links [][2]int, symmetry string) *Result {
	r := &Result{Links: links, Bound: s.bound, Symmetry: symmetry}
	sum, diameter := Measure(s.Nodes, links)
	if sum >= none {
		r.Links = nil
		return r
	}
	r.Diameter, r.Average = diameter, float64(sum)/float64(s.Nodes*(s.Nodes-1))
	if diameter == s.bound.Diameter && sum == s.bound.sum {
		r.Proof = ByBound
	}
	return r
}

func (s *seeker) take(r *Result) {
	if r.better(&s.best) {
		rounds := s.best.Rounds
		s.best = *r
		s.best.Rounds = rounds
		if s.Progress != nil {
			s.Progress(&s.best)
		}
	}
}

// seek runs rounds until they are used up, the bound is reached, or it is stopped. Which
// rounds ran may depend on the clock; what a round finds does not, and only the
// beginning of their sequence that is complete counts.
func (s *seeker) seek() {
	var workers sync.WaitGroup
	for range max(1, s.Workers) {
		workers.Go(s.work)
	}
	workers.Wait()
	if s.best.Links == nil { // stopped within the first round: better any wiring than none
		for _, r := range s.rounds {
			s.take(r)
		}
	}
}

func (s *seeker) work() {
	for {
		round, sym, steps, ok := s.start()
		if !ok {
			return
		}
		r := s.round(round, sym, steps)
		s.mu.Lock()
		if r == nil {
			s.done = true
		} else {
			s.rounds[round] = r
			s.merge()
		}
		s.ready.Broadcast()
		s.mu.Unlock()
		if r == nil {
			return
		}
	}
}

const (
	firstWork = 1 << 25 // of a round of the first pass, in the unit of counter.cost
	mostWork  = 1 << 50
	finalists = 6
)

// start hands out the next round, and waits for the end of a pass before the next.
func (s *seeker) start() (round int, sym symmetry, work int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	round = s.next
	s.next++
	for !s.done && s.merged < s.Rounds && round >= s.pass.first+len(s.pass.field) {
		s.ready.Wait()
	}
	if s.done || round >= s.Rounds {
		return 0, symmetry{}, 0, false
	}
	return round, s.symmetries[s.pass.field[round-s.pass.first]], s.pass.work, true
}

// merge takes over what is finished, in the order of rounds.
func (s *seeker) merge() {
	for r := s.rounds[s.merged]; r != nil && !s.done; r = s.rounds[s.merged] {
		delete(s.rounds, s.merged)
		score := &s.pass.scores[s.pass.field[s.merged-s.pass.first]]
		if *score == nil || r.better(*score) {
			*score = r
		}
		s.merged++
		s.best.Rounds = s.merged
		s.take(r)
		if s.best.Proof != NoProof {
			s.done = true
		}
		if s.merged == s.pass.first+len(s.pass.field) {
			s.pass.end(s.merged)
		}
	}
}

func (p *pass) end(next int) {
	slices.SortStableFunc(p.field, func(a, b int) int {
		switch {
		case p.scores[a].better(p.scores[b]):
			return -1
		case p.scores[b].better(p.scores[a]):
			return 1
		}
		return 0
	})
	p.first = next
	p.field = p.field[:min(len(p.field), max(finalists, len(p.field)*2/3))]
	p.work = min(p.work+p.work/2, mostWork)
}

// round anneals once and returns what it found, or nil if it was stopped. work is what it
// may cost, in the unit of counter.cost.
func (s *seeker) round(number int, sym symmetry, work int) *Result {
	l := newLift((s.Nodes-sym.poles)/sym.order, s.Ports, sym.poles, sym.group, sym.allowed)
	a := &annealing{lift: l, counter: newCounter(l), dice: fork(s.Seed, number), far: s.bound.Diameter, stop: s.Stop}
	if sym.near {
		a.start = polarity(s.Nodes, s.Ports, a.dice)
	}
	if !a.run(max(200, work/a.counter.cost(l, s.bound.Diameter))) {
		return nil
	}
	return s.rate(s.fill(sym.links(l)), sym.String())
}

// fill uses free ports: cables between nodes that are not joined yet, the farthest apart in
// number first, as long as there are any. They can only shorten ways.
func (s *seeker) fill(links [][2]int) [][2]int {
	degree := make([]int, s.Nodes)
	joined := map[[2]int]bool{}
	for _, l := range links {
		degree[l[0]]++
		degree[l[1]]++
		joined[l] = true
	}
	var open []int
	for v, d := range degree {
		if d < s.Ports {
			open = append(open, v)
		}
	}
	for d := len(open) - 1; d > 0; d-- {
		for i := 0; i+d < len(open); i++ {
			l := [2]int{open[i], open[i+d]}
			if degree[l[0]] < s.Ports && degree[l[1]] < s.Ports && !joined[l] && (s.Allowed == nil || s.Allowed(l[0], l[1])) {
				degree[l[0]]++
				degree[l[1]]++
				joined[l] = true
				links = append(links, l)
			}
		}
	}
	slices.SortFunc(links, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return links
}
