package topology

import "fmt"

// Wiring is a graph with a name that the field knows it by.
type Wiring struct {
	Name  string   // "hypercube", "generalized Petersen (8, 3)"
	Links [][2]int // pairs of nodes, in the order of plugging
}

// Classical returns every classical wiring of n nodes that so many ports each allow, in a
// fixed order: full mesh, ring, chain, star around a node with as many ports as needed
// (hub says how many it has; 0 for no such node), grid, torus, hypercube, Petersen, Heawood,
// generalized Petersen, circulant, random regular. seed is for the random one.
func Classical(n, ports, hub int, seed uint64) []Wiring {
	if n < 2 {
		return nil
	}
	var all []Wiring
	add := func(name string, links [][2]int) {
		if links != nil && Degree(n, links) <= ports {
			all = append(all, Wiring{name, links})
		}
	}
	if n-1 <= ports {
		add("full mesh", complete(n))
	}
	if n > 2 {
		add("ring", ring(n))
	}
	add("chain", chain(n))
	if hub >= n-1 && n > 2 {
		var links [][2]int
		for i := 1; i < n; i++ {
			links = append(links, [2]int{0, i})
		}
		all = append(all, Wiring{"star", links})
	}
	if columns := squarest(n); columns < n {
		add(fmt.Sprintf("grid %dx%d", n/columns, columns), gridLinks(n, columns))
		add(fmt.Sprintf("torus %dx%d", n/columns, columns), torusLinks(n, columns))
	}
	if n&(n-1) == 0 && n > 4 {
		add("hypercube", cube(n))
	}
	if n == 10 {
		add("Petersen", petersen())
	}
	if n == 14 {
		add("Heawood", heawood())
	}
	if n%2 == 0 && n >= 6 && n <= maxCompared && ports >= 3 {
		k, links := bestPetersen(n)
		add(fmt.Sprintf("generalized Petersen (%d, %d)", n/2, k), links)
	}
	if ports > 2 && n > ports+1 && n <= maxCompared {
		o := offsets(n, ports)
		add(fmt.Sprintf("circulant %v", o), circulant(n, o...))
	}
	if ports > 2 && n > ports+1 {
		add("random regular", RandomRegular(n, ports, seed))
	}
	return all
}

// maxCompared is the most nodes for which all members of a family are compared.
const maxCompared = 2000

// Degree returns the most links at one node.
func Degree(n int, links [][2]int) int {
	degree := make([]int, n)
	most := 0
	for _, l := range links {
		for _, v := range l {
			degree[v]++
			most = max(most, degree[v])
		}
	}
	return most
}

func gridLinks(n, columns int) [][2]int {
	var pairs [][2]int
	for i := range n {
		if i%columns < columns-1 {
			pairs = append(pairs, [2]int{i, i + 1})
		}
	}
	for i := range n - columns {
		pairs = append(pairs, [2]int{i, i + columns})
	}
	return pairs
}

// torusLinks closes every row and column of a grid to a ring, if it is long enough that the
// closing cable joins other nodes than the cables of the grid.
func torusLinks(n, columns int) [][2]int {
	pairs := gridLinks(n, columns)
	if columns > 2 {
		for i := 0; i < n; i += columns {
			pairs = append(pairs, [2]int{i + columns - 1, i})
		}
	}
	if n/columns > 2 {
		for i := range columns {
			pairs = append(pairs, [2]int{n - columns + i, i})
		}
	}
	return pairs
}

// heawood is the smallest graph of three cables per node without a round trip of fewer
// than six (Heawood, "Map colour theorem", 1890).
func heawood() [][2]int {
	pairs := ring(14)
	for i := 0; i < 14; i += 2 {
		pairs = append(pairs, [2]int{i, (i + 5) % 14})
	}
	return pairs
}

// generalizedPetersen joins a ring of n/2 nodes with as many inside, these k places apart
// (Coxeter 1950, Watkins 1969); (5, 2) is the Petersen graph.
func generalizedPetersen(n, k int) [][2]int {
	half := n / 2
	pairs := ring(half)
	for i := range half {
		pairs = append(pairs, [2]int{half + i, half + (i+k)%half})
	}
	for i := range half {
		pairs = append(pairs, [2]int{i, half + i})
	}
	return pairs
}

// bestPetersen returns the generalized Petersen graph with the fewest hops.
func bestPetersen(n int) (k int, links [][2]int) {
	least := 0
	for try := 1; 2*try < n/2; try++ {
		l := generalizedPetersen(n, try)
		// Every node of a ring sees the same, so two nodes stand for all.
		if sum := hopsFrom(n, l, 0) + hopsFrom(n, l, n/2); k == 0 || sum < least {
			k, least, links = try, sum, l
		}
	}
	return k, links
}

func hopsFrom(n int, links [][2]int, root int) int {
	adj := newAdjacency(n, links)
	hops := make([]int, n)
	queue := append(make([]int, 0, n), root)
	sum := 0
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		sum += hops[at]
		for _, a := range adj[at] {
			if a.to != root && hops[a.to] == 0 {
				hops[a.to] = hops[at] + 1
				queue = append(queue, a.to)
			}
		}
	}
	return sum
}

// RandomRegular returns a random graph of n nodes, each with so many links but for one that
// has one less where both numbers are odd; no link is double, and all nodes are joined. It
// pairs ports at random and lets pairs that can't be change partners. nil if n is not
// above ports.
func RandomRegular(n, ports int, seed uint64) [][2]int {
	if n <= ports || ports < 2 {
		return nil
	}
	dice := splitmix(seed)
	for {
		if links := randomPairs(n, ports, &dice); links != nil && len(Components(n, links)) == 1 {
			return links
		}
	}
}

func randomPairs(n, ports int, dice *splitmix) [][2]int {
	stubs := make([]int, 0, n*ports)
	for v := range n {
		for range ports {
			stubs = append(stubs, v)
		}
	}
	for i := len(stubs) - 1; i > 0; i-- {
		j := dice.below(i + 1)
		stubs[i], stubs[j] = stubs[j], stubs[i]
	}
	links := make([][2]int, len(stubs)/2)
	count := map[[2]int]int{}
	key := func(l [2]int) [2]int { return [2]int{min(l[0], l[1]), max(l[0], l[1])} }
	for i := range links {
		links[i] = [2]int{stubs[2*i], stubs[2*i+1]}
		count[key(links[i])]++
	}
	bad := func(l [2]int) bool { return l[0] == l[1] || count[key(l)] > 1 }
	for i := 0; i < len(links); i++ {
		for tries := 0; bad(links[i]); tries++ {
			if tries > 100*n {
				return nil
			}
			j := dice.below(len(links))
			a, b := links[i], links[j]
			c, d := [2]int{a[0], b[1]}, [2]int{b[0], a[1]}
			if i == j || c[0] == c[1] || d[0] == d[1] || count[key(c)] > 0 || count[key(d)] > 0 || key(c) == key(d) {
				continue
			}
			count[key(a)]--
			count[key(b)]--
			count[key(c)]++
			count[key(d)]++
			links[i], links[j] = c, d
		}
	}
	return links
}

// splitmix is the generator SplitMix64: the same on every machine and with every release
// of Go.
type splitmix uint64

func (s *splitmix) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 to n-1.
func (s *splitmix) below(n int) int { return int((s.next() >> 33) % uint64(n)) }

// Shuffle returns the numbers below n in an order by dice.
func Shuffle(n int, seed uint64) []int {
	dice := splitmix(seed)
	order := make([]int, n)
	for i := range order {
		j := dice.below(i + 1)
		order[i] = order[j]
		order[j] = i
	}
	return order
}
