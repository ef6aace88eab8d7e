package forwarding

// partition knows which nodes a failure leaves together.
type partition struct {
	*adjacency
	known [][]int32 // by failure, nil while not asked for
	held  int       // numbers in known
	queue []int32
	spare []int32
}

// maxHeld bounds the memory of known to 64 MiB; what is beyond is found again
// each time.
const maxHeld = 1 << 24

// of returns a number for each node, equal for nodes that can reach each other
// while a failure stands.
func (p *partition) of(failure int, b *broken) []int32 {
	if p.known[failure] != nil {
		return p.known[failure]
	}
	nodes := len(p.first) - 1
	part := p.spare
	if keep := p.held+nodes <= maxHeld; keep || part == nil {
		part = make([]int32, nodes)
		if keep {
			p.known[failure] = part
			p.held += nodes
		} else {
			p.spare = part
		}
	}
	for i := range part {
		part[i] = -1
	}
	for root := range part {
		if part[root] >= 0 {
			continue
		}
		part[root] = int32(root)
		p.queue = append(p.queue[:0], int32(root))
		for i := 0; i < len(p.queue); i++ {
			for _, a := range p.adjacency.of(p.queue[i]) {
				if part[a.to] < 0 && !b.link(a.link) {
					part[a.to] = int32(root)
					p.queue = append(p.queue, a.to)
				}
			}
		}
	}
	return part
}
