package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/usb4mesh/usb4mesh/internal/design"
	"github.com/usb4mesh/usb4mesh/internal/draw"
	"github.com/usb4mesh/usb4mesh/internal/render"
)

func newDesignScaleCommand() *cobra.Command {
	var (
		most          int
		gbps, forward float64
		prices        string
		seed          uint64
		limit         time.Duration
		out           string
		asJSON        bool
	)
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "Show where USB4 stops making sense: curves over the number of nodes",
		Long: `scale computes hops, throughput per node while all send to all, dollars per Gbit/s and watts of
rings, random wirings of 3, 4 and 8 ports, pods of fully meshed nodes joined by 25 Gbit/s
Ethernet, and Ethernet of every speed for sale, and says from how many nodes on which
Ethernet is the cheaper per Gbit/s. --out writes the curves as SVG.`,
		Example: `  usb4mesh design scale --most 100
  usb4mesh design scale --most 300 --out build/curves`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := readPrices(prices)
			if err != nil {
				return err
			}
			r := design.Request{Gbps: gbps, Forward: forward, Prices: list, Seed: seed, Stop: stopAfter(cmd.Context(), limit)}
			talk := func(string) {}
			if w, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(w.Fd())) {
				talk = func(what string) { fmt.Fprintf(w, "\r\x1b[K%s", what) }
				defer fmt.Fprint(w, "\r\x1b[K")
			}
			curves, err := design.Grow(r, most, talk)
			switch {
			case cmd.Context().Err() != nil:
				return &exitError{exitInterrupted, fmt.Errorf("interrupted")}
			case err != nil:
				return err
			}
			if out != "" {
				tree := fileTree{out}
				for name, c := range scaleCharts(curves, gbps, forward) {
					if err := tree.write(render.File{Path: name, Mode: 0o644, Data: c.SVG()}); err != nil {
						return err
					}
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), scaleToJSON(curves))
			}
			return writeScale(cmd.OutOrStdout(), curves, most)
		},
	}
	cmd.Flags().IntVar(&most, "most", 1000, "nodes to go up to")
	cmd.Flags().Float64Var(&gbps, "gbps", design.DefaultGbps, "what a cable carries per direction")
	cmd.Flags().Float64Var(&forward, "forward", design.DefaultForward, "Gbit/s that a node can forward for others")
	cmd.Flags().StringVar(&prices, "prices", "", "your prices, a file in the form of internal/catalog/prices.yaml")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "of the random wirings")
	cmd.Flags().DurationVar(&limit, "time", 10*time.Minute, "give up after this time")
	cmd.Flags().StringVar(&out, "out", "", "write the curves as SVG into this directory")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the points as JSON")
	_ = cmd.MarkFlagDirname("out")
	_ = cmd.MarkFlagFilename("prices", "yaml", "yml")
	return cmd
}

func writeScale(out io.Writer, curves []design.Curve, most int) error {
	var t table
	t.row("network\tnodes\thops\t\tGbit/s per node\tdollars\tper Gbit/s\twatts")
	for i := range curves {
		c := &curves[i]
		for k, p := range c.Points {
			if k != 0 && k != len(c.Points)-1 && k != len(c.Points)/3 && k != 2*len(c.Points)/3 {
				continue
			}
			t.row("%s\t%d\t%d\t%.2f\t%.3g\t%.0f\t%.2f\t%.0f", c.Name, p.Nodes, p.Diameter, p.Average, p.Gbps, p.USD, p.USDPerGbps(), p.Watts)
		}
	}
	t.end()
	t.row("")
	t.row("Cheaper per Gbit/s than")
	for _, l := range breakEvens(curves, most) {
		t.row("  %s", l)
	}
	return t.flush(out)
}

// scaleCharts makes the pictures of docs/scaling.md.
func scaleCharts(curves []design.Curve, gbps, forward float64) map[string]*draw.Chart {
	nodes := draw.Axis{Label: "nodes", Log: true}
	hops := &draw.Chart{Title: "How far it is to the others", Note: "hops between two nodes, on average", X: nodes, Y: draw.Axis{Label: "hops", Log: true}}
	speed := &draw.Chart{Title: "What is left for each node", Note: fmt.Sprintf("while all send to all at once; a USB4 cable carries %v Gbit/s, a node forwards %v", gbps, forward), X: nodes, Y: draw.Axis{Label: "Gbit/s per node", Log: true}}
	usd := &draw.Chart{Title: "What a delivered Gbit/s costs", Note: "network only, without the nodes; many prices are assumptions", X: nodes, Y: draw.Axis{Label: "dollars per Gbit/s", Log: true}}
	watts := &draw.Chart{Title: "What a delivered Gbit/s draws", Note: "network only; a USB4 port in use is taken to draw 1 W", X: nodes, Y: draw.Axis{Label: "watts per Gbit/s", Log: true}}
	for _, c := range curves {
		ethernet := c.Points[0].Diameter == 0
		add := func(chart *draw.Chart, value func(design.Point) float64) {
			s := draw.Series{Name: c.Name, Dashed: ethernet}
			for _, p := range c.Points {
				s.Points = append(s.Points, [2]float64{float64(p.Nodes), value(p)})
			}
			chart.Series = append(chart.Series, s)
		}
		if !ethernet {
			add(hops, func(p design.Point) float64 { return p.Average })
		}
		add(speed, func(p design.Point) float64 { return p.Gbps })
		add(usd, design.Point.USDPerGbps)
		add(watts, func(p design.Point) float64 { return p.Watts / (p.Gbps * float64(p.Nodes)) })
	}
	return map[string]*draw.Chart{"scaling-hops.svg": hops, "scaling-throughput.svg": speed, "scaling-dollars.svg": usd, "scaling-watts.svg": watts}
}

type (
	scaleJSON struct {
		Curves []curveJSON `json:"curves"`
	}
	curveJSON struct {
		Name   string      `json:"name"`
		Points []pointJSON `json:"points"`
	}
	pointJSON struct {
		Nodes      int     `json:"nodes"`
		Diameter   int     `json:"diameter,omitempty"`
		Average    float64 `json:"average_hops,omitempty"`
		Gbps       float64 `json:"throughput_gbps_per_node"`
		USD        float64 `json:"cost_usd"`
		USDPerGbps float64 `json:"usd_per_gbps"`
		Watts      float64 `json:"watts"`
	}
)

func scaleToJSON(curves []design.Curve) scaleJSON {
	out := scaleJSON{Curves: []curveJSON{}}
	for _, c := range curves {
		j := curveJSON{Name: c.Name, Points: []pointJSON{}}
		for _, p := range c.Points {
			j.Points = append(j.Points, pointJSON{p.Nodes, p.Diameter, p.Average, p.Gbps, p.USD, p.USDPerGbps(), p.Watts})
		}
		out.Curves = append(out.Curves, j)
	}
	return out
}
