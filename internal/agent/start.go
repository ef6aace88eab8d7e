package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/liveness"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// start opens what every turn needs.
func (a *Agent) start() error {
	var err error
	if a.parts.hardware, err = a.parts.openHardware(); err != nil {
		return err
	}
	if a.parts.kernel, err = a.parts.openKernel(); err != nil {
		return errors.Join(fmt.Errorf("agent: %w", err), a.parts.hardware.Close())
	}
	a.parts.door = kernel.Remembering(a.parts.kernel, loadBefore(a.options.State).remember)
	a.log.Info("agent starts", "mesh", a.loop.plan.Mesh, "node", a.options.Node, "digest", a.loop.digest, "version", a.options.Version)
	return nil
}

// stop ends everything but what the kernel holds. Liveness goes first: its peers
// are told that this is no failure, while there are still ways to tell them.
func (a *Agent) stop() {
	a.parts.notify("STOPPING=1")
	a.closeLiveness()
	a.closeMeasuring()
	a.closeGossip()
	var errs []error
	if a.loop.tuner != nil {
		errs = append(errs, a.loop.tuner.Close())
	}
	errs = append(errs, a.parts.kernel.Close(), a.parts.hardware.Close())
	if err := errors.Join(errs...); err != nil {
		a.log.Warn("not everything was closed well", "error", err)
	}
	a.log.Info("agent ends; the routes stay")
}

// watch starts what wakes the loop. Without events of the hardware (a container may
// not hear them) the timer and the kernel's events serve.
func (a *Agent) watch(ctx context.Context, helpers *sync.WaitGroup) error {
	events, err := a.parts.kernel.Watch(ctx)
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	<-events // the first one comes at once; so does the first turn
	helpers.Go(func() { a.forward(events, causeKernel) })
	if taken, err := a.parts.kernel.WatchFilters(ctx); err != nil {
		a.log.Info("nobody tells when packet filters are taken away", "error", err)
	} else {
		<-taken // likewise
		helpers.Go(func() { a.keepFilters(ctx, taken) })
	}
	devices, err := a.parts.hardware.Watch(ctx)
	if err != nil {
		a.log.Warn("device events can't be heard; the timer serves", "error", err)
		return nil
	}
	helpers.Go(func() { a.forward(devices, causeHardware) })
	return nil
}

func (a *Agent) forward(events <-chan struct{}, cause string) {
	for range events {
		a.wake.up(cause)
	}
}

// Profiles of BFD. A tenth of a second of silence is noise to a node under load
// unless the thread that listens is a real-time one.
var profiles = map[string]liveness.Config{
	"":                  {Interval: 50 * time.Millisecond, Multiplier: 3},
	mesh.LivenessNormal: {Interval: 50 * time.Millisecond, Multiplier: 3},
	mesh.LivenessFast:   {Interval: 20 * time.Millisecond, Multiplier: 3, RealTime: true},
}

// closeLiveness tells the peers that silence is no failure from now on.
func (a *Agent) closeLiveness() {
	a.mu.Lock()
	live := a.shared.liveness
	a.shared.liveness, a.shared.watched = nil, false
	a.mu.Unlock()
	if live == nil {
		return
	}
	if err := live.Close(); err != nil {
		a.log.Warn("liveness did not close well", "error", err)
	}
}

// openLiveness starts to watch links, and the fast path that acts on it.
func (a *Agent) openLiveness(ctx context.Context, helpers *sync.WaitGroup) {
	settings := a.loop.cluster.Agent
	c, ok := profiles[settings.Liveness]
	if !ok || len(a.loop.plan.Node(a.options.Node).Identity) == 0 {
		a.log.Info("links are not watched", "liveness", settings.Liveness)
		return
	}
	a.loop.watchError = nil
	c.Port, c.Log = uint16(settings.BFDPort), a.log
	live, err := a.parts.openLiveness(ctx, c)
	if err != nil {
		a.log.Error("links are not watched", "error", err)
		a.loop.watchError = err
		return
	}
	a.mu.Lock()
	a.shared.liveness, a.shared.watched = live, true
	a.mu.Unlock()
	helpers.Go(func() { a.listen(ctx, live) })
}
