package config

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// rules returns every rule of the table.
func rules(r *rule, visit func(*rule)) {
	if r == nil {
		return
	}
	visit(r)
	rules(r.items, visit)
	rules(r.each, visit)
	rules(r.keyText, visit)
	for _, k := range r.keys {
		rules(k.rule, visit)
	}
}

// TestPatternsAgree: the pattern that the schema shows accepts the same words as
// the function that explains what is wrong.
func TestPatternsAgree(t *testing.T) {
	alphabet := []rune("abz019-.:/ABZ_ pciüß\x00\n")
	samples := []string{"", "a", "01", "pci-0000:c7:00.5", "pci-10000:e1:1f.7", "0000:c7:00.5", "03:left", "a:", "net.core.rmem_max", "net/ipv4/ip_forward", "kernel", "LLMNR", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 63) + ":" + strings.Repeat("b", 63)}
	n := 0
	rules(table, func(r *rule) {
		if r.pattern == "" || r.explain == nil {
			return
		}
		n++
		pattern := regexp.MustCompile(r.pattern)
		compare := func(t interface{ Errorf(string, ...any) }, s string) {
			problem, hint := r.explain(s)
			if (problem == "") != pattern.MatchString(s) {
				t.Errorf("%q: the pattern %s says %v, the check says %q", s, r.pattern, pattern.MatchString(s), problem)
			}
			if problem != "" && hint == "" {
				t.Errorf("%q: %s: no hint", s, problem)
			}
		}
		for _, s := range samples {
			compare(t, s)
		}
		rapid.Check(t, func(rt *rapid.T) {
			compare(rt, rapid.StringOfN(rapid.SampledFrom(alphabet), 0, 20, -1).Draw(rt, "word"))
		})
	})
	if n < 10 {
		t.Errorf("only %d rules compared", n)
	}
}

// TestProposals: a name that a hint proposes is a name that the check accepts.
func TestProposals(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.String().Draw(rt, "name")
		if p := proposeLabel(s); p != "" {
			if problem, _ := checkLabel(p); problem != "" {
				rt.Errorf("%q: proposes %q: %s", s, p, problem)
			}
		}
	})
}

// TestTable: every rule can be explained to people and has what Parse needs.
func TestTable(t *testing.T) {
	rules(table, func(r *rule) {
		if r.accepts(words|number) && r.kind == nil {
			t.Errorf("%q: no kind for values that fail", r.doc)
		}
		if r.accepts(list) && r.items == nil {
			t.Errorf("%q: a list of nothing", r.doc)
		}
		if r.accepts(mapping) && len(r.keys) == 0 && (r.each == nil || r.keyText == nil) {
			t.Errorf("%q: a mapping of nothing", r.doc)
		}
		if r.accepts(number) && !r.accepts(words) && r.min >= r.max {
			t.Errorf("%q: no number fits", r.doc)
		}
		for _, name := range r.oneOf {
			if r.key(name) == nil {
				t.Errorf("%q: one of %s, which is no key", r.doc, name)
			}
		}
		for _, k := range r.keys {
			if k.rule.doc == "" || k.rule.example() == "" {
				t.Errorf("%s: no documentation or no example", k.name)
			}
			if strings.ContainsAny(k.rule.doc, "\n\t") {
				t.Errorf("%s: the documentation has control characters", k.name)
			}
		}
	})
}

// TestExamplesOfTable: what the hints show as an example passes the checks.
func TestExamplesOfTable(t *testing.T) {
	const frame = "mesh: m\nidentity: [10.7.1.0/24]\nnodes:\n  - {name: a, machine: x}\n  - name: b\n    machine: x\n"
	for _, k := range table.keys {
		lines := []string{"mesh: m", "identity: [10.7.1.0/24]", "topology: chain", `nodes: [{name: "02", machine: ms-01}, {name: "03", machine: ms-01}]`}
		for i, l := range lines {
			if strings.HasPrefix(l, k.name+":") || k.name == "cables" && strings.HasPrefix(l, "topology:") {
				lines[i] = ""
			}
		}
		src := strings.Join(append(lines, k.name+": "+k.rule.example()), "\n")
		if _, fs := Parse("m", []byte(src)); len(fs) > 0 && fs[0].Kind != oneNode {
			t.Errorf("%s: %v\n%s", k.name, fs, src)
		}
	}
	for _, k := range nodeRule.keys {
		src := frame + "    " + k.name + ": " + k.rule.example() + "\ntopology: chain\n"
		src = strings.Replace(src, "    machine: x\n    ports", "    ports", 1)
		if k.name == "name" || k.name == "machine" {
			src = strings.Replace(src, "  - name: b\n    machine: x\n    ", "  - ", 1)
			src = strings.Replace(src, "  - name: \"01\"", "  - machine: x\n    name: \"01\"", 1)
			src = strings.Replace(src, "  - machine: um", "  - name: b\n    machine: um", 1)
		}
		if _, fs := Parse("m", []byte(src)); len(fs) > 0 {
			t.Errorf("%s: %v\n%s", k.name, fs, src)
		}
	}
}
