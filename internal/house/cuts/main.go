// Command cuts reads reports of `usb4mesh lab run --json`, one after the other,
// and prints a line of a Markdown table for each mesh and kind of cut.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/lab"
)

func main() {
	if err := table(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cuts:", err)
		os.Exit(1)
	}
}

func table(in io.Reader, out io.Writer) error {
	fmt.Fprintln(out, "| mesh | cut | cuts | probes | worst pair, ms | median pair, ms | lost at plug | restored | noticed late: cuts, worst ms |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|")
	d := json.NewDecoder(in)
	for {
		var r lab.Report
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var kinds []string
		for _, c := range r.Cuts {
			if k := kind(c); !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
		for _, k := range kinds {
			fmt.Fprintln(out, line(&r, k))
		}
	}
}

// kind says how a cut is called in the table.
func kind(c lab.CutResult) string {
	if c.After != "" {
		return c.How + ", 2 s after another"
	}
	return c.How
}

// line returns the row of one kind of cut.
func line(r *lab.Report, how string) string {
	var n, probes, atPlug, restored int
	var worst float64
	var medians []int
	for _, c := range r.Cuts {
		if kind(c) != how {
			continue
		}
		n++
		probes += c.Probes
		worst = max(worst, c.LongestGap)
		medians = append(medians, c.MedianLost)
		atPlug += c.LostReplug
		if c.Restored {
			restored++
		}
	}
	slices.Sort(medians)
	late, lateWorst := 0, 0.0
	for _, c := range r.HeldBack {
		if kind(c) == how {
			late++
			lateWorst = max(lateWorst, c.LongestGap)
		}
	}
	held := "-"
	if late > 0 {
		held = fmt.Sprintf("%d, %.0f", late, lateWorst)
	}
	return fmt.Sprintf("| %s | %s | %d | %d | %.0f | %d | %d | %d of %d | %s |",
		r.Mesh, how, n, probes, worst, medians[len(medians)/2], atPlug, restored, n, held)
}
