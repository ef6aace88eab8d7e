package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Options say what Run does.
type Options struct {
	Seed   uint64
	Steps  int
	Settle time.Duration // the most that a step may take to settle; 0 is DefaultSettle
	// Progress, if not nil, is told of each step.
	Progress func(lab.Progress)
}

// DefaultSettle is far above what a step takes: gossip notices a partition's end by
// a timer.
const DefaultSettle = 30 * time.Second

// Report is what Run found. Its JSON form is a promise (docs/cli.md).
type Report struct {
	Mesh     string       `json:"mesh"`
	Nodes    int          `json:"nodes"`
	Cables   int          `json:"cables"`
	Kernel   string       `json:"kernel"`
	Seed     uint64       `json:"seed"`
	Steps    []StepResult `json:"steps"`
	Agents   []AgentUsage `json:"agents"`
	StandIns []string     `json:"stand_ins"`
	Problems []string     `json:"problems"` // why OK is false
	OK       bool         `json:"ok"`
	Seconds  float64      `json:"seconds"`
}

// StepResult is how a step went.
type StepResult struct {
	Step
	Done          string   `json:"done,omitempty"` // what somebody else took
	Out           []string `json:"out"`            // cables that are out after it
	SettledMillis float64  `json:"settled_ms"`     // from its end until all was right
	Pairs         int      `json:"pairs"`          // that were walked and crossed by a packet
	Separated     int      `json:"separated"`
	WaitedFor     string   `json:"waited_for,omitempty"` // what was wrong last before all was right
	Wrong         []string `json:"wrong"`                // when the time was up
}

// AgentUsage is what an agent held at the start and at the end, with the same cables.
type AgentUsage struct {
	Node       string   `json:"node"`
	Starts     int      `json:"starts"`
	Files      [2]int   `json:"open_files"`
	Goroutines [2]int   `json:"goroutines"`
	Threads    [2]int   `json:"threads"`
	RSS        [2]int64 `json:"rss_bytes"`
}

// Run does the steps of a seed in a lab of agents. An error means that a step could not
// be made; a mesh that fails is in the report.
func Run(ctx context.Context, l *lab.Lab, o Options) (Report, error) {
	if l.Setup.Engine != lab.AgentEngine {
		return Report{}, fmt.Errorf("chaos is for labs of the engine %s, this one has %s", lab.AgentEngine, l.Setup.Engine)
	}
	if o.Settle <= 0 {
		o.Settle = DefaultSettle
	}
	r := &runner{l: l, o: o, begin: time.Now(), out: outage{}}
	r.report = Report{
		Mesh: l.Plan.Mesh, Nodes: len(l.Plan.Nodes), Cables: len(l.Plan.Cables), Kernel: l.Setup.Kernel, Seed: o.Seed,
		Steps: []StepResult{}, Agents: []AgentUsage{}, StandIns: append(slices.Clone(l.Setup.StandIns), clocksStandIn), Problems: []string{},
	}
	err := r.run(ctx)
	r.report.OK = err == nil && len(r.report.Problems) == 0
	r.report.Seconds = time.Since(r.begin).Round(10 * time.Millisecond).Seconds()
	return r.report, err
}

const clocksStandIn = "an agent that starts with other monotonic and boot clocks stands for a clock that steps: the wall clock is one for the whole machine"

type runner struct {
	l      *lab.Lab
	o      Options
	begin  time.Time
	out    outage
	report Report
}

func (r *runner) problem(format string, args ...any) {
	r.report.Problems = append(r.report.Problems, fmt.Sprintf(format, args...))
}

func (r *runner) progress(stage string, done int) {
	if r.o.Progress != nil {
		r.o.Progress(lab.Progress{Stage: stage, Done: done, Total: r.o.Steps})
	}
}

func (r *runner) run(ctx context.Context) error {
	r.progress("settling", 0)
	if v, _, _, err := r.settle(ctx); err != nil || len(v.Wrong) > 0 {
		r.problem("before any step: %s", first(v.Wrong))
		return err
	}
	before, err := r.usage(ctx)
	if err != nil {
		return err
	}
	for _, s := range Steps(&r.l.Plan, r.o.Seed, r.o.Steps) {
		r.progress(s.String(), s.Number)
		if good, err := r.step(ctx, s); err != nil || !good {
			return err
		}
	}
	return r.end(ctx, before)
}

