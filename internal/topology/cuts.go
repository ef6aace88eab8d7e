package topology

import "math/bits"

// CutReport says what single cuts do to the ways.
type CutReport struct {
	Tried   int  // cables cut, one at a time
	Bridges int  // of these, cables whose loss parts nodes that were together
	Worst   int  // the cable whose loss hurts most, -1 without cables: a bridge, or the longest ways after it
	Parts   bool // Worst is a bridge; the figures below are of the worst cut that is none

	Diameter    int     // after the worst cut
	Average     float64 // hops between two nodes after the worst cut
	MeanAverage float64 // over all cuts tried that are no bridges
}

// Cuts cuts each of the given links on its own, nil for all of them, and measures what is
// left. It ends early, with what it tried, when stop says so.
func Cuts(n int, links [][2]int, which []int, stop func() bool) CutReport {
	if which == nil {
		which = Spread(len(links), len(links))
	}
	bridge := make([]bool, len(links))
	for _, i := range Bridges(n, links) {
		bridge[i] = true
	}
	r := CutReport{Worst: -1}
	w := newWalker(n, links)
	total, whole := 0.0, 0
	worst := -1
	for _, i := range which {
		if stop() {
			break
		}
		r.Tried++
		if bridge[i] {
			r.Bridges++
			if !r.Parts {
				r.Parts, r.Worst = true, i
			}
			continue
		}
		w.without(i)
		sum, diameter := w.hops()
		average := float64(sum) / float64(n*(n-1))
		total += average
		whole++
		if worst < 0 || diameter > r.Diameter || diameter == r.Diameter && average > r.Average+1e-12 {
			worst, r.Diameter, r.Average = i, diameter, average
		}
	}
	if !r.Parts {
		r.Worst = worst
	}
	if whole > 0 {
		r.MeanAverage = total / float64(whole)
	}
	return r
}

// Spread returns so many of the numbers below n, at equal distances.
func Spread(n, count int) []int {
	count = min(n, count)
	which := make([]int, count)
	for i := range which {
		which[i] = i * n / count
	}
	return which
}

// walker counts hops from 64 nodes at a time, one bit each.
type walker struct {
	n         int
	links     [][2]int
	first     []int32
	next      []int32
	place     [][2]int32 // of each link: where its two ends stand in next
	cut       int
	now, then []uint64

	far, queue []int32
}

func newWalker(n int, links [][2]int) *walker {
	w := &walker{n: n, links: links, cut: -1, now: make([]uint64, n), then: make([]uint64, n), far: make([]int32, n)}
	w.first = make([]int32, n+1)
	for _, l := range links {
		w.first[l[0]+1]++
		w.first[l[1]+1]++
	}
	for v := range n {
		w.first[v+1] += w.first[v]
	}
	w.next = make([]int32, 2*len(links))
	w.place = make([][2]int32, len(links))
	at := append([]int32(nil), w.first...)
	for i, l := range links {
		for end, from := range l {
			w.place[i][end] = at[from]
			w.next[at[from]] = int32(l[1-end])
			at[from]++
		}
	}
	return w
}

// without cuts a link, and mends the one cut before; -1 only mends.
func (w *walker) without(link int) {
	if w.cut >= 0 {
		l, p := w.links[w.cut], w.place[w.cut]
		w.next[p[0]], w.next[p[1]] = int32(l[1]), int32(l[0])
	}
	if w.cut = link; link >= 0 {
		l, p := w.links[link], w.place[link]
		w.next[p[0]], w.next[p[1]] = int32(l[0]), int32(l[1]) // to itself: leads nowhere new
	}
}

// hops returns the sum of hops over ordered pairs that are joined, and the most. Where ways
// are long, a hop at a time for 64 nodes together is more work than each node alone.
func (w *walker) hops() (sum, diameter int) {
	const long = 100
	for base := 0; base < w.n; base += 64 {
		roots := min(64, w.n-base)
		if diameter > long {
			for root := base; root < base+roots; root++ {
				s, d := w.from(root)
				sum += s
				diameter = max(diameter, d)
			}
			continue
		}
		clear(w.now)
		for i := range roots {
			w.now[base+i] = 1 << i
		}
		for hops, reached := 1, roots; ; hops++ {
			count := 0
			for v := range w.n {
				bit := w.now[v]
				for _, u := range w.next[w.first[v]:w.first[v+1]] {
					bit |= w.now[u]
				}
				w.then[v] = bit
				count += bits.OnesCount64(bit)
			}
			if count == reached {
				break
			}
			sum += (count - reached) * hops
			diameter = max(diameter, hops)
			reached = count
			w.now, w.then = w.then, w.now
		}
	}
	return sum, diameter
}

// from returns the sum of hops from one node, and the most.
func (w *walker) from(root int) (sum, most int) {
	w.queue = append(w.queue[:0], int32(root))
	for v := range w.far {
		w.far[v] = -1
	}
	w.far[root] = 0
	for i := 0; i < len(w.queue); i++ {
		at := w.queue[i]
		most = int(w.far[at])
		sum += most
		for _, to := range w.next[w.first[at]:w.first[at+1]] {
			if w.far[to] < 0 {
				w.far[to] = int32(most) + 1
				w.queue = append(w.queue, to)
			}
		}
	}
	return sum, most
}

// HopsAmong is Hops for the ways between the first so many nodes; the others only lie on
// them.
func HopsAmong(hosts, n int, links [][2]int) (diameter int, average float64) {
	adj := newAdjacency(n, links)
	hops := make([]int, n)
	sum, pairs := 0, 0
	for root := range hosts {
		for v := range hops {
			hops[v] = -1
		}
		hops[root] = 0
		queue := []int{root}
		for i := 0; i < len(queue); i++ {
			at := queue[i]
			if at < hosts && at != root {
				sum += hops[at]
				pairs++
				diameter = max(diameter, hops[at])
			}
			for _, a := range adj[at] {
				if hops[a.to] < 0 {
					hops[a.to] = hops[at] + 1
					queue = append(queue, a.to)
				}
			}
		}
	}
	if pairs == 0 {
		return 0, 0
	}
	return diameter, float64(sum) / float64(pairs)
}
