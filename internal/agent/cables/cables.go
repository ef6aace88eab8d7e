// Package cables decides, from what the nodes say of their ends, which cables of a
// plan may carry traffic. All nodes that have heard the same decide alike.
package cables

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// Say is what a node says of its end of a cable.
type Say struct {
	Node, Cable string
	Up          bool
	Why         string // it is not up: Dead, or something that leaves no doubt
}

// Dead is the reason that rests on silence alone: the interface has carrier and
// nobody answers. Silence can be an error, of a peer that is too busy to speak.
const Dead = "dead"

// Out returns the cables that carry nothing, each with the reason. A cable is out
// if either end says so. The last words of a node whose agent is not alive any more
// count: its kernel may go on forwarding, and it may have been the only one to see
// that a cable carries nothing. Who is alive also looks different from everywhere,
// and nodes that compile from different facts make loops.
//
// A cable that is out for silence alone, or by nothing but the last words of a node
// that is not alive, is put back where there is no other way: a doubtful link is better
// than none, and so a node never loses its last one. It is in doubtful instead. Those
// with old words against them come first, since it may be over this very cable that
// the node is heard again, then silent ones. Who is alive makes no difference to the
// cables that are beyond doubt.
func Out(p *mesh.Plan, says []Say, alive func(node string) bool) (out, doubtful map[string]string) {
	out, doubtful = map[string]string{}, map[string]string{}
	const (
		old = iota + 1 // in the order of being put back
		silent
		sure
	)
	doubt := map[string]int{}
	says = slices.Clone(says)
	slices.SortStableFunc(says, func(a, b Say) int { return cmp.Or(cmp.Compare(a.Cable, b.Cable), cmp.Compare(a.Node, b.Node)) })
	for _, s := range says {
		if s.Up {
			continue
		}
		this := sure
		switch {
		case !alive(s.Node):
			this = old
		case s.Why == Dead:
			this = silent
		}
		doubt[s.Cable] = max(doubt[s.Cable], this)
		why := s.Node + ": " + s.Why
		if before := out[s.Cable]; before != "" {
			why = before + ", " + why
		}
		out[s.Cable] = why
	}
	parts := newParts(p)
	for _, c := range p.Cables {
		if out[c.Name] == "" {
			parts.join(c.Ends[0].Node, c.Ends[1].Node)
		}
	}
	for level := old; level < sure; level++ {
		for _, c := range p.Cables {
			if doubt[c.Name] == level && parts.join(c.Ends[0].Node, c.Ends[1].Node) {
				doubtful[c.Name] = out[c.Name]
				delete(out, c.Name)
			}
		}
	}
	return out, doubtful
}

// parts joins nodes that have a way to each other.
type parts map[string]string

func newParts(p *mesh.Plan) parts {
	s := parts{}
	for _, n := range p.Nodes {
		s[n.Name] = n.Name
	}
	return s
}

func (s parts) find(n string) string {
	for s[n] != n {
		n = s[n]
	}
	return n
}

// join reports whether there was no way before.
func (s parts) join(a, b string) bool {
	a, b = s.find(a), s.find(b)
	s[max(a, b)] = min(a, b)
	return a != b
}

// Mesh is what decides whether a node may reboot.
type Mesh struct {
	Plan    *mesh.Plan
	Left    *plan.Left
	Node    string
	Digest  string
	Alive   func(node string) bool
	Digests map[string]string // of the plans that nodes run; "" unknown
	Gossip  bool              // the others are heard of at all
	Leaving []string          // nodes that have said that they are about to reboot
	InUse   int               // cables of the node that have carrier
}

// MayReboot says whether the node may reboot now without parting those that are
// left, and why (not).
func MayReboot(m Mesh) mesh.RebootVerdict {
	no := func(format string, args ...any) mesh.RebootVerdict {
		return mesh.RebootVerdict{Reason: fmt.Sprintf(format, args...)}
	}
	if !m.Gossip {
		return no("nothing is known of the other nodes: gossip does not run")
	}
	var down, differs []string
	others := 0
	for _, n := range m.Plan.Nodes {
		if n.Name != m.Node && !slices.Contains(m.Leaving, n.Name) {
			others++
		}
		switch d := m.Digests[n.Name]; {
		case n.Name == m.Node, slices.Contains(m.Leaving, n.Name):
		case !m.Alive(n.Name):
			down = append(down, n.Name)
		case d != "" && d != m.Digest:
			differs = append(differs, n.Name)
		}
	}
	switch {
	case len(differs) > 0:
		return no("%s run%s another plan than this node, so what a reboot does to the mesh is not known", list(differs), s(differs))
	case others > 0 && len(down) == others && m.InUse <= 1:
		return mesh.RebootVerdict{OK: true, Reason: "no other node is heard of, and at most one cable here is in use, so nothing passes through this node"}
	case len(down) > 0:
		return no("%s %s not heard of already; wait until all other nodes are back", list(down), isAre(down))
	}
	parts := m.Left.Parts(append([]string{m.Node}, m.Leaving...)...)
	switch {
	case len(parts) > 1 && len(m.Leaving) > 0:
		return no("%s %s about to reboot, and without %s and this node there is no way from %s to %s",
			list(m.Leaving), isAre(m.Leaving), itThem(m.Leaving), list(parts[0]), list(parts[1]))
	case len(parts) > 1:
		return no("without this node there is no way from %s to %s", list(parts[0]), list(parts[1]))
	case len(m.Leaving) > 0:
		return mesh.RebootVerdict{OK: true, Reason: fmt.Sprintf("all other nodes reach each other without this one and %s, which %s about to reboot", list(m.Leaving), isAre(m.Leaving))}
	}
	return mesh.RebootVerdict{OK: true, Reason: "all other nodes are there and reach each other without this one"}
}

func list(names []string) string {
	if len(names) > 5 {
		names = append(slices.Clone(names[:4]), fmt.Sprintf("%d more", len(names)-4))
	}
	return strings.Join(names, ", ")
}

func s(names []string) string {
	if len(names) == 1 {
		return "s"
	}
	return ""
}

func itThem(names []string) string {
	if len(names) == 1 {
		return "it"
	}
	return "them"
}

func isAre(names []string) string {
	if len(names) == 1 {
		return "is"
	}
	return "are"
}
