package search

// polarity returns a graph of n nodes near the polarity graph of the projective plane over
// a prime field (Erdős, Rényi and Sós, "On a problem of graph theory", 1966): its
// q*q+q+1 points are nodes, of q+1 links each but for q+1 nodes with one less, and no two
// are more than two hops apart. That is as many nodes as two hops can reach, nearly; what
// annealing finds from a random start is far from it. Nodes too many are left out,
// nodes too few are put on links. It returns nil where no such graph is near.
func polarity(n, ports int, r *random) [][2]int {
	q := 0
	for p := 2; p+1 <= ports; p++ {
		if prime(p) {
			q = p
		}
	}
	points := q*q + q + 1
	if q == 0 || q+1 < ports-1 || n < points-points/3 || n > points+points/3 {
		return nil
	}
	var at [][3]int
	for x := range q {
		for y := range q {
			at = append(at, [3]int{1, x, y})
		}
	}
	for y := range q {
		at = append(at, [3]int{0, 1, y})
	}
	at = append(at, [3]int{0, 0, 1})
	for i := len(at) - 1; i > 0; i-- { // which points are left out is up to the dice
		j := r.below(i + 1)
		at[i], at[j] = at[j], at[i]
	}
	at = at[:min(n, points)]
	var links [][2]int
	degree := make([]int, n)
	for a, u := range at {
		for b, v := range at[:a] {
			if (u[0]*v[0]+u[1]*v[1]+u[2]*v[2])%q == 0 {
				links = append(links, [2]int{b, a})
				degree[a]++
				degree[b]++
			}
		}
	}
	for w := len(at); w < n; w++ {
		for u := range w {
			if degree[u] < ports && degree[w] < ports {
				links = append(links, [2]int{u, w})
				degree[u]++
				degree[w]++
			}
		}
		beside := map[int]bool{w: true}
		for tries := 0; degree[w]+2 <= ports && tries < 64*ports; tries++ {
			i := r.below(len(links))
			u, v := links[i][0], links[i][1]
			if beside[u] || beside[v] {
				continue
			}
			beside[u], beside[v] = true, true
			links[i] = [2]int{u, w}
			links = append(links, [2]int{v, w})
			degree[w] += 2
		}
	}
	return links
}

func prime(p int) bool {
	for d := 2; d*d <= p; d++ {
		if p%d == 0 {
			return false
		}
	}
	return p > 1
}
