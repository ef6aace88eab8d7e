package forwarding

import (
	"math/rand/v2"

	"pgregory.net/rapid"
)

func ring(n int) Graph {
	g := Graph{Nodes: n}
	for i := range n {
		g.Links = append(g.Links, Link{i, (i + 1) % n, 1})
	}
	return g
}

func chain(n int) Graph {
	g := ring(n)
	g.Links = g.Links[:n-1]
	return g
}

func fullMesh(n int) Graph {
	g := Graph{Nodes: n}
	for a := range n {
		for b := a + 1; b < n; b++ {
			g.Links = append(g.Links, Link{a, b, 1})
		}
	}
	return g
}

func petersen() Graph {
	g := Graph{Nodes: 10}
	for i := range 5 {
		g.Links = append(g.Links, Link{i, (i + 1) % 5, 1}, Link{i, i + 5, 1}, Link{i + 5, (i+2)%5 + 5, 1})
	}
	return g
}

func grid(columns, rows int) Graph {
	g := Graph{Nodes: columns * rows}
	for i := range g.Nodes {
		if i%columns < columns-1 {
			g.Links = append(g.Links, Link{i, i + 1, 1})
		}
		if i+columns < g.Nodes {
			g.Links = append(g.Links, Link{i, i + columns, 1})
		}
	}
	return g
}

func hypercube(dimensions int) Graph {
	g := Graph{Nodes: 1 << dimensions}
	for i := range g.Nodes {
		for k := range dimensions {
			if j := i ^ 1<<k; i < j {
				g.Links = append(g.Links, Link{i, j, 1})
			}
		}
	}
	return g
}

// regular returns a random connected graph in which every node has degree
// links: random rings over all nodes, one for two degrees. Two rings may use the
// same pair of nodes; the links are then parallel.
func regular(nodes, degree int, seed uint64) Graph {
	random := rand.New(rand.NewPCG(seed, 0))
	g := Graph{Nodes: nodes}
	for range degree / 2 {
		order := random.Perm(nodes)
		for i := range order {
			g.Links = append(g.Links, Link{order[i], order[(i+1)%nodes], 1})
		}
	}
	return g
}

// anyGraph draws a multigraph that may fall into parts, has leaves and parallel
// links, and many equal weights.
func anyGraph(nodes, weight int) *rapid.Generator[Graph] {
	return rapid.Custom(func(t *rapid.T) Graph {
		g := Graph{Nodes: rapid.IntRange(1, nodes).Draw(t, "nodes")}
		heaviest := rapid.IntRange(1, weight).Draw(t, "heaviest")
		end := rapid.IntRange(0, g.Nodes-1)
		link := rapid.Custom(func(t *rapid.T) Link {
			return Link{end.Draw(t, "a"), end.Draw(t, "b"), rapid.IntRange(1, heaviest).Draw(t, "weight")}
		})
		g.Links = rapid.SliceOfN(link, 0, 3*g.Nodes).Draw(t, "links")
		return g
	})
}

// twoEdgeConnected draws a multigraph that no single link parts: a circle, then
// ears, each from one node of what is there over new nodes to another (or the
// same) node, until all nodes are in (Robbins' theorem: every such graph can be
// made so); ears without new nodes are chords and parallel links.
func twoEdgeConnected(least, most, weight int) *rapid.Generator[Graph] {
	return rapid.Custom(func(t *rapid.T) Graph {
		g := Graph{Nodes: rapid.IntRange(least, most).Draw(t, "nodes")}
		heaviest := rapid.IntRange(1, weight).Draw(t, "heaviest")
		name := rapid.Permutation(numbers(g.Nodes)).Draw(t, "names")
		join := func(a, b int) {
			g.Links = append(g.Links, Link{name[a], name[b], rapid.IntRange(1, heaviest).Draw(t, "weight")})
		}
		in := rapid.IntRange(2, g.Nodes).Draw(t, "circle")
		for i := range in {
			join(i, (i+1)%in)
		}
		chords := rapid.IntRange(0, g.Nodes).Draw(t, "chords")
		for in < g.Nodes || chords > 0 {
			from := rapid.IntRange(0, in-1).Draw(t, "from")
			to := rapid.IntRange(0, in-1).Draw(t, "to")
			fresh := 0
			if in < g.Nodes {
				fresh = rapid.IntRange(0, g.Nodes-in).Draw(t, "ear")
			}
			if fresh == 0 {
				if chords == 0 {
					fresh = 1
				} else {
					chords--
					if from != to {
						join(from, to)
					}
					continue
				}
			}
			last := from
			for range fresh {
				join(last, in)
				last = in
				in++
			}
			join(last, to)
		}
		return g
	})
}

func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