// step does a step and looks whether all is well. A step that is not ends the run,
// because what follows would say nothing.
func (r *runner) step(ctx context.Context, s Step) (good bool, err error) {
	out := StepResult{Step: s, Wrong: []string{}, Out: []string{}}
	defer func() { r.report.Steps = append(r.report.Steps, out) }()
	if out.Done, err = r.do(ctx, s); err != nil {
		var wrong *wrongError
		if errors.As(err, &wrong) {
			out.Wrong = wrong.wrong
			r.problem("step %s: %v: %s", s, err, first(out.Wrong))
			return false, nil
		}
		return false, fmt.Errorf("step %s: %w", s, err)
	}
	for _, c := range r.l.Plan.Cables {
		if _, isOut := r.out[c.Name]; isOut {
			out.Out = append(out.Out, c.Name)
		}
	}
	v, last, took, err := r.settle(ctx)
	out.SettledMillis, out.WaitedFor = float64(took.Microseconds())/1000, last
	out.Pairs, out.Separated, out.Wrong = v.Reached, v.Separated, v.Wrong
	if err != nil {
		return false, fmt.Errorf("step %s: %w", s, err)
	}
	if len(v.Wrong) > 0 {
		r.problem("step %s: not settled after %s: %s", s, r.o.Settle, first(v.Wrong))
	}
	return len(v.Wrong) == 0, nil
}

// wrongError is a check within a step that failed.
type wrongError struct {
	when  string
	wrong []string
}

func (e *wrongError) Error() string { return e.when }

// do makes a step.
func (r *runner) do(ctx context.Context, s Step) (string, error) {
	switch s.Kind {
	case Unplug:
		return "", r.cut(ctx, s, lab.Delete)
	case Silent:
		return "", r.cut(ctx, s, lab.Silent)
	case OneWay:
		return "", r.cut(ctx, s, lab.OneWay)
	case Replug:
		delete(r.out, s.Cable)
		return "", r.plug(ctx, s.Cable)
	case Flap:
		return "", r.flap(ctx, s)
	case Kill:
		return "", r.dead(ctx, s, func() error { return r.kept(ctx, "while the agent is dead") })
	case Blind:
		return "", r.dead(ctx, s, func() error { return r.cut(ctx, s, lab.Delete) })
	case Restart:
		return "", errors.Join(r.l.Agent(ctx, s.Node, lab.AgentStop), r.l.Agent(ctx, s.Node, lab.AgentStart))
	case Clock:
		return "", errors.Join(r.l.Agent(ctx, s.Node, lab.AgentKill), r.l.StartAgentAt(ctx, s.Node, s.Offset))
	case Foreign:
		return r.l.Vandalize(ctx, s.Node, s.What, s.Pick)
	case Stranger:
		return "", r.stranger(ctx, s)
	case Reboot:
		_, off := r.l.Power(ctx, s.Node, false)
		_, on := r.l.Power(ctx, s.Node, true)
		r.out.reboot(&r.l.Plan, s.Node)
		return "", errors.Join(off, on)
	}
	return "", fmt.Errorf("no step is called %q", s.Kind)
}

func (r *runner) cut(ctx context.Context, s Step, how string) error {
	r.out[s.Cable] = s.Kind
	_, err := r.l.Cut(ctx, s.Cable, how, s.End)
	return err
}

func (r *runner) plug(ctx context.Context, cable string) error {
	_, err := r.l.Plug(ctx, cable)
	return err
}

func (r *runner) flap(ctx context.Context, s Step) error {
	for range s.Times {
		if _, err := r.l.Cut(ctx, s.Cable, lab.Delete, s.End); err != nil {
			return err
		}
		if err := sleep(ctx, s.Pause); err != nil {
			return err
		}
		if err := r.plug(ctx, s.Cable); err != nil {
			return err
		}
		if err := sleep(ctx, s.Pause); err != nil {
			return err
		}
	}
	return nil
}

// dead kills an agent, does something meanwhile, and starts it again.
func (r *runner) dead(ctx context.Context, s Step, do func() error) error {
	if err := r.l.Agent(ctx, s.Node, lab.AgentKill); err != nil {
		return err
	}
	return errors.Join(do(), r.l.Agent(ctx, s.Node, lab.AgentStart))
}

