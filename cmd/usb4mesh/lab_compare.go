package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/draw"
	"github.com/usb4mesh/usb4mesh/internal/lab"
)

func newLabCompareCommand() *cobra.Command {
	var (
		o             lab.CompareOptions
		asJSON        bool
		svg, markdown string
	)
	cmd := &cobra.Command{
		Use:   "compare FILE",
		Short: "Put the compiled tables beside routing daemons: same mesh, same cuts",
		Long: `compare builds the mesh of a cluster file once for each engine, one after the other, and
does the same with each: waits until all pairs answer, looks at what its processes use
while idle, and takes each cable out while every pair is probed, in both families. It
reports the time that the pair lost which was hit worst.

Engines: compiled (usb4mesh's tables, applied once, nothing running), agent (its agent in
every node), static (floating routes alone), frr-ospf, frr-bgp and frr-openfabric (FRR,
tuned, with BFD), and frr-openfabric-default (as its defaults are). FRR takes root, and the package frr.

How a cable is cut: delete removes the interfaces at both ends, as the driver does on
unplug; carrier sets one end down; held does the same 200 ms after another carrier event
on this machine, so that the kernel holds the news back for up to a second; silent drops
every frame while carrier stays, which only daemons can see.`,
		Example: `  usb4mesh lab compare examples/seed-identity/mesh.yaml --engines compiled,static
  usb4mesh lab compare examples/ring4/mesh.yaml --how delete,carrier --rounds 2 --svg failover.svg`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownWords("--engines", o.Engines, append(lab.CompareEngines(), lab.Engines()...)); err != nil {
				return err
			}
			if err := knownWords("--how", o.How, lab.CompareKinds()); err != nil {
				return err
			}
			p, src, err := loadPlanSource(cmd, args[0])
			if err != nil {
				return err
			}
			talk := newProgress(cmd.ErrOrStderr())
			defer talk.end()
			o.Progress, o.Cluster = talk.step, src
			c, err := lab.Compare(cmd.Context(), p, o)
			talk.end()
			if err != nil {
				return err
			}
			if svg != "" {
				if err := os.WriteFile(svg, draw.Failover(failoverPicture(c)), 0o644); err != nil {
					return err
				}
			}
			if markdown != "" {
				var text bytes.Buffer
				if err := c.WriteMarkdown(&text); err != nil {
					return err
				}
				if err := os.WriteFile(markdown, text.Bytes(), 0o644); err != nil {
					return err
				}
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), c)
			} else {
				err = c.WriteText(cmd.OutOrStdout())
			}
			if failed := failedEngines(c); err == nil && len(failed) > 0 {
				return fmt.Errorf("not compared: %s", strings.Join(failed, "; "))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Engines, "engines", lab.CompareEngines(), "what to compare")
	f.StringSliceVar(&o.How, "how", []string{lab.Delete, lab.Carrier}, "how cables are cut: delete, carrier, held, silent")
	f.IntVar(&o.Rounds, "rounds", 1, "cuts of each cable and kind; the end alternates")
	f.DurationVar(&o.Idle, "idle", 5*time.Second, "how long to watch the idle nodes")
	f.IntVar(&o.Throughput, "throughput", 0, "turns in which each pair is measured beside a bare cable; 0 for none")
	f.BoolVar(&asJSON, "json", false, "print the comparison as JSON, with every cut")
	f.StringVar(&svg, "svg", "", "write a picture of the cuts to this file")
	f.StringVar(&markdown, "markdown", "", "write the tables as Markdown to this file")
	_ = cmd.RegisterFlagCompletionFunc("engines", completeWords(append(lab.CompareEngines(), lab.Engines()...)...))
	_ = cmd.RegisterFlagCompletionFunc("how", completeWords(lab.CompareKinds()...))
	return cmd
}

// knownWords refuses a word that is not on the list before anything is built.
func knownWords(flag string, words, known []string) error {
	for _, w := range words {
		if !slices.Contains(known, w) {
			slices.Sort(known)
			return usageError("%s %s: use one of %s", flag, w, strings.Join(slices.Compact(known), ", "))
		}
	}
	return nil
}

func failedEngines(c lab.Comparison) (failed []string) {
	for _, e := range c.Engines {
		if e.Error != "" {
			failed = append(failed, e.Engine+": "+e.Error)
		}
	}
	return failed
}

// failoverPicture says what of a comparison is drawn.
func failoverPicture(c lab.Comparison) draw.Plot {
	p := draw.Plot{
		Title:    "What a cut cable costs",
		Subtitle: fmt.Sprintf("Time lost by the pair of nodes that was hit worst, one dot per cut; mesh %s, %d nodes, %d cables", c.Mesh, c.Nodes, c.Cables),
		Note:     fmt.Sprintf("Probes every %g ms over IPv4 and IPv6 between all pairs, Linux %s, veth cables on one machine, %s.", c.SpacingMS, c.Kernel, c.Started.Format("2006-01-02")),
		Unit:     c.SpacingMS,
	}
	for _, e := range c.Engines {
		if e.Error != "" {
			continue
		}
		row := draw.PlotRow{Name: lab.EngineWords(e), Costs: e.CostWords()}
		for _, cut := range e.Cuts {
			i := slices.Index(lab.CompareKinds(), cut.Kind())
			row.Dots = append(row.Dots, draw.PlotDot{Kind: i, MS: cut.WorstMS, Never: !cut.Healed})
		}
		p.Rows = append(p.Rows, row)
	}
	for _, how := range lab.CompareKinds() {
		p.Kinds = append(p.Kinds, lab.CutWords(how))
	}
	return p
}
