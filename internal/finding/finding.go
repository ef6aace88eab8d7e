// Package finding holds the one type in which usb4mesh reports a problem.
//
// A mistake in the cluster file, a change the kernel refused and a diagnosis of
// a slow link are all a Finding: a value with a stable code, a severity, a place
// and a hint that says what to do. Printing is the last step and lives here too,
// so that every verb shows problems in the same words and the same JSON.
package finding

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity says what a finding means for the work at hand.
type Severity int

const (
	// Info is worth knowing; nothing is wrong.
	Info Severity = iota
	// Warning is likely to hurt later; the work goes on.
	Warning
	// Error stops the work.
	Error
)

// String returns "info", "warning" or "error", the words used in text and JSON.
func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Warning:
		return "warning"
	case Error:
		return "error"
	}
	return fmt.Sprintf("severity(%d)", int(s))
}

// MarshalText gives JSON the words of String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the words of String.
func (s *Severity) UnmarshalText(text []byte) error {
	for _, v := range []Severity{Info, Warning, Error} {
		if v.String() == string(text) {
			*s = v
			return nil
		}
	}
	return fmt.Errorf("finding: unknown severity %q", text)
}

// Pos is a place in a text file. Line and Column count from 1, columns in
// characters (not bytes). The zero Pos means "no place known".
type Pos struct {
	File   string
	Line   int
	Column int
}

// IsZero reports whether no place is known.
func (p Pos) IsZero() bool { return p == Pos{} }

// String returns file:line:col, leaving out what is not known.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Finding is one problem.
type Finding struct {
	Kind     *Kind    // what sort of problem; gives the code and the documentation
	Severity Severity // usually Kind.Severity
	Pos      Pos      // where it stands, if it stands in a file
	Width    int      // characters the caret underlines from Pos.Column; 0 means 1
	Source   string   // the source line at Pos, without its line end
	Path     string   // place in the cluster file's structure, e.g. nodes[2].ports.left; see config.Locate
	Message  string   // what is wrong, one line, no final period
	Hint     string   // what to do instead, one line, may be empty
}

// New makes a finding of kind k, with the kind's severity and no place.
func New(k *Kind, format string, args ...any) Finding {
	return Finding{Kind: k, Severity: k.Severity, Message: fmt.Sprintf(format, args...)}
}

// At returns f placed at a path of the cluster file's structure, such as
// cables[1].endpoints[0]. Package config turns paths into file positions.
func (f Finding) At(path string) Finding { f.Path = path; return f }

// Hinted returns f with a hint.
func (f Finding) Hinted(format string, args ...any) Finding {
	f.Hint = fmt.Sprintf(format, args...)
	return f
}

// Code returns the stable code, such as "unknown-key".
func (f Finding) Code() string {
	if f.Kind == nil {
		return "unknown"
	}
	return f.Kind.Code
}

// Error lets a finding travel as an error.
func (f Finding) Error() string {
	if f.Pos.IsZero() {
		return f.Message
	}
	return f.Pos.String() + ": " + f.Message
}

// HasErrors reports whether any finding has severity Error.
func HasErrors(fs []Finding) bool {
	return slices.ContainsFunc(fs, func(f Finding) bool { return f.Severity == Error })
}

// Sort orders findings by file, line and column, then by severity (errors
// first) and code. Findings without a place keep their order behind the others.
func Sort(fs []Finding) {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		if a.Pos.IsZero() != b.Pos.IsZero() {
			if a.Pos.IsZero() {
				return 1
			}
			return -1
		}
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
			cmp.Compare(b.Severity, a.Severity),
			cmp.Compare(a.Code(), b.Code()),
		)
	})
}
