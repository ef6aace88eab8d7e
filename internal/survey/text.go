package survey

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// WriteText writes the report for a terminal.
func (r *Report) WriteText(w io.Writer, colour bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", r.title(), r.summary())
	for _, q := range r.heatmaps() {
		fmt.Fprintf(&b, "\n%s, %s, from row to column (* not good)\n", q.title, q.unit)
		r.matrix(&b, q)
	}
	if l := r.Load; l != nil {
		fmt.Fprintf(&b, "\nAll pairs at once: %s Gbit/s in all; if all had the same, each could have %s over the planned paths, %s over any; fairness %.3f\n",
			three(l.TotalGbps), three(l.EvenGbps), three(l.LimitGbps), l.Fairness)
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "from\tto\tGbit/s\tfair share\t")
		for _, p := range l.Pairs {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", p.From, p.To, three(p.Gbps), three(p.ShareGbps))
		}
		t.Flush()
	}
	b.WriteString("\n")
	if len(r.Findings) == 0 {
		fmt.Fprintf(&b, "All %d pairs are good.\n", len(r.Pairs))
	}
	all := make([]finding.Finding, 0, len(r.Findings))
	for _, v := range r.Findings {
		all = append(all, v.Finding)
	}
	if err := (finding.Printer{W: &b, Color: colour}).Print(all...); err != nil {
		return err
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) matrix(b *strings.Builder, q quantity) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t%s\t\n", strings.Join(r.Nodes, "\t"))
	for _, from := range r.Nodes {
		fmt.Fprint(t, from)
		for _, to := range r.Nodes {
			text := ""
			if p := r.pair(from, to); p != nil {
				text = "–"
				if v, ok := q.value(p); ok {
					text = q.format(v)
				}
				if p.Verdict != good && p.Verdict != "" {
					text += "*"
				}
			}
			fmt.Fprintf(t, "\t%s", text)
		}
		fmt.Fprintln(t, "\t")
	}
	t.Flush()
}
