package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Compare puts control planes side by side: one after the other, in one run, each
// in a fresh lab of the same plan, with the same probes and the same cuts.

// Compiled is the name of usb4mesh's own tables in a comparison: the plan applied
// once, and nothing running.
const Compiled = "compiled"

// Held is a kind of cut for comparisons: a carrier cut shortly after some other
// carrier event on this machine, so that the kernel holds the news back.
const Held = "held"

// CompareOptions say what is compared. The zero value takes all engines of
// CompareEngines, cuts every cable once by Delete and once by Carrier, and
// watches the idle nodes for five seconds.
type CompareOptions struct {
	Engines []string // Compiled, or names of engines
	How     []string // kinds of cut, Held included
	Rounds  int      // cuts of each cable and kind; the end alternates
	Idle    time.Duration
	Cluster []byte // the cluster file behind the plan, which agents read themselves
	// Throughput is how often each pair is measured against a bare cable, in the
	// lab of Compiled; 0 is not at all.
	Throughput int
	// Progress, if not nil, is told what is being done.
	Progress func(Progress)
}

// CompareEngines are the engines that a comparison takes unless told otherwise.
func CompareEngines() []string {
	return []string{Compiled, AgentEngine, "static", "frr-ospf", "frr-bgp", "frr-openfabric"}
}

// CompareKinds lists the kinds of cut of a comparison.
func CompareKinds() []string { return []string{Delete, Carrier, Silent, Held, OneWay} }

// Comparison is what Compare found. Its JSON form is a promise (docs/benchmarks.md).
type Comparison struct {
	Mesh       string         `json:"mesh"`
	Nodes      int            `json:"nodes"`
	Cables     int            `json:"cables"`
	Pairs      int            `json:"pairs"` // that are probed; each family of a direction is one
	Kernel     string         `json:"kernel"`
	Started    time.Time      `json:"started"`
	Seconds    float64        `json:"seconds"`
	SpacingMS  float64        `json:"spacing_ms"` // between probes of a pair
	Engines    []EngineResult `json:"engines"`
	Throughput []RateRatio    `json:"throughput"`
	// UsageRatios compare the agent's idle nodes with those of the others, where it
	// was among the engines.
	UsageRatios []UsageRatio `json:"usage_ratios"`
}

// EngineResult is what was found out about one engine.
type EngineResult struct {
	Engine  string `json:"engine"`
	Version string `json:"version"` // of somebody else's program; "" for ours
	Error   string `json:"error"`   // why the engine could not be compared, or ""
	// ColdStartMS is from the first namespace until all pairs answer, in both
	// families, to 50 ms.
	ColdStartMS float64      `json:"cold_start_ms"`
	Usage       []IdleUsage  `json:"usage"`
	Cuts        []CompareCut `json:"cuts"`
}

// IdleUsage is what the processes of a node use while nothing happens.
type IdleUsage struct {
	Node      string   `json:"node"`
	Processes []string `json:"processes"`
	RSS       int64    `json:"rss_bytes"`
	PSS       int64    `json:"pss_bytes"`
	CPU       float64  `json:"cpu_percent"` // of one core
}

// Compare compares engines on a plan. An engine that can't run here has an Error
// in its result; an error of Compare itself means that there is no comparison.
func Compare(ctx context.Context, plan mesh.Plan, o CompareOptions) (Comparison, error) {
	if err := o.complete(); err != nil {
		return Comparison{}, err
	}
	c := &comparer{plan: plan, o: o, begin: time.Now()}
	for _, p := range Paths(&plan) {
		if p.Hops() > 0 {
			c.paths = append(c.paths, p)
		}
	}
	c.spacing = spacing(len(c.paths), compareRate)
	c.out = Comparison{
		Mesh: plan.Mesh, Nodes: len(plan.Nodes), Cables: len(plan.Cables), Pairs: len(c.paths),
		Started: c.begin.UTC().Truncate(time.Second), SpacingMS: millis(c.spacing), Throughput: []RateRatio{},
		UsageRatios: []UsageRatio{},
	}
	for _, name := range o.Engines {
		r, err := c.engine(ctx, name)
		if ctx.Err() != nil {
			return c.out, ctx.Err()
		}
		if err != nil {
			r.Error = err.Error()
		}
		c.out.Engines = append(c.out.Engines, r)
	}
	c.out.UsageRatios = c.out.usageRatios()
	c.out.Seconds = time.Since(c.begin).Round(10 * time.Millisecond).Seconds()
	return c.out, nil
}

