package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is a line of `go test -json`; fields as in `go doc test2json` and, for
// build events, `go help buildjson`.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64
	Output     string
}

// key names a test of a package; Test is "" for the package itself.
type key struct{ pkg, test string }

type skip struct {
	key
	reason string
}

// summary counts leaves: a test with subtests counts only through them, unless it
// failed although all of them passed.
type summary struct {
	w      io.Writer
	output map[key][]string
	open   map[key]bool // started, not ended
	parent map[key]bool // has subtests
	broken map[key]bool // itself or something below it has been counted as failed
	skips  []skip

	passed, failed, skipped int
}

func newSummary(w io.Writer) *summary {
	return &summary{w: w, output: map[key][]string{}, open: map[key]bool{}, parent: map[key]bool{}, broken: map[key]bool{}}
}

func (s *summary) printf(format string, args ...any) { _, _ = fmt.Fprintf(s.w, format, args...) }

// line takes one line of input. What is no event is shown as it is.
func (s *summary) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		s.printf("%s", line)
		return
	}
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		s.printf("%s", e.Output)
	case "start", "run":
		s.open[k] = true
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			s.parent[key{e.Package, e.Test[:i]}] = true
		}
	case "output":
		s.output[k] = append(s.output[k], e.Output)
	case "pass", "fail", "skip":
		delete(s.open, k)
		if e.Test == "" {
			s.endPackage(k, e)
		} else {
			s.endTest(k, e.Action)
		}
		delete(s.output, k)
	}
}

func (s *summary) endTest(k key, action string) {
	switch {
	case action == "fail":
		s.show(k)
		if !s.broken[k] {
			s.failed++
		}
		s.breakUp(k)
	case action == "skip":
		s.skipped++
		s.skips = append(s.skips, skip{k, reason(s.output[k])})
	case !s.parent[k]:
		s.passed++
	}
}

func (s *summary) endPackage(k key, e event) {
	if e.Action == "skip" { // no test files
		return
	}
	word := "ok  "
	if e.Action == "fail" {
		word = "FAIL"
		if !s.broken[k] { // did not build, or ended outside of a test
			s.show(k)
			s.failed++
		}
	}
	s.printf("%s  %s  %.1fs\n", word, k.pkg, e.Elapsed)
}

// breakUp notes for all that contain k that their failure has been counted.
func (s *summary) breakUp(k key) {
	for {
		s.broken[k] = true
		if k.test == "" {
			return
		}
		k.test = k.test[:max(0, strings.LastIndexByte(k.test, '/'))]
	}
}

// show prints what a failed test wrote.
func (s *summary) show(k key) {
	name := strings.TrimSpace(k.pkg + " " + k.test)
	s.printf("---- %s\n%s", name, strings.Join(s.output[k], ""))
}

// end accounts for what never ended and lists the skips.
func (s *summary) end(restricted bool, allowed []*regexp.Regexp) {
	for _, k := range slices.SortedFunc(maps.Keys(s.open), func(a, b key) int {
		return strings.Compare(a.pkg+" "+a.test, b.pkg+" "+b.test)
	}) {
		s.show(k)
		s.printf("never ended\n")
		if !s.broken[k] {
			s.failed++
		}
		s.breakUp(k)
	}
	if s.passed+s.failed+s.skipped == 0 {
		s.printf("no test ran\n")
		s.failed++
	}
	for _, k := range s.skips {
		why := k.reason
		switch {
		case why == "":
			why = "NO REASON GIVEN, counted as failed"
			s.failed++
		case restricted && !slices.ContainsFunc(allowed, func(re *regexp.Regexp) bool { return re.MatchString(k.reason) }):
			why += " (NOT ALLOWED HERE, counted as failed)"
			s.failed++
		}
		s.printf("SKIP  %s %s: %s\n", k.pkg, k.test, why)
	}
}

func (s *summary) total() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", s.passed, s.failed, s.skipped)
}

// A log line of package testing: four spaces for each level, file, line, text.
var logLine = regexp.MustCompile(`^ +[^ :]+\.go:\d+: (.*)`)

// reason returns the last thing that a skipped test logged, on one line.
func reason(output []string) string {
	var last string
	for _, line := range output {
		line = strings.TrimRight(line, "\n")
		if m := logLine.FindStringSubmatch(line); m != nil {
			last = m[1]
		} else if last != "" && strings.HasPrefix(line, "    ") && !strings.HasPrefix(strings.TrimSpace(line), "---") {
			last += " " + strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(last)
}
