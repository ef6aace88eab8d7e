// Command summary reads what `go test -json` writes and says, in the end, how many
// tests passed, failed and were skipped, with the reason of every skip.
//
//	go test -json ./... | summary [-allowed-skips FILE] [-total FILE]
//
// It exits with 1 if a test failed, a package did not build, a test was skipped
// without a reason, or with a reason that the file of allowed ones does not name.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

func main() {
	allowed := flag.String("allowed-skips", "", "file of regular expressions, one a line; any other reason to skip fails")
	total := flag.String("total", "", "write the last line to this file instead of standard output")
	flag.Parse()
	ok, err := run(os.Stdin, os.Stdout, *allowed, *total)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run reports whether everything that ran passed.
func run(in io.Reader, out io.Writer, allowedFile, totalFile string) (bool, error) {
	var allowed []*regexp.Regexp
	if allowedFile != "" {
		text, err := os.ReadFile(allowedFile)
		if err != nil {
			return false, err
		}
		if allowed, err = patterns(string(text)); err != nil {
			return false, fmt.Errorf("%s: %w", allowedFile, err)
		}
	}
	w := bufio.NewWriter(out)
	s := newSummary(w)
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			s.line(line)
			if err := w.Flush(); err != nil { // a person watches
				return false, err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
	}
	s.end(allowedFile != "", allowed)
	if totalFile == "" {
		s.printf("%s\n", s.total())
	} else if err := os.WriteFile(totalFile, []byte(s.total()+"\n"), 0o644); err != nil {
		return false, err
	}
	return s.failed == 0, w.Flush()
}

// patterns reads one regular expression a line, without blank lines and comments.
func patterns(text string) ([]*regexp.Regexp, error) {
	var all []*regexp.Regexp
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		re, err := regexp.Compile(line)
		if err != nil {
			return nil, err
		}
		all = append(all, re)
	}
	return all, nil
}
