package forwarding

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const none = -1

func TestCompileByHand(t *testing.T) {
	tests := []struct {
		name string
		g    Graph
		dest int
		want []Entry // by node
	}{
		{"triangle: every way round is one node long, nothing arrives unusually",
			ring(3), 0, []Entry{{none, none, none}, {0, 1, none}, {2, 1, none}}},

		// 2 goes over 1. If 0-1 fails, 1 turns the packet round and 2 must go on to 3.
		{"ring of 4", Graph{4, []Link{{0, 1, 1}, {1, 2, 1}, {2, 3, 2}, {3, 0, 1}}}, 0,
			[]Entry{{none, none, none}, {0, 1, none}, {1, 2, 2}, {3, 2, none}}},

		// All go over 1. Failures at 1, 2 and 3 all send the packet outwards.
		{"ring of 5 with a heavy link", Graph{5, []Link{{0, 1, 1}, {1, 2, 1}, {2, 3, 1}, {3, 4, 1}, {4, 0, 9}}}, 0,
			[]Entry{{none, none, none}, {0, 1, none}, {1, 2, 2}, {2, 3, 3}, {3, 4, 4}}},

		{"chain: nothing to turn to", chain(3), 0,
			[]Entry{{none, none, none}, {0, none, none}, {1, none, none}}},

		{"a leaf behind a triangle", Graph{4, []Link{{0, 1, 1}, {1, 2, 1}, {2, 0, 1}, {0, 3, 1}}}, 3,
			[]Entry{{3, none, none}, {0, 1, none}, {2, 1, none}, {none, none, none}}},

		{"parallel links, the lighter first", Graph{2, []Link{{0, 1, 5}, {1, 0, 3}}}, 0,
			[]Entry{{none, none, none}, {1, 0, none}}},

		{"of equal weights the fewer hops", Graph{3, []Link{{0, 2, 1}, {2, 1, 1}, {0, 1, 2}}}, 0,
			[]Entry{{none, none, none}, {2, 1, none}, {0, 1, none}}},

		{"a link to itself is no way", Graph{2, []Link{{1, 1, 1}, {0, 1, 1}}}, 0,
			[]Entry{{none, none, none}, {1, none, none}}},

		{"parts", Graph{3, []Link{{0, 1, 1}}}, 0,
			[]Entry{{none, none, none}, {0, none, none}, {none, none, none}}},

		{"weights outside the range count as its ends",
			Graph{3, []Link{{0, 1, -7}, {1, 2, 0}, {2, 0, MaxWeight + 7}}}, 0,
			[]Entry{{none, none, none}, {0, 1, none}, {1, 2, 2}}},

		// Round a failed 1-2 the shortest way from 2 is 3, then link 4 to 1; round a
		// failed 0-1 it is 3, then link 3 to 0. Node 3 can't tell the two apart. Link 4
		// would send the packets of the second failure back to 1 for ever.
		{"the farthest failure wins", farthest(), 0,
			[]Entry{{none, none, none}, {0, 1, none}, {1, 2, 2}, {2, 4, 3}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tables := Compile(test.g)
			var got []Entry
			for node := range test.g.Nodes {
				got = append(got, tables.At(node, test.dest))
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("entries by node (-want +got):\n%s", diff)
			}
		})
	}
}

func farthest() Graph {
	return Graph{4, []Link{{0, 1, 1}, {1, 2, 1}, {2, 3, 1}, {3, 0, 10}, {3, 1, 5}}}
}

func TestCompileUsesBothOfTwoParallelLinks(t *testing.T) {
	tables := Compile(Graph{2, []Link{{0, 1, 1}, {0, 1, 1}}})
	there, back := tables.At(0, 1), tables.At(1, 0)
	if there.Primary == back.Primary || there.Detour != back.Primary || back.Detour != there.Primary {
		t.Errorf("there %+v, back %+v; want one link each, and the other as detour", there, back)
	}
}

func TestCompileIsDeterministic(t *testing.T) {
	for seed := range uint64(5) {
		g := regular(100, 4, seed)
		if a, b := Compile(g), Compile(g); !slices.Equal(a.primary, b.primary) || !slices.Equal(a.detour, b.detour) || !slices.Equal(a.ret, b.ret) {
			t.Errorf("seed %d: two compilations differ", seed)
		}
	}
}

func TestCompileRefusesLinksToNowhere(t *testing.T) {
	for _, l := range []Link{{-1, 0, 1}, {0, 2, 1}} {
		func() {
			defer func() {
				want := fmt.Sprintf("forwarding: link 0 joins nodes %d and %d of a graph of 2 nodes", l.A, l.B)
				if got := recover(); got != want {
					t.Errorf("panic %v, want %s", got, want)
				}
			}()
			Compile(Graph{2, []Link{l}})
		}()
	}
}

// TestCompileAgainstPlainSearch compares with a reference that searches the whole
// graph again for every failure and every node, and follows the rule as it is
// told in words.
//
// Where there is only one shortest way, all entries must be the same. Where there
// are several, Primary and Detour must begin one of them.
func TestCompileAgainstPlainSearch(t *testing.T) {
	unique := 0
	rapid.Check(t, func(t *rapid.T) {
		g := anyGraph(12, rapid.SampledFrom([]int{1, 20, MaxWeight}).Draw(t, "weight")).Draw(t, "graph")
		tables := Compile(g)
		for dest := range g.Nodes {
			ref := reference{g: g, dest: dest, unique: true}
			want := ref.entries(func(node int) Entry { return tables.At(node, dest) })
			if ref.err != "" {
				t.Fatalf("destination %d: %s", dest, ref.err)
			}
			if !ref.unique {
				continue
			}
			unique++
			for node := range g.Nodes {
				if got := tables.At(node, dest); got != want[node] {
					t.Fatalf("node %d to %d: %+v, want %+v", node, dest, got, want[node])
				}
			}
		}
	})
	if unique == 0 {
		t.Error("no destination had unique ways: entries were not compared")
	}
}

