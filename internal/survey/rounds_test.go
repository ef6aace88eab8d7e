package survey

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Every path is in exactly one round, and no two paths of a round share a node, even
// one that they only pass through.
func TestRounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "nodes")
		plan, paths := ring(n), ringPaths(n)
		for _, parallel := range []bool{false, true} {
			all := rounds(plan, paths, parallel)
			seen := map[int]bool{}
			for _, round := range all {
				if !parallel && len(round) != 1 {
					t.Fatalf("round %v without parallel", round)
				}
				busy := map[string]bool{}
				for _, i := range round {
					if seen[i] {
						t.Fatalf("path %d is in two rounds", i)
					}
					seen[i] = true
					for _, node := range paths[i].nodes(plan) {
						if busy[node] {
							t.Fatalf("node %s is in two tests of round %v", node, round)
						}
						busy[node] = true
					}
				}
			}
			if len(seen) != len(paths) {
				t.Fatalf("%d of %d paths are measured", len(seen), len(paths))
			}
			if parallel && n >= 6 && len(all) >= len(paths) {
				t.Fatal("nothing runs in parallel")
			}
		}
	})
}

func TestPathNodes(t *testing.T) {
	p := Path{From: "n0", To: "n3", Cables: []string{"4", "3"}}
	if got := p.nodes(ring(5)); !slices.Equal(got, []string{"n0", "n4", "n3"}) {
		t.Errorf("%v", got)
	}
}

// The max-min fair allocation is the one in which no cable is over its capacity and
// every path crosses a full cable where no other path has more (Bertsekas and
// Gallager, Data Networks, section 6.5.2): the test checks this definition.
func TestFairShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(t, "nodes")
		plan, paths := ring(n), ringPaths(n)
		capacity := map[arc]float64{}
		for _, c := range plan.Cables {
			for _, e := range c.Ends {
				capacity[arc{c.Name, e.Node}] = float64(rapid.IntRange(1, 40).Draw(t, "capacity"))
			}
		}
		shares, even := fairShares(plan, paths, capacity)
		used, most := map[arc]float64{}, map[arc]float64{}
		for i, p := range paths {
			nodes := p.nodes(plan)
			for k, c := range p.Cables {
				a := arc{c, nodes[k]}
				used[a] += shares[i]
				most[a] = max(most[a], shares[i])
			}
		}
		for a, u := range used {
			if u > capacity[a]*(1+1e-9) {
				t.Fatalf("cable %v carries %v of %v", a, u, capacity[a])
			}
		}
		for i, p := range paths {
			nodes := p.nodes(plan)
			bottleneck := false
			for k, c := range p.Cables {
				a := arc{c, nodes[k]}
				bottleneck = bottleneck || used[a] > capacity[a]*(1-1e-9) && shares[i] > most[a]*(1-1e-9)
			}
			if !bottleneck {
				t.Fatalf("%s to %s could have more than %v", p.From, p.To, shares[i])
			}
		}
		if best, err := concurrent(plan, paths, capacity); err != nil || best < 0.98*even-0.001 {
			t.Fatalf("the cabling allows %v each (%v), and the planned paths alone %v", best, err, even)
		}
		if math.Abs(slices.Min(shares)-even) > 1e-9 {
			t.Fatalf("even share %v, least share %v", even, slices.Min(shares))
		}
	})
}

func TestFairSharesByHand(t *testing.T) {
	// A ring of five with equal cables: each direction carries one pair of
	// neighbours and two pairs at distance two, so all get a third.
	plan, paths := ring(5), ringPaths(5)
	capacity := map[arc]float64{}
	for _, c := range plan.Cables {
		capacity[arc{c.Name, c.Ends[0].Node}], capacity[arc{c.Name, c.Ends[1].Node}] = 30, 30
	}
	shares, even := fairShares(plan, paths, capacity)
	for i, s := range shares {
		if math.Abs(s-10) > 1e-9 || math.Abs(even-10) > 1e-9 {
			t.Errorf("%s to %s: %v, even %v, want 10", paths[i].From, paths[i].To, s, even)
		}
	}
	// Shortest ways are the best here, and flow comes within a hundredth of the limit.
	if best, err := concurrent(plan, paths, capacity); err != nil || best < 9.9 || best > 10.0001 {
		t.Errorf("the cabling allows %v each (%v), want 10", best, err)
	}
}
