package mesh

import (
	"cmp"
	"fmt"
	"slices"
)

// Renames returns the changes that give interfaces their planned names: names
// leads from an interface's index, which it keeps for life, to its name. The
// kernel calls ports thunderbolt0 and so on in the order in which they appear.
//
// Interfaces that bear each other's names swap them by way of a third. Where a
// name is taken by an interface that is not in names, the change is returned all
// the same, so that the kernel's refusal tells the user.
func Renames(have []Link, names map[int]string) []Change {
	holder := map[string]int{} // index of the interface of a name, as changes go on
	type move struct {
		index    int
		from, to string
	}
	var moves []move
	for _, l := range have {
		holder[l.Name] = l.Index
		if to, planned := names[l.Index]; planned && to != l.Name {
			moves = append(moves, move{l.Index, l.Name, to})
		}
	}
	slices.SortFunc(moves, func(a, b move) int { return cmp.Compare(a.index, b.index) })
	var changes []Change
	rename := func(m *move, to string) {
		reason := "the plan calls " + m.from + " so"
		if to != m.to {
			reason = m.from + " makes room"
		}
		changes = append(changes, Change{Op: Rename, Link: &Link{Name: to, Index: m.index}, Reason: reason})
		delete(holder, m.from)
		holder[to], m.from = m.index, to
	}
	waits := func(m move) bool { // its name is taken by one that is to move
		other, taken := holder[m.to]
		return taken && slices.ContainsFunc(moves, func(o move) bool { return o.index == other && o.from == m.to })
	}
	for len(moves) > 0 {
		i := slices.IndexFunc(moves, func(m move) bool { return !waits(m) })
		if i < 0 { // a circle: the first steps aside
			rename(&moves[0], fmt.Sprintf("um-%d", moves[0].index))
			continue
		}
		m := moves[i]
		moves = slices.Delete(moves, i, i+1)
		rename(&m, m.to)
	}
	return changes
}