// complete fills in defaults and refuses what is unknown.
func (o *CompareOptions) complete() error {
	if len(o.Engines) == 0 {
		o.Engines = CompareEngines()
	}
	if len(o.How) == 0 {
		o.How = []string{Delete, Carrier}
	}
	o.Rounds = max(1, o.Rounds)
	if o.Idle <= 0 {
		o.Idle = 5 * time.Second
	}
	for _, e := range o.Engines {
		if e != Compiled {
			if _, err := newEngine(e); err != nil {
				return err
			}
		}
	}
	for _, how := range o.How {
		if !slices.Contains(CompareKinds(), how) {
			return fmt.Errorf("no kind of cut is called %q: use one of %s", how, strings.Join(CompareKinds(), ", "))
		}
	}
	return nil
}

const (
	// compareRate bounds the probes of all pairs together, per second, so that
	// two cores have time left for the daemons that are measured.
	compareRate = 24_000
	// startLimit bounds the wait for all pairs after a start. OpenFabric with its
	// default timers takes half a minute.
	startLimit = 90 * time.Second
	// calmLimit bounds the wait for the best ways after a start or a plug.
	calmLimit = 60 * time.Second
	// restartMost is how often an engine is started anew.
	restartMost = 3
	// calmCheck is how often routes are looked at meanwhile.
	calmCheck = 50 * time.Millisecond
)

// comparer holds the state of a comparison.
type comparer struct {
	plan    mesh.Plan
	paths   []Path // that are probed
	spacing time.Duration
	o       CompareOptions
	begin   time.Time
	out     Comparison

	name string // of the engine at work
	l    *Lab
	jobs int // cuts done with this engine
}

func (c *comparer) progress(format string, args ...any) {
	if c.o.Progress != nil {
		c.o.Progress(Progress{Stage: c.name + ": " + fmt.Sprintf(format, args...), Done: c.jobs, Total: len(c.plannedCuts())})
	}
}

// engine compares one engine.
func (c *comparer) engine(ctx context.Context, name string) (r EngineResult, err error) {
	r = EngineResult{Engine: name, Usage: []IdleUsage{}, Cuts: []CompareCut{}}
	c.name, c.jobs = name, 0
	e := name
	if name == Compiled {
		e = DefaultEngine
	}
	if v, err := newEngine(e); err == nil {
		if v, ok := v.(versioned); ok {
			r.Version = v.Version()
		}
	}
	if r.ColdStartMS, err = c.open(ctx, e); err != nil {
		return r, err
	}
	defer func() {
		if closed := c.l.Close(); err == nil {
			err = closed
		}
	}()
	c.out.Kernel = c.l.Setup.Kernel
	if r.Usage, err = c.idle(ctx); err != nil {
		return r, err
	}
	if name == Compiled && c.o.Throughput > 0 {
		if c.out.Throughput, err = c.throughput(ctx); err != nil {
			return r, err
		}
	}
	r.Cuts, err = c.cuts(ctx, e)
	return r, err
}

