package agent

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
	"github.com/usb4mesh/usb4mesh/internal/tune"
)

// Tuner is what the agent needs of tune.Tuner.
type Tuner interface {
	Apply(w tune.Wanted) error
	Close() error
}

// openTuner opens the real one. What it changes is in tuning.json of the folder for
// what outlives the agent.
func openTuner(o Options) (Tuner, error) {
	j, err := tune.OpenJournal(filepath.Join(o.State, tuningFile), o.Root)
	if err != nil {
		return nil, err
	}
	return tune.New(o.Root, j), nil
}

const tuningFile = "tuning.json"

// tune brings about what the mesh wants of the machine beside its network, once the
// node is quiet: nothing of it is urgent.
func (a *Agent) tune(t *turn) {
	l := &a.loop
	if len(t.stand) == 0 && t.cause == causeTimer && l.tuner == nil && l.tuneError == nil {
		if l.tuner, l.tuneError = a.parts.openTuner(); l.tuneError != nil {
			a.log.Warn("nothing is tuned", "error", l.tuneError)
		}
	}
	if l.tuner != nil {
		if w := a.wanted(t); !reflect.DeepEqual(w, l.tuned) {
			l.tuned = w
			if l.tuneError = l.tuner.Apply(w); l.tuneError != nil {
				a.log.Warn("not everything is tuned", "error", l.tuneError)
			} else {
				a.log.Info("tuned", "interrupts", len(w.Interrupts), "latency", w.Latency, "ports without segmentation offload", len(w.NoSegmentation))
			}
		}
	}
	if l.tuneError != nil {
		t.report(finding.New(untuned, "%v", l.tuneError))
	}
}

// wanted is what the plan and the settings ask for.
func (a *Agent) wanted(t *turn) tune.Wanted {
	w := tune.Wanted{Latency: tune.NoLatency, Interrupts: a.placement(t.hardware)}
	if us := a.loop.cluster.Agent.Latency; us > 0 {
		w.Latency = us
	}
	cut := plan.NoSegmentation(&a.loop.plan, a.options.Node)
	for _, p := range t.match.Ports {
		if p.Part() && slices.Contains(cut, p.Plan.Interface) {
			w.NoSegmentation = append(w.NoSegmentation, p.Kernel.Index)
		}
	}
	return w
}

// placement is where interrupts are to be served: those that are not right yet, and
// those that are because of us.
func (a *Agent) placement(h mesh.Hardware) map[int]string {
	place := map[int]string{}
	for _, c := range h.Controllers {
		for _, i := range c.Interrupts {
			if cpus, ok := a.loop.tuned.Interrupts[i.Number]; ok {
				place[i.Number] = cpus
			}
		}
	}
	maps.Copy(place, tune.Placement(h))
	if len(place) == 0 {
		return nil
	}
	return place
}
