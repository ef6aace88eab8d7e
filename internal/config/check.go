package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// value is a node of the file that has been held against its rule. A nil value
// stands for a key that is absent; its methods return zero values.
type value struct {
	path   string
	key    *yaml.Node // nil at the root and in lists
	node   *yaml.Node
	rule   *rule
	ok     bool // has an accepted type and passed the rule's own check
	text   string
	number int
	items  []*value // of a list
	fields []*value // of a mapping, in file order; without unknown and double keys
}

// name is the key of a field.
func (v *value) name() string { return v.key.Value }

// get returns a field of a mapping, or nil.
func (v *value) get(key string) *value {
	if v == nil {
		return nil
	}
	for _, f := range v.fields {
		if f.name() == key {
			return f
		}
	}
	return nil
}

// str returns the text of a valid scalar, or "".
func (v *value) str() string {
	if v == nil || !v.ok {
		return ""
	}
	return v.text
}

func (v *value) isScalar() bool { return v.node.Kind == yaml.ScalarNode }

// list returns the elements, or nil.
func (v *value) list() []*value {
	if v == nil {
		return nil
	}
	return v.items
}

// spanOf is where findings about v go: the value itself, or the key of a collection.
func (t *text) spanOf(v *value) span {
	if v.key != nil && (v.node.Kind != yaml.ScalarNode || isNull(v.node)) {
		return t.span(v.key)
	}
	return t.span(v.node)
}

// report adds a finding about v.
func (t *text) report(v *value, f finding.Finding) { t.add(f.At(v.path), t.spanOf(v)) }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// check holds a node against its rule and reports what does not fit.
func (t *text) check(path string, key, n *yaml.Node, r *rule) *value {
	v := &value{path: path, key: key, node: n, rule: r}
	switch {
	case n.Kind == yaml.AliasNode:
		t.markNode(path) // the alias itself is reported before
		return v
	case isNull(n):
		f := finding.New(emptyValue, "%s has no value", v.title())
		if n.Value != "" {
			f = finding.New(emptyValue, "%s is YAML's null, no value", clip(n.Value)).Hinted("put it in quotes if it is meant as text, or delete the key")
		} else {
			f = f.Hinted("write, for example, %s: %s, or delete the line", v.title(), r.example())
			if key == nil {
				f = f.Hinted("write, for example, %s, or delete the line", r.example())
			}
		}
		t.report(v, f)
		return v
	case n.Kind == yaml.MappingNode && r.accepts(mapping):
		t.checkMapping(v)
	case n.Kind == yaml.SequenceNode && r.accepts(list):
		t.checkList(v)
	case n.Kind == yaml.ScalarNode && r.accepts(number) && !r.accepts(words):
		t.checkNumber(v)
	case n.Kind == yaml.ScalarNode && r.accepts(words):
		t.checkText(v)
	default:
		t.report(v, t.wrong(v))
	}
	return v
}

// wrong is the finding for a value of a type that the rule does not take.
func (t *text) wrong(v *value) finding.Finding {
	n := v.node
	f := finding.New(wrongType, "%s must be %s, not %s", v.title(), v.rule.expected(), typeName(n)).Hinted("%s", v.rule.like())
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 && v.rule.accepts(words) && !t.at(n, '{') &&
		n.Content[0].Kind == yaml.ScalarNode && n.Content[1].Kind == yaml.ScalarNode {
		// 03: left and fd00:: turn into mappings when nobody quotes them.
		f = f.Hinted("put the text in quotes: %s", quote(n.Content[0].Value+":"+n.Content[1].Value))
	}
	return f
}

// at reports whether a node is written with the given first character.
func (t *text) at(n *yaml.Node, r rune) bool {
	if n.Line < 1 || n.Line > len(t.lines) {
		return false
	}
	line := []rune(t.lines[n.Line-1])
	return n.Column >= 1 && n.Column <= len(line) && line[n.Column-1] == r
}

