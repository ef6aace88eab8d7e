package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// tree parses the text into YAML nodes and returns the root of its one
// document. It returns nil, with a finding, for what is no single readable
// document.
func (t *text) tree() *yaml.Node {
	if isBlank(t.lines) {
		t.add(finding.New(emptyFile, "the cluster file is empty").
			Hinted("begin with: mesh, identity, nodes, topology; see the examples"), span{1, 1, 1})
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(t.src))
	if err != nil {
		t.addSyntax(err)
		return nil
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		t.add(finding.New(emptyFile, "the cluster file holds no document"), span{1, 1, 1})
		return nil
	case err != nil:
		t.addSyntax(err)
		return nil
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		t.addSyntax(err)
		return nil
	default:
		t.add(finding.New(severalDocuments, "a second document starts here").
			Hinted("remove the line ---, and put everything under one set of keys"), t.documentStart(second.Line))
	}
	if len(doc.Content) == 0 {
		t.add(finding.New(emptyFile, "the cluster file holds no document"), span{1, 1, 1})
		return nil
	}
	root := doc.Content[0]
	if !t.checkFeatures(root, 0, map[string]bool{}) {
		return nil
	}
	return root
}

// documentStart returns the place of the last --- at or above a line.
func (t *text) documentStart(line int) span {
	for i := min(line, len(t.lines)); i > 0; i-- {
		if strings.HasPrefix(t.lines[i-1], "---") {
			return span{i, 1, 3}
		}
	}
	return span{line, 1, 1}
}

func isBlank(lines []string) bool {
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' && l != "---" && l != "..." {
			return false
		}
	}
	return true
}

// checkFeatures reports the parts of YAML that a cluster file does without. It
// returns false if the tree is too deep to be walked. Of the aliases of one anchor
// only the first is reported.
func (t *text) checkFeatures(n *yaml.Node, depth int, reported map[string]bool) bool {
	if depth > maxDepth {
		t.add(finding.New(syntaxError, "lists or mappings are nested more than %d deep", maxDepth).
			Hinted("a cluster file needs six levels"), t.span(n))
		return false
	}
	switch {
	case n.Kind == yaml.AliasNode && reported[n.Value]:
		return true
	case n.Kind == yaml.AliasNode:
		reported[n.Value] = true
		t.add(finding.New(yamlAlias, "*%s is an alias", clip(n.Value)).
			Hinted("write the value out"), t.span(n))
		return true
	case n.Anchor != "":
		t.add(finding.New(yamlAlias, "&%s is an anchor", clip(n.Anchor)).
			Hinted("delete it, and write the value out where it is used"), t.span(n))
	case n.Style&yaml.TaggedStyle != 0 && n.Tag != "!!str":
		t.add(finding.New(yamlTag, "%s is a type tag", clip(n.Tag)).
			Hinted("delete it, and put text in quotes"), t.span(n))
	}
	for _, c := range n.Content {
		if !t.checkFeatures(c, depth+1, reported) {
			return false
		}
	}
	return true
}

func clip(s string) string { return strings.Trim(quote(s), `"`) }

// span returns the place of a node: a scalar as it is written (on its first line),
// of a mapping its first key, of a list its first hyphen, the bracket or brace.
func (t *text) span(n *yaml.Node) span {
	for n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 && len(n.Content) > 0 && n.Anchor == "" {
		n = n.Content[0]
	}
	s := span{n.Line, n.Column, 1}
	if n.Line < 1 || n.Line > len(t.lines) || t.full() {
		return s
	}
	line := []rune(t.lines[n.Line-1])
	rest := line[min(max(n.Column-1, 0), len(line)):]
	if n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode {
		s.width = scalarWidth(rest, n)
	}
	return s
}

