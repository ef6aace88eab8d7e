package search

// lift is a graph with a group of symmetries: n = q*s nodes (a, i), a < q and i one of the s
// elements of the group; multiplying every i by the same element from the left turns the graph
// into itself. It is held as q*ports stubs. Stub p is port p%ports of the nodes (a, *) with
// a = p/ports; it is paired with another stub under a shift k, an element of the group,
// which stands for the s links (a, i) - (b, i*k). In the words of graph theory: a
// voltage graph and its derived graph (Gross and Tucker, "Topological graph theory", 1987).
//
// Up to a few nodes, the poles, may stay where they are under every symmetry: a stub paired
// with a stub of a pole stands for links from all (a, *) to that pole, whose number
// is q*s and up. Stubs of poles have the numbers from q*ports on.
//
// A stub that is its own partner stands for the s/2 links (a, i) - (a, i*k) if its
// shift k is an involution, and for a free port if it is free.
type lift struct {
	q, s, ports int
	poles, each int // poles, and stubs of each
	group       *group
	partner     []int32
	shift       []int32 // seen from the stub; the partner has the inverse

	next []int32 // of node (a, i) and port: next[(a*s+i)*ports+port]; a free port leads to the node itself

	allowed []bool // of (a, b, k): allowed[(a*q+b)*s+k]; nil if all are
}

const free = -1

func newLift(q, ports, poles int, g *group, allowed []bool) *lift {
	s := g.order
	l := &lift{q: q, s: s, ports: ports, poles: poles, each: ports / s, group: g, allowed: allowed}
	l.partner = make([]int32, q*ports+poles*l.each)
	l.shift = make([]int32, len(l.partner))
	l.next = make([]int32, l.nodes()*ports)
	for v := range l.nodes() { // also ports of poles that no stub stands for
		for port := range ports {
			l.next[v*ports+port] = int32(v)
		}
	}
	for p := range l.partner {
		l.leave(p)
	}
	return l
}

func (l *lift) nodes() int { return l.q*l.s + l.poles }

// ofPole reports whether a stub is one of a pole.
func (l *lift) ofPole(p int) bool { return p >= l.q*l.ports }

// pole returns the node of a pole's stub, and the place of its first link in next.
func (l *lift) pole(p int) (node, at int) {
	p -= l.q * l.ports
	node = l.q*l.s + p/l.each
	return node, node*l.ports + p%l.each*l.s
}

// may reports whether stubs p and r can be paired under shift k. Links from a node to
// itself, and links that another shift of the same pair would double, are refused.
func (l *lift) may(p, r, k int) bool {
	if l.ofPole(p) || l.ofPole(r) {
		return l.ofPole(p) != l.ofPole(r)
	}
	a, b := p/l.ports, r/l.ports
	if a == b && (k == 0 || int(l.group.inverse[k]) == k) {
		return false
	}
	return l.allowed == nil || l.allowed[(a*l.q+b)*l.s+k]
}

// flip returns an involution that stub p can have as its own partner, by dice, or free.
func (l *lift) flip(p int, r *random) int {
	if len(l.group.involutions) == 0 || l.ofPole(p) {
		return free
	}
	a := p / l.ports
	k := int(l.group.involutions[r.below(len(l.group.involutions))])
	if l.allowed != nil && !l.allowed[(a*l.q+a)*l.s+k] {
		return free
	}
	return k
}

// pair joins stubs p and r under shift k.
func (l *lift) pair(p, r, k int) {
	l.set(p, r, k)
	l.set(r, p, int(l.group.inverse[k]))
}

// leave frees a stub.
func (l *lift) leave(p int) {
	l.partner[p], l.shift[p] = int32(p), free
	if l.ofPole(p) {
		node, at := l.pole(p)
		for i := range l.s {
			l.next[at+i] = int32(node)
		}
		return
	}
	for i := range l.s {
		v := p/l.ports*l.s + i
		l.next[v*l.ports+p%l.ports] = int32(v)
	}
}

