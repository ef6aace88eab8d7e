package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/bench"
	"github.com/usb4mesh/usb4mesh/internal/kernel"
)

// newBenchEvidenceCommand is how bench FILE reads a node's counters.
func newBenchEvidenceCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "evidence",
		Short:  "Print what this node's kernel has counted, as JSON (started by bench FILE)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e := bench.ReadEvidence(os.DirFS("/"))
			queues, err := kernel.Queues()
			if err != nil {
				return err
			}
			for _, q := range queues {
				e.Queues = append(e.Queues, bench.Queue{
					Interface: q.Interface, Kind: q.Kind, RateGbps: float64(q.Rate) / 1e9,
					Drops: int64(q.Drops), Requeues: int64(q.Requeues), Overlimits: int64(q.Overlimits),
				})
			}
			return writeJSON(cmd.OutOrStdout(), e)
		},
	}
}
