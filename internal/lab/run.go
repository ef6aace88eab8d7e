package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// RunOptions say what Run does. The zero value reaches and measures all pairs
// for one second each and cuts every cable as an unplug does.
type RunOptions struct {
	How          []string // kinds of cut; nil is Delete
	Cables       []string // to cut; nil is all
	Duration     time.Duration
	Tool         string // for throughput; see Lab.Throughput
	NoThroughput bool
	NoCuts       bool
	Load         bool // cut while a TCP stream runs over the cable
	// SecondCuts is, with agents, of how many pairs of cables the second is cut two
	// seconds after the first; less than 0 is all.
	SecondCuts int
	OnlyCuts   bool // with agents: nothing beyond cutting every cable once
	// Progress, if not nil, is told what is being done.
	Progress func(Progress)
}

// Progress is a step of a run.
type Progress struct {
	Stage       string // what is done, for a person
	Done, Total int    // steps of the stage
}

const (
	// allowedLoss is what a cut may cost a protected pair while no agent runs.
	allowedLoss = 5 * time.Millisecond
	// reachLimit bounds the wait for all pairs after the nodes are configured.
	// Routing daemons take tens of seconds.
	reachLimit = 60 * time.Second
	// restoreLimit bounds the wait for planned paths after a plug. The slowest
	// engine, OpenFabric with its default timers, takes 30 s.
	restoreLimit = 40 * time.Second

	beforeCut = 300 * time.Millisecond // probes before the cut: a control
	duringCut = time.Second
	// beforeProvoked leaves the kernel no time to forget the event before.
	beforeProvoked = 50 * time.Millisecond
	afterPlug      = 200 * time.Millisecond // probes after all paths are planned ones again

	// linkwatchPause keeps carrier cuts apart: the kernel lets one batch of
	// carrier events pass per second (linkwatch, net/core/link_watch.c).
	linkwatchPause = 2 * time.Second
	// heldBack is how late the kernel may notice loss of carrier before the cut
	// counts as held back. Other interfaces of the machine share the limit, so
	// such a cut is made again, a few times.
	heldBack        = 20 * time.Millisecond
	carrierAttempts = 4
	// inFlight is how long before the cut a probe may have been sent to be
	// counted as a victim of the cut.
	inFlight = 2 * time.Millisecond
)

// Run makes the whole experiment in a fresh lab and returns what it found. An
// error means that the experiment could not be made; a network that fails it is
// in the report.
func Run(ctx context.Context, l *Lab, o RunOptions) (Report, error) {
	r := &runner{l: l, o: o, begin: time.Now(), paths: Paths(&l.Plan)}
	if len(r.o.How) == 0 {
		r.o.How = []string{Delete}
	}
	if r.o.Duration <= 0 {
		r.o.Duration = time.Second
	}
	cables, err := o.cables(&l.Plan)
	if err != nil {
		return Report{}, err
	}
	r.report = newReport(l.Plan, l.Setup)
	if err := r.reach(ctx); err != nil {
		return r.report, err
	}
	if !r.o.NoThroughput {
		if err := r.throughput(ctx); err != nil {
			return r.report, err
		}
	}
	if !r.o.NoCuts {
		if err := r.cuts(ctx, cables); err != nil {
			return r.report, err
		}
		if r.agents() && !r.o.OnlyCuts {
			if err := r.beyond(ctx, cables); err != nil {
				return r.report, err
			}
		}
	}
	r.report.Seconds = time.Since(r.begin).Round(10 * time.Millisecond).Seconds()
	r.report.judge()
	return r.report, nil
}

type runner struct {
	l      *Lab
	o      RunOptions
	begin  time.Time
	paths  []Path
	report Report
}

func (r *runner) progress(stage string, done, total int) {
	if r.o.Progress != nil {
		r.o.Progress(Progress{stage, done, total})
	}
}

// cables returns the cables to cut.
func (o RunOptions) cables(plan *mesh.Plan) ([]mesh.CablePlan, error) {
	for _, how := range o.How {
		if !slices.Contains(Kinds(), how) {
			return nil, fmt.Errorf("no kind of cut is called %q: use delete, carrier or silent", how)
		}
	}
	if len(o.Cables) == 0 {
		return plan.Cables, nil
	}
	var out []mesh.CablePlan
	for _, name := range o.Cables {
		i := slices.IndexFunc(plan.Cables, func(c mesh.CablePlan) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no cable is called %q; there are %s", name,
				names(plan.Cables, func(c mesh.CablePlan) string { return c.Name }))
		}
		out = append(out, plan.Cables[i])
	}
	return out, nil
}

// reach waits until every pair that has a planned path answers, and notes all.
func (r *runner) reach(ctx context.Context) error {
	r.progress("reaching every pair", 0, 0)
	planned := pairsOf(r.paths, func(p Path) bool { return p.Hops() > 0 })
	if len(planned) > 0 {
		if _, err := r.l.Check(ctx, reachLimit, planned...); err != nil {
			return fmt.Errorf("reach: %w", err)
		}
	}
	checked, err := r.l.Check(ctx, 300*time.Millisecond, pairsOf(r.paths, nil)...)
	if err != nil {
		return fmt.Errorf("reach: %w", err)
	}
	for i, c := range checked {
		r.report.Pairs = append(r.report.Pairs, PairResult{
			Pair: c.Pair, Reachable: c.Good, RTT: c.Millis, Hops: r.paths[i].Hops(), Why: c.Why,
		})
	}
	return nil
}

