package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/design"
	"github.com/usb4mesh/usb4mesh/internal/search"
)

func writeDesign(out io.Writer, r *design.Request, shown []design.Candidate, all int) error {
	var t table
	t.row("%s of %s, %s, %v Gbit/s per cable and direction", count(r.Nodes, "node"), count(r.Ports, "port"), r.Traffic, r.Gbps)
	t.end()
	t.row("")
	t.row("\twiring\thops\t\tafter a cut\tGbit/s\tforwards\theld back by\thalves\tcables\tdollars\tper Gbit/s\twatts")
	for i := range shown {
		c := &shown[i]
		t.row("%d\t%s\t%d\t%.3f\t%s\t%s\t%.1f\t%s\t%s\t%d\t%.2f\t%.2f\t%.0f", i+1, c.Name, c.Diameter, c.Average, cutText(c), gbpsText(c), c.Transit,
			tightText(c), halvesText(c), len(c.Links), c.Bill.USD(), c.USDPerGbps(), c.Bill.Watts())
	}
	t.end()
	if rest := all - len(shown); rest > 0 {
		t.row("and %d more, see --top", rest)
	}
	t.row("")
	t.row("hops: most, and on average; after a cut: the same after the worst, and the average over all cuts. No")
	t.row("wiring of %d nodes with %d ports has fewer than %.4f hops on average.", r.Nodes, r.Ports, shown[0].Bound)
	t.row("Gbit/s: what each node gets while all do the same; < where more may be possible, with the limit;")
	t.row("forwards: what it forwards for others meanwhile. Linux forwards 11 to 25 Gbit/s per flow; more is in doubt.")
	t.end()
	writeSearched(&t, shown)
	writeBill(&t, &shown[0])
	return t.flush(out)
}

// writeSearched says how good the searched wiring is known to be.
func writeSearched(t *table, shown []design.Candidate) {
	for i := range shown {
		c := &shown[i]
		if c.Proof == search.NoProof && c.Symmetry == "" {
			continue
		}
		line := fmt.Sprintf("%s: ", c.Name)
		switch c.Proof {
		case search.ByBound:
			line += "proven best, it reaches the lower bound"
		case search.ByTrying:
			line += "proven best, every graph was tried"
		default:
			line += fmt.Sprintf("%.2f%% above the lower bound", 100*(c.Average/c.Bound-1))
		}
		if c.PublishedBest > 0 {
			line += fmt.Sprintf(", %+.2f%% against the best published (%.3f)", 100*(c.Average/c.PublishedBest-1), c.PublishedBest)
		}
		if c.Symmetry != "" && c.Rounds > 0 {
			line += fmt.Sprintf("; symmetry %s, %s", c.Symmetry, count(c.Rounds, "round"))
		}
		t.row("%s.", line)
	}
}

func writeBill(t *table, c *design.Candidate) {
	t.end()
	t.row("")
	t.row("To buy for %s:", c.Name)
	t.end()
	for _, l := range c.Bill.Lines {
		if l.USD == 0 {
			continue
		}
		from := "of " + l.Date
		if l.Reason != "" {
			from = "assumed " + l.Date
		}
		t.row("  %d\t%s\t$%.2f\t%s", l.Count, l.Name, l.USDEach()*float64(l.Count), from)
	}
	t.end()
}

func cutText(c *design.Candidate) string {
	if c.Cut.Bridges > 0 {
		return fmt.Sprintf("parts (%d of %d)", c.Cut.Bridges, len(c.Links))
	}
	return fmt.Sprintf("%d, %.3f, %.3f", c.Cut.Diameter, c.Cut.Average, c.Cut.MeanAverage)
}

func gbpsText(c *design.Candidate) string {
	s := fmt.Sprintf("%.2f", c.Gbps)
	if c.Gbps < c.Limit*0.97 {
		s += fmt.Sprintf(" < %.2f", c.Limit)
	}
	if c.OverBudget {
		s += " (over budget)"
	}
	return s
}

func tightText(c *design.Candidate) string {
	if c.Tight < 0 {
		return "hub"
	}
	l := c.Links[c.Tight]
	return strings.Join([]string{c.NodeName(l[0]), c.NodeName(l[1])}, "-")
}

func halvesText(c *design.Candidate) string {
	if c.BisectionExact {
		return fmt.Sprint(c.Bisection)
	}
	return fmt.Sprintf("<=%d", c.Bisection)
}
