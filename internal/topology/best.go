package topology

import "slices"

// wireBest tries the shapes that are known to be good and takes, of those that
// the ports allow, one that no single cable parts if there is any, and among
// these the first with the fewest hops on average.
func wireBest(r Request) ([]Cable, error) {
	n := len(r.Ports)
	if n < 2 {
		return nil, nil
	}
	var winner []Cable
	var score candidate
	try := func(cables []Cable, err error) {
		if err != nil {
			return
		}
		if c := rate(n, cables); winner == nil || c.better(score) {
			winner, score = cables, c
		}
	}
	r.Columns, r.Hub = 0, -1
	for _, s := range shapes {
		if s.name != best {
			try(s.wire(r))
		}
	}
	if winner == nil {
		return nil, &NoShapeError{Nodes: n}
	}
	return winner, nil
}

// candidate is what a wiring is worth.
type candidate struct {
	bridged bool
	hops    float64 // on average
}

func rate(n int, cables []Cable) candidate {
	links := Links(cables)
	_, hops := Hops(n, links)
	return candidate{bridged: len(Bridges(n, links)) > 0, hops: hops}
}

func (a candidate) better(b candidate) bool {
	if a.bridged != b.bridged {
		return b.bridged
	}
	return a.hops < b.hops
}

// offsets chooses the offsets of a circulant for so many ports per node: 1, and
// then, one at a time, whichever shortens the ways most.
func offsets(n, ports int) []int {
	chosen := []int{1}
	for free := ports - 2; free > 0; {
		most, found := reach(n, chosen), 0
		for k := 2; k <= n/2; k++ {
			if free < portsFor(n, k) || slices.Contains(chosen, k) {
				continue
			}
			if sum := reach(n, append(chosen, k)); sum < most {
				most, found = sum, k
			}
		}
		if found == 0 {
			break
		}
		chosen = append(chosen, found)
		free -= portsFor(n, found)
	}
	return chosen
}

// portsFor returns how many ports of a node an offset takes.
func portsFor(n, offset int) int {
	if 2*offset == n {
		return 1
	}
	return 2
}

// reach returns the sum of the hops from one node of a circulant to all others;
// it is the same for each node.
func reach(n int, offsets []int) int {
	hops := make([]int, n)
	queue := append(make([]int, 0, n), 0)
	sum := 0
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		sum += hops[at]
		for _, k := range offsets {
			for _, to := range [2]int{(at + k) % n, (at - k + n) % n} {
				if to != 0 && hops[to] == 0 {
					hops[to] = hops[at] + 1
					queue = append(queue, to)
				}
			}
		}
	}
	return sum
}
