package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table gathers lines of tab-separated cells and aligns them block by block.
type table struct {
	done  bytes.Buffer
	block []string
}

// row adds a line to the block.
func (t *table) row(format string, args ...any) {
	t.block = append(t.block, fmt.Sprintf(format, args...))
}

// end closes the block: what follows is aligned anew.
func (t *table) end() {
	var aligned bytes.Buffer
	w := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	for _, line := range t.block {
		_, _ = io.WriteString(w, line+"\n") // a buffer takes everything
	}
	_ = w.Flush()
	for line := range strings.Lines(aligned.String()) {
		t.done.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	t.block = nil
}

// flush writes everything to out.
func (t *table) flush(out io.Writer) error {
	t.end()
	_, err := t.done.WriteTo(out)
	return err
}
