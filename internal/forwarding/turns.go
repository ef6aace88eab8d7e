package forwarding

import "slices"

// Turns is the order in which the nodes of a mesh go over from one set of tables
// to another without a packet lost or going round on the way; see Transition.
type Turns struct {
	nodes int
	turn  []int32 // by destination and node, -1 where nothing changes
	last  int
}

// Transition returns the order in which nodes go over from old tables, with each
// end of the links in down going around them (Around), to new ones, which use
// none of these links. With down empty it serves the way back.
//
// For a destination d, let a node change if it does anything else under the new
// tables, and let its new way be the one along the new Primary links. The rule:
//
//	A node goes over for d after all nodes that change on its new way to d.
//
// # Why nothing is lost
//
// Take any moment, with some nodes gone over, and follow a packet for d. Suppose
// that the old tables deliver it (the package comment proves that for one
// failure, and for none). As long as it meets only nodes that have not gone over,
// or that do not change, it goes as under the old tables. So either it arrives,
// or it comes to a first node z that has changed and gone over. By the rule all
// nodes on z's new way behave as under the new tables. If the packet comes to z
// over a link other than z's new Primary, it follows that way to d.
//
// It can't come over z's new Primary: let y be the node there, the next on z's
// new way. y has not gone over, as z is the first, hence does not change, and so
// sends the packet to z under the new tables too, down the new tree. A node does
// that only with a packet that itself came over its new Primary link. So y got it
// from the next node on its own new way, for which the same holds, and so on;
// but the ways end at d, which sends nothing down.
//
// Packets that are under way at the moment of a change may go astray for some
// hops, but as each node goes over once, that ends.
//
// Without the rule, packets go round at some moments in a Petersen graph and many
// random ones, though not in rings of 3 to 8 nodes and full meshes, where the old
// tables take what comes back for a sign of a failure and send it on. No single
// order of nodes keeps the rule for all destinations, even in a ring of six.
func Transition(g Graph, from *Tables, down []int, to *Tables) *Turns {
	t := &Turns{nodes: g.Nodes, turn: make([]int32, g.Nodes*g.Nodes), last: -1}
	a := newAdjacency(g)
	after := make([]int32, g.Nodes) // turns that pass until a node's new way stands; -1 not known yet
	var way []int32
	for dest := range g.Nodes {
		row := t.turn[dest*g.Nodes : (dest+1)*g.Nodes]
		for i := range after {
			after[i], row[i] = -1, -1
		}
		after[dest] = 0
		for node := range int32(g.Nodes) {
			way = way[:0]
			at := node
			for after[at] < 0 {
				way = append(way, at)
				next := to.At(int(at), dest).Primary
				if next < 0 { // no way at all: nothing to wait for
					after[at] = 0
					break
				}
				at = a.other(int32(next), at)
			}
			turn := after[at]
			for i := len(way) - 1; i >= 0; i-- {
				n := way[i]
				if !sameHops(from.At(int(n), dest), to.At(int(n), dest), down) {
					row[n] = turn
					t.last = max(t.last, int(turn))
					turn++
				}
				after[n] = turn
			}
		}
	}
	return t
}

// sameHops reports whether a node treats every packet that can arrive alike under
// two entries, the old one while some links are down.
func sameHops(from, to Entry, down []int) bool {
	for _, incoming := range []int{-1, from.Primary, to.Primary} {
		if !slices.Contains(down, incoming) && from.out(incoming, down) != to.out(incoming, nil) {
			return false
		}
	}
	return true
}

// Of returns when a node goes over for a destination: 0 at once, k when all nodes
// of the turns before have gone over for it. It is -1 where nothing changes.
func (t *Turns) Of(node, dest int) int { return int(t.turn[dest*t.nodes+node]) }

// Last is the last turn that some node has for some destination, -1 if nothing
// changes anywhere.
func (t *Turns) Last() int { return t.last }