func (l *lift) set(p, r, k int) {
	l.partner[p], l.shift[p] = int32(r), int32(k)
	if l.ofPole(p) {
		_, at := l.pole(p)
		for i := range l.s {
			l.next[at+i] = int32(r/l.ports*l.s + i)
		}
		return
	}
	if l.ofPole(r) {
		node, _ := l.pole(r)
		for i := range l.s {
			l.next[(p/l.ports*l.s+i)*l.ports+p%l.ports] = int32(node)
		}
		return
	}
	from, to := p/l.ports*l.s, r/l.ports*l.s
	at := from*l.ports + p%l.ports
	for _, i := range l.group.right[k*l.s : (k+1)*l.s] {
		l.next[at] = int32(to) + i
		at += l.ports
	}
}

// put restores one stub as it was.
func (l *lift) put(p int, partner, shift int32) {
	if shift == free {
		l.leave(p)
	} else {
		l.set(p, int(partner), int(shift))
	}
}

// take pairs stubs as links say; l must be without symmetry and free.
func (l *lift) take(links [][2]int) {
	used := make([]int, l.q)
	for _, link := range links {
		a, b := link[0], link[1]
		l.pair(a*l.ports+used[a], b*l.ports+used[b], 0)
		used[a]++
		used[b]++
	}
}

// scatter pairs the free stubs at random, as far as that goes.
func (l *lift) scatter(r *random) {
	stubs := make([]int, len(l.partner))
	for i := range stubs {
		stubs[i] = i
	}
	for i := len(stubs) - 1; i > 0; i-- {
		j := r.below(i + 1)
		stubs[i], stubs[j] = stubs[j], stubs[i]
	}
	for i, p := range stubs {
		if int(l.partner[p]) != p || l.shift[p] != free {
			continue
		}
		// Near stubs of the shuffled list first; with short cables most are too far.
		for _, other := range stubs[i+1:] {
			if int(l.partner[other]) != other || l.shift[other] != free {
				continue
			}
			if k := r.below(l.s); l.may(p, other, k) {
				l.pair(p, other, k)
				break
			}
		}
		if l.shift[p] == free {
			l.put(p, int32(p), int32(l.flip(p, r)))
		}
	}
}

// move is one change that can be taken back.
type move struct {
	stubs          [4]int
	partner, shift [4]int32
	n              int
}

func (m *move) keep(l *lift, p int) {
	m.stubs[m.n], m.partner[m.n], m.shift[m.n] = p, l.partner[p], l.shift[p]
	m.n++
}

func (m *move) undo(l *lift) {
	for i := range m.n {
		l.put(m.stubs[i], m.partner[i], m.shift[i])
	}
}

// change makes a random change: it changes a shift, or lets two pairs of stubs change
// partners. It reports false, and changes nothing, if the dice fell on one that can't be.
func (l *lift) change(r *random, m *move) bool {
	m.n = 0
	p := r.below(len(l.partner))
	pp := int(l.partner[p])
	if pp == p && l.shift[p] != free && r.below(4) == 0 {
		k := l.flip(p, r)
		if k == free || k == int(l.shift[p]) {
			return false
		}
		m.keep(l, p)
		l.set(p, p, k)
		return true
	}
	if l.s > 1 && pp != p && !l.ofPole(p) && !l.ofPole(pp) && r.below(4) == 0 {
		k := r.below(l.s)
		if k == int(l.shift[p]) || !l.may(p, pp, k) {
			return false
		}
		m.keep(l, p)
		m.keep(l, pp)
		l.pair(p, pp, k)
		return true
	}
	o := r.below(len(l.partner))
	if o == p {
		return false
	}
	oo := int(l.partner[o])
	k, kk := r.below(l.s), r.below(l.s)
	if o == pp { // the two ends part, each its own partner
		kp, ko := l.flip(p, r), l.flip(o, r)
		if kp == free || ko == free {
			return false
		}
		m.keep(l, p)
		m.keep(l, o)
		l.set(p, p, kp)
		l.set(o, o, ko)
		return true
	}
	if !l.may(p, o, k) || pp != p && oo != o && !l.may(pp, oo, kk) {
		return false
	}
	m.keep(l, p)
	m.keep(l, o)
	if pp != p {
		m.keep(l, pp)
	}
	if oo != o {
		m.keep(l, oo)
	}
	l.pair(p, o, k)
	switch {
	case pp != p && oo != o:
		l.pair(pp, oo, kk)
	case pp != p:
		l.put(pp, int32(pp), int32(l.flip(pp, r)))
	case oo != o:
		l.put(oo, int32(oo), int32(l.flip(oo, r)))
	}
	return true
}
