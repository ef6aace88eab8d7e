package lab

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/agent/cables"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// cutWorld is a world without kernels: a plan, and cables that are cut.
func cutWorld(p *mesh.Plan, cuts []string) *world {
	w := &world{plan: p, paths: Paths(p)}
	byName := map[string]*Node{}
	for i := range p.Nodes {
		n := &Node{Name: p.Nodes[i].Name, Plan: &p.Nodes[i], Mesh: p}
		w.nodes = append(w.nodes, n)
		byName[n.Name] = n
	}
	for i := range p.Cables {
		c := &cable{plan: &p.Cables[i], cut: cuts[i]}
		for end, e := range c.plan.Ends {
			c.nodes[end] = byName[e.Node]
		}
		w.cables = append(w.cables, c)
	}
	return w
}

// What the lab takes for right, and what agents decide from what they hear, are written
// apart from each other and must be the same, whatever is cut: here nodes say of their
// cables what is so, and hear those that a way leads to.
func TestTruthIsWhatAgentsDecide(t *testing.T) {
	meshes := []mesh.Plan{ring(t, 3), ring(t, 6), shape(t, "full-mesh", 5, 4), shape(t, "chain", 4, 2), shape(t, "ring", 8, 2)}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(meshes).Draw(t, "mesh")
		cuts := make([]string, len(p.Cables))
		for i := range cuts {
			cuts[i] = rapid.SampledFrom([]string{"", "", "", Delete, Silent, OneWay}).Draw(t, "cut")
		}
		w := cutWorld(&p, cuts)
		var says []cables.Say
		for _, c := range w.cables {
			for _, n := range c.nodes {
				switch c.cut {
				case Delete:
					says = append(says, cables.Say{Node: n.Name, Cable: c.plan.Name, Why: "unplugged"})
				case Silent, OneWay:
					says = append(says, cables.Say{Node: n.Name, Cable: c.plan.Name, Why: cables.Dead})
				}
			}
		}
		said := map[*Node]words{}
		for _, part := range w.parts() {
			hears := func(name string) bool {
				i := slices.IndexFunc(w.nodes, func(n *Node) bool { return n.Name == name })
				return part[i]
			}
			out, _ := cables.Out(&p, says, hears)
			for i := range part {
				said[w.nodes[i]] = words{}
				for _, c := range p.Cables {
					said[w.nodes[i]][c.Name] = out[c.Name] == ""
				}
			}
		}
		v := Verdict{Wrong: []string{}}
		truths := w.truths(said, &v)
		if len(v.Wrong) > 0 {
			t.Fatalf("cuts %q: %q", cuts, v.Wrong)
		}
		for _, path := range w.paths {
			nodes, crossed := w.way(truths, path)
			var gone []string
			for _, c := range w.cables {
				if !c.usable() {
					gone = append(gone, c.plan.Name)
				}
			}
			if joined := connected(&p, gone...)(path.From, path.To); joined != (nodes != nil) {
				t.Fatalf("cuts %q: %s to %s is connected %t, way %q", cuts, path.From, path.To, joined, nodes)
			}
			for _, name := range crossed {
				if slices.Contains(gone, name) {
					t.Fatalf("cuts %q: the way of %v leads over cable %s, which is cut", cuts, path.Pair, name)
				}
			}
		}
	})
}

// An agent that says something else of a cable than the others is wrong, and named.
func TestTruthNamesWhoDiffers(t *testing.T) {
	p := ring(t, 4)
	w := cutWorld(&p, []string{"", Silent, "", ""})
	said := map[*Node]words{}
	for _, n := range w.nodes {
		said[n] = words{"1": true, "2": false, "3": true, "4": true}
	}
	said[w.nodes[2]]["2"] = true
	v := Verdict{}
	w.truths(said, &v)
	if want := []string{"node 03: its agent says of cable 2 usable true; it is not so"}; !slices.Equal(v.Wrong, want) {
		t.Errorf("wrong %q, want %q", v.Wrong, want)
	}
}

// With no cable cut the truth is the plan.
func TestTruthOfAWholeMeshIsThePlan(t *testing.T) {
	p := shape(t, "full-mesh", 5, 4)
	w := cutWorld(&p, make([]string, len(p.Cables)))
	truths := w.truths(nil, &Verdict{})
	if len(truths) != 1 || len(truths[0].part) != 5 {
		t.Fatalf("%d parts", len(truths))
	}
	for i, n := range p.Nodes {
		want := n.Want(p.Mesh, p.MTU)
		if changes := mesh.Diff(truths[0].state(want, i), want); len(changes) > 0 {
			t.Errorf("node %s: %v", n.Name, changes)
		}
		routes, rules := plan.Without(&p, map[string]bool{p.Cables[3].Name: true}).Rows(n.Name)
		cuts := make([]string, len(p.Cables))
		cuts[3] = Delete
		got := cutWorld(&p, cuts).truths(nil, &Verdict{})[0].state(want, i)
		if !sameSet(got.Routes, routes) || !sameSet(got.Rules, rules) {
			t.Errorf("node %s without cable %s: %v, want %v", n.Name, p.Cables[3].Name, got.Routes, routes)
		}
	}
}

func sameSet[T comparable](a, b []T) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x T) bool { return !slices.Contains(b, x) })
}

// Second cuts: all ordered pairs, or as many as asked for, evenly; every kind follows
// every kind.
func TestSecondCuts(t *testing.T) {
	p := ring(t, 5)
	r := &runner{l: &Lab{Plan: p}, o: RunOptions{SecondCuts: -1}}
	all := r.secondCuts(p.Cables)
	kinds, pairs := map[string]int{}, map[string]bool{}
	for _, j := range all {
		if j.after == j.cable.Name || pairs[j.after+" "+j.cable.Name] {
			t.Errorf("%s after %s", j.cable.Name, j.after)
		}
		pairs[j.after+" "+j.cable.Name] = true
		kinds[j.afterHow+" "+j.how]++
	}
	if len(all) != 20 || len(kinds) != 4 {
		t.Errorf("%d pairs of kinds %v, want 20 of 4", len(all), kinds)
	}
	r.o.SecondCuts = 4
	firsts := map[string]bool{}
	for _, j := range r.secondCuts(p.Cables) {
		firsts[j.after] = true
	}
	if len(firsts) != 4 {
		t.Errorf("four pairs begin with %d cables", len(firsts))
	}
}
