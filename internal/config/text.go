package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// Limits that bound the work a hostile file can cause.
const (
	maxFile     = 1 << 20 // bytes
	maxFindings = 100
	maxSource   = 400 // characters of a source line that are worth showing
	maxQuoted   = 60  // characters of a value quoted in a message
	maxDepth    = 100 // nested YAML collections
)

const bom = "\ufeff"

// text is the file as lines, for positions, and collects the findings.
type text struct {
	name     string
	src      []byte   // without a byte order mark
	lines    []string // without line ends; at least one
	findings []finding.Finding
	more     bool         // findings were left out
	broken   map[int]bool // nodes with errors, by index
}

func newText(name string, src []byte) *text {
	src = src[:min(len(src), maxFile)]
	src = bytes.TrimPrefix(src, []byte(bom))
	lines := strings.Split(string(src), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return &text{name: name, src: src, lines: lines, broken: map[int]bool{}}
}

// span is a piece of one line; line and column count from 1, in characters.
type span struct{ line, column, width int }

// add places f at s and keeps it.
func (t *text) add(f finding.Finding, s span) {
	if f.Severity == finding.Error {
		t.markNode(f.Path)
	}
	if t.full() {
		t.more = true
		return
	}
	t.findings = append(t.findings, t.place(f, s))
}

// full reports that no more findings are kept, so that costly hints need not be
// worked out.
func (t *text) full() bool { return len(t.findings) >= maxFindings }

// markNode remembers the node, if any, that a path leads into.
func (t *text) markNode(path string) {
	var i int
	if n, err := fmt.Sscanf(path, "nodes[%d]", &i); err == nil && n == 1 {
		t.broken[i] = true
	}
}

// place fills the position of f, and bends what lies outside the file inside.
func (t *text) place(f finding.Finding, s span) finding.Finding {
	line := min(max(s.line, 1), len(t.lines))
	content := t.lines[line-1]
	length := utf8.RuneCountInString(content)
	column := min(max(s.column, 1), length+1)
	f.Pos = finding.Pos{File: t.name, Line: line, Column: column}
	f.Width = min(max(s.width, 1), max(1, length-column+1))
	f.Source = ""
	if length <= maxSource {
		f.Source = printable(content)
	}
	return f
}

// printable shows what a terminal would swallow or obey, character for character.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		if r < 0x20 {
			return 0x2400 + r // control pictures
		}
		return utf8.RuneError
	}, line)
}

// checkBytes reports what makes the text unreadable, and whether YAML may be tried.
func (t *text) checkBytes(original []byte) bool {
	if len(original) > maxFile {
		t.add(finding.New(fileTooLarge, "the file has %d bytes, the limit is %d", len(original), maxFile).
			Hinted("is this really a cluster file?"), span{1, 1, 1})
		return false
	}
	if bytes.HasPrefix(original, []byte("\xff\xfe")) || bytes.HasPrefix(original, []byte("\xfe\xff")) {
		t.add(finding.New(notUTF8, "the file is UTF-16 text").
			Hinted("save it as UTF-8"), span{1, 1, 1})
		return false
	}
	if bytes.HasPrefix(original, []byte(bom)) {
		t.add(finding.New(byteOrderMark, "the file starts with a byte order mark").
			Hinted(`save it as "UTF-8 without BOM"`), span{1, 1, 1})
	}
	ok := true
	for i, line := range t.lines {
		if f, column, bad := badRune(line); bad {
			t.add(f, span{i + 1, column, 1})
			ok = false
		}
	}
	return ok
}

// badRune finds the first character of a line that YAML refuses, or takes for a
// line break where nobody sees one.
func badRune(line string) (f finding.Finding, column int, bad bool) {
	for i, r := range line {
		column++
		switch {
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(line[i:]); size == 1 {
				return finding.New(notUTF8, "byte 0x%02x is not UTF-8", line[i]).
					Hinted("save the file as UTF-8, or type the character again"), column, true
			}
		case r == 0:
			return finding.New(badCharacter, "the line holds a null byte").
				Hinted("delete it; is this a text file?"), column, true
		case r == '\r':
			return finding.New(badCharacter, "the line holds a carriage return").
				Hinted("end lines with a line feed, or with both"), column, true
		case r == 0x85, r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff,
			r < 0x20 && r != '\t', r >= 0x7f && r < 0xa0:
			return finding.New(badCharacter, "the line holds the invisible character %U", r).
				Hinted("delete it; it often comes along when text is copied"), column, true
		}
	}
	return f, 0, false
}

// done returns the findings, sorted.
func (t *text) done() []finding.Finding {
	finding.Sort(t.findings)
	if t.more {
		f := finding.New(tooManyFindings, "only the first %d problems are shown", maxFindings).
			Hinted("mend these and check again")
		t.findings = append(t.findings, t.place(f, span{len(t.lines), 1, 1}))
	}
	return t.findings
}

// quote shows a piece of the file in a message: quoted, on one line, not too long.
func quote(s string) string {
	if r := []rune(s); len(r) > maxQuoted {
		s = string(r[:maxQuoted]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
