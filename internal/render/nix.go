package render

import "strings"

// nixString quotes s as a Nix string. Every dollar sign is escaped, since a
// following brace would start an expression; a line end is written as \n, since
// Nix reads a raw \r\n as \n. A NUL has no place in a Nix string, see badValue.
// Nix manual, "String literals".
func nixString(s string) string {
	return `"` + nixEscapes.Replace(s) + `"`
}

var nixEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// nixList writes strings as a list on one line.
func nixList(items []string) string {
	var b strings.Builder
	b.WriteString("[ ")
	for _, s := range items {
		b.WriteString(nixString(s) + " ")
	}
	return b.String() + "]"
}

// nixWriter writes indented lines of Nix.
type nixWriter struct {
	b     strings.Builder
	depth int
}

// line writes one line at the present depth.
func (w *nixWriter) line(parts ...string) {
	if text := strings.Join(parts, ""); text != "" {
		w.b.WriteString(strings.Repeat("  ", w.depth) + text)
	}
	w.b.WriteByte('\n')
}

// block writes open, the body one level deeper, and end.
func (w *nixWriter) block(open, end string, body func()) {
	w.line(open)
	w.depth++
	body()
	w.depth--
	w.line(end)
}
