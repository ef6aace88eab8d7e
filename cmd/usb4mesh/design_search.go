package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/draw"
	"github.com/usb4mesh/usb4mesh/internal/search"
)

// searchRun is one search, and when it found what.
type searchRun struct {
	nodes, ports int
	result       search.Result
	seconds      float64 // when the result was found
	steps        []searchStep
}

// searchStep is a graph found on the way.
type searchStep struct {
	seconds, gap float64
	diameter     int
}

func newDesignSearchCommand() *cobra.Command {
	var (
		sizes  []string
		limit  time.Duration
		seed   uint64
		svg    string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "search --size NODESxPORTS ...",
		Short: "Show how near the search comes to the best that is known, and how fast",
		Long: `search runs the search of design alone, for each size in turn, and compares what it found
with the lower bound and with the best graph published (Graph Golf). --svg draws how
the distance to the bound shrinks over time.`,
		Example: `  usb4mesh design search --size 16x3 --size 36x3 --time 5s
  usb4mesh design search --size 64x8 --time 60s --svg build/search.svg`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(sizes) == 0 || limit <= 0 {
				return usageError("name a size, such as --size 36x3, and a --time above 0")
			}
			var runs []searchRun
			for _, size := range sizes {
				var r searchRun
				if n, err := fmt.Sscanf(size, "%dx%d", &r.nodes, &r.ports); n != 2 || err != nil {
					return usageError("--size %q: want nodes and ports, such as 36x3", size)
				}
				if err := r.run(seed, limit, stopAfter(cmd.Context(), limit)); err != nil {
					return usageError("%w", err)
				}
				if cmd.Context().Err() != nil {
					return &exitError{exitInterrupted, fmt.Errorf("interrupted")}
				}
				runs = append(runs, r)
			}
			if svg != "" {
				if err := os.WriteFile(svg, searchChart(runs).SVG(), 0o644); err != nil {
					return err
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), searchToJSON(runs))
			}
			return writeSearch(cmd.OutOrStdout(), runs)
		},
	}
	cmd.Flags().StringSliceVar(&sizes, "size", nil, "nodes and ports (repeatable)")
	cmd.Flags().DurationVar(&limit, "time", 60*time.Second, "time for each size")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "of the search")
	cmd.Flags().StringVar(&svg, "svg", "", "draw the progress into this file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	_ = cmd.MarkFlagFilename("svg", "svg")
	_ = cmd.RegisterFlagCompletionFunc("size", cobra.NoFileCompletions)
	return cmd
}

func (r *searchRun) run(seed uint64, limit time.Duration, stop func() bool) error {
	start := time.Now()
	var err error
	r.result, err = search.Find(search.Problem{Nodes: r.nodes, Ports: r.ports}, search.Control{
		Seed: seed, Workers: runtime.GOMAXPROCS(0), Stop: stop,
		Progress: func(f *search.Result) {
			r.seconds = time.Since(start).Seconds()
			r.steps = append(r.steps, searchStep{r.seconds, gap(f.Average, f.Bound.Average), f.Diameter})
		},
	})
	if err == nil && r.result.Links == nil {
		err = fmt.Errorf("%d nodes of %d ports: no wiring found", r.nodes, r.ports)
	}
	if err == nil { // nothing better until the end
		end := limit.Seconds()
		if r.result.Proof != search.NoProof {
			end = r.seconds
		}
		r.steps = append(r.steps, searchStep{end, gap(r.result.Average, r.result.Bound.Average), r.result.Diameter})
	}
	return err
}

// gap is how far a is above b, in percent.
func gap(a, b float64) float64 { return 100 * (a/b - 1) }

