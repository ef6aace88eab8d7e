package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// What Run does beyond cutting every cable once where agents run: second cuts, nodes
// that lose their power, agents that are killed, and the cleanup at the end.

// What happens to a node.
const (
	PowerLoss = "power"      // the node loses its power, and gets it back
	AgentDies = "kill -9"    // its agent is killed, and started again
	AgentEnds = "all stop"   // all agents are asked to end, and started again
	AllDie    = "all killed" // all agents are killed, and started again
)

// DefaultSecondCuts is how many pairs of cables are cut unless asked otherwise.
const DefaultSecondCuts = 30

const (
	// What a pair may lose, with agents: where the kernel sees the cut, and where
	// only the agents can.
	allowedSeen   = 2 * time.Millisecond
	allowedSilent = 200 * time.Millisecond
	// secondAfter is how long after the first cut the second comes.
	secondAfter = 2 * time.Second
	// quietMost is how often a cut is repeated that fell into a stall of this machine.
	quietMost = 2
)

// agents reports whether agents run in the lab.
func (r *runner) agents() bool { return r.l.Setup.Engine == AgentEngine }

// allowed is what a pair that keeps a way may lose in a cut.
func (r *runner) allowed(how string) time.Duration {
	switch {
	case !r.agents():
		return allowedLoss
	case how == Silent, how == OneWay, how == PowerLoss:
		return allowedSilent
	case how == AgentDies, how == AgentEnds, how == AllDie:
		return 0
	}
	return allowedSeen
}

// beyond does the rest of the programme.
func (r *runner) beyond(ctx context.Context, cables []mesh.CablePlan) error {
	jobs := r.secondCuts(cables)
	for _, n := range r.l.Plan.Nodes {
		if slices.ContainsFunc(cables, func(c mesh.CablePlan) bool { return c.Ends[0].Node == n.Name || c.Ends[1].Node == n.Name }) {
			jobs = append(jobs, job{node: n.Name, how: PowerLoss}, job{node: n.Name, how: AgentDies})
		}
	}
	jobs = append(jobs, job{node: everyNode, how: AgentEnds}, job{node: everyNode, how: AllDie})
	for i, j := range jobs {
		what := "cable " + j.cable.Name + ", a second cut"
		if j.node != "" {
			what = "node " + j.node
		}
		r.progress(fmt.Sprintf("%s (%s)", what, j.how), i+1, len(jobs))
		c, err := r.cutQuietly(ctx, j)
		if err != nil {
			return fmt.Errorf("%s (%s): %w", what, j.how, err)
		}
		r.report.Cuts = append(r.report.Cuts, c)
	}
	r.progress("cleaning up", 0, 0)
	diff, err := r.l.Cleanup(ctx)
	r.report.Cleanup = diff
	return err
}

// everyNode stands for all nodes in a report.
const everyNode = "all"

// secondCuts lists pairs of cables to cut one after the other; unplugging and silence
// alternate. Where not all are asked for, they are taken evenly from all.
func (r *runner) secondCuts(cables []mesh.CablePlan) (jobs []job) {
	for _, first := range cables {
		for _, second := range cables {
			if first.Name != second.Name {
				jobs = append(jobs, job{cable: second, after: first.Name})
			}
		}
	}
	if most := r.o.SecondCuts; most >= 0 && len(jobs) > most {
		all := jobs
		jobs = make([]job, most)
		for i := range jobs {
			jobs[i] = all[i*len(all)/most]
		}
	}
	kinds := []string{Delete, Silent}
	for i := range jobs {
		jobs[i].how, jobs[i].afterHow, jobs[i].end = kinds[i%2], kinds[i/2%2], i/4%2
	}
	return jobs
}

