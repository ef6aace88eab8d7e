package finding

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printer writes findings for people.
type Printer struct {
	W     io.Writer
	Color bool // ANSI colours; the words carry the meaning without them
}

// Print writes each finding as
//
//	file:line:col: error: message [code]
//	   12 | the source line
//	      |     ^^^^
//	  hint: what to do
//
// and returns the first write error.
func (p Printer) Print(fs ...Finding) error {
	for _, f := range fs {
		if _, err := io.WriteString(p.W, p.text(f)); err != nil {
			return err
		}
	}
	return nil
}

func (p Printer) text(f Finding) string {
	var b strings.Builder
	if !f.Pos.IsZero() {
		b.WriteString(p.paint("1", printable(f.Pos.String())) + ": ")
	}
	colour := map[Severity]string{Info: "36", Warning: "33", Error: "31"}[f.Severity]
	fmt.Fprintf(&b, "%s %s [%s]\n", p.paint("1;"+colour, f.Severity.String()+":"), printable(f.Message), f.Code())
	if f.Source != "" && f.Pos.Line > 0 {
		gutter := fmt.Sprintf("%5d | ", f.Pos.Line)
		b.WriteString(gutter + printable(f.Source) + "\n")
		if f.Pos.Column > 0 {
			pad := strings.Repeat(" ", len(gutter)-2) + "| "
			lead := []rune(f.Source)
			lead = lead[:min(f.Pos.Column-1, len(lead))]
			indent := strings.Repeat(" ", len(lead))
			b.WriteString(pad + indent + p.paint(colour, strings.Repeat("^", max(1, f.Width))) + "\n")
		}
	}
	if f.Hint != "" {
		b.WriteString("  hint: " + printable(f.Hint) + "\n")
	}
	return b.String()
}

// printable shows every character as one cell that can't drive a terminal: a tab
// as an arrow, other control characters as a replacement character. Text from a
// file stays aligned with its carets, and hostile files stay text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return '→'
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return utf8.RuneError
		}
		return r
	}, s)
}

func (p Printer) paint(code, s string) string {
	if !p.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// JSON is the promised JSON form of a finding (docs/cli.md).
type JSON struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint"`
}

// MarshalJSON writes the promised fields.
func (f Finding) MarshalJSON() ([]byte, error) {
	return json.Marshal(JSON{f.Code(), f.Severity, f.Pos.File, f.Pos.Line, f.Pos.Column, f.Message, f.Hint})
}