// title names the value in messages.
func (v *value) title() string {
	switch {
	case v.key != nil:
		return clip(v.key.Value)
	case v.path == "":
		return "the cluster file"
	}
	steps := split(v.path)
	return "an element of " + steps[len(steps)-2].key // lists are values of keys
}

func typeName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a truth value"
	}
	return "text"
}

func (t *text) checkList(v *value) {
	r := v.rule
	v.ok = true
	if n := len(v.node.Content); n < r.min || r.max > 0 && n > r.max {
		t.report(v, finding.New(badCount, "%s has %s, it takes %s", v.title(), count(n), r.count()).Hinted("%s", r.like()))
		v.ok = false
	}
	for i, c := range v.node.Content {
		if r.max > 0 && i >= r.max {
			break
		}
		v.items = append(v.items, t.check(v.path+"["+strconv.Itoa(i)+"]", nil, c, r.items))
	}
}

func count(n int) string {
	if n == 1 {
		return "1 element"
	}
	return strconv.Itoa(n) + " elements"
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// join appends a key to a path; keys with dots and the like stand in brackets.
func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

func (t *text) checkMapping(v *value) {
	r := v.rule
	v.ok = true
	first, meant := map[string]*yaml.Node{}, map[string]*yaml.Node{}
	if n := len(v.node.Content) / 2; n < r.min || r.max > 0 && n > r.max {
		t.report(v, finding.New(badCount, "%s has %s, it takes %s", v.title(), count(n), r.count()).Hinted("%s", r.like()))
		v.ok = false
	}
	for i := 0; i+1 < len(v.node.Content) && (r.max == 0 || i/2 < r.max); i += 2 {
		key, n := v.node.Content[i], v.node.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			if key.Kind != yaml.AliasNode {
				t.add(finding.New(badKey, "a key must be a word, not %s", typeName(key)).
					Hinted("put text that begins with { or [ in quotes").At(v.path), t.span(key))
			}
			continue
		}
		path := join(v.path, key.Value)
		if before, ok := first[key.Value]; ok {
			t.add(finding.New(duplicateKey, "%s stands here a second time; the first is at line %d", clip(key.Value), before.Line).
				Hinted("keep one of the two").At(path), t.span(key))
			continue
		}
		first[key.Value] = key
		sub, near := t.ruleFor(v, key, path)
		if sub != nil {
			v.fields = append(v.fields, t.check(path, key, n, sub))
		} else if near != "" {
			meant[near] = key
		}
	}
	for near, key := range meant { // a mistyped key is not reported as missing too
		if _, ok := first[near]; !ok {
			first[near] = key
		}
	}
	t.checkPresence(v, first)
}

// ruleFor returns the rule of a key, or nil after reporting the key, then with
// the known key that was probably meant.
func (t *text) ruleFor(v *value, key *yaml.Node, path string) (sub *rule, near string) {
	r := v.rule
	if sub := r.key(key.Value); sub != nil {
		return sub, ""
	}
	bad := func(f finding.Finding) { t.add(f.At(path), t.span(key)) }
	if r.each != nil {
		if problem, hint := trap(key, false); problem != "" {
			bad(finding.New(yamlTrap, "%s", problem).Hinted("%s", hint))
		} else if problem, hint := r.keyText.check(key.Value); problem != "" {
			bad(finding.New(r.keyText.kind, "%s", problem).Hinted("%s", hint))
			return nil, ""
		}
		return r.each, ""
	}
	known := r.keyNames()
	f := finding.New(unknownKey, "unknown key %s", quote(key.Value))
	if t.full() {
		bad(f)
		return nil, ""
	}
	switch meant := finding.Suggest(key.Value, known); {
	case key.Value == "<<":
		near = key.Value
		f = finding.New(yamlAlias, "<< is a merge key").Hinted("write the keys out")
	case len(meant) > 0:
		near = meant[0]
		f = f.Hinted("did you mean %s?", near)
	default:
		f = f.Hinted("the keys here are: %s", strings.Join(known, ", "))
	}
	bad(f)
	return nil, near
}

