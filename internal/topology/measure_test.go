package topology

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMeasuresOfKnownGraphs(t *testing.T) {
	tests := []struct {
		name          string
		n             int
		links         [][2]int
		parts         [][]int
		bridges       []int
		articulations []int
		diameter      int
		average       float64
	}{
		{name: "nothing"},
		{name: "alone", n: 1, parts: [][]int{{0}}},
		{name: "apart", n: 3, links: [][2]int{{0, 2}}, parts: [][]int{{0, 2}, {1}}, bridges: []int{0}, diameter: 1, average: 1},
		{name: "triangle", n: 3, links: [][2]int{{0, 1}, {1, 2}, {2, 0}}, parts: [][]int{{0, 1, 2}}, diameter: 1, average: 1},
		{name: "chain", n: 3, links: [][2]int{{0, 1}, {1, 2}}, parts: [][]int{{0, 1, 2}},
			bridges: []int{0, 1}, articulations: []int{1}, diameter: 2, average: 4. / 3},
		{name: "two parallel links", n: 2, links: [][2]int{{0, 1}, {1, 0}}, parts: [][]int{{0, 1}}, diameter: 1, average: 1},
		{name: "parallel links, then a leaf", n: 3, links: [][2]int{{0, 1}, {0, 1}, {1, 2}}, parts: [][]int{{0, 1, 2}},
			bridges: []int{2}, articulations: []int{1}, diameter: 2, average: 4. / 3},
		{name: "two triangles at one node", n: 5, links: [][2]int{{0, 1}, {1, 2}, {2, 0}, {2, 3}, {3, 4}, {4, 2}},
			parts: [][]int{{0, 1, 2, 3, 4}}, articulations: []int{2}, diameter: 2, average: 1.4},
		{name: "a link to itself", n: 2, links: [][2]int{{0, 0}, {0, 1}}, parts: [][]int{{0, 1}}, bridges: []int{1}, diameter: 1, average: 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.parts, Components(test.n, test.links), empty); diff != "" {
				t.Errorf("components (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.bridges, Bridges(test.n, test.links)); diff != "" {
				t.Errorf("bridges (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.articulations, Articulations(test.n, test.links)); diff != "" {
				t.Errorf("articulations (-want +got):\n%s", diff)
			}
			if d, a := Hops(test.n, test.links); d != test.diameter || a != test.average {
				t.Errorf("hops %d, %v; want %d, %v", d, a, test.diameter, test.average)
			}
		})
	}
}

var empty = cmp.Transformer("empty", func(parts [][]int) [][]int { return append([][]int{}, parts...) })

// TestMeasuresAgainstBruteForce takes every link and every node away in turn and
// counts parts with a union-find that shares nothing with the package.
func TestMeasuresAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "nodes")
		end := rapid.IntRange(0, n-1)
		links := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]int {
			return [2]int{end.Draw(t, "a"), end.Draw(t, "b")}
		}), 0, 2*n).Draw(t, "links")

		whole := countParts(n, links, func(int) bool { return true })
		if got := len(Components(n, links)); got != whole {
			t.Fatalf("%d components, want %d", got, whole)
		}
		var bridges, articulations []int
		for gone := range links {
			if countParts(n, links, func(l int) bool { return l != gone }) > whole {
				bridges = append(bridges, gone)
			}
		}
		for gone := range n {
			alone := true // in its part
			for _, l := range links {
				if l[0] != l[1] && (l[0] == gone || l[1] == gone) {
					alone = false
				}
			}
			without := countParts(n, links, func(l int) bool { return links[l][0] != gone && links[l][1] != gone }) - 1
			if !alone && without > whole {
				articulations = append(articulations, gone)
			}
		}
		if diff := cmp.Diff(bridges, Bridges(n, links)); diff != "" {
			t.Fatalf("bridges (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(articulations, Articulations(n, links)); diff != "" {
			t.Fatalf("articulations (-want +got):\n%s", diff)
		}

		// Floyd and Warshall.
		const far = 1 << 20
		var dist [12][12]int
		for a := range n {
			for b := range n {
				if a != b {
					dist[a][b] = far
				}
			}
		}
		for _, l := range links {
			if l[0] != l[1] {
				dist[l[0]][l[1]], dist[l[1]][l[0]] = 1, 1
			}
		}
		for via := range n {
			for a := range n {
				for b := range n {
					dist[a][b] = min(dist[a][b], dist[a][via]+dist[via][b])
				}
			}
		}
		most, sum, pairs := 0, 0, 0
		for a := range n {
			for b := range n {
				if a != b && dist[a][b] < far {
					most, sum, pairs = max(most, dist[a][b]), sum+dist[a][b], pairs+1
				}
			}
		}
		diameter, average := Hops(n, links)
		if diameter != most || pairs > 0 && average != float64(sum)/float64(pairs) || pairs == 0 && average != 0 {
			t.Fatalf("hops %d, %v; want %d, %d/%d", diameter, average, most, sum, pairs)
		}
	})
}

func countParts(n int, links [][2]int, keep func(link int) bool) int {
	name := make([]int, n)
	for i := range name {
		name[i] = i
	}
	parts := n
	for i, l := range links {
		a, b := name[l[0]], name[l[1]]
		if !keep(i) || a == b {
			continue
		}
		parts--
		for j := range name {
			if name[j] == b {
				name[j] = a
			}
		}
	}
	return parts
}