// cuts cuts every cable in every way. An engine that does not take a cable back
// is started anew, so that the other cuts find a mesh that works, but not for ever.
func (c *comparer) cuts(ctx context.Context, engine string) ([]CompareCut, error) {
	out := []CompareCut{}
	restarts := 0
	for _, j := range c.plannedCuts() {
		c.jobs++
		cut, err := c.cutQuietly(ctx, j.cable, j.how, j.end)
		if err != nil {
			return out, fmt.Errorf("cut cable %s (%s): %w", j.cable.Name, j.how, err)
		}
		out = append(out, cut)
		if cut.BackMS != Never {
			continue
		}
		if restarts++; restarts > restartMost {
			return out, fmt.Errorf("%d cables did not come back, the last is %s: %s", restarts, j.cable.Name, cut.BackWhy)
		}
		if err := c.l.Close(); err != nil {
			return out, err
		}
		if _, err := c.open(ctx, engine); err != nil {
			return out, fmt.Errorf("start again after cable %s did not come back: %w", j.cable.Name, err)
		}
	}
	return out, nil
}

// plannedCut is a cut to come.
type plannedCut struct {
	cable mesh.CablePlan
	how   string
	end   int
}

// plannedCuts lists the cuts of one engine; the end alternates from cable to cable
// and from round to round.
func (c *comparer) plannedCuts() (all []plannedCut) {
	for _, how := range c.o.How {
		for round := range c.o.Rounds {
			for i, cable := range c.plan.Cables {
				all = append(all, plannedCut{cable, how, (i + round) % 2})
			}
		}
	}
	return all
}

// open makes a lab, waits until every pair answers, returns how long that took in
// ms, and goes on to wait for the best ways.
func (c *comparer) open(ctx context.Context, engine string) (took float64, err error) {
	c.progress("start")
	l, err := New(ctx, c.plan, Options{Engine: engine, Cluster: c.o.Cluster})
	if err != nil {
		return 0, err
	}
	c.l = l
	began := time.Now()
	checked, err := c.l.Check(ctx, startLimit, pairsOf(c.paths, nil)...)
	took = c.l.Setup.Millis + millis(time.Since(began))
	for _, p := range checked {
		if !p.Good && err == nil {
			err = fmt.Errorf("%s to %s (%s) after %s: %s", p.From, p.To, p.Family, startLimit, p.Why)
		}
	}
	if err == nil {
		_, err = c.calm(ctx)
	}
	if err != nil {
		return took, errors.Join(err, c.l.Close())
	}
	return took, nil
}

// calm waits until the engine has nothing left to do and no pair takes a detour,
// and returns how long that took.
func (c *comparer) calm(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := poll(ctx, calmCheck, calmLimit, func() error {
		missing, err := c.l.Settled(ctx)
		if err != nil {
			return err
		}
		if missing != "" {
			return fmt.Errorf("missing: %s", missing)
		}
		d, err := c.l.Detours(ctx)
		if err != nil {
			return err
		}
		if len(d) > 0 {
			return fmt.Errorf("%d pairs are not on their best way, first %s to %s (%s): %s", len(d), d[0].From, d[0].To, d[0].Family, d[0].Why)
		}
		return nil
	})
	return time.Since(began), err
}

// idle measures what the nodes' processes use while nothing happens.
func (c *comparer) idle(ctx context.Context) ([]IdleUsage, error) {
	c.progress("idle for %s", c.o.Idle)
	if err := sleep(ctx, linkwatchPause); err != nil { // let the start die away
		return nil, err
	}
	began := time.Now()
	before, err := c.l.Usage(ctx)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, c.o.Idle); err != nil {
		return nil, err
	}
	after, err := c.l.Usage(ctx)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	out := make([]IdleUsage, len(after.Nodes))
	for i, n := range after.Nodes {
		out[i] = IdleUsage{Node: n.Node, Processes: []string{}, RSS: n.RSS(), PSS: n.PSS()}
		for _, p := range n.Processes {
			out[i].Processes = append(out[i].Processes, p.Name)
		}
		out[i].CPU = 100 * float64(n.CPU()-before.Nodes[i].CPU()) / float64(took)
	}
	return out, nil
}
