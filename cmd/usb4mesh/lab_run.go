package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/usb4mesh/usb4mesh/internal/lab"
)

func newLabRunCommand() *cobra.Command {
	var (
		o      lab.RunOptions
		apply  string
		logs   string
		second string
		agents bool
		asJSON bool
		keep   bool
	)
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Build the mesh, measure it, cut every cable, report",
		Long: `run builds the mesh of a cluster file in namespaces, checks every ordered pair of
nodes over both address families, measures every pair, and then takes each cable out in
turn: probes run every millisecond, the cable is cut, probes that get lost are counted,
the cable is plugged back, and run waits until the planned paths are in use again.

How a cable is cut: delete removes the interfaces at both ends, as the driver does on
unplug; carrier sets one end down, so that the other one loses carrier; silent drops every
frame while carrier stays; one-way drops what one end sends.

--apply netlink configures the nodes as the agent would; nothing of usb4mesh runs while a
cable is cut. --apply networkd lets a real systemd-networkd in each node read the rendered
files, and needs root.

--agent starts the real agent in every node, with a model of the node's hardware (in the
place of /sys) on which interfaces come and go as the driver makes them: naming them,
addresses, routes and everything else is the agents' work. The programme is longer then:
all kinds of cuts, a second cut two seconds after the first, nodes that lose their power
and get it back, agents that are killed, and at the end --cleanup, compared with what the
kernels held before. It needs no root either.

Exit code 4 if a pair is not reached, if a cut cost a pair that the plan protects more
than 5 ms, or if paths did not come back. Silent cuts are reported and not judged. With
--agent a cut may cost a pair that keeps a way 2 ms, a silent one 200 ms, and the plug
nothing.`,
		Example: `  usb4mesh lab run examples/seed-identity/mesh.yaml
  usb4mesh lab run examples/seed-identity/mesh.yaml --how all --no-throughput --json
  usb4mesh lab run examples/ring4/mesh.yaml --agent --no-throughput --second-cuts 4`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFile,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if agents {
				if cmd.Flags().Changed("apply") && apply != lab.AgentEngine {
					return usageError("--agent is --apply %s, and not %s", lab.AgentEngine, apply)
				}
				apply = lab.AgentEngine
			}
			if apply == lab.AgentEngine && !cmd.Flags().Changed("how") {
				o.How = []string{"all"}
			}
			if o.SecondCuts, err = secondCuts(second); err != nil {
				return err
			}
			how, err := cutKinds(o.How)
			if err != nil {
				return err
			}
			o.How = how
			if err := knownEngine(apply); err != nil {
				return err
			}
			p, src, err := loadPlanSource(cmd, args[0])
			if err != nil {
				return err
			}
			for i, called := range o.Cables {
				if o.Cables[i], err = oneCable(&p, called); err != nil {
					return err
				}
			}
			ctx := cmd.Context()
			talk := newProgress(cmd.ErrOrStderr())
			defer talk.end()
			o.Progress = talk.step
			talk.step(lab.Progress{Stage: "building the mesh"})
			begin := lab.New
			if keep {
				begin = lab.Up
			}
			if logs, err = logFolder(logs); err != nil {
				return err
			}
			l, err := begin(ctx, p, lab.Options{Engine: apply, Cluster: src, Logs: logs})
			if err != nil {
				return err
			}
			report, err := lab.Run(ctx, l, o)
			talk.end()
			if keep {
				fmt.Fprintf(cmd.ErrOrStderr(), "The lab of mesh %s keeps running; end it with: usb4mesh lab down %s\n", p.Mesh, p.Mesh)
			}
			if closed := l.Close(); err == nil {
				err = closed
			}
			if err != nil {
				return err
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
	f.StringVar(&apply, "apply", lab.DefaultEngine, "what configures the nodes: "+engineList())
	f.BoolVar(&agents, "agent", false, "let the real agent keep every node, and try more than cuts")
	f.StringVar(&second, "second-cuts", strconv.Itoa(lab.DefaultSecondCuts), "with agents: how many pairs of cables to cut two seconds apart; a number or all")
	f.BoolVar(&o.OnlyCuts, "only-cuts", false, "with agents: cut every cable and try nothing more")
	f.StringVar(&logs, "logs", "", "write the agents' logs to this folder")
	f.StringSliceVar(&o.How, "how", []string{lab.Delete}, "how cables are cut: delete, carrier, silent, one-way or all")
	f.StringSliceVar(&o.Cables, "cable", nil, "cut only this cable (repeatable)")
	f.DurationVar(&o.Duration, "duration", time.Second, "how long to measure each pair; iperf3 takes whole seconds")
	f.BoolVar(&o.NoThroughput, "no-throughput", false, "do not measure throughput")
	f.BoolVar(&o.NoCuts, "no-cuts", false, "do not cut cables")
	f.BoolVar(&o.Load, "load", false, "cut while a TCP stream runs over the cable")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	f.BoolVar(&keep, "keep", false, "leave the lab running, as lab up does")
	_ = cmd.RegisterFlagCompletionFunc("apply", completeWords(lab.Engines()...))
	_ = cmd.RegisterFlagCompletionFunc("how", completeWords(append(lab.Kinds(), "all")...))
	return cmd
}

// secondCuts reads --second-cuts.
func secondCuts(asked string) (int, error) {
	if asked == "all" {
		return -1, nil
	}
	n, err := strconv.Atoi(asked)
	if err != nil || n < 0 {
		return 0, usageError("--second-cuts %s: give a number, or all", asked)
	}
	return n, nil
}

// logFolder makes the folder for logs, "" for none. The keeper works elsewhere, so the
// name is made absolute.
func logFolder(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if err := os.MkdirAll(name, 0o755); err != nil {
		return "", err
	}
	return filepath.Abs(name)
}

// knownEngine refuses an unknown --apply before anything is built.
func knownEngine(name string) error {
	if !slices.Contains(lab.Engines(), name) {
		return usageError("--apply %s: use one of %s", name, engineList())
	}
	return nil
}

// cutKinds resolves "all" and refuses unknown kinds before anything is built.
func cutKinds(asked []string) ([]string, error) {
	var out []string
	for _, how := range asked {
		switch how {
		case "all":
			out = append(out, lab.Kinds()...)
		default:
			if !slices.Contains(lab.Kinds(), how) {
				return nil, usageError("--how %s: use %s or all", how, strings.Join(lab.Kinds(), ", "))
			}
			out = append(out, how)
		}
	}
	return out, nil
}

func engineList() string {
	s := ""
	for i, e := range lab.Engines() {
		if i > 0 {
			s += ", "
		}
		s += e
	}
	return s
}

func completeWords(words ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// progress shows steps: one line that is rewritten on a terminal, a line per
// stage elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	shown    bool
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, terminal: ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))}
}

func (p *progress) step(s lab.Progress) {
	text := s.Stage
	if s.Total > 0 {
		text = fmt.Sprintf("[%d/%d] %s", s.Done, s.Total, s.Stage)
	}
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
		p.shown = true
		return
	}
	fmt.Fprintln(p.w, text)
}

// end wipes the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
