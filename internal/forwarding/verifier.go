package forwarding

// verifier walks the tables for one destination at a time. Most failures leave
// most paths alone, so the failure-free fate of every state is found once, and
// under a failure only the states whose failure-free path it touches are walked
// again, each once. Slices are indexed by state unless said otherwise.
type verifier struct {
	walker
	failures []Failure
	report   Report
	lost     []Case

	dest     int32
	calm     []int32 // fate without a failure
	calmOut  []int32 // link taken without a failure
	child    []int32 // some state whose next state this is without a failure, -1 for none
	sibling  []int32 // another state with the same next state, -1 for none
	byHops   []int32 // sources, longest failure-free path first
	calmLost []int32 // sources lost without a failure

	touched []int   // broken.now if the failure touches the failure-free path
	walked  []int   // broken.now if fate holds
	fate    []int32 // under the failure
	stack   []int32
	listed  []int // by source: index into lost plus one, or 0

	parts partition
}

// A fate is the number of hops to the destination, or one of these.
const (
	fateDropped int32 = -1 - iota
	fateLooped
	fateWalking // being found out: to meet it again is a loop
)

func outcome(fate int32) Outcome {
	switch fate {
	case fateDropped:
		return Dropped
	case fateLooped:
		return Looped
	}
	return Delivered
}

func newVerifier(g Graph, t *Tables, failures []Failure) *verifier {
	states := 2 * g.Nodes
	v := &verifier{
		walker:   *newWalker(g, t),
		failures: failures,
		calm:     make([]int32, states),
		calmOut:  make([]int32, states),
		child:    make([]int32, states),
		sibling:  make([]int32, states),
		touched:  make([]int, states),
		walked:   make([]int, states),
		fate:     make([]int32, states),
		listed:   make([]int, g.Nodes),
	}
	v.parts = partition{adjacency: v.adjacency, known: make([][]int32, len(failures))}
	return v
}

// destination verifies all cases of one destination.
func (v *verifier) destination(dest int32) {
	v.dest = dest
	v.aim(int(dest))
	v.calmly()
	clear(v.listed)
	for i, f := range v.failures {
		v.broken.set(v.adjacency, f)
		if !v.broken.node(dest) {
			v.touch()
			v.judge(i)
		}
	}
}

// calmly finds the fate of every state without a failure and turns the way they
// follow each other round, so that touch can go backwards.
func (v *verifier) calmly() {
	v.broken.set(v.adjacency, Failure{})
	for s := range v.child {
		v.child[s], v.sibling[s], v.calmOut[s] = -1, -1, -1
		v.touched[s] = v.broken.now
	}
	for s := range int32(len(v.calm)) {
		v.calm[s] = v.settle(s)
		if s>>1 == v.dest {
			continue
		}
		if link := v.out(s); link >= 0 {
			next := v.step(s>>1, link)
			v.calmOut[s] = link
			v.sibling[s] = v.child[next]
			v.child[next] = s
		}
	}
	v.calmLost = v.calmLost[:0]
	longest := int32(0)
	for _, fate := range v.calm {
		longest = max(longest, fate)
	}
	v.byHops = v.byHops[:0]
	count := make([]int32, longest+2) // counting sort, longest first
	for s := int32(0); s < int32(len(v.calm)); s += 2 {
		switch {
		case s>>1 == v.dest:
		case v.calm[s] < 0:
			v.calmLost = append(v.calmLost, s)
		default:
			count[longest-v.calm[s]+1]++
			v.byHops = append(v.byHops, 0)
		}
	}
	for i := 1; i < len(count); i++ {
		count[i] += count[i-1]
	}
	for s := int32(0); s < int32(len(v.calm)); s += 2 {
		if s>>1 != v.dest && v.calm[s] >= 0 {
			at := &count[longest-v.calm[s]]
			v.byHops[*at] = s
			*at++
		}
	}
}

// touch marks the states whose failure-free path meets the failure and leaves
// them in stack.
func (v *verifier) touch() {
	v.stack = v.stack[:0]
	for _, link := range v.broken.list {
		for _, end := range v.ends[link] {
			for s := usual(end); s <= usual(end)+1; s++ {
				if v.calmOut[s] == link && v.touched[s] != v.broken.now {
					v.touched[s] = v.broken.now
					v.stack = append(v.stack, s)
				}
			}
		}
	}
	for i := 0; i < len(v.stack); i++ {
		for s := v.child[v.stack[i]]; s >= 0; s = v.sibling[s] {
			if v.touched[s] != v.broken.now {
				v.touched[s] = v.broken.now
				v.stack = append(v.stack, s)
			}
		}
	}
}

// settle returns the fate of a packet in a state, and notes it for every state
// it passes.
func (v *verifier) settle(s int32) int32 {
	from := len(v.stack)
	var fate int32
	for {
		if s>>1 == v.dest {
			fate = 0
			break
		}
		if v.touched[s] != v.broken.now {
			fate = v.calm[s]
			break
		}
		if v.walked[s] == v.broken.now {
			fate = v.fate[s]
			break
		}
		v.walked[s], v.fate[s] = v.broken.now, fateWalking
		v.stack = append(v.stack, s)
		link := v.out(s)
		if link < 0 {
			fate = fateDropped
			break
		}
		s = v.step(s>>1, link)
	}
	if fate == fateWalking {
		fate = fateLooped
	}
	for i := len(v.stack) - 1; i >= from; i-- {
		if fate >= 0 {
			fate++
		}
		v.fate[v.stack[i]] = fate
	}
	v.stack = v.stack[:from]
	return fate
}

// judge counts the cases of one failure; touch has marked its states.
func (v *verifier) judge(failure int) {
	r := &v.report
	cases := int64(len(v.calm)/2 - v.broken.nodesDown - 1)
	r.Cases += cases
	r.Delivered += cases // until shown otherwise
	for _, s := range v.byHops {
		if v.touched[s] != v.broken.now { // so its links are up, and it too
			r.LongestPath = max(r.LongestPath, int(v.calm[s]))
			break
		}
	}
	for _, s := range v.calmLost {
		if v.touched[s] != v.broken.now && !v.broken.node(s>>1) {
			v.lose(s>>1, failure, v.calm[s])
		}
	}
	for _, s := range v.stack {
		if s&1 == 1 || v.broken.node(s>>1) {
			continue
		}
		fate := v.settle(s)
		if fate < 0 {
			v.lose(s>>1, failure, fate)
			continue
		}
		r.LongestPath = max(r.LongestPath, int(fate))
		if v.calm[s] >= 0 {
			r.LongestDetour = max(r.LongestDetour, int(fate-v.calm[s]))
		}
	}
}

// lose counts a packet that did not arrive.
func (v *verifier) lose(source int32, failure int, fate int32) {
	r := &v.report
	c := Case{Source: int(source), Dest: int(v.dest), Failure: failure, Outcome: outcome(fate)}
	r.Delivered--
	if c.Outcome == Looped {
		r.Looped++
	} else {
		r.Dropped++
	}
	part := v.parts.of(failure, &v.broken)
	if c.Separated = part[source] != part[v.dest]; c.Separated {
		r.Separated++
	} else {
		r.Avoidable++
	}
	switch at := v.listed[source]; {
	case at == 0:
		v.lost = append(v.lost, c)
		v.listed[source] = len(v.lost)
	case v.lost[at-1].Separated && !c.Separated:
		v.lost[at-1] = c
	}
}
