package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/bench"
	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/remote"
	"github.com/usb4mesh/usb4mesh/internal/survey"
)

// surveyFlags are the flags of bench FILE.
type surveyFlags struct {
	o          survey.Options
	family     string
	pairs      []string
	lab, ssh   bool
	key        string
	attach     bool
	load       string
	save       bool
	history    string
	html, svg  string
	json       bool
	noLatency  bool
	noMTU      bool
	sshOptions sshFlags
}

func newBenchCommand() *cobra.Command {
	var s surveyFlags
	cmd := &cobra.Command{
		Use:     "bench FILE",
		GroupID: "run",
		Short:   "Measure every pair, and say whether it is good",
		Long: `bench measures all ordered pairs of a mesh: throughput, round trips idle and under load,
and the largest packet that gets through, one pair after the other or, with --parallel, in
rounds of pairs that share no node and no cable. It runs on a node, and asks the agents of
all nodes to measure; it has to read the mesh's key, so it is for root and the agent's user.
With --ssh it asks no agent but runs this program on the nodes over ssh, with --lab in a lab
on this machine.

Each pair is judged: against what links of the trained speed reach, against the other
cables, against earlier surveys (--save keeps them), and transit against the cables on the
way. What falls short is named, with the counters that the kernels kept meanwhile.

bench server and bench client measure between two machines by hand, and speak the protocol
of iperf3.

Exit code 4 if a pair is not good.`,
		Example: `  usb4mesh bench /etc/usb4mesh/mesh.yaml --streams 4 --save
  usb4mesh bench examples/seed-identity/mesh.yaml --lab --duration 1s
  usb4mesh bench examples/seed-identity/mesh.yaml --ssh --html report.html --save
  usb4mesh bench server --bind 127.0.0.1 --port 5299 --limit 1s`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFile,
		RunE:              func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.BoolVar(&s.lab, "lab", false, "build the mesh in a lab on this machine and measure there")
	f.BoolVar(&s.attach, "running", false, "with --lab: measure in the lab that lab up started")
	f.BoolVar(&s.ssh, "ssh", false, "measure on the nodes over ssh, without their agents")
	f.StringVar(&s.key, "key", "", "file with the mesh's keys, for the agents (as the cluster file says if not given)")
	_ = cmd.MarkFlagFilename("key")
	s.sshOptions.add(f)
	f.StringVar(&s.family, "family", "", "ipv4 or ipv6; default is ipv4 if the plan has it")
	f.StringSliceVar(&s.pairs, "pair", nil, "only this pair, such as 01-02, in both directions (repeatable)")
	f.DurationVar(&s.o.Task.Duration, "duration", 2*time.Second, "how long to measure each pair")
	f.IntVar(&s.o.Task.Streams, "streams", 1, "parallel TCP streams of each pair")
	f.BoolVar(&s.o.Parallel, "parallel", false, "measure pairs that share no node and no cable at the same time")
	f.StringVar(&s.load, "load", "", "all-to-all: then let every node send to every other at once")
	f.BoolVar(&s.noLatency, "no-latency", false, "do not measure round trips")
	f.BoolVar(&s.noMTU, "no-mtu", false, "do not look for the path MTU")
	f.BoolVar(&s.save, "save", false, "keep the result, as baseline for the next time")
	f.StringVar(&s.history, "history", "", "file that keeps results (default in $XDG_STATE_HOME/usb4mesh)")
	f.StringVar(&s.html, "html", "", "write the report as one HTML page to this file")
	f.StringVar(&s.svg, "svg", "", "write the heatmaps as a picture to this file")
	f.BoolVar(&s.json, "json", false, "print the report as JSON")
	_ = cmd.RegisterFlagCompletionFunc("family", completeWords(lab.IPv4, lab.IPv6))
	_ = cmd.RegisterFlagCompletionFunc("load", completeWords("all-to-all"))
	cmd.AddCommand(newBenchServerCommand(), newBenchClientCommand(), newBenchEvidenceCommand())
	return cmd
}

func (s *surveyFlags) run(cmd *cobra.Command, file string) error {
	if err := s.check(); err != nil {
		return err
	}
	p, src, err := loadPlanSource(cmd, file)
	if err != nil {
		return err
	}
	paths, err := s.paths(&p)
	if err != nil {
		return err
	}
	if s.history == "" {
		s.history = historyFile(p.Mesh)
	}
	if s.o.History, err = survey.ReadHistory(s.history); err != nil {
		return err
	}
	ctx := cmd.Context()
	talk := newProgress(cmd.ErrOrStderr())
	defer talk.end()
	s.o.Progress = func(p survey.Progress) {
		stage := p.Stage
		if p.Left > 0 {
			stage += ", about " + p.Left.Round(time.Second).String() + " left"
		}
		talk.step(lab.Progress{Stage: stage, Done: p.Done, Total: p.Total})
	}
	door, end, err := s.door(ctx, p, src, paths, talk)
	if err != nil {
		return err
	}
	if !s.lab {
		s.o.Hardware = func(ctx context.Context, node string) (mesh.Hardware, error) {
			var out bounded
			out.limit = sshBytes
			if err := door.Run(ctx, node, remote.Job{Do: remote.Hardware}, strings.NewReader(""), &out); err != nil {
				return mesh.Hardware{}, err
			}
			return readHardware(out.Bytes())
		}
	}
	report, err := survey.Run(ctx, &p, paths, door, s.o)
	talk.end()
	if ended := end(); err == nil {
		err = ended
	}
	if err != nil {
		return err
	}
	return s.write(cmd, &report)
}

// check refuses flags that make no sense and fills in the options.
func (s *surveyFlags) check() error {
	switch {
	case s.lab && s.ssh:
		return usageError("--lab and --ssh exclude each other")
	case s.key != "" && (s.lab || s.ssh):
		return usageError("--key is for the agents, which --lab and --ssh do without")
	case s.attach && !s.lab:
		return usageError("--running goes with --lab")
	case s.family != "" && s.family != lab.IPv4 && s.family != lab.IPv6:
		return usageError("--family %s: use ipv4 or ipv6", s.family)
	case s.load != "" && s.load != "all-to-all":
		return usageError("--load %s: use all-to-all", s.load)
	case s.o.Task.Streams < 1 || s.o.Task.Streams > bench.MaxStreams:
		return usageError("--streams must be 1 to %d", bench.MaxStreams)
	case s.o.Task.Duration < 100*time.Millisecond || s.o.Task.Duration > bench.MaxDuration:
		return usageError("--duration must be 100ms to %s", bench.MaxDuration)
	}
	s.o.Where, s.o.Load, s.o.Now = "agents", s.load != "", time.Now()
	switch {
	case s.lab:
		s.o.Where = "lab"
	case s.ssh:
		s.o.Where = "ssh"
	}
	s.o.Task.Interval = max(100*time.Millisecond, s.o.Task.Duration/20)
	if !s.noLatency {
		s.o.Task.Latency = time.Second
	}
	return nil
}

// paths returns the pairs to measure.
func (s *surveyFlags) paths(p *mesh.Plan) ([]survey.Path, error) {
	all := lab.Paths(p)
	if s.family == "" {
		s.family = lab.IPv6
		if slices.ContainsFunc(all, func(q lab.Path) bool { return q.Family == lab.IPv4 }) {
			s.family = lab.IPv4
		}
	}
	s.o.Family = s.family
	if !s.noMTU {
		s.o.Task.MTU = p.MTU
	}
	var out []survey.Path
	for _, q := range all {
		if q.Family == s.family && s.wanted(q.From, q.To) {
			out = append(out, survey.Path{From: q.From, To: q.To, Source: q.Source, Destination: q.Destination, Cables: q.Cables})
		}
	}
	if len(out) == 0 {
		return nil, usageError("no pair is left to measure: --family %s, --pair %s", s.family, strings.Join(s.pairs, ","))
	}
	return out, nil
}

func (s *surveyFlags) wanted(from, to string) bool {
	return len(s.pairs) == 0 || slices.ContainsFunc(s.pairs, func(p string) bool { return p == from+"-"+to || p == to+"-"+from })
}

// door opens the way into the nodes; end closes it.
func (s *surveyFlags) door(ctx context.Context, p mesh.Plan, src []byte, paths []survey.Path, talk *progress) (survey.Door, func() error, error) {
	if !s.lab && !s.ssh {
		talk.step(lab.Progress{Stage: "asking the agents"})
		return s.agentsDoor(ctx, &p, src, paths)
	}
	if s.ssh {
		d, err := s.sshOptions.door(&p)
		return d, func() error { return nil }, err
	}
	if s.attach {
		l, err := lab.Attach(ctx, p.Mesh)
		if err != nil {
			return nil, nil, err
		}
		return labDoor{l}, l.Close, nil
	}
	talk.step(lab.Progress{Stage: "building the mesh"})
	l, err := lab.New(ctx, p, lab.Options{})
	if err != nil {
		return nil, nil, err
	}
	return labDoor{l}, l.Close, nil
}

func (s *surveyFlags) write(cmd *cobra.Command, r *survey.Report) error {
	if s.html != "" {
		if err := writeFile(s.html, r.WriteHTML); err != nil {
			return err
		}
	}
	if s.svg != "" {
		err := writeFile(s.svg, func(w io.Writer) error {
			_, err := w.Write(r.SVG())
			return err
		})
		if err != nil {
			return err
		}
	}
	if s.save {
		if err := survey.AppendHistory(s.history, r.Record()); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Kept in %s.\n", s.history)
	}
	var err error
	if s.json {
		err = writeJSON(cmd.OutOrStdout(), r)
	} else {
		err = r.WriteText(cmd.OutOrStdout(), colour(cmd.OutOrStdout()))
	}
	if err == nil && !r.OK {
		return &exitError{code: exitProblems}
	}
	return err
}

// writeFile makes a file whole or not at all.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".usb4mesh-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone if renamed
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// historyFile is where results of a mesh are kept (XDG Base Directory Specification).
func historyFile(meshName string) string {
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		if home, err := os.UserHomeDir(); err == nil {
			base = filepath.Join(home, ".local", "state")
		}
	}
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == 0 {
			return '-'
		}
		return r
	}, meshName)
	return filepath.Join(base, "usb4mesh", "bench-"+name+".jsonl")
}