func (r *runner) throughput(ctx context.Context) error {
	for i := range r.report.Pairs {
		p := &r.report.Pairs[i]
		if !p.Reachable {
			continue
		}
		r.progress(fmt.Sprintf("throughput %s to %s, %s", p.From, p.To, p.Family), i+1, len(r.report.Pairs))
		rate, err := r.l.Throughput(ctx, p.Pair, r.o.Duration, r.o.Tool)
		if err != nil {
			return err
		}
		p.Gbps, r.report.ThroughputTool = &rate.Gbps, rate.Tool
	}
	return nil
}

// cuts cuts every cable in every way asked for.
func (r *runner) cuts(ctx context.Context, cables []mesh.CablePlan) error {
	var jobs []job
	for _, how := range r.o.How {
		for i, c := range cables {
			jobs = append(jobs, job{cable: c, how: how, end: i % 2})
			if how == Carrier { // the end that is down and the other fail over in different ways
				jobs = append(jobs, job{cable: c, how: how, end: 1 - i%2})
			}
		}
		if how == Carrier && len(cables) > 0 {
			jobs = append(jobs, job{cable: cables[0], how: how, provoke: true})
		}
	}
	for i, j := range jobs {
		r.progress(fmt.Sprintf("cut cable %s (%s)", j.cable.Name, j.how), i+1, len(jobs))
		for attempt := range carrierAttempts {
			c, err := r.cutQuietly(ctx, j)
			if err != nil {
				return fmt.Errorf("cut cable %s (%s): %w", j.cable.Name, j.how, err)
			}
			if j.provoke {
				r.report.HeldBack = append(r.report.HeldBack, c)
				break
			}
			if !c.HeldBack || attempt+1 == carrierAttempts {
				r.report.Cuts = append(r.report.Cuts, c)
				if c.HeldBack {
					r.report.note("cable %s: the kernel held each of %d carrier events back; something else on this machine makes carrier events all the time", c.Cable, carrierAttempts)
				}
				break
			}
			r.report.HeldBack = append(r.report.HeldBack, c)
		}
	}
	return nil
}

// job is one cut to make.
type job struct {
	cable   mesh.CablePlan
	how     string
	end     int
	provoke bool // another carrier event first, so that the kernel holds this one back

	after, afterHow string // cable that is cut two seconds before, and how
	node            string // that something happens to, instead of a cable
}

// cut makes one cut: probes run, the cable goes, it comes back, all planned
// paths are in use again.
func (r *runner) cut(ctx context.Context, j job) (CutResult, error) {
	out := CutResult{
		Cable: j.cable.Name, How: j.how, End: j.cable.Ends[j.end].String(), Provoked: j.provoke, After: j.after,
		Ends: [2]string{j.cable.Ends[0].String(), j.cable.Ends[1].String()}, AllowedMillis: millis(r.allowed(j.how)),
	}
	if j.node != "" {
		out.End = j.node
	}
	if j.how == Carrier {
		if err := sleep(ctx, linkwatchPause); err != nil {
			return out, err
		}
	}
	if j.provoke {
		if err := r.blip(ctx, j); err != nil {
			return out, err
		}
	}
	paths, err := r.before(ctx, j)
	if err != nil {
		return out, err
	}
	probes, err := r.l.Probe(ctx, spread(paths, out.Cable))
	if err != nil {
		return out, err
	}
	defer probes.Cancel()
	var load <-chan *float64
	if r.o.Load {
		load = r.startLoad(ctx, j.cable)
	}
	cut, plug, err := r.cutAndPlug(ctx, j)
	if err != nil {
		return out, err
	}
	if out.Restored, out.Missing, err = r.restored(ctx, out.Cable); err != nil {
		return out, err
	}
	out.RestoredMillis = float64(now()-plug.Begin) / 1e6
	if err := sleep(ctx, afterPlug); err != nil {
		return out, err
	}
	result, err := probes.Stop(ctx, out.marks(cut, plug, r.agents())...)
	if err != nil {
		return out, err
	}
	out.count(result, func(p Pair) bool {
		i := slices.IndexFunc(r.paths, func(q Path) bool { return q.Pair == p })
		return protected(r.paths[i], &r.l.Plan, r.without(j)...)
	})
	if load != nil {
		out.LoadGbps = <-load
	}
	return out, nil
}

func (r *runner) cutAndPlug(ctx context.Context, j job) (cut, plug Moment, err error) {
	before := beforeCut
	if j.provoke {
		before = beforeProvoked
	}
	if err := sleep(ctx, before); err != nil {
		return cut, plug, err
	}
	if cut, err = r.take(ctx, j); err != nil {
		return cut, plug, err
	}
	if err := sleep(ctx, duringCut); err != nil {
		return cut, plug, err
	}
	plug, err = r.giveBack(ctx, j)
	return cut, plug, err
}

