package finding

import (
	"slices"
	"strings"
)

// Suggest returns the known words that word was probably meant to be, nearest
// first, at most three. Capital letters don't count; nothing that differs in
// more than a third of its letters is suggested.
func Suggest(word string, known []string) []string {
	type candidate struct {
		word     string
		distance int
	}
	w := []rune(strings.ToLower(word))
	if len(w) == 0 || len(w) > 64 {
		return nil // nobody mistyped that; keep the work bounded
	}
	var cs []candidate
	for _, k := range known {
		r := []rune(strings.ToLower(k))
		d := distance(w, r)
		if len(w) >= 3 && strings.Contains(string(r), string(w)) {
			d = 1 // a part of the word was given
		}
		if d <= max(len(w), len(r))/3 || len(r) > 2 && d == 1 {
			cs = append(cs, candidate{k, d})
		}
	}
	slices.SortStableFunc(cs, func(a, b candidate) int { return a.distance - b.distance })
	var out []string
	for _, c := range cs[:min(3, len(cs))] {
		out = append(out, c.word)
	}
	return out
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b []rune) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