// stranger plugs a stranger's machine in place of a cable. The mesh must settle as without
// the cable, and say who is there.
func (r *runner) stranger(ctx context.Context, s Step) error {
	if _, err := r.l.Stranger(ctx, lab.Socket{Node: s.Node, Cable: s.Cable}, lab.Stranger{Name: string(Stranger), Managed: true}); err != nil {
		return err
	}
	v, _, _, err := r.settle(ctx)
	if err != nil {
		return err
	}
	if len(v.Wrong) > 0 {
		return &wrongError{"with a stranger plugged in", v.Wrong}
	}
	infos, err := r.l.Agents(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(infos, func(i lab.AgentInfo) bool { return i.Node == s.Node })
	if !slices.ContainsFunc(infos[at].Status.Links, func(k mesh.LinkStatus) bool {
		return k.Cable == s.Cable && strings.HasPrefix(k.Stranger, string(Stranger)) && !k.Usable
	}) {
		return &wrongError{"with a stranger plugged in", []string{fmt.Sprintf("node %s does not say that a stranger is at the port of cable %s", s.Node, s.Cable)}}
	}
	return r.l.Tidy(ctx)
}

// kept wants every pair that is connected to answer, now and a moment later.
func (r *runner) kept(ctx context.Context, when string) error {
	ways, err := r.l.Ways(ctx)
	if err != nil || len(ways) == 0 {
		return err
	}
	var pairs []lab.Pair
	for _, w := range ways {
		pairs = append(pairs, w.Pair)
	}
	for range 2 {
		checked, err := r.l.Check(ctx, keptFor, pairs...)
		if err != nil {
			return err
		}
		var wrong []string
		for _, c := range checked {
			if !c.Good {
				wrong = append(wrong, fmt.Sprintf("%s does not reach %s (%s): %s", c.From, c.To, c.Family, c.Why))
			}
		}
		if len(wrong) > 0 {
			return &wrongError{when, wrong}
		}
		if err := sleep(ctx, keptFor); err != nil {
			return err
		}
	}
	return nil
}

const (
	keptFor    = 300 * time.Millisecond // two detection times
	settlePoll = 30 * time.Millisecond
)

// settle waits until nothing is wrong, and looks once more. It returns the last
// verdict, what was wrong before that, and how long it took.
func (r *runner) settle(ctx context.Context) (v lab.Verdict, last string, took time.Duration, err error) {
	begin := time.Now()
	for good := 0; good < 2; {
		if v, err = r.l.Verify(ctx); err != nil {
			return v, last, time.Since(begin), err
		}
		switch {
		case len(v.Wrong) > 0:
			good, last = 0, first(v.Wrong)
		case good == 0:
			took, good = time.Since(begin), 1
		default:
			good++
		}
		if good == 0 && time.Since(begin) > r.o.Settle {
			return v, last, time.Since(begin), nil
		}
		if err := sleep(ctx, settlePoll); err != nil {
			return v, last, took, err
		}
	}
	return v, last, took, nil
}

// end plugs everything, and compares what the agents hold with what they held.
func (r *runner) end(ctx context.Context, before map[string]lab.AgentInfo) error {
	r.progress("plugging everything", r.o.Steps)
	for _, c := range r.l.Plan.Cables {
		if _, isOut := r.out[c.Name]; isOut {
			delete(r.out, c.Name)
			if err := r.plug(ctx, c.Name); err != nil {
				return err
			}
		}
	}
	if v, _, _, err := r.settle(ctx); err != nil || len(v.Wrong) > 0 {
		r.problem("with all cables plugged again: %s", first(v.Wrong))
		return err
	}
	after, err := r.usage(ctx)
	if err != nil {
		return err
	}
	for _, n := range r.l.Plan.Nodes {
		b, a := before[n.Name], after[n.Name]
		r.report.Agents = append(r.report.Agents, AgentUsage{
			Node: n.Name, Starts: a.Starts, Files: [2]int{b.Files, a.Files}, Goroutines: [2]int{b.Goroutines, a.Goroutines},
			Threads: [2]int{b.Threads, a.Threads}, RSS: [2]int64{b.RSS, a.RSS},
		})
		for _, x := range []struct {
			what          string
			before, after int
		}{{"open files", b.Files, a.Files}, {"goroutines", b.Goroutines, a.Goroutines}} {
			if x.after > x.before+leakSlack {
				r.problem("the agent of node %s has %d %s after %d steps, and had %d", n.Name, x.after, x.what, r.o.Steps, x.before)
			}
		}
	}
	return nil
}

const (
	// leakSlack is how many files or goroutines more an agent may have at the end:
	// work that is under way at the moment of the look.
	leakSlack = 4
	usageCalm = 2 * time.Second
	usageRuns = 5 // of which the lowest figure counts
)

// usage looks at all agents a few times, once they have come to rest.
func (r *runner) usage(ctx context.Context) (map[string]lab.AgentInfo, error) {
	least := map[string]lab.AgentInfo{}
	for range usageRuns {
		if err := sleep(ctx, usageCalm/usageRuns); err != nil {
			return nil, err
		}
		infos, err := r.l.Agents(ctx)
		if err != nil {
			return nil, err
		}
		for _, i := range infos {
			if i.Error != "" {
				return nil, fmt.Errorf("node %s: %s", i.Node, i.Error)
			}
			l, seen := least[i.Node]
			if !seen {
				l = i
			}
			i.Files, i.Goroutines = min(i.Files, l.Files), min(i.Goroutines, l.Goroutines)
			least[i.Node] = i
		}
	}
	return least, nil
}

func first(wrong []string) string {
	if len(wrong) == 0 {
		return "nothing is said"
	}
	if len(wrong) == 1 {
		return wrong[0]
	}
	return fmt.Sprintf("%s (and %d more)", wrong[0], len(wrong)-1)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
