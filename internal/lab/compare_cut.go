package lab

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// CompareCut is one cut and plug of a cable in a comparison.
type CompareCut struct {
	Cable string `json:"cable"`
	How   string `json:"how"`
	End   string `json:"end"` // where it was cut
	// Lost lists the pairs that lost probes between the cut and the plug; all
	// others lost none.
	Lost []TimeLost `json:"lost"`
	// Separated counts the pairs that the cut leaves no way for; what they lose is
	// nobody's fault and not in any figure.
	Separated int `json:"separated"`
	// WorstMS is the time that the pair lost which was hit worst.
	WorstMS float64 `json:"worst_ms"`
	// Healed is false if some pair did not answer before the cable was plugged
	// again, PatienceMS after the cut. Then what was lost has no end of its own.
	Healed     bool    `json:"healed"`
	PatienceMS float64 `json:"patience_ms"`
	// NoticedMS is, for carrier cuts, when the kernel of the other end took
	// notice; null if it did not, or for other cuts.
	NoticedMS *float64 `json:"noticed_ms"`
	// ReplugWorstMS is what a pair lost from the plug on, but in the first three
	// seconds; BackMS how long after the plug the last pair took its best way
	// again, Never if that took more than a minute.
	ReplugWorstMS float64 `json:"replug_worst_ms"`
	BackMS        float64 `json:"back_ms"`
	BackWhy       string  `json:"back_why"` // not back: what was missing
	// Lost before the cut, over all pairs, and the most that a probe was late:
	// what this machine did by itself. Repeated counts the attempts at this cut
	// that were thrown away, see cutQuietly.
	BeforeMS float64 `json:"before_ms"`
	LateMS   float64 `json:"late_ms"`
	Repeated int     `json:"repeated"`
}

// stalled reports whether this machine stood still during a cut, so that nobody
// could react in time. It looks at the senders of probes alone, never at what
// was lost after the cut.
func (c CompareCut) stalled() bool { return c.BeforeMS > 0 || c.LateMS > stallMS }

// TimeLost is what a cut cost a pair: lost probes times their spacing, and the
// longest run of them.
type TimeLost struct {
	Pair
	MS    float64 `json:"ms"`
	GapMS float64 `json:"gap_ms"`
}

// HeldBack reports whether the kernel held the news of a carrier cut back,
// whether or not that was on purpose: any carrier event on this machine does it.
func (c CompareCut) HeldBack() bool {
	return c.How == Held || c.How == Carrier && (c.NoticedMS == nil || *c.NoticedMS > promptMS)
}

const (
	// promptMS is how soon the kernel takes notice of a carrier event that it
	// does not hold back: under a millisecond, more if all cores are busy.
	promptMS = 50
	// stallMS is the lateness of a probe from which on a cut is repeated, most
	// often repeatMost times: two thirds of what BFD waits for.
	stallMS    = 100
	repeatMost = 2
	// heldAfter is how long after another carrier event a Held cut comes.
	heldAfter = 200 * time.Millisecond
	// watchCut is how long a cut is watched at least: longer than the kernel
	// holds an event back.
	watchCut = 1300 * time.Millisecond
	// patience is how long a cut is given to heal where daemons can still do
	// something about it, patienceNobody where there are none.
	patience       = 15 * time.Second
	patienceNobody = 2 * time.Second
	// probeReplugMost is how long probes run on after a plug.
	probeReplugMost = 3 * time.Second
)

// cutQuietly makes one cut, and again if this machine stalled meanwhile, or if some
// other program's carrier event held the news of a carrier cut back. A cut that did
// not heal needs no second try: no stall is that long, and packets that circle until
// their hop limit ends them keep a small machine busy by themselves.
func (c *comparer) cutQuietly(ctx context.Context, cable mesh.CablePlan, how string, end int) (CompareCut, error) {
	for repeated := 0; ; repeated++ {
		out, err := c.cut(ctx, cable, how, end)
		out.Repeated = repeated
		spoilt := out.stalled() || how == Carrier && out.HeldBack()
		if err != nil || !spoilt || !out.Healed || out.BackMS == Never || repeated == repeatMost {
			return out, err
		}
	}
}

