package sysfs

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Kinds of differences between a model and a captured tree.
const (
	OnlyModel    = '-'
	OnlyCaptured = '+'
	OtherValue   = '~'
)

// Difference is a path at which two trees differ.
type Difference struct {
	Kind            rune
	Path            string
	Model, Captured string // values
}

func (d Difference) String() string {
	s := fmt.Sprintf("%c %s", d.Kind, d.Path)
	if d.Kind == OtherValue {
		s += fmt.Sprintf(": %q, captured %q", d.Model, d.Captured)
	}
	return s
}

// Diff compares two trees, which should be Canonical, and returns what differs by path.
func Diff(model, captured Tree) []Difference {
	var all []Difference
	for name, text := range model {
		switch other, ok := captured[name]; {
		case !ok:
			all = append(all, Difference{Kind: OnlyModel, Path: name, Model: text})
		case other != text:
			all = append(all, Difference{OtherValue, name, text, other})
		}
	}
	for name, text := range captured {
		if _, ok := model[name]; !ok {
			all = append(all, Difference{Kind: OnlyCaptured, Path: name, Captured: text})
		}
	}
	slices.SortFunc(all, func(a, b Difference) int { return cmp.Or(strings.Compare(a.Path, b.Path), int(a.Kind-b.Kind)) })
	return all
}

// Explanation says why trees may differ at all paths that a pattern matches.
type Explanation struct {
	Kind    rune
	Pattern string // as in path.Match, element by element; "**" stands for any number of elements
	Why     string
	Line    int
}

// ParseExplanations reads a file of
//
//	~ sys/devices/**/unique_id
//		Each router has its own.
//
// Lines that begin with # are comments. A pattern without a reason is an error.
func ParseExplanations(text string) ([]Explanation, error) {
	var all []Explanation
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '\t':
			if len(all) == 0 {
				return nil, fmt.Errorf("line %d: a reason without a pattern", n)
			}
			last := &all[len(all)-1]
			last.Why = strings.TrimSpace(last.Why + " " + strings.TrimSpace(line))
		case len(line) > 2 && strings.ContainsRune("+-~", rune(line[0])) && line[1] == ' ':
			all = append(all, Explanation{Kind: rune(line[0]), Pattern: line[2:], Line: n})
		default:
			return nil, fmt.Errorf("line %d: %q is neither a pattern nor a reason", n, line)
		}
	}
	for _, e := range all {
		if _, err := path.Match(e.Pattern, ""); err != nil || e.Why == "" {
			return nil, fmt.Errorf("line %d: %q is no pattern, or has no reason", e.Line, e.Pattern)
		}
	}
	return all, nil
}

// Explains says whether e is about d.
func (e Explanation) Explains(d Difference) bool {
	return e.Kind == d.Kind && match(strings.Split(e.Pattern, "/"), strings.Split(d.Path, "/"))
}

func match(pattern, parts []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := range len(parts) + 1 {
				if match(pattern[1:], parts[i:]) {
					return true
				}
			}
			return false
		}
		if len(parts) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], parts[0]); err != nil || !ok {
			return false
		}
		pattern, parts = pattern[1:], parts[1:]
	}
	return len(parts) == 0
}

// Judge returns the differences that nothing explains, and the explanations that nothing needs.
func Judge(all []Difference, why []Explanation) (unexplained []Difference, idle []Explanation) {
	used := make([]bool, len(why))
	for _, d := range all {
		i := slices.IndexFunc(why, func(e Explanation) bool { return e.Explains(d) })
		if i < 0 {
			unexplained = append(unexplained, d)
			continue
		}
		used[i] = true
	}
	for i, e := range why {
		if !used[i] {
			idle = append(idle, e)
		}
	}
	return unexplained, idle
}
