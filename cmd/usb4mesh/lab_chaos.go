package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/lab/chaos"
)

func newLabChaosCommand() *cobra.Command {
	var (
		o      chaos.Options
		logs   string
		list   bool
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "chaos FILE",
		Short: "Throw random faults at agents, and look after each whether all is well",
		Long: `chaos builds the mesh of a cluster file with the real agent in every node, as lab run
--agent does, and makes random steps: cables are unplugged, plugged, silenced in one or
both directions, or flap; agents are killed or started again, with other clocks too;
nodes lose their power; somebody else removes routes, rules, addresses; a machine that is
not of the plan is plugged in place of a cable.

After each step the mesh must settle: every pair that the cables still connect is reached
on its shortest way, the kernels' tables are those for the cables that are left, and the
agents say of the cables what is so. What is right is computed from the cables that were
cut, without asking an agent. While an agent is dead, forwarding must stay as it was. At
the end no agent may have more files or goroutines than at the start.

Steps follow from the seed alone, which is printed: --seed makes the same steps again.
Exit code 4 if a step does not settle, or something leaks.`,
		Example: `  usb4mesh lab chaos examples/petersen/mesh.yaml --steps 50
  usb4mesh lab chaos examples/petersen/mesh.yaml --seed 7 --steps 10 --list`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFile,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Steps < 1 {
				return usageError("--steps %d: one at least", o.Steps)
			}
			p, src, err := loadPlanSource(cmd, args[0])
			if err != nil {
				return err
			}
			if len(p.Nodes) == 0 || len(p.Cables) == 0 {
				return usageError("%s has no cables to pull", args[0])
			}
			if !cmd.Flags().Changed("seed") {
				o.Seed = rand.Uint64N(1 << 32)
			}
			if list {
				for _, s := range chaos.Steps(&p, o.Seed, o.Steps) {
					fmt.Fprintln(cmd.OutOrStdout(), s)
				}
				return nil
			}
			if logs, err = logFolder(logs); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Seed %d\n", o.Seed)
			talk := newProgress(cmd.ErrOrStderr())
			defer talk.end()
			o.Progress = talk.step
			talk.step(lab.Progress{Stage: "building the mesh"})
			l, err := lab.New(cmd.Context(), p, lab.Options{Engine: lab.AgentEngine, Cluster: src, Logs: logs})
			if err != nil {
				return err
			}
			report, err := chaos.Run(cmd.Context(), l, o)
			talk.end()
			if closed := l.Close(); err == nil {
				err = closed
			}
			if err != nil {
				return fmt.Errorf("seed %d: %w", o.Seed, err)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), report)
			} else {
				err = report.WriteText(cmd.OutOrStdout(), colour(cmd.OutOrStdout()))
			}
			if err == nil && !report.OK {
				return &exitError{code: exitProblems}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.Seed, "seed", 0, "where the steps come from; drawn and printed unless given")
	f.IntVar(&o.Steps, "steps", 100, "how many steps to make")
	f.DurationVar(&o.Settle, "settle", chaos.DefaultSettle, "the most that a step may take to settle")
	f.StringVar(&logs, "logs", "", "write the agents' logs to this folder")
	f.BoolVar(&list, "list", false, "only print the steps")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	_ = cmd.RegisterFlagCompletionFunc("logs", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	})
	return cmd
}