// marks notes how long the cut took and when it was noticed, and returns the
// bounds of the phases that count expects. With agents a loss of carrier may never
// be noticed by the other end, because it is undone before that; and what is held back
// is theirs to see.
func (c *CutResult) marks(cut, plug Moment, agents bool) []int64 {
	c.CutMillis = float64(cut.End-cut.Begin) / 1e6
	begin := cut.Begin - int64(inFlight)
	noticed := begin
	if c.How == Carrier && (!agents || plug.Noticed != 0) {
		noticed = plug.Begin // or never
		if plug.Noticed != 0 {
			noticed = plug.Noticed
		}
		late := float64(noticed-cut.Begin) / 1e6
		c.NoticedMillis, c.HeldBack = &late, late > millis(heldBack)
	}
	if agents && (c.HeldBack || c.Provoked) {
		noticed, c.AllowedMillis = begin, millis(allowedSilent)
	}
	return []int64{begin, noticed, plug.Begin}
}

// blip makes carrier go and come once.
func (r *runner) blip(ctx context.Context, j job) error {
	if _, err := r.l.Cut(ctx, j.cable.Name, Carrier, j.end); err != nil {
		return err
	}
	if _, err := r.l.Plug(ctx, j.cable.Name); err != nil {
		return err
	}
	_, _, err := r.restored(ctx, j.cable.Name)
	return err
}

// restored waits until every pair that crosses the cable uses its planned path
// again and the engine has nothing left to do. missing says what is not so.
func (r *runner) restored(ctx context.Context, cable string) (ok bool, missing string, err error) {
	if r.agents() {
		return r.asTruth(ctx)
	}
	crossing := pairsOf(r.paths, func(p Path) bool { return slices.Contains(p.Cables, cable) })
	if len(crossing) > 0 {
		checked, err := r.l.OnPlannedPath(ctx, restoreLimit, crossing...)
		if err != nil {
			return false, "", err
		}
		for _, c := range checked {
			if !c.Good {
				return false, fmt.Sprintf("%s to %s (%s): %s", c.From, c.To, c.Family, c.Why), nil
			}
		}
	}
	err = poll(ctx, 20*time.Millisecond, restoreLimit, func() error {
		var err error
		if missing, err = r.l.Settled(ctx); err != nil {
			return err
		}
		if missing != "" {
			return errors.New(missing)
		}
		return nil
	})
	if errors.Is(err, errTimeout) {
		return false, missing, nil
	}
	return err == nil, "", err
}

// startLoad runs a TCP stream between the ends of a cable for as long as a cut
// takes, and sends its rate. It survives the cut, or ends with it where there is
// no other way; then it sends nil.
func (r *runner) startLoad(ctx context.Context, c mesh.CablePlan) <-chan *float64 {
	done := make(chan *float64, 1)
	i := slices.IndexFunc(r.paths, func(p Path) bool {
		return p.From == c.Ends[0].Node && p.To == c.Ends[1].Node
	})
	if i < 0 {
		done <- nil
		return done
	}
	go func() {
		rate, err := r.l.Throughput(ctx, r.paths[i].Pair, beforeCut+duringCut+time.Second, r.o.Tool)
		if err != nil {
			done <- nil
			return
		}
		done <- &rate.Gbps
	}()
	return done
}

// Probe rates, packets per second. Two cores keep up with probeRate of them
// beside everything else; pairs whose path is cut get more if they must.
const (
	probeRate = 12_000
	mostRate  = 40_000
	leastRate = 2_000 // of the pairs whose path is not cut
)

// spread gives each pair a probe spacing for a cut: 1 ms for the pairs whose path
// crosses the cable, and for the others what the rate leaves.
func spread(paths []Path, cable string) []Flow {
	var crossing, others []Flow
	for _, p := range paths {
		switch {
		case p.Hops() == 0: // no way anyhow
		case slices.Contains(p.Cables, cable):
			crossing = append(crossing, Flow{Pair: p.Pair})
		default:
			others = append(others, Flow{Pair: p.Pair})
		}
	}
	near := spacing(len(crossing), mostRate)
	far := max(near, spacing(len(others), max(leastRate, probeRate-len(crossing)*int(time.Second/near))))
	for i := range crossing {
		crossing[i].Spacing = near
	}
	for i := range others {
		others[i].Spacing = far
	}
	return append(crossing, others...)
}

// spacing returns the whole milliseconds between probes of a flow, so that flows
// together stay below rate per second.
func spacing(flows, rate int) time.Duration {
	return time.Duration(max(1, (flows*1000+rate-1)/rate)) * time.Millisecond
}

func pairsOf(paths []Path, which func(Path) bool) []Pair {
	var out []Pair
	for _, p := range paths {
		if which == nil || which(p) {
			out = append(out, p.Pair)
		}
	}
	return out
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// median of ints, 0 for none.
func median(all []int) int {
	if len(all) == 0 {
		return 0
	}
	s := slices.SortedFunc(slices.Values(all), cmp.Compare[int])
	return s[len(s)/2]
}