// without lists the cables that are out during a job.
func (r *runner) without(j job) []string {
	var out []string
	for _, c := range r.l.Plan.Cables {
		touches := c.Ends[0].Node == j.node || c.Ends[1].Node == j.node
		if c.Name == j.cable.Name || c.Name == j.after || j.how == PowerLoss && touches {
			out = append(out, c.Name)
		}
	}
	return out
}

// before makes the first of two cuts, and returns the ways that are used then.
func (r *runner) before(ctx context.Context, j job) ([]Path, error) {
	if j.node != "" && j.how == PowerLoss { // its sockets would die with it
		return slices.DeleteFunc(slices.Clone(r.paths), func(p Path) bool { return p.From == j.node || p.To == j.node }), nil
	}
	if j.after == "" {
		return r.paths, nil
	}
	first, err := r.l.Cut(ctx, j.after, j.afterHow, 0)
	if err != nil {
		return nil, err
	}
	ways, err := r.l.Ways(ctx)
	if err != nil {
		return nil, err
	}
	return ways, sleep(ctx, secondAfter-beforeCut-time.Duration(now()-first.Begin))
}

// take does what the job is about.
func (r *runner) take(ctx context.Context, j job) (Moment, error) {
	switch j.how {
	case PowerLoss:
		return r.l.Power(ctx, j.node, false)
	case AgentDies:
		return r.toAgents(ctx, AgentKill, j.node)
	case AgentEnds:
		return r.toAgents(ctx, AgentStop, r.everybody()...)
	case AllDie:
		return r.toAgents(ctx, AgentKill, r.everybody()...)
	}
	return r.l.Cut(ctx, j.cable.Name, j.how, j.end)
}

// giveBack undoes it.
func (r *runner) giveBack(ctx context.Context, j job) (Moment, error) {
	switch j.how {
	case PowerLoss:
		return r.l.Power(ctx, j.node, true)
	case AgentDies:
		return r.toAgents(ctx, AgentStart, j.node)
	case AgentEnds, AllDie:
		return r.toAgents(ctx, AgentStart, r.everybody()...)
	}
	m, err := r.l.Plug(ctx, j.cable.Name)
	if err == nil && j.after != "" {
		_, err = r.l.Plug(ctx, j.after)
	}
	return m, err
}

func (r *runner) everybody() (all []string) {
	for _, n := range r.l.Plan.Nodes {
		all = append(all, n.Name)
	}
	return all
}

func (r *runner) toAgents(ctx context.Context, do AgentAction, nodes ...string) (Moment, error) {
	m := Moment{Begin: now()}
	for _, n := range nodes {
		if err := r.l.Agent(ctx, n, do); err != nil {
			return m, err
		}
	}
	m.End = now()
	return m, nil
}

// asTruth waits until the mesh is what its cabling allows, and all agents say so.
func (r *runner) asTruth(ctx context.Context) (ok bool, missing string, err error) {
	err = poll(ctx, 20*time.Millisecond, restoreLimit, func() error {
		v, err := r.l.Verify(ctx)
		if err != nil {
			return err
		}
		if len(v.Wrong) > 0 {
			return errors.New(v.Wrong[0])
		}
		if missing, err = r.l.Settled(ctx); err == nil && missing != "" {
			err = errors.New(missing)
		}
		return err
	})
	if errors.Is(err, errTimeout) {
		return false, err.Error(), nil
	}
	return err == nil, "", err
}

// cutQuietly makes a cut, and with agents again if this machine stood still meanwhile:
// then they can't react in time. It looks at the senders of probes alone, never at
// what was lost after the cut, and only at cuts that lost too much.
func (r *runner) cutQuietly(ctx context.Context, j job) (CutResult, error) {
	for repeated := 0; ; repeated++ {
		c, err := r.cut(ctx, j)
		c.Repeated = repeated
		stalled := c.LostBefore > 0 || c.LateMillis > stallMS
		if err != nil || !r.agents() || !stalled || len(c.Failed) == 0 && c.LostReplug == 0 || repeated == quietMost {
			return c, err
		}
	}
}