// scalarWidth counts the characters a scalar takes on its first line.
func scalarWidth(rest []rune, n *yaml.Node) int {
	if len(rest) == 0 {
		return 1
	}
	switch {
	case rest[0] == '*':
		return 1 + utf8.RuneCountInString(n.Value)
	case rest[0] == '"':
		for i := 1; i < len(rest); i++ {
			switch rest[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
	case rest[0] == '\'':
		for i := 1; i < len(rest); i++ {
			if rest[i] != '\'' {
				continue
			}
			if i+1 < len(rest) && rest[i+1] == '\'' {
				i++
				continue
			}
			return i + 1
		}
	case rest[0] == '|', rest[0] == '>', n.Value == "":
		return 1
	}
	if w := utf8.RuneCountInString(n.Value); w <= len(rest) && string(rest[:w]) == n.Value {
		return w
	}
	return utf8.RuneCountInString(strings.TrimRight(string(rest), " \t"))
}

// addSyntax reports an error of the YAML library.
func (t *text) addSyntax(err error) {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		t.add(finding.New(syntaxError, "this is not YAML: %v", err), span{1, 1, 1})
		return
	}
	line := e.Mark.Line
	if line == 0 {
		line = e.ContextMark.Line
	}
	if t.addTabs(line) {
		return
	}
	message, hint := explainSyntax(e)
	at := span{e.Mark.Line, e.Mark.Column, 1}
	if at.line > len(t.lines) || isBlank(t.lines[max(at.line, 1)-1:]) { // the end of the file says nothing
		c := e.ContextMark
		if c.Line > 0 && c.Line < at.line && !strings.Contains(e.ContextMsg, "block") {
			at = span{c.Line, c.Column, 1} // where the unfinished thing begins does
		} else {
			at = t.end()
		}
	}
	if open := t.openQuote(line); open > 0 {
		hint += fmt.Sprintf("; is the quote in line %d closed?", open)
	}
	k := syntaxError
	if strings.HasPrefix(e.Message, "unknown anchor") {
		k = yamlAlias
	}
	t.add(finding.New(k, "%s", message).Hinted("%s", hint), at)
}

// end returns the place behind the last line with text.
func (t *text) end() span {
	n := len(t.lines)
	for n > 1 && isBlank(t.lines[n-1:]) {
		n--
	}
	return span{n, utf8.RuneCountInString(t.lines[n-1]) + 1, 1}
}

// openQuote returns the first line, up to the given one, with an odd number of
// double quotes; 0 if there is none.
func (t *text) openQuote(line int) int {
	for i, l := range t.lines[:min(line, len(t.lines))] {
		l, _, _ = strings.Cut(l, " #")
		if (strings.Count(l, `"`)-strings.Count(l, `\"`))%2 != 0 {
			return i + 1
		}
	}
	return 0
}

// addTabs reports the lines up to the given one that begin with a tab, the
// likely cause of a syntax error there, and whether there are any.
func (t *text) addTabs(line int) bool {
	found := false
	for i, l := range t.lines[:min(line, len(t.lines))] {
		blank := l[:len(l)-len(strings.TrimLeft(l, " \t"))]
		tab := strings.IndexByte(blank, '\t')
		if tab < 0 || len(blank) == len(l) {
			continue
		}
		t.add(finding.New(tabIndent, "the line is indented with a tab").
			Hinted("indent with spaces; YAML does not allow tabs"), span{i + 1, tab + 1, len(blank) - tab})
		found = true
	}
	return found
}

// explainSyntax puts the library's message into words of the user's.
func explainSyntax(e *yaml.LoadError) (message, hint string) {
	has := func(s string) bool { return strings.Contains(e.Message, s) }
	where := ""
	if e.ContextMark.Line > 0 {
		where = fmt.Sprintf(" that starts at line %d, column %d", e.ContextMark.Line, e.ContextMark.Column)
	}
	switch {
	case has("mapping values are not allowed"):
		return "a key is not expected here", `check the indentation; if the colon belongs to the text, put the text in quotes`
	case has("did not find expected key"):
		return "this belongs neither to the mapping" + where + " nor to another one", "indent it like the keys it belongs to"
	case has("did not find expected '-'"):
		return "this is no element of the list" + where, "indent it like the text behind the hyphen, or begin a new element with a hyphen"
	case has("',' or '}'"):
		return "expected a comma or } in the mapping" + where, "close the brace, or put the text in quotes"
	case has("',' or ']'"):
		return "expected a comma or ] in the list" + where, "close the bracket, or put the text in quotes"
	case has("did not find expected node content"):
		return "a value is missing here", "is a bracket or brace left open?"
	case has("unexpected end of stream"), has("unexpected document indicator"):
		return "the quote is not closed", "put the same quote at the end of the text"
	case has("cannot start any token"):
		return "a value can't begin with this character", "put the value in quotes"
	case has("could not find expected ':'"):
		return "expected a colon behind the key", "write key: value, with a space behind the colon"
	case has("incompatible YAML document"):
		return "this version of YAML is not supported", "delete the line; none is needed"
	case strings.HasPrefix(e.Message, "unknown anchor"):
		return "an alias of nothing", "write the value out, and put text that begins with * in quotes"
	}
	return "this is not YAML: " + e.Message, "check indentation, colons, quotes and brackets around here"
}
