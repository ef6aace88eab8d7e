package chaos

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteText writes the report for a person: a line per kind of step, what the agents
// hold, and the verdict with the seed. Colour wraps the verdict in ANSI colours.
func (r *Report) WriteText(w io.Writer, colour bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Mesh %s: %d nodes, %d cables, an agent in each; Linux %s; seed %d, %d steps\n\n", r.Mesh, r.Nodes, r.Cables, r.Kernel, r.Seed, len(r.Steps))
	r.writeKinds(&b)
	r.writeAgents(&b)
	if len(r.StandIns) > 0 {
		b.WriteString("\nWhat stands in on this machine\n")
	}
	for _, s := range r.StandIns {
		b.WriteString("  - " + s + "\n")
	}
	verdict := fmt.Sprintf("\nOK: after each of %d steps every pair that was connected was reached on its shortest way, and every table was right; nothing leaked (%.0f s, seed %d).\n", len(r.Steps), r.Seconds, r.Seed)
	paint := "1;32"
	if !r.OK {
		paint = "1;31"
		verdict = fmt.Sprintf("\nFAILED after %.0f s; --seed %d --steps %d does the same steps again:\n", r.Seconds, r.Seed, max(1, len(r.Steps)))
	}
	if colour {
		word, rest, _ := strings.Cut(strings.TrimPrefix(verdict, "\n"), " ")
		verdict = "\n\x1b[" + paint + "m" + word + "\x1b[0m " + rest
	}
	b.WriteString(verdict)
	for _, p := range r.Problems {
		b.WriteString("  - " + p + "\n")
	}
	r.writeLast(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeKinds says how long steps of each kind took to settle, and what the slowest
// waited for.
func (r *Report) writeKinds(b *strings.Builder) {
	took := map[Kind][]float64{}
	var slowest StepResult
	for _, s := range r.Steps {
		took[s.Kind] = append(took[s.Kind], s.SettledMillis)
		if s.SettledMillis > slowest.SettledMillis {
			slowest = s
		}
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  step\ttimes\tsettled: median\tworst")
	for _, w := range weights {
		all := took[w.kind]
		if len(all) == 0 {
			continue
		}
		slices.Sort(all)
		fmt.Fprintf(t, "  %s\t%d\t%.0f ms\t%.0f ms\n", w.kind, len(all), all[len(all)/2], all[len(all)-1])
	}
	t.Flush() // a strings.Builder takes everything
	if slowest.WaitedFor != "" {
		fmt.Fprintf(b, "  The slowest, step %s, waited for this: %s\n", slowest.Step, slowest.WaitedFor)
	}
}

func (r *Report) writeAgents(b *strings.Builder) {
	if len(r.Agents) == 0 {
		return
	}
	b.WriteString("\nAgents, at the start and at the end, with the same cables\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  node\tstarts\topen files\tgoroutines\tthreads\tmemory (RSS)")
	for _, a := range r.Agents {
		fmt.Fprintf(t, "  %s\t%d\t%d, %d\t%d, %d\t%d, %d\t%.1f, %.1f MiB\n", a.Node, a.Starts, a.Files[0], a.Files[1],
			a.Goroutines[0], a.Goroutines[1], a.Threads[0], a.Threads[1], float64(a.RSS[0])/(1<<20), float64(a.RSS[1])/(1<<20))
	}
	t.Flush()
}

// writeLast shows the steps before a failure, and all that was wrong.
func (r *Report) writeLast(b *strings.Builder) {
	if r.OK || len(r.Steps) == 0 {
		return
	}
	b.WriteString("The last steps:\n")
	for _, s := range r.Steps[max(0, len(r.Steps)-6):] {
		fmt.Fprintf(b, "  %s%s; out: %s; settled in %.0f ms\n", s.Step, prefixed(", it was ", s.Done), cmp.Or(strings.Join(s.Out, " "), "none"), s.SettledMillis)
		for _, line := range s.Wrong {
			b.WriteString("    " + line + "\n")
		}
	}
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
