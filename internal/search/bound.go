package search

// Bound is what no wiring can beat.
type Bound struct {
	Diameter int
	Average  float64 // hops between two nodes

	sum int // of hops over all ordered pairs
}

// LowerBound returns the bound for n nodes of so many ports (Moore for the diameter, Cerf
// et al. for the average): from any node at most ports nodes are one hop away, and over
// each of these at most ports-1 more at each further hop. Where nodes times ports is odd,
// one port stays free, and the bound knows.
func LowerBound(n, ports int) Bound {
	return boundOf(n, func(int) int { return n }, ports)
}

// boundOf sums the bound over all nodes. within says how many nodes, the node itself
// included, may be at most that many hops away for other reasons, such as short cables;
// it is asked once for each number of hops and holds for every node.
func boundOf(n int, within func(hops int) int, ports int) Bound {
	b := Bound{}
	if n < 2 || ports < 1 {
		return b
	}
	sum, diameter := boundFrom(n, within, ports, ports)
	b.sum, b.Diameter = n*sum, diameter
	if n*ports%2 == 1 && ports < n-1 {
		one, far := boundFrom(n, within, ports-1, ports)
		b.sum += one - sum
		b.Diameter = max(b.Diameter, far)
	}
	b.Average = float64(b.sum) / float64(n*(n-1))
	return b
}

// boundFrom returns the least sum of hops from one node, and the most hops.
func boundFrom(n int, within func(int) int, first, ports int) (sum, most int) {
	reached, level := 1, first
	for reached < n {
		most++
		more := min(level, within(most)-reached, n-reached)
		if more <= 0 { // nobody reaches the others: no wiring at all
			return sum + most*(n-reached), most
		}
		reached += more
		sum += most * more
		level = more * max(1, ports-1)
		if ports == 1 {
			level = 0
		}
	}
	return sum, most
}