func writeSearch(out io.Writer, runs []searchRun) error {
	var t table
	t.row("nodes\tports\tdiameter\thops\tbound\tabove\tpublished\tabove\tafter\tsymmetry\trounds")
	for _, r := range runs {
		published, above := "-", "-"
		if p, ok := search.BestPublished(r.nodes, r.ports); ok {
			published = fmt.Sprintf("%d, %.3f", p.Diameter, p.Average)
			above = fmt.Sprintf("%.2f%%", gap(r.result.Average, p.Average))
		}
		proof := ""
		if r.result.Proof != search.NoProof {
			proof = ", best (" + string(r.result.Proof) + ")"
		}
		f := r.result
		t.row("%d\t%d\t%d\t%.4f%s\t%.4f\t%.2f%%\t%s\t%s\t%.1f s\t%s\t%d", r.nodes, r.ports, f.Diameter, f.Average, proof, f.Bound.Average,
			gap(f.Average, f.Bound.Average), published, above, r.seconds, f.Symmetry, f.Rounds)
	}
	t.end()
	t.row("")
	t.row("published: %s", search.PublishedSource)
	return t.flush(out)
}

func searchChart(runs []searchRun) *draw.Chart {
	c := &draw.Chart{
		Title: "How near the search comes", Note: "average hops above the lower bound, once the diameter is as it stays; dashed: published",
		X: draw.Axis{Label: "seconds of search", Log: true}, Y: draw.Axis{Label: "% above the lower bound", Log: true},
	}
	for _, r := range runs {
		s := draw.Series{Name: fmt.Sprintf("%d nodes, %d ports", r.nodes, r.ports)}
		// Graphs of a larger diameter may have fewer hops on average: not comparable, left
		// out. A staircase, since what was found holds until something better is.
		last := -1.0
		for _, p := range r.steps {
			if p.diameter != r.result.Diameter {
				continue
			}
			if last >= 0 {
				s.Points = append(s.Points, [2]float64{p.seconds, last})
			}
			s.Points = append(s.Points, [2]float64{p.seconds, p.gap})
			last = p.gap
		}
		c.Series = append(c.Series, s)
		if p, ok := search.BestPublished(r.nodes, r.ports); ok {
			above := gap(p.Average, r.result.Bound.Average)
			c.Series = append(c.Series, draw.Series{Dashed: true, Name: fmt.Sprintf("%d, %d: published", r.nodes, r.ports),
				Points: [][2]float64{{r.steps[0].seconds, above}, {r.steps[len(r.steps)-1].seconds, above}}})
		}
	}
	return c
}

type (
	searchJSON struct {
		Searches []searchRunJSON `json:"searches"`
	}
	searchRunJSON struct {
		Nodes     int      `json:"nodes"`
		Ports     int      `json:"ports"`
		Diameter  int      `json:"diameter"`
		Average   float64  `json:"average_hops"`
		Bound     float64  `json:"lower_bound_average_hops"`
		Published float64  `json:"best_published_average_hops,omitempty"`
		Proof     string   `json:"proven_best_by,omitempty"`
		Symmetry  string   `json:"symmetry"`
		Rounds    int      `json:"rounds"`
		Seconds   float64  `json:"seconds"`
		Edges     [][2]int `json:"edges"` // nodes count from 1
	}
)

func searchToJSON(runs []searchRun) searchJSON {
	out := searchJSON{Searches: []searchRunJSON{}}
	for _, r := range runs {
		j := searchRunJSON{
			Nodes: r.nodes, Ports: r.ports, Diameter: r.result.Diameter, Average: r.result.Average, Bound: r.result.Bound.Average,
			Proof: string(r.result.Proof), Symmetry: r.result.Symmetry, Rounds: r.result.Rounds, Seconds: r.seconds, Edges: [][2]int{},
		}
		if p, ok := search.BestPublished(r.nodes, r.ports); ok {
			j.Published = p.Average
		}
		for _, l := range r.result.Links {
			j.Edges = append(j.Edges, [2]int{l[0] + 1, l[1] + 1})
		}
		out.Searches = append(out.Searches, j)
	}
	return out
}
