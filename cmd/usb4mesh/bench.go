package main

import "github.com/spf13/cobra"

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		GroupID: "run",
		Short:   "Measure every pair, and say whether it is good",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchServerCommand(), newBenchClientCommand())
	return cmd
}