// cut makes one cut: probes run, the cable goes, the mesh heals or does not, the
// cable comes back, all pairs take their best way again.
func (c *comparer) cut(ctx context.Context, cable mesh.CablePlan, how string, end int) (out CompareCut, err error) {
	c.progress("cut cable %s (%s)", cable.Name, how)
	out = CompareCut{Cable: cable.Name, How: how, End: cable.Ends[end].String(), Lost: []TimeLost{}}
	if err := sleep(ctx, linkwatchPause); err != nil { // since the last plug
		return out, err
	}
	flows := make([]Flow, len(c.paths))
	for i, p := range c.paths {
		flows[i] = Flow{p.Pair, c.spacing}
	}
	probes, err := c.l.Probe(ctx, flows)
	if err != nil {
		return out, err
	}
	defer probes.Cancel()
	cut, err := c.take(ctx, cable, how, end)
	if err != nil {
		return out, err
	}
	if err := c.heal(ctx, cable, cut, &out); err != nil {
		return out, err
	}
	plug, err := c.l.Plug(ctx, cable.Name)
	if err != nil {
		return out, err
	}
	if plug.Noticed != 0 {
		noticed := float64(plug.Noticed-cut.Begin) / 1e6
		out.NoticedMS = &noticed
	}
	calmed := make(chan struct{})
	var took time.Duration
	var calmErr error
	go func() {
		defer close(calmed)
		took, calmErr = c.calm(ctx)
	}()
	select {
	case <-calmed:
		_ = sleep(ctx, afterPlug) // Stop notices a context that has ended
	case <-time.After(probeReplugMost): // leave the machine to the daemons
	}
	result, err := probes.Stop(ctx, cut.Begin-int64(inFlight), plug.Begin)
	<-calmed
	out.BackMS = millis(took)
	if errors.Is(calmErr, errTimeout) {
		out.BackMS, out.BackWhy, calmErr = Never, calmErr.Error(), nil
		c.progress("cable %s does not come back: %s", cable.Name, out.BackWhy)
	}
	if err := errors.Join(err, calmErr); err != nil {
		return out, err
	}
	out.count(result, func(p Pair) bool {
		return slices.ContainsFunc(c.paths, func(q Path) bool { return q.Pair == p && protected(q, &c.plan, cable.Name) })
	})
	return out, nil
}

// take cuts the cable, after a control period.
func (c *comparer) take(ctx context.Context, cable mesh.CablePlan, how string, end int) (Moment, error) {
	if how != Held {
		if err := sleep(ctx, beforeCut); err != nil {
			return Moment{}, err
		}
		return c.l.Cut(ctx, cable.Name, how, end)
	}
	done, err := c.l.Disturb(ctx)
	if err != nil {
		return Moment{}, err
	}
	defer done()
	if err := sleep(ctx, heldAfter); err != nil {
		return Moment{}, err
	}
	return c.l.Cut(ctx, cable.Name, Carrier, end)
}

// heal waits until all pairs that have a way left answer, but not for ever.
func (c *comparer) heal(ctx context.Context, cable mesh.CablePlan, cut Moment, out *CompareCut) error {
	limit := patience
	if c.name == Compiled || c.name == "static" {
		limit = patienceNobody
	}
	pairs := pairsOf(c.paths, func(p Path) bool { return protected(p, &c.plan, cable.Name) })
	out.Healed = true
	if len(pairs) > 0 {
		checked, err := c.l.Check(ctx, limit, pairs...)
		if err != nil {
			return err
		}
		for _, p := range checked {
			out.Healed = out.Healed && p.Good
		}
	}
	if err := sleep(ctx, watchCut-time.Duration(now()-cut.Begin)); err != nil {
		return err
	}
	out.PatienceMS = float64(now()-cut.Begin) / 1e6
	return nil
}

// count fills in what the probes say. Phases are: before the cut, until the plug,
// after it.
func (c *CompareCut) count(r Probes, protected func(Pair) bool) {
	c.LateMS = millis(r.Late)
	for _, f := range r.Flows {
		ms := func(phase int) float64 { return millis(time.Duration(f.Phases[phase].Lost) * f.Spacing) }
		c.BeforeMS += ms(0)
		if !protected(f.Pair) {
			c.Separated++
			continue
		}
		c.ReplugWorstMS = max(c.ReplugWorstMS, ms(2))
		if lost := ms(1); lost > 0 {
			c.Lost = append(c.Lost, TimeLost{f.Pair, lost, millis(f.Gap(1))})
			c.WorstMS = max(c.WorstMS, lost)
		}
	}
}