type reference struct {
	g      Graph
	dest   int
	unique bool
	err    string
}

func (r *reference) entries(at func(node int) Entry) []Entry {
	const intact = -1
	want := make([]Entry, r.g.Nodes)
	dist := r.distances(intact)
	var nearestFirst []int
	for u := range want {
		want[u] = Entry{none, none, none}
		if u != r.dest && dist[u] >= 0 {
			nearestFirst = append(nearestFirst, u)
		}
	}
	slices.SortFunc(nearestFirst, func(a, b int) int { return cmp.Compare(dist[a], dist[b]) })
	for _, u := range nearestFirst {
		want[u].Primary = r.first(u, dist, intact, at(u).Primary)
	}
	for _, u := range nearestFirst {
		cut := want[u].Primary
		dist := r.distances(cut)
		want[u].Detour = r.first(u, dist, cut, at(u).Detour)
		if want[u].Detour < 0 {
			continue
		}
		for x, arrival := u, none; x != r.dest; {
			ways := r.ways(x, dist, cut)
			if len(ways) > 1 {
				r.unique = false
				break
			}
			if x != u && arrival == want[x].Primary && want[x].Return < 0 {
				want[x].Return = ways[0]
			}
			x, arrival = r.other(ways[0], x), ways[0]
		}
	}
	return want
}

// first returns the link by which a shortest way from u begins. Where several
// do, it takes got if that is one of them.
func (r *reference) first(u int, dist []int, cut, got int) int {
	switch ways := r.ways(u, dist, cut); {
	case len(ways) == 0:
		if got != none {
			r.err = fmt.Sprintf("node %d uses link %d with link %d cut; there is no way", u, got, cut)
		}
		return none
	case len(ways) > 1:
		r.unique = false
		if !slices.Contains(ways, got) {
			r.err = fmt.Sprintf("node %d uses link %d with link %d cut; the shortest ways begin with %v", u, got, cut, ways)
		}
		return got
	default:
		return ways[0]
	}
}

// ways returns the links by which the shortest ways from u begin.
func (r *reference) ways(u int, dist []int, cut int) []int {
	var links []int
	for l := range r.g.Links {
		if v := r.other(l, u); l != cut && v >= 0 && dist[v] >= 0 && dist[u] == dist[v]+r.cost(l) {
			links = append(links, l)
		}
	}
	return links
}

// other returns the far end of a link at u, or -1.
func (r *reference) other(link, u int) int {
	switch l := r.g.Links[link]; {
	case l.A == l.B:
		return -1
	case l.A == u:
		return l.B
	case l.B == u:
		return l.A
	}
	return -1
}

// cost orders by weight, then hops.
func (r *reference) cost(link int) int { return r.g.Links[link].Weight*1000 + 1 }

// distances returns each node's distance to dest without a link, -1 for no way
// (Bellman and Ford).
func (r *reference) distances(cut int) []int {
	dist := make([]int, r.g.Nodes)
	for i := range dist {
		dist[i] = -1
	}
	dist[r.dest] = 0
	for range r.g.Nodes {
		for l := range r.g.Links {
			if l == cut {
				continue
			}
			a, b := r.g.Links[l].A, r.g.Links[l].B
			for _, way := range [][2]int{{a, b}, {b, a}} {
				if from, to := way[0], way[1]; dist[to] >= 0 && (dist[from] < 0 || dist[from] > dist[to]+r.cost(l)) {
					dist[from] = dist[to] + r.cost(l)
				}
			}
		}
	}
	return dist
}

// TestCountsKeepTheFormula: a node of a mesh of N nodes has N-1 primaries (fewer
// if the mesh falls apart), at most as many detours and returns, and at most one
// rule per port.
func TestCountsKeepTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		connected := rapid.Bool().Draw(t, "connected")
		g := anyGraph(30, 5).Draw(t, "graph")
		if connected {
			g = twoEdgeConnected(2, 30, 5).Draw(t, "connected graph")
		}
		tables := Compile(g)
		ports := make([]int, g.Nodes)
		for _, l := range g.Links {
			ports[l.A]++
			ports[l.B]++
		}
		for node := range g.Nodes {
			c, most := tables.Count(node), g.Nodes-1
			if c.Primaries > most || c.Detours > most || c.Returns > most || c.Rules > ports[node] {
				t.Fatalf("node %d of %d with %d ports: %+v", node, g.Nodes, ports[node], c)
			}
			if connected && (c.Primaries != most || c.Detours != most) {
				t.Fatalf("node %d of %d, no bridge: %+v, want a primary and a detour for each", node, g.Nodes, c)
			}
			if (c.Returns == 0) != (c.Rules == 0) {
				t.Fatalf("node %d: %+v: rules without routes or routes without rules", node, c)
			}
		}
	})
}

func TestCountByHand(t *testing.T) {
	g := Graph{4, []Link{{0, 1, 1}, {1, 2, 1}, {2, 3, 2}, {3, 0, 1}}}
	// Node 2 reaches 0 over 1 and must go on to 3 where 1 sends a packet for 0 back.
	want := Counts{Primaries: 3, Detours: 3, Returns: 1, Rules: 1}
	if got := Compile(g).Count(2); got != want {
		t.Errorf("node 2: %+v, want %+v", got, want)
	}
	want = Counts{Primaries: 2, Detours: 2}
	if got := Compile(ring(3)).Count(0); got != want {
		t.Errorf("triangle: %+v, want %+v", got, want)
	}
}
