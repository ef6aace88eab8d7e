package forwarding

// heap is a binary heap of nodes by distance, then number. container/heap would
// box every item; this runs once per link and destination.
type heap []heapItem

type heapItem struct {
	dist int64
	node int32
}

func (a heapItem) before(b heapItem) bool {
	return a.dist < b.dist || a.dist == b.dist && a.node < b.node
}

func (h *heap) push(item heapItem) {
	*h = append(*h, item)
	s := *h
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !item.before(s[up]) {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = item
}

func (h *heap) pop() heapItem {
	s := *h
	top, last := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	i := 0
	for {
		down := 2*i + 1
		if down >= len(s) {
			break
		}
		if down+1 < len(s) && s[down+1].before(s[down]) {
			down++
		}
		if !s[down].before(last) {
			break
		}
		s[i] = s[down]
		i = down
	}
	if len(s) > 0 {
		s[i] = last
	}
	return top
}
