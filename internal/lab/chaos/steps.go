package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Kind is what a step does.
type Kind string

// Kinds of steps.
const (
	Unplug   Kind = "unplug"   // a cable
	Replug   Kind = "replug"   // a cable that is out, in whatever way
	Silent   Kind = "silent"   // a cable loses all frames, carrier stays
	OneWay   Kind = "one-way"  // a cable loses what one end sends
	Flap     Kind = "flap"     // a cable is unplugged and plugged a few times, quickly
	Kill     Kind = "kill -9"  // an agent; forwarding must stay until it is started again
	Restart  Kind = "restart"  // an agent is asked to end, and started again
	Blind    Kind = "blind"    // a cable is unplugged while the agent of one end is dead
	Foreign  Kind = "foreign"  // somebody else takes something from a kernel
	Reboot   Kind = "reboot"   // a node loses its power and gets it back
	Clock    Kind = "clock"    // an agent starts again, and its clocks have jumped
	Stranger Kind = "stranger" // a machine that is not of the plan is plugged in place of a cable, for a while
)

// weights say how often a step is of a kind. The sum is of no matter.
var weights = []struct {
	kind   Kind
	weight int
}{
	{Unplug, 16}, {Replug, 0 /* see kind */}, {Silent, 12}, {OneWay, 10}, {Flap, 8}, {Kill, 8}, {Restart, 5},
	{Blind, 4}, {Foreign, 18}, {Reboot, 4}, {Clock, 5}, {Stranger, 6},
}

// Step is one step.
type Step struct {
	Number int           `json:"number"` // counted from 1
	Kind   Kind          `json:"kind"`
	Cable  string        `json:"cable,omitempty"`
	End    int           `json:"end,omitempty"` // of the cable: where it starts, who is no longer heard
	Node   string        `json:"node,omitempty"`
	What   string        `json:"what,omitempty"`  // what somebody else takes
	Pick   int           `json:"pick,omitempty"`  // which of those there are
	Times  int           `json:"times,omitempty"` // flaps
	Pause  time.Duration `json:"pause_ns,omitempty"`
	Offset time.Duration `json:"offset_ns,omitempty"` // of clocks
}

// String returns the step as a line.
func (s Step) String() string {
	text := fmt.Sprintf("%d %s", s.Number, s.Kind)
	if s.Cable != "" {
		text += " cable " + s.Cable
	}
	if s.Node != "" {
		text += " node " + s.Node
	}
	switch s.Kind {
	case OneWay, Stranger:
		text += fmt.Sprintf(" end %d", s.End)
	case Flap:
		text += fmt.Sprintf(" %d times, %s apart", s.Times, s.Pause)
	case Foreign:
		text += fmt.Sprintf(" %s #%d", s.What, s.Pick)
	case Clock:
		text += fmt.Sprintf(" by %s", s.Offset)
	}
	return text
}

// Steps returns the first n steps of a seed for a plan.
func Steps(p *mesh.Plan, seed uint64, n int) []Step {
	g := &generator{plan: p, rnd: rand.New(rand.NewPCG(seed, 0x75346d)), out: outage{}}
	steps := make([]Step, n)
	for i := range steps {
		steps[i] = g.next()
		steps[i].Number = i + 1
	}
	return steps
}

// generator knows which cables are out.
type generator struct {
	plan *mesh.Plan
	rnd  *rand.Rand
	out  outage
}

// outage tells which cables are out, and by what kind of step.
type outage map[string]Kind

// reboot takes note that a node was without power: a cable that was silent carries
// frames again (see lab.Power), one that is unplugged stays so.
func (o outage) reboot(p *mesh.Plan, node string) {
	for _, c := range p.Cables {
		if (c.Ends[0].Node == node || c.Ends[1].Node == node) && o[c.Name] != Unplug && o[c.Name] != Blind {
			delete(o, c.Name)
		}
	}
}

func (g *generator) next() Step {
	s := Step{Kind: g.kind()}
	switch s.Kind {
	case Replug:
		s.Cable = g.cable(true)
		delete(g.out, s.Cable)
	case Unplug, Silent, OneWay:
		s.Cable, s.End = g.cable(false), g.rnd.IntN(2)
		g.out[s.Cable] = s.Kind
	case Stranger:
		s.Cable, s.End = g.cable(false), g.rnd.IntN(2)
		s.Node = g.end(s.Cable, s.End)
	case Flap:
		s.Cable, s.End = g.cable(false), g.rnd.IntN(2)
		s.Times, s.Pause = 2+g.rnd.IntN(4), time.Duration(g.rnd.IntN(120))*time.Millisecond
	case Blind:
		s.Cable, s.End = g.cable(false), g.rnd.IntN(2)
		s.Node = g.end(s.Cable, s.End)
		g.out[s.Cable] = s.Kind
	case Foreign:
		s.Node, s.Pick = g.node(), g.rnd.IntN(1000)
		s.What = lab.Vandals()[g.rnd.IntN(len(lab.Vandals()))]
	case Clock:
		s.Node, s.Offset = g.node(), time.Duration(g.rnd.IntN(365*24))*time.Hour
	case Reboot:
		s.Node = g.node()
		g.out.reboot(g.plan, s.Node)
	default:
		s.Node = g.node()
	}
	return s
}

// kind draws what to do. The more cables are out, the likelier one comes back, so that
// about a quarter is out on average.
func (g *generator) kind() Kind {
	total, cables := 0, len(g.plan.Cables)
	replug := 160 * len(g.out) / max(1, cables)
	for _, w := range weights {
		total += w.weight
	}
	x := g.rnd.IntN(total + replug)
	for _, w := range weights {
		weight := w.weight
		if w.kind == Replug {
			weight = replug
		}
		if x -= weight; x >= 0 {
			continue
		}
		needsCable := slices.Contains([]Kind{Unplug, Silent, OneWay, Flap, Blind, Stranger}, w.kind)
		if needsCable && len(g.out) == cables {
			return Replug
		}
		return w.kind
	}
	return Replug
}

// cable draws a cable that is out, or one that is not. There must be one.
func (g *generator) cable(out bool) string {
	var all []string
	for _, c := range g.plan.Cables {
		if _, isOut := g.out[c.Name]; isOut == out {
			all = append(all, c.Name)
		}
	}
	return all[g.rnd.IntN(len(all))]
}

func (g *generator) node() string { return g.plan.Nodes[g.rnd.IntN(len(g.plan.Nodes))].Name }

func (g *generator) end(cable string, end int) string {
	i := slices.IndexFunc(g.plan.Cables, func(c mesh.CablePlan) bool { return c.Name == cable })
	return g.plan.Cables[i].Ends[end].Node
}
