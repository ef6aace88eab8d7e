package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/forwarding"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

func newSimulateCommand() *cobra.Command {
	var fail []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "simulate FILE --fail WHAT",
		GroupID: "plan",
		Short:   "Ask what happens when cables or nodes fail",
		Long: `simulate walks the compiled forwarding tables while the named cables and nodes are
out, and lists the pairs whose packets take another way: the nodes they pass, hop
counts, and the cable that most pairs share. WHAT is a cable by number, name, port
(01:left) or by its nodes (01-02), or a node (02, or node:02). Repeat --fail, or
separate with commas, to let several fail at once. Exit code 4 when a pair is lost.`,
		Example: `  usb4mesh simulate examples/ring5/mesh.yaml --fail 1
  usb4mesh simulate examples/ring5/mesh.yaml --fail node:fink --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(fail) == 0 {
				return usageError("name what fails: --fail 1 (a cable) or --fail node:02")
			}
			p, err := loadPlan(cmd, args[0])
			if err != nil {
				return err
			}
			sim, findings := plan.Simulate(&p, fail)
			if len(findings) > 0 {
				if err := printFindings(cmd.ErrOrStderr(), findings); err != nil {
					return err
				}
				return &exitError{code: exitUsage}
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), simulationToJSON(sim))
			} else {
				err = writeSimulation(cmd.OutOrStdout(), sim)
			}
			if err == nil && lostPairs(sim) > 0 {
				return &exitError{code: exitProblems}
			}
			return err
		},
	}
	cmd.Flags().StringSliceVar(&fail, "fail", nil, "what fails: a cable or a node (repeatable)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	_ = cmd.RegisterFlagCompletionFunc("fail", completeNode)
	return cmd
}

func lostPairs(sim plan.Simulation) int {
	n := 0
	for _, pp := range sim.Pairs {
		if pp.Outcome != forwarding.Delivered {
			n++
		}
	}
	return n
}

func writeSimulation(out io.Writer, sim plan.Simulation) error {
	var what []string
	for _, c := range sim.Cables {
		what = append(what, "cable "+c)
	}
	for _, n := range sim.Nodes {
		what = append(what, "node "+n)
	}
	var t table
	t.row("Out: %s", strings.Join(what, ", "))
	t.end()
	for _, pp := range sim.Pairs {
		if pp.Outcome != forwarding.Delivered {
			t.row("  %s -> %s\t%s\t%s after %s", pp.From, pp.To, strings.Join(pp.Before, " "), pp.Outcome, strings.Join(pp.During, " "))
			continue
		}
		t.row("  %s -> %s\t%s\tnow %s\t%d -> %s", pp.From, pp.To, strings.Join(pp.Before, " "), strings.Join(pp.During, " "),
			len(pp.Before)-1, count(len(pp.During)-1, "hop"))
	}
	t.end()
	t.row("%s change their way, %d are lost, %d stay as they are. Busiest cable: %s (%s) before, %s (%s) during.",
		count(len(sim.Pairs)-lostPairs(sim), "pair"), lostPairs(sim), sim.Same,
		sim.Worst[0].Cable, count(sim.Worst[0].Pairs, "pair"), sim.Worst[1].Cable, count(sim.Worst[1].Pairs, "pair"))
	return t.flush(out)
}

type (
	simulationJSON struct {
		Cables []string           `json:"cables"`
		Nodes  []string           `json:"nodes"`
		Pairs  []pairPathJSON     `json:"pairs"`
		Same   int                `json:"unchanged_pairs"`
		Lost   int                `json:"lost_pairs"`
		Worst  map[string]loadOut `json:"busiest_cable"`
	}
	pairPathJSON struct {
		From    string   `json:"from"`
		To      string   `json:"to"`
		Before  []string `json:"before"`
		During  []string `json:"during"`
		Outcome string   `json:"outcome"`
	}
	loadOut struct {
		Cable string `json:"cable"`
		Pairs int    `json:"pairs"`
	}
)

func simulationToJSON(sim plan.Simulation) simulationJSON {
	out := simulationJSON{
		Cables: emptyNotNull(sim.Cables), Nodes: emptyNotNull(sim.Nodes), Pairs: []pairPathJSON{}, Same: sim.Same, Lost: lostPairs(sim),
		Worst: map[string]loadOut{"before": loadOut(sim.Worst[0]), "during": loadOut(sim.Worst[1])},
	}
	for _, pp := range sim.Pairs {
		out.Pairs = append(out.Pairs, pairPathJSON{pp.From, pp.To, pp.Before, pp.During, pp.Outcome.String()})
	}
	return out
}
