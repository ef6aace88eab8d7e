package lab

import (
	"fmt"
	"slices"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Report is what Run found. Its JSON form is a promise (docs/cli.md).
type Report struct {
	Mesh           string       `json:"mesh"`
	Nodes          int          `json:"nodes"`
	Cables         int          `json:"cables"`
	Apply          string       `json:"apply"`           // the engine
	Kernel         string       `json:"kernel"`          // uname -r
	ReadyMillis    float64      `json:"ready_ms"`        // until all nodes were configured
	ThroughputTool string       `json:"throughput_tool"` // "" if not measured
	Pairs          []PairResult `json:"pairs"`
	Cuts           []CutResult  `json:"cuts"`
	// HeldBack are carrier cuts of which the kernel took notice late, see
	// CutResult.HeldBack: one made so on purpose, and those that were made again.
	HeldBack []CutResult `json:"held_back_cuts"`
	// Unprotected are the pairs that some single cable separates, by the plan.
	Unprotected []mesh.Pair `json:"unprotected"`
	StandIns    []string    `json:"stand_ins"`
	// Cleanup says, where agents ran and were cleaned up after, how the kernels
	// differ from what they were before; null where that was not tried.
	Cleanup  []string `json:"cleanup"`
	Problems []string `json:"problems"` // why OK is false
	Notes    []string `json:"notes"`    // what to keep in mind with the figures
	OK       bool     `json:"ok"`
	Seconds  float64  `json:"seconds"`
}

// PairResult is a pair of nodes in one family.
type PairResult struct {
	Pair
	Reachable bool     `json:"reachable"`
	Gbps      *float64 `json:"gbps"` // null if not measured
	RTT       float64  `json:"rtt_ms"`
	Hops      int      `json:"hops"` // planned; 0 if the plan has no path
	Why       string   `json:"why,omitempty"`
}

// CutResult is one cut and plug of a cable. Probes, Lost and the gap count from
// the cut to the plug, over all pairs.
type CutResult struct {
	Cable string    `json:"cable"` // "" where it is a node that something happens to
	Ends  [2]string `json:"ends"`
	How   string    `json:"how"`
	End   string    `json:"end"` // where it was cut; the node, where it is one
	// After names the cable that was cut two seconds before and is out still, ""
	// for a cut of the whole mesh.
	After string `json:"after,omitempty"`
	// NoticedMillis is, for a carrier cut, how long after it the kernel of the
	// other end took notice; null otherwise. HeldBack says that this took long,
	// because of another carrier event somewhere on this machine; then only what
	// was lost after the notice is judged.
	NoticedMillis  *float64       `json:"noticed_ms"`
	HeldBack       bool           `json:"held_back"`
	Provoked       bool           `json:"provoked"` // held back on purpose
	Probes         int            `json:"probes"`
	Lost           int            `json:"lost"`
	LongestGap     float64        `json:"longest_gap_ms"`
	MedianLost     int            `json:"median_lost"` // over pairs
	Worst          *PairLoss      `json:"worst"`       // null if nothing was lost
	Failed         []PairLoss     `json:"failed"`      // protected pairs that lost more than allowed
	Separated      []Pair         `json:"separated"`   // pairs without another way, not judged
	Restored       bool           `json:"restored"`
	RestoredMillis float64        `json:"restored_ms"` // from the plug to planned paths everywhere
	Missing        string         `json:"missing,omitempty"`
	LostBefore     int            `json:"lost_before"` // in the control before the cut
	LostReplug     int            `json:"lost_replug"` // from the plug on, by pairs that the cut did not separate
	AllowedMillis  float64        `json:"allowed_ms"`  // what a pair may lose
	Repeated       int            `json:"repeated"`    // attempts thrown away because this machine stood still
	Spacing        []SpacingGroup `json:"spacing"`
	LateMillis     float64        `json:"late_ms"` // the most that a probe was sent late
	CutMillis      float64        `json:"cut_ms"`  // that the cut itself took
	LoadGbps       *float64       `json:"load_gbps"`
}

// PairLoss is what a pair lost in a cut.
type PairLoss struct {
	Pair
	Lost   int     `json:"lost"`
	Gap    float64 `json:"longest_gap_ms"`
	Millis float64 `json:"lost_ms"` // lost probes times their spacing
}

// SpacingGroup says how many pairs were probed how often.
type SpacingGroup struct {
	Millis float64 `json:"spacing_ms"`
	Pairs  int     `json:"pairs"`
}

func newReport(p mesh.Plan, s Setup) Report {
	return Report{
		Mesh: p.Mesh, Nodes: len(p.Nodes), Cables: len(p.Cables), Apply: s.Engine, Kernel: s.Kernel, ReadyMillis: s.Millis,
		StandIns: s.StandIns, Unprotected: append([]mesh.Pair{}, p.Proof.Unprotected...),
		Pairs: []PairResult{}, Cuts: []CutResult{}, HeldBack: []CutResult{}, Problems: []string{}, Notes: []string{},
	}
}

// count fills in what the probes say. Phases are: before the cut, until the
// kernel noticed, until the plug, after the plug.
func (c *CutResult) count(r Probes, protected func(Pair) bool) {
	c.Failed, c.Separated = []PairLoss{}, []Pair{}
	c.LateMillis = millis(r.Late)
	var losses []int
	for _, f := range r.Flows {
		blind, cut := f.Phases[1], f.Phases[2]
		judged := cut.Lost
		if !c.HeldBack {
			judged += blind.Lost
		}
		c.LostBefore += f.Phases[0].Lost
		c.group(f.Spacing)
		if !protected(f.Pair) {
			c.Separated = append(c.Separated, f.Pair)
			continue
		}
		c.LostReplug += f.Phases[3].Lost
		lost := blind.Lost + cut.Lost
		loss := PairLoss{f.Pair, lost, millis(max(f.Gap(1), f.Gap(2))), millis(time.Duration(lost) * f.Spacing)}
		c.Probes += blind.Sent + cut.Sent
		c.Lost += loss.Lost
		losses = append(losses, loss.Lost)
		c.LongestGap = max(c.LongestGap, loss.Gap)
		if loss.Lost > 0 && (c.Worst == nil || loss.Lost > c.Worst.Lost) {
			c.Worst = &loss
		}
		if millis(time.Duration(judged)*f.Spacing) > c.AllowedMillis {
			c.Failed = append(c.Failed, loss)
		}
	}
	c.MedianLost = median(losses)
}

// name says what was cut, in a few words.
func (c *CutResult) name() string {
	s := fmt.Sprintf("cable %s (%s)", c.Cable, c.How)
	if c.Cable == "" {
		s = fmt.Sprintf("node %s (%s)", c.End, c.How)
	}
	if c.After != "" {
		s += ", two seconds after cable " + c.After
	}
	return s
}

func (c *CutResult) group(spacing time.Duration) {
	for i := range c.Spacing {
		if c.Spacing[i].Millis == millis(spacing) {
			c.Spacing[i].Pairs++
			return
		}
	}
	c.Spacing = append(c.Spacing, SpacingGroup{millis(spacing), 1})
}

// judge fills in Problems, Notes and OK.
func (r *Report) judge() {
	if len(r.Pairs) == 0 && r.Nodes > 1 {
		r.problem("no two nodes have addresses for each other: give the cluster file identity pools")
	}
	for _, p := range r.Pairs {
		if !p.Reachable && p.Hops > 0 {
			r.problem("%s does not reach %s over %s: %s", p.From, p.To, p.Family, p.Why)
		}
	}
	agents := r.Apply == AgentEngine
	before, silent, held := 0, false, false
	for _, c := range slices.Concat(r.Cuts, r.HeldBack) {
		before += c.LostBefore
		silent = silent || c.How == Silent || c.How == OneWay
		held = held || c.HeldBack
		if !c.Restored {
			r.problem("%s: planned paths are not back after the plug: %s", c.name(), c.Missing)
		}
		if agents && c.LostReplug > 0 {
			r.problem("%s: %d probes were lost while it was undone", c.name(), c.LostReplug)
		}
		if !agents && (c.How == Silent || c.How == OneWay) {
			continue
		}
		for i, p := range c.Failed {
			if i == 3 {
				r.problem("%s: and %d more pairs", c.name(), len(c.Failed)-i)
				break
			}
			r.problem("%s: %s to %s over %s lost %d probes, %g ms; at most %g ms are allowed",
				c.name(), p.From, p.To, p.Family, p.Lost, p.Millis, c.AllowedMillis)
		}
	}
	if before > 0 {
		r.note("%d probes were lost before any cut: this machine is too busy for exact figures", before)
	}
	for _, line := range r.Cleanup {
		r.problem("agent --cleanup leaves a difference: %s", line)
	}
	if silent && !agents {
		r.note("a silent cut loses frames while carrier stays: the kernel can't see it, so the loss lasts as long as the cut; finding it is the agent's work, and no agent runs here")
	}
	if held && !agents {
		r.note("the kernel lets carrier events pass once per second, for the whole machine; in a cut marked held back (one is made so on purpose) it noticed late, and what was lost until then is not judged; finding such a cut sooner is the agent's work")
	}
	r.OK = len(r.Problems) == 0
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}
