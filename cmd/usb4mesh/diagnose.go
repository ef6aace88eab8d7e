package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/diagnose"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

type diagnoseOptions struct {
	root, measured, iface, planFile string
	with                            []string
	asJSON, quiet                   bool
	over                            time.Duration
}

func newDiagnoseCommand() *cobra.Command {
	var o diagnoseOptions
	cmd := &cobra.Command{
		Use:     "diagnose",
		GroupID: "run",
		Short:   "Say why a link is down, slow or at risk, and what to change",
		Long: `diagnose looks at the USB4 links of this machine and says what is wrong: with the values
it read as evidence, the cause, what to change on this system, what to expect of it, and
who says so. A problem silences what follows from it.

With --measured it explains a rate: which limit binds, what others measured on such
hardware, what to try first. The value is in Gbit/s, or a file that iperf3 --json wrote.
--with takes what other machines answered to discover --json, so that both ends of a
cable are compared. --over looks twice and judges by what the counters of the links
gained in between: a link that went deaf after it had worked, errors that go on. Let
something be sent meanwhile. Exit code 4 when anything above info was found.`,
		Example: `  usb4mesh diagnose
  usb4mesh diagnose --over 5s
  usb4mesh diagnose --measured 11.8
  usb4mesh diagnose --measured iperf3.json --interface tbt-02 --with b.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	rootFlag(cmd, &o.root)
	f.StringVar(&o.measured, "measured", "", "a measured rate to explain: Gbit/s, or a file of iperf3 --json")
	f.StringVar(&o.iface, "interface", "", "the interface that --measured is about, if there are several links")
	f.StringSliceVar(&o.with, "with", nil, "answers of other machines to discover --json")
	f.StringVar(&o.planFile, "plan", "", "cluster file to compare the MTU with")
	f.DurationVar(&o.over, "over", 0, "look twice, so long apart, and judge what the counters gained (100ms to 10m)")
	f.BoolVar(&o.quiet, "quiet", false, "leave out what is merely worth knowing")
	f.BoolVar(&o.asJSON, "json", false, "print the findings as JSON")
	_ = cmd.RegisterFlagCompletionFunc("interface", completeInterface)
	_ = cmd.MarkFlagFilename("with", "json")
	_ = cmd.MarkFlagFilename("plan", "yaml", "yml")
	return cmd
}

func (o diagnoseOptions) run(cmd *cobra.Command) error {
	var in diagnose.Input
	var err error
	if in.Measured, err = o.measurement(); err != nil {
		return err
	}
	if o.planFile != "" {
		p, err := loadPlan(cmd, o.planFile)
		if err != nil {
			return err
		}
		in.MTU = p.MTU
	}
	if in.Peers, err = readAnswers(cmd, o.with); err != nil {
		return err
	}
	if in.Earlier, err = o.earlier(cmd); err != nil {
		return err
	}
	h, scanned, err := scan(o.root)
	if err != nil {
		return err
	}
	if err := printFindings(cmd.ErrOrStderr(), scanned); err != nil {
		return err
	}
	in.Hardware = h
	if o.iface != "" && !slices.Contains(interfaces(h), o.iface) {
		return usageError("%s has no USB4 interface %q; it has %s", h.Node, o.iface, strings.Join(interfaces(h), ", "))
	}
	findings := diagnose.Run(in)
	if o.quiet {
		findings = slices.DeleteFunc(findings, func(f diagnose.Finding) bool { return f.Severity == finding.Info })
	}
	if o.asJSON {
		err = writeJSON(cmd.OutOrStdout(), struct {
			Findings []diagnose.Finding `json:"findings"`
		}{emptyNotNull(findings)})
	} else {
		err = writeDiagnosis(cmd.OutOrStdout(), in, findings)
	}
	if err == nil && slices.ContainsFunc(findings, func(f diagnose.Finding) bool { return f.Severity > finding.Info }) {
		return &exitError{code: exitProblems}
	}
	return err
}

// earlier looks for the first time, and waits; nil without --over.
func (o diagnoseOptions) earlier(cmd *cobra.Command) (*mesh.Hardware, error) {
	if o.over == 0 {
		return nil, nil
	}
	if o.over < 100*time.Millisecond || o.over > 10*time.Minute {
		return nil, usageError("--over %v: from 100ms to 10m", o.over)
	}
	h, _, err := scan(o.root) // what could not be read, the second look says
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(o.over):
		return &h, nil
	case <-cmd.Context().Done():
		return nil, cmd.Context().Err()
	}
}

// measurement reads --measured; nil where it is not given.
func (o diagnoseOptions) measurement() (*diagnose.Measurement, error) {
	if o.measured == "" {
		if o.iface != "" {
			return nil, usageError("--interface belongs to --measured")
		}
		return nil, nil
	}
	if g, err := strconv.ParseFloat(o.measured, 64); err == nil {
		if !(g > 0 && g < 1000) {
			return nil, usageError("--measured %s: a rate in Gbit/s, above 0", o.measured)
		}
		return &diagnose.Measurement{Gbps: g, Interface: o.iface}, nil
	}
	f, err := os.Open(filepath.Clean(o.measured))
	if err != nil {
		return nil, usageError("--measured wants a number of Gbit/s or a file of iperf3 --json: %w", err)
	}
	defer f.Close()
	m, err := readIperf(io.LimitReader(f, readLimit))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.measured, err)
	}
	m.Interface = o.iface
	return m, nil
}

// readIperf takes the rate, streams and retransmits out of what iperf3 --json wrote.
func readIperf(r io.Reader) (*diagnose.Measurement, error) {
	var in struct {
		Start struct {
			Test struct {
				Streams int `json:"num_streams"`
			} `json:"test_start"`
		}
		End struct {
			Sent struct {
				Bits        float64 `json:"bits_per_second"`
				Retransmits int
			} `json:"sum_sent"`
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.NewDecoder(r).Decode(&in); err != nil {
		return nil, fmt.Errorf("not the JSON of iperf3: %w", err)
	}
	bits := in.End.Received.Bits
	if bits <= 0 {
		bits = in.End.Sent.Bits
	}
	if !(bits > 0) {
		return nil, fmt.Errorf("not the JSON of iperf3: end.sum_received.bits_per_second is missing")
	}
	return &diagnose.Measurement{Gbps: bits / 1e9, Streams: in.Start.Test.Streams, Retransmits: in.End.Sent.Retransmits}, nil
}

// writeDiagnosis prints the findings for people, each with what it stands on. What is
// said of several links in the same words is said once.
func writeDiagnosis(out io.Writer, in diagnose.Input, findings []diagnose.Finding) error {
	for i := 0; i < len(findings); {
		f := findings[i]
		alike := 1
		for i+alike < len(findings) && sameAdvice(f, findings[i+alike]) {
			alike++
		}
		group := findings[i : i+alike]
		i += alike
		for _, g := range group {
			head := g.Plain()
			head.Hint = "" // the fix follows, for the whole group
			if err := printFindings(out, []finding.Finding{head}); err != nil {
				return err
			}
		}
		said := map[string]bool{}
		row := func(head, text string) {
			if text != "" && !said[head+text] {
				said[head+text] = true
				fmt.Fprintf(out, "  %-8s%s\n", head, wrap(printableLine(text), 100, "          "))
			}
		}
		row("cause:", f.Cause)
		for _, g := range group {
			row("fix:", g.Fix)
		}
		row("gain:", f.Gain)
		row("proof:", f.Proof)
		for _, g := range group {
			for _, key := range slices.Sorted(maps.Keys(g.Evidence)) {
				row("read:", key+" = "+g.Evidence[key])
			}
		}
		row("source:", f.Source)
		fmt.Fprintln(out)
	}
	links := count(len(in.Hardware.Links), "link")
	if len(findings) == 0 {
		fmt.Fprintf(out, "%s: %s, nothing found.\n", in.Hardware.Node, links)
		return nil
	}
	n := map[finding.Severity]int{}
	for _, f := range findings {
		n[f.Severity]++
	}
	_, err := fmt.Fprintf(out, "%s: %s; %s, %s, %d worth knowing.\n", in.Hardware.Node, links, count(n[finding.Error], "error"), count(n[finding.Warning], "warning"), n[finding.Info])
	return err
}

func sameAdvice(a, b diagnose.Finding) bool {
	return a.Kind == b.Kind && a.Severity == b.Severity && a.Cause == b.Cause && a.Gain == b.Gain
}

// printableLine keeps what a peer wrote into its name from driving the terminal.
func printableLine(s string) string {
	if s == "" {
		return `""`
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// wrap breaks text between words into lines of at most width characters.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString("\n" + indent)
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
