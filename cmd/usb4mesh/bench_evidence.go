package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

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
			for name, l := range e.Links {
				l.Lanes, l.LaneGbps = trainedSpeed(name)
				e.Links[name] = l
			}
			return writeJSON(cmd.OutOrStdout(), e)
		},
	}
}

// trainedSpeed reads what the XDomain behind an interface says: rx_lanes "2" and
// rx_speed "20.0 Gb/s" (drivers/thunderbolt/xdomain.c). The interface's device is a
// service, the XDomain is its parent.
func trainedSpeed(iface string) (lanes, laneGbps int) {
	device, err := filepath.EvalSymlinks(filepath.Join("/sys/class/net", iface, "device"))
	if err != nil {
		return 0, 0
	}
	value := func(name string) int {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(device), name))
		if err != nil {
			return 0
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(b)), ".")
		n, err := strconv.Atoi(first)
		if err != nil {
			return 0
		}
		return n
	}
	return value("rx_lanes"), value("rx_speed")
}
