package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// world is what the keeper holds: the nodes, the cables and the engine.
type world struct {
	plan   *mesh.Plan
	paths  []Path
	nodes  []*Node
	byName map[string]*Node
	cables []*cable
	engine Engine
	setup  Setup
	procs  *processes

	machines *machines          // nil unless the engine wants them
	dark     map[*Node][]*cable // of a node without power: what is plugged in it
	strays   strays             // what is plugged otherwise than planned

	mu    sync.Mutex // cables are cut and plugged one at a time
	index int        // of the next interfaces
}

func newWorld(ctx context.Context, a buildArgs, procs *processes) (*world, Setup, error) {
	begin := time.Now()
	w := &world{plan: &a.Plan, paths: Paths(&a.Plan), byName: map[string]*Node{}, dark: map[*Node][]*cable{}, procs: procs, index: firstIndex}
	if err := w.build(ctx, a); err != nil {
		return nil, Setup{}, errors.Join(err, w.close())
	}
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return nil, Setup{}, errors.Join(err, w.close())
	}
	w.setup = Setup{
		Mesh: a.Plan.Mesh, Engine: a.Engine, Kernel: unix.ByteSliceToString(uname.Release[:]),
		StandIns: w.engine.StandIns(),
		Millis:   millis(time.Since(begin)),
	}
	if w.machines == nil {
		w.setup.StandIns = append([]string{
			"veth pairs stand for cables, made with the planned interface names (on hardware .link files rename)",
		}, w.setup.StandIns...)
	}
	return w, w.setup, nil
}

func (w *world) build(ctx context.Context, a buildArgs) (err error) {
	if len(w.plan.Nodes) == 0 {
		return errors.New("the plan has no nodes")
	}
	if w.engine, err = newEngine(a.Engine); err != nil {
		return err
	}
	for i := range w.plan.Nodes {
		n, err := newNode(w.plan, w.plan.Nodes[i].Name, w.procs)
		if err != nil {
			return err
		}
		w.nodes = append(w.nodes, n)
		w.byName[n.Name] = n
	}
	if e, ok := w.engine.(needsMachines); ok {
		if w.machines, err = newMachines(w.nodes); err != nil {
			return err
		}
		e.equip(a, w.machines)
	}
	for i := range w.plan.Cables {
		c, err := newCable(&w.plan.Cables[i], w.byName)
		if err != nil {
			return err
		}
		c.machines = w.machines
		w.cables = append(w.cables, c)
	}
	for _, i := range w.plugOrder() {
		if err := w.cables[i].connect(w.nextIndex()); err != nil {
			return err
		}
	}
	if err := w.engine.Start(ctx, w.nodes); err != nil {
		return fmt.Errorf("engine %s: %w", a.Engine, err)
	}
	// The kernel takes a moment to act on the carrier of new interfaces.
	return poll(ctx, time.Millisecond, carrierLimit, func() error {
		for _, c := range w.cables {
			if err := c.inUse(); err != nil {
				return err
			}
		}
		return nil
	})
}

// plugOrder is the order in which cables are plugged. On hardware the hosts find each
// other in any order, so that the driver's names say nothing of ports.
func (w *world) plugOrder() []int {
	if w.machines != nil {
		return rand.New(rand.NewPCG(1, 2)).Perm(len(w.cables))
	}
	order := make([]int, len(w.cables))
	for i := range order {
		order[i] = i
	}
	return order
}

// carrierLimit bounds the wait for carrier on all cables of a new lab; linkwatch
// may take a second (see linkwatchPause).
const carrierLimit = 5 * time.Second

func (w *world) nextIndex() int { w.index++; return w.index }

func (w *world) close() error {
	var err error
	if w.engine != nil {
		err = w.engine.Stop()
	}
	if w.machines != nil {
		err = errors.Join(err, w.depart(), w.machines.close())
	}
	for _, n := range w.nodes {
		n.close()
	}
	return err
}

func (w *world) node(name string) (*Node, error) {
	if n := w.byName[name]; n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("no node is called %q; there are %s", name, names(w.plan.Nodes, func(n mesh.NodePlan) string { return n.Name }))
}

func (w *world) cable(name string) (*cable, error) {
	for _, c := range w.cables {
		if c.plan.Name == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no cable is called %q; there are %s", name, names(w.plan.Cables, func(c mesh.CablePlan) string { return c.Name }))
}

func (w *world) cut(name, how string, end int) (Moment, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, err := w.cable(name)
	if err != nil {
		return Moment{}, err
	}
	m := Moment{Begin: now()}
	err = c.disconnect(how, end)
	m.End = now()
	return m, err
}

func (w *world) plug(ctx context.Context, name string) (Moment, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, err := w.cable(name)
	if err != nil {
		return Moment{}, err
	}
	if slices.Contains(w.strays.pulled, c) {
		return Moment{}, fmt.Errorf("cable %s: something else is in its place: tidy up first", name)
	}
	for _, n := range c.nodes {
		if _, dark := w.dark[n]; dark {
			return Moment{}, fmt.Errorf("cable %s: node %s has no power", name, n.Name)
		}
	}
	m := Moment{Begin: now()}
	if c.watch != nil {
		m.Noticed = c.watch.stop()
		c.watch = nil
	}
	silent := c.cut == Silent || c.cut == OneWay
	if err := c.connect(w.nextIndex()); err != nil {
		return m, err
	}
	if !silent { // nobody can see the end of a silent cut
		if err := w.engine.Plugged(ctx, c.nodes, name); err != nil {
			return m, fmt.Errorf("cable %s is plugged, but: %w", name, err)
		}
	}
	m.End = now()
	return m, nil
}

// now reads the clock of Moment.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // the clock id is valid on every Linux
	}
	return ts.Nano()
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func names[T any](all []T, name func(T) string) string {
	var s string
	for i, t := range all {
		if i > 0 {
			s += ", "
		}
		s += name(t)
	}
	return s
}
