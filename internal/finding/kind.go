package finding

import (
	"fmt"
	"slices"
	"strings"
)

// Kind describes a sort of finding: its stable code, the severity it usually
// has, and the text that docs/findings.md is generated from.
type Kind struct {
	Code     string   // kebab-case, never renamed once released
	Severity Severity // severity unless the rule says otherwise
	Title    string   // a few words
	Explain  string   // why it matters and how to mend it; plain prose
}

var registry = map[string]*Kind{}

// Register declares a kind. It panics on a double or malformed code, so that a
// mistake shows in the first test run. Call it from package-level variables.
func Register(k Kind) *Kind {
	if k.Code == "" || strings.Trim(k.Code, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		panic(fmt.Sprintf("finding: malformed code %q", k.Code))
	}
	if _, ok := registry[k.Code]; ok {
		panic(fmt.Sprintf("finding: code %q registered twice", k.Code))
	}
	registry[k.Code] = &k
	return &k
}

// Kinds returns all registered kinds, sorted by code.
func Kinds() []*Kind {
	ks := make([]*Kind, 0, len(registry))
	for _, k := range registry {
		ks = append(ks, k)
	}
	slices.SortFunc(ks, func(a, b *Kind) int { return strings.Compare(a.Code, b.Code) })
	return ks
}
