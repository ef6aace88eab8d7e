package status

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ago returns how long ago t was, in a few characters; "-" if it never was.
func (w *screen) ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := w.now.Sub(t); {
	case d < time.Second: // also a moment ahead, by a clock that was set
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
	}
}

func millis(ms float64) string {
	if ms < 10 && ms != float64(int(ms)) {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what + "s"
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// clean makes each character one that can't drive a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return utf8.RuneError
		}
		return r
	}, s)
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:max(0, n-1)]) + "…"
}

// wrap breaks s at spaces into lines of at most n characters; longer words are
// broken anywhere. There is at least one line.
func wrap(s string, n int) []string {
	var lines []string
	line, room := "", n
	for word := range strings.FieldsSeq(s) {
		length := utf8.RuneCountInString(word)
		if line != "" && length+1 > room {
			lines, line, room = append(lines, line), "", n
		}
		if line != "" {
			line, room = line+" ", room-1
		}
		for length > room {
			r := []rune(word)
			lines, word, length = append(lines, line+string(r[:room])), string(r[room:]), length-room
			line, room = "", n
		}
		line, room = line+word, room-length
	}
	return append(lines, line)
}

// indent puts first before the first line and rest before the others.
func indent(lines []string, first, rest string) []string {
	for i := range lines {
		if i == 0 {
			lines[i] = first + lines[i]
		} else {
			lines[i] = rest + lines[i]
		}
	}
	return lines
}

type cell struct{ text, colour string }

// table aligns cells by characters. Rows that are too long for the screen lose
// the ends of their longest cells.
type table struct {
	w     *screen
	title string
	rows  [][]cell // the first is the head
}

func (w *screen) table(title string, head ...string) *table {
	t := &table{w: w, title: title}
	cells := make([]cell, len(head))
	for i, h := range head {
		cells[i] = cell{h, dim}
	}
	t.row(cells...)
	return t
}

func (t *table) row(cells ...cell) {
	for i := range cells {
		cells[i].text = clean(cells[i].text)
	}
	t.rows = append(t.rows, cells)
}

const (
	margin     = "  "
	minColumn  = 3
	columnRoom = 2 // between two columns
)

// write writes the table, unless it has no rows.
func (t *table) write() {
	if len(t.rows) == 1 {
		return
	}
	widths := t.widths()
	t.w.b.WriteString("\n" + t.w.paint(bold, t.title) + "\n")
	for _, row := range t.rows {
		line, pending := margin, 0
		for i, c := range row {
			text := cut(c.text, widths[i])
			line += strings.Repeat(" ", pending) + t.w.paint(c.colour, text)
			pending = widths[i] - utf8.RuneCountInString(text) + columnRoom
		}
		t.w.b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// widths fits the columns to their cells and then to the screen, by narrowing the
// widest column again and again.
func (t *table) widths() []int {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	room := t.w.width - len(margin) - columnRoom*(len(widths)-1)
	for {
		sum, widest := 0, 0
		for i, n := range widths {
			sum += n
			if n >= widths[widest] {
				widest = i
			}
		}
		if sum <= room || widths[widest] <= minColumn {
			return widths
		}
		widths[widest]--
	}
}