// checkPresence reports keys that are missing or exclude each other.
func (t *text) checkPresence(v *value, have map[string]*yaml.Node) {
	if _, ok := have["<<"]; ok {
		return // the keys may be in what is merged
	}
	at := t.spanOf(v)
	for _, k := range v.rule.keys {
		if _, ok := have[k.name]; k.required && !ok {
			t.add(finding.New(missingKey, "%s is missing", k.name).Hinted("add, for example, %s: %s", k.name, k.rule.example()).At(v.path), at)
		}
	}
	if len(v.rule.oneOf) == 0 {
		return
	}
	var got []*yaml.Node
	for _, name := range v.rule.oneOf {
		if k, ok := have[name]; ok {
			got = append(got, k)
		}
	}
	slices.SortFunc(got, func(a, b *yaml.Node) int { return a.Line - b.Line })
	names := strings.Join(v.rule.oneOf, " or ")
	switch len(got) {
	case 0:
		k := v.rule.oneOf[0]
		t.add(finding.New(missingKey, "%s is missing", names).Hinted("add, for example, %s: %s", k, v.rule.key(k).example()).At(v.path), at)
	case 1:
	default:
		t.add(finding.New(conflictingKeys, "%s and %s exclude each other", clip(got[0].Value), clip(got[1].Value)).
			Hinted("keep one of them").At(join(v.path, got[1].Value)), t.span(got[1]))
	}
}

func (t *text) checkText(v *value) {
	v.text = v.node.Value
	if problem, hint := trap(v.node, v.rule.accepts(number)); problem != "" {
		// The text is used all the same: what was meant is clear enough to look for
		// further problems.
		t.report(v, finding.New(yamlTrap, "%s", problem).Hinted("%s", hint))
	}
	if problem, hint := v.rule.check(v.text); problem != "" {
		if len(v.rule.enum) > 0 {
			problem = fmt.Sprintf("there is no %s %s", v.title(), quote(v.text))
		}
		t.report(v, finding.New(v.rule.kind, "%s", problem).Hinted("%s", hint))
		return
	}
	v.ok = true
}

var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)

func (t *text) checkNumber(v *value) {
	r, n := v.rule, v.node
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		t.report(v, t.wrong(v).Hinted("write the number without quotes"))
		return
	}
	if !decimal.MatchString(n.Value) {
		if problem, hint := oddNumber(n); problem != "" {
			t.report(v, finding.New(yamlTrap, "%s", problem).Hinted("%s", hint))
		} else if n.Tag == "!!int" || n.Tag == "!!float" {
			t.report(v, finding.New(r.kind, "%s is not a whole number from %d to %d", clip(n.Value), r.min, r.max).Hinted("%s", r.like()))
		} else {
			t.report(v, t.wrong(v))
		}
		return
	}
	i, err := strconv.Atoi(n.Value)
	if err != nil || i < r.min || i > r.max {
		t.report(v, finding.New(r.kind, "%s is %s, it must be from %d to %d", v.title(), clip(n.Value), r.min, r.max).Hinted("%s", r.like()))
		return
	}
	v.number, v.ok = i, true
}

// expected says in words what a rule takes: "a number", "a list or a mapping".
func (r *rule) expected() string {
	var ws []string
	for _, w := range []struct {
		t    types
		word string
	}{{words, "text"}, {number, "a number"}, {list, "a list"}, {mapping, "a mapping"}} {
		if r.accepts(w.t) {
			ws = append(ws, w.word)
		}
	}
	return strings.Join(ws, " or ")
}

// like is a hint that shows an example.
func (r *rule) like() string { return "write it like this: " + r.example() }

// count says how many elements a list takes.
func (r *rule) count() string {
	switch {
	case r.max == 0:
		return fmt.Sprintf("at least %d", r.min)
	case r.min == r.max:
		return fmt.Sprintf("exactly %d", r.min)
	}
	return fmt.Sprintf("from %d to %d", r.min, r.max)
}
