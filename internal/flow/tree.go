package flow

import "math"

// tree is the shortest ways from one node under the present lengths of arcs.
type tree struct {
	out    *outgoing
	length []float64 // of each arc

	far   []float64 // distance of each node
	via   []int32   // arc by which a node is reached, -1 at the root and where no way leads
	order []int32   // nodes by distance
	heap  []int32
	place []int32 // of a node in the heap, -1 outside
	sent  []float64
}

func newTree(n *Network, out *outgoing, length []float64) *tree {
	return &tree{
		out: out, length: length, far: make([]float64, n.Nodes), via: make([]int32, n.Nodes),
		place: make([]int32, n.Nodes), sent: make([]float64, n.Nodes),
	}
}

// grow computes the ways from root (Dijkstra).
func (t *tree) grow(root int) {
	for v := range t.far {
		t.far[v], t.via[v], t.place[v] = math.Inf(1), -1, -1
	}
	t.order, t.heap = t.order[:0], t.heap[:0]
	t.far[root] = 0
	t.push(int32(root))
	for len(t.heap) > 0 {
		v := t.pop()
		t.order = append(t.order, v)
		for i := t.out.first[v]; i < t.out.first[v+1]; i++ {
			arc, to := t.out.arc[i], t.out.to[i]
			if d := t.far[v] + t.length[arc]; d < t.far[to] {
				t.far[to], t.via[to] = d, arc
				t.push(to)
			}
		}
	}
}

// push adds a node to the heap, or moves it up after its distance fell.
func (t *tree) push(v int32) {
	if t.place[v] < 0 {
		t.place[v] = int32(len(t.heap))
		t.heap = append(t.heap, v)
	}
	for i := t.place[v]; i > 0; {
		up := (i - 1) / 2
		if t.far[t.heap[up]] <= t.far[v] {
			break
		}
		t.swap(i, up)
		i = up
	}
}

func (t *tree) pop() int32 {
	v := t.heap[0]
	last := int32(len(t.heap) - 1)
	t.swap(0, last)
	t.heap = t.heap[:last]
	t.place[v] = -1
	for i := int32(0); ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if t.far[t.heap[c]] < t.far[t.heap[least]] {
				least = c
			}
		}
		if least == i {
			return v
		}
		t.swap(i, least)
		i = least
	}
}

func (t *tree) swap(i, j int32) {
	h := t.heap
	h[i], h[j] = h[j], h[i]
	t.place[h[i]], t.place[h[j]] = i, j
}

// load adds to flow what the demand, times share, puts on each arc of the tree; it
// returns what the demand costs at the lengths, +Inf if a node can't be reached.
func (t *tree) load(n *Network, d *Demand, share float64, flow []float64) (cost float64) {
	clear(t.sent)
	n.each(d, func(to int, amount float64) {
		t.sent[to] += amount * share
		cost += amount * t.far[to]
	})
	for i := len(t.order) - 1; i > 0; i-- {
		v := t.order[i]
		if t.sent[v] > 0 {
			flow[t.via[v]] += t.sent[v]
			t.sent[n.Arcs[t.via[v]].From] += t.sent[v]
		}
	}
	return cost
}
