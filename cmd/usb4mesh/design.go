package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/usb4mesh/usb4mesh/internal/catalog"
	"github.com/usb4mesh/usb4mesh/internal/design"
)

// designFlags are the flags that design and its sub-verbs share.
type designFlags struct {
	nodes, ports int
	gbps         float64
	traffic      string
	layout       string
	across       float64
	upward       float64
	budget       float64
	hubPorts     int
	prices       string
	seed         uint64
	rounds       int
	limit        time.Duration
}

func newDesignCommand() *cobra.Command {
	var (
		f      designFlags
		top    int
		asJSON bool
		write  string
	)
	cmd := &cobra.Command{
		Use:     "design --nodes N --ports P",
		GroupID: "plan",
		Short:   "Find the wiring to buy: hops, cuts, throughput, cost",
		Long: `design compares the wirings of N nodes with P ports each, best first: full mesh, ring,
grid, torus, hypercube, Petersen, circulant and others, and one that it searches for,
with the fewest hops it can find. For each it says how long the ways are, also after the
worst single cut, what throughput a node gets while all do the same, which cable holds it
back, and what it costs.

Throughput assumes that traffic may be split over several ways and that forwarding
costs nothing: what no routing can beat. A cable carries ` + fmt.Sprint(design.DefaultGbps) + ` Gbit/s per direction unless
--gbps says more: one TCP stream between two UM790 Pro. --traffic: ` + strings.Join(design.Traffics(), ", ") + `.

The search ends when nothing better is possible, after --rounds, or after --time. The
same seed and rounds give the same wiring again. --write makes a directory with a
cluster file for each wiring, planned and proved, ready for lab run.`,
		Example: `  usb4mesh design --nodes 8 --ports 3
  usb4mesh design --nodes 12 --ports 4 --layout 3x4 --traffic ceph --rounds 20
  usb4mesh design --nodes 6 --ports 2 --hub 6 --json
  usb4mesh design --nodes 10 --ports 3 --write build/designs`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.request(cmd)
			if err != nil {
				return err
			}
			if top < 1 {
				return usageError("--top %d: want at least 1", top)
			}
			all, err := candidates(cmd, r)
			if err != nil {
				return err
			}
			shown := all[:min(top, len(all))]
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), designToJSON(shown))
			} else {
				err = writeDesign(cmd.OutOrStdout(), &r, shown, len(all))
			}
			if err != nil || write == "" {
				return err
			}
			return writeCandidates(cmd, write, shown)
		},
	}
	f.register(cmd)
	cmd.Flags().IntVar(&top, "top", 12, "show and write so many wirings")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the wirings as JSON")
	cmd.Flags().StringVar(&write, "write", "", "write a cluster file and a picture of each wiring below this directory")
	_ = cmd.MarkFlagDirname("write")
	cmd.AddCommand(newDesignSearchCommand(), newDesignCostCommand(), newDesignScaleCommand())
	return cmd
}

func (f *designFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.IntVar(&f.nodes, "nodes", 0, "number of nodes")
	fl.IntVar(&f.ports, "ports", 0, "USB4 ports of each")
	fl.Float64Var(&f.gbps, "gbps", design.DefaultGbps, "what a cable carries per direction")
	fl.StringVar(&f.traffic, "traffic", string(design.AllToAll), strings.Join(design.Traffics(), ", "))
	fl.StringVar(&f.layout, "layout", "", "rows by columns of boxes, such as 3x4: then cables have lengths")
	fl.Float64Var(&f.across, "across", design.DefaultAcross, "metres from box to box in a row")
	fl.Float64Var(&f.upward, "upward", design.DefaultUpward, "metres from row to row")
	fl.Float64Var(&f.budget, "budget", 0, "dollars for the network; what costs more comes last")
	fl.IntVar(&f.hubPorts, "hub", 0, "also consider hosts with so many ports that only forward")
	fl.StringVar(&f.prices, "prices", "", "your prices, a file in the form of internal/catalog/prices.yaml")
	fl.Uint64Var(&f.seed, "seed", 1, "of the search and of random wirings")
	fl.IntVar(&f.rounds, "rounds", 0, "end the search after so many rounds; 0 for as many as fit in --time")
	fl.DurationVar(&f.limit, "time", 10*time.Second, "end the search after this time")
	_ = cmd.RegisterFlagCompletionFunc("traffic", cobra.FixedCompletions(design.Traffics(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagFilename("prices", "yaml", "yml")
}

// request makes of the flags what package design understands.
func (f *designFlags) request(cmd *cobra.Command) (design.Request, error) {
	if f.nodes == 0 || f.ports == 0 {
		return design.Request{}, usageError("say how many: --nodes N and --ports P")
	}
	prices, err := readPrices(f.prices)
	if err != nil {
		return design.Request{}, err
	}
	if f.limit <= 0 || f.rounds < 0 || f.hubPorts < 0 {
		return design.Request{}, usageError("--time %v, --rounds %d, --hub %d: none can be below 0, nor the time 0", f.limit, f.rounds, f.hubPorts)
	}
	r := design.Request{
		Nodes: f.nodes, Ports: f.ports, Gbps: f.gbps, Traffic: design.Traffic(f.traffic), Budget: f.budget,
		HubPorts: f.hubPorts, Prices: prices, Seed: f.seed, Rounds: f.rounds, Workers: runtime.GOMAXPROCS(0),
	}
	if f.layout != "" {
		if r.Layout, err = design.ParseLayout(f.layout); err != nil {
			return r, usageError("%w", err)
		}
		if !(f.across > 0 && f.upward > 0) || math.IsInf(f.across+f.upward, 1) {
			return r, usageError("--across %v, --upward %v: want metres above 0", f.across, f.upward)
		}
		r.Layout.Across, r.Layout.Upward = f.across, f.upward
	}
	r.Stop = stopAfter(cmd.Context(), f.limit)
	return r, nil
}

// stopAfter returns a function that says when the time is over or Ctrl-C was pressed.
func stopAfter(ctx context.Context, limit time.Duration) func() bool {
	end := time.Now().Add(limit)
	return func() bool { return ctx.Err() != nil || time.Now().After(end) }
}

func readPrices(name string) (catalog.Prices, error) {
	if name == "" {
		return catalog.DefaultPrices(), nil
	}
	src, err := os.ReadFile(name)
	if err != nil {
		return catalog.Prices{}, &exitError{exitFile, err}
	}
	p, err := catalog.ParsePrices(name, src)
	if err != nil {
		return p, &exitError{exitFile, err}
	}
	return p, nil
}

// candidates runs the search and shows on a terminal how it goes.
func candidates(cmd *cobra.Command, r design.Request) ([]design.Candidate, error) {
	talk := cmd.ErrOrStderr()
	if w, ok := talk.(*os.File); ok && term.IsTerminal(int(w.Fd())) {
		start := time.Now()
		r.Progress = func(f design.Found) {
			fmt.Fprintf(w, "\r\x1b[K%4.1f s: diameter %d, %.4f hops (bound %.4f), round %d", time.Since(start).Seconds(), f.Diameter, f.Average, f.Bound, f.Rounds)
		}
		defer fmt.Fprint(w, "\r\x1b[K")
	}
	all, err := design.Candidates(r)
	if cmd.Context().Err() != nil {
		return nil, &exitError{exitInterrupted, fmt.Errorf("interrupted")}
	}
	if err != nil {
		return nil, usageError("%w", err)
	}
	return all, nil
}
