package lab

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteText writes the report for a person. Colour wraps the verdict in ANSI
// colours; the words carry the meaning without them.
func (r *Report) WriteText(w io.Writer, colour bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Mesh %s: %s, %s; configured by %s in %.0f ms; Linux %s\n", r.Mesh,
		count(r.Nodes, "node"), count(r.Cables, "cable"), r.Apply, r.ReadyMillis, r.Kernel)
	r.writePairs(&b)
	if r.ThroughputTool != "" {
		r.writeRates(&b)
	}
	if len(r.Cuts) > 0 {
		r.writeCuts(&b)
	}
	b.WriteString("\nWhat stands in on this machine\n")
	for _, s := range r.StandIns {
		b.WriteString("  - " + s + "\n")
	}
	for _, n := range r.Notes {
		b.WriteString("\nNote: " + n + ".\n")
	}
	b.WriteString("\n" + r.verdict(colour))
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writePairs(b *strings.Builder) {
	b.WriteString("\nReach\n")
	for _, family := range []string{IPv4, IPv6} {
		var all, good int
		for _, p := range r.Pairs {
			if p.Family == family {
				all++
				if p.Reachable {
					good++
				}
			}
		}
		if all > 0 {
			fmt.Fprintf(b, "  %s  %d of %d ordered pairs\n", family, good, all)
		}
	}
	for _, p := range r.Pairs {
		if !p.Reachable {
			fmt.Fprintf(b, "  %s to %s over %s: %s\n", p.From, p.To, p.Family, p.Why)
		}
	}
}

// writeRates writes a matrix per family: rows send, columns receive.
func (r *Report) writeRates(b *strings.Builder) {
	var nodes []string
	rate := map[Pair]*float64{}
	for _, p := range r.Pairs {
		if !slices.Contains(nodes, p.From) {
			nodes = append(nodes, p.From)
		}
		rate[p.Pair] = p.Gbps
	}
	tool := "one iperf3 TCP stream"
	if r.ThroughputTool == Stream {
		tool = "one plain TCP stream (iperf3 is not installed)"
	}
	fmt.Fprintf(b, "\nThroughput in Gbit/s, %s per pair; the row sends, the column receives\n", tool)
	width := 6
	for _, n := range nodes {
		width = max(width, len(n)+2)
	}
	for _, family := range []string{IPv4, IPv6} {
		if !slices.ContainsFunc(r.Pairs, func(p PairResult) bool { return p.Family == family }) {
			continue
		}
		fmt.Fprintf(b, "  %-*s", width, family)
		for _, to := range nodes {
			fmt.Fprintf(b, "%*s", width, to)
		}
		b.WriteString("\n")
		for _, from := range nodes {
			fmt.Fprintf(b, "  %-*s", width, from)
			for _, to := range nodes {
				cell := "-"
				if g := rate[Pair{from, to, family}]; g != nil {
					cell = fmt.Sprintf("%.1f", *g)
				}
				fmt.Fprintf(b, "%*s", width, cell)
			}
			b.WriteString("\n")
		}
	}
}

func (r *Report) writeCuts(b *strings.Builder) {
	b.WriteString("\nCuts, probed both ways in both families\n")
	writeCutTable(b, r.Cuts)
	b.WriteString(r.spacings())
	if n := r.separated(); n > 0 {
		fmt.Fprintf(b, "  %s, because the cut left no other way.\n", plural(n, "pair and cut was not judged", "pairs and cuts were not judged"))
	}
	if len(r.HeldBack) > 0 {
		b.WriteString("\nCuts that the kernel noticed late, measured apart\n")
		writeCutTable(b, r.HeldBack)
	}
}

func writeCutTable(b *strings.Builder, cuts []CutResult) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  cable\tbetween\thow\tprobes\tlost\tlongest gap\tworst pair\tdirect again")
	for _, c := range cuts {
		worst, restored := "-", "no: "+c.Missing
		if c.Worst != nil {
			worst = fmt.Sprintf("%s to %s %s: %d", c.Worst.From, c.Worst.To, c.Worst.Family, c.Worst.Lost)
		}
		if c.Restored {
			restored = fmt.Sprintf("after %.0f ms", c.RestoredMillis)
			if c.LostReplug > 0 {
				restored += fmt.Sprintf(" (%d lost)", c.LostReplug)
			}
		}
		how := c.How
		if c.How == Carrier {
			how += " at " + c.End
		}
		if c.HeldBack {
			how += fmt.Sprintf(", held back %.0f ms", *c.NoticedMillis)
		}
		if c.After != "" {
			how += ", 2 s after " + c.After
		}
		if c.Repeated > 0 {
			how += fmt.Sprintf(", repeated %d times", c.Repeated)
		}
		cable, ends := c.Cable, c.Ends[0]+" "+c.Ends[1]
		if c.Cable == "" {
			cable, ends = "-", c.End
		}
		if c.LoadGbps != nil {
			how += fmt.Sprintf(", under %.1f Gbit/s", *c.LoadGbps)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d\t%d\t%.0f ms\t%s\t%s\n",
			cable, ends, how, c.Probes, c.Lost, c.LongestGap, worst, restored)
	}
	t.Flush() // a strings.Builder takes everything
}

// spacings says how densely pairs were probed.
func (r *Report) spacings() string {
	seen := []string{}
	for _, c := range r.Cuts {
		var parts []string
		for _, g := range c.Spacing {
			parts = append(parts, fmt.Sprintf("%s every %g ms", count(g.Pairs, "pair"), g.Millis))
		}
		if s := strings.Join(parts, ", "); !slices.Contains(seen, s) {
			seen = append(seen, s)
		}
	}
	return "  Probes: " + strings.Join(seen, "; ") + " (each family of a direction counts as a pair).\n"
}

func (r *Report) separated() (n int) {
	for _, c := range r.Cuts {
		n += len(c.Separated)
	}
	return n
}

func (r *Report) verdict(colour bool) string {
	paint := func(code, s string) string {
		if !colour {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	if !r.OK {
		s := paint("1;31", "FAILED") + fmt.Sprintf(" after %.0f s:\n", r.Seconds)
		for _, p := range r.Problems {
			s += "  - " + p + "\n"
		}
		return s
	}
	what := "every pair is reached"
	if r.Apply == AgentEngine && len(r.Cuts) > 0 {
		what += r.worstByBound()
	} else if len(r.Cuts) > 0 {
		worst := 0
		for _, c := range r.Cuts {
			if c.Worst != nil && c.How != Silent && !c.HeldBack {
				worst = max(worst, c.Worst.Lost)
			}
		}
		lost := "no pair lost a probe"
		if worst > 0 {
			lost = "no pair lost more than " + count(worst, "probe")
		}
		what += ", " + lost + " in a cut, all planned paths came back"
	}
	return paint("1;32", "OK") + fmt.Sprintf(": %s (%.0f s).\n", what, r.Seconds)
}

// worstByBound says, for each bound, what was lost at most.
func (r *Report) worstByBound() string {
	worst := map[float64]float64{}
	for _, c := range slices.Concat(r.Cuts, r.HeldBack) {
		w := worst[c.AllowedMillis]
		if c.Worst != nil {
			w = max(w, c.Worst.Millis)
		}
		worst[c.AllowedMillis] = w
	}
	var s string
	for _, bound := range slices.Sorted(maps.Keys(worst)) {
		s += fmt.Sprintf(", at most %g ms were lost of %g allowed", worst[bound], bound)
	}
	return s + ", all planned paths came back without loss, and the agents left no trace"
}

func count(n int, what string) string { return plural(n, what, what+"s") }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
