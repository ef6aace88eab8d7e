package tune

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Wanted is what a mesh wants of a machine. The zero value but for Latency, which
// then has to be NoLatency, wants nothing.
type Wanted struct {
	// NoSegmentation are the interfaces, by index, that have to send TCP in packets
	// of the path's size, instead of leaving large ones to their driver.
	NoSegmentation []int
	// Interrupts leads from numbers to the lists of CPUs that may serve them, see
	// Placement.
	Interrupts map[int]string
	// Latency is how long a processor may take to wake up, in µs; NoLatency for as
	// long as it likes. Small values cost power: with 0 no processor ever sleeps.
	Latency int
}

// NoLatency leaves the sleep of processors alone.
const NoLatency = -1

// Tuner brings about what is wanted. It is not for concurrent use. It acts on the
// network namespace of the calling thread.
type Tuner struct {
	root    string
	journal *Journal
	held    *os.File // cpu_dma_latency
	latency int
}

// New returns a tuner. Root holds proc and dev: "" or "/" on a machine.
func New(root string, journal *Journal) *Tuner {
	return &Tuner{root: root, journal: journal, latency: NoLatency}
}

// Apply sets what is wanted, and gives back what was set and is not wanted any
// more. It goes on after a failure; the error names each knob that failed.
func (t *Tuner) Apply(w Wanted) error {
	want := map[knob]string{}
	for _, index := range w.NoSegmentation {
		want[knob{Kind: kindSegmentation, Index: index}] = ""
	}
	for number, cpus := range w.Interrupts {
		want[knob{Kind: kindFile, File: "proc/irq/" + strconv.Itoa(number) + "/smp_affinity_list"}] = cpus
	}
	var errs []error
	for _, v := range t.journal.values() {
		if _, wanted := want[v.Knob]; !wanted {
			errs = append(errs, t.giveBack(v))
		}
	}
	knobs := make([]knob, 0, len(want))
	for k := range want {
		knobs = append(knobs, k)
	}
	slices.SortFunc(knobs, func(a, b knob) int { return slices.Compare([]int{a.Index}, []int{b.Index}) })
	for _, k := range knobs {
		errs = append(errs, t.turn(k, want[k]))
	}
	return errors.Join(append(errs, t.hold(w.Latency))...)
}

// Undo gives everything back, also what another process has set that died. The
// error names each knob that failed; those stay in the journal.
func (t *Tuner) Undo() error { return t.Apply(Wanted{Latency: NoLatency}) }

// Close lets processors sleep again as they like. All else stays.
func (t *Tuner) Close() error { return t.hold(NoLatency) }

// turn sets a knob, remembering what it was the first time.
func (t *Tuner) turn(k knob, to string) error {
	now, err := t.read(k)
	switch {
	case errors.Is(err, errGone):
		return nil
	case err != nil:
		return fmt.Errorf("tune: %s: %w", k, err)
	}
	before, known := t.journal.value(k)
	if now == to || known && to == before.Asked && now == before.Set {
		return nil // as wanted, or as close as the kernel comes to it
	}
	v := value{Knob: k, Was: now, Asked: to, Set: to}
	if known {
		v.Was = before.Was
	}
	if err := t.journal.put(k, &v); err != nil {
		return err
	}
	if err := t.set(k, to); err != nil {
		return fmt.Errorf("tune: %s: %w", k, err)
	}
	// The kernel may write it in its own way, or do less than it was asked to.
	if v.Set, err = t.read(k); err == nil && v.Set != to {
		return t.journal.put(k, &v)
	}
	return nil
}

// giveBack sets a knob to what it was, unless somebody else has set it since.
func (t *Tuner) giveBack(v value) error {
	now, err := t.read(v.Knob)
	if err == nil && now == v.Set && now != v.Was {
		err = t.set(v.Knob, v.Was)
	}
	if err != nil && !errors.Is(err, errGone) {
		return fmt.Errorf("tune: %s: give back: %w", v.Knob, err)
	}
	return t.journal.put(v.Knob, nil)
}

// hold asks for a latency for as long as the file is open: the kernel itself takes
// it back when the process ends, however it ends
// (Documentation/power/pm_qos_interface.rst). The number is a 32-bit integer in
// the order of the machine.
func (t *Tuner) hold(latency int) error {
	if latency == t.latency {
		return nil
	}
	if t.held != nil {
		err := t.held.Close()
		t.held, t.latency = nil, NoLatency
		if err != nil {
			return fmt.Errorf("tune: latency of processors: %w", err)
		}
	}
	if latency < 0 {
		return nil
	}
	f, err := os.OpenFile(filepath.Join("/", t.root, "dev/cpu_dma_latency"), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("tune: latency of processors: %w", err)
	}
	if _, err := f.Write(latencyBytes(latency)); err != nil {
		return fmt.Errorf("tune: latency of processors: %w", errors.Join(err, f.Close()))
	}
	t.held, t.latency = f, latency
	return nil
}
