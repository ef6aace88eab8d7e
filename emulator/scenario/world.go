package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/fabric"
	"github.com/usb4mesh/usb4mesh/emulator/guest"
)

// Spec is a set of machines and their cables.
type Spec struct {
	// Cables are written "a:1-b:2": from port 1 of host a to port 2 of host b.
	Cables []string
	// Model is the identity of all hosts: "amd" (default) or "intel"; Models that of single ones.
	Model  string
	Models map[string]string
	// Kernel is that of all hosts, by default Linux 6.12; Kernels that of single ones.
	Kernel  guest.Kernel
	Kernels map[string]guest.Kernel
	// Unplugged leaves all cables on the floor until [World.Plug].
	Unplugged bool
	// Carry names more kernel modules that the guests have at hand, for [guest.Machine.Load].
	Carry []string
	// Modules replaces what is loaded at boot, thunderbolt and thunderbolt_net; ModulesOf does for single hosts.
	Modules   []string
	ModulesOf map[string][]string
	// Bare leaves guests as the kernel starts them, for a program that sets them up itself: no addresses, no settings. The
	// steps that configure ([World.Up], [World.Cut]) are not for bare guests; [World.Appear], [World.Gone], [World.Carrier]
	// are, and pings and [World.Probe] once V4 and V6 of each Host say what their addresses are.
	Bare bool
	// Files are put into every guest: programs, configuration.
	Files []guest.File
	// FilesOf are put into single guests only.
	FilesOf map[string][]guest.File
	// Memory of a guest in MiB, by default 256, and 768 with Systemd.
	Memory int
	// Systemd boots Debian 13 with systemd, udev and networkd, and loads no driver: udev does.
	Systemd bool
	// Edit may change the topology before anything starts: lanes, speeds, training times.
	Edit func(*fabric.Topology)
}

// World is a fabric with a guest at each of its hosts.
type World struct {
	T      testing.TB
	Fabric *fabric.Fabric
	// Logs has the guests' logs and the trace of control packets. It is removed after a test that passes.
	Logs string

	spec    Spec
	cables  []cable
	hosts   []*Host
	starved watch
}

// Host is a machine of a world. The methods of the guest can be called directly: they return
// errors, whereas those of Host and World end the test.
type Host struct {
	*guest.Machine
	Name string
	// Identity addresses, on the loopback interface and every cable's.
	V4, V6 string

	world *World
	nhis  []guest.NHI
	off   bool // without power
	ready bool // greeted since it booted
}

type cable struct {
	name string
	ends [2]end
}

// end is a port of a host, counting from 1.
type end struct {
	host string
	port int
}

var cableForm = regexp.MustCompile(`^([^:\s]+):(\d{1,2})-([^:\s]+):(\d{1,2})$`)

// parseCable reads "a:1-b:2".
func parseCable(text string) (cable, error) {
	m := cableForm.FindStringSubmatch(text)
	if m == nil {
		return cable{}, fmt.Errorf("cable %q: is not like a:1-b:2", text)
	}
	c := cable{name: text}
	for i := range c.ends {
		port, err := strconv.Atoi(m[2*i+2])
		if err != nil {
			return cable{}, err
		}
		c.ends[i] = end{host: m[2*i+1], port: port}
	}
	return c, nil
}

// Start plugs the cables and boots a guest for every host. What it starts ends with the test.
func Start(t testing.TB, s Spec) *World {
	t.Helper()
	w := &World{T: t, spec: s}
	topology := fabric.Topology{}
	for _, text := range s.Cables {
		c, err := parseCable(text)
		if err != nil {
			t.Fatal(err)
		}
		w.cables = append(w.cables, c)
		topology.Cables = append(topology.Cables, fabric.Cable{
			Name: c.name, A: fmt.Sprintf("%s:%d", c.ends[0].host, c.ends[0].port), B: fmt.Sprintf("%s:%d", c.ends[1].host, c.ends[1].port),
			Unplugged: s.Unplugged,
		})
		for _, e := range c.ends {
			if w.hostNamed(e.host) == nil {
				n := len(w.hosts) + 1
				w.hosts = append(w.hosts, &Host{
					Name: e.host, world: w, V4: fmt.Sprintf("10.75.0.%d", n), V6: fmt.Sprintf("fd75:7362::%d", n),
				})
				topology.Hosts = append(topology.Hosts, fabric.Host{Name: e.host, Model: or(s.Models[e.host], s.Model)})
			}
		}
	}
	if s.Edit != nil {
		s.Edit(&topology)
	}
	w.prepare(topology)
	w.boot(w.hosts)
	return w
}

func or[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}

// prepare makes the folders and the fabric.
func (w *World) prepare(topology fabric.Topology) {
	w.T.Helper()
	var err error
	if w.Logs, err = os.MkdirTemp("", "usb4emu-logs-"); err != nil {
		w.T.Fatal(err)
	}
	sockets, err := os.MkdirTemp("", "usb4emu-")
	if err != nil {
		w.T.Fatal(err)
	}
	trace, err := os.Create(filepath.Join(w.Logs, "trace"))
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() {
		if err := errors.Join(trace.Close(), os.RemoveAll(sockets)); err != nil {
			w.T.Error(err)
		}
		if w.T.Failed() {
			w.T.Logf("logs of the guests and the trace of control packets are kept in %s", w.Logs)
			return
		}
		if err := os.RemoveAll(w.Logs); err != nil {
			w.T.Error(err)
		}
	})
	w.Fabric, err = fabric.New(topology, fabric.Options{Dir: sockets, Trace: trace})
	if err != nil {
		w.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.T.Cleanup(func() {
		cancel()
		if err := w.Fabric.Close(); err != nil {
			w.T.Errorf("closing the fabric: %v", err)
		}
	})
	w.Fabric.Start(ctx)
	go w.starved.run(ctx)
	for _, h := range w.hosts {
		for _, s := range w.Fabric.Sockets(h.Name) {
			h.nhis = append(h.nhis, guest.NHI{Socket: s.Path, Model: s.Model})
		}
	}
	w.T.Cleanup(w.shutdown)
}

// shutdown ends the guests and has a last look at their logs.
func (w *World) shutdown() {
	for _, h := range w.hosts {
		if h.Machine == nil {
			continue
		}
		if err := h.healthy(); err != nil {
			w.T.Error(err)
		}
		if err := h.Machine.Close(); err != nil {
			w.T.Error(err)
		}
	}
}

// boot starts guests, all at once.
func (w *World) boot(hosts []*Host) {
	w.T.Helper()
	start := time.Now()
	for n := 1; len(hosts) > 0; n++ {
		w.starved.take()
		w.start(hosts)
		worst := w.starved.take()
		var again []*Host
		for _, h := range hosts {
			ok, err := h.bound()
			if err != nil {
				w.T.Fatal(err)
			}
			if ok || worst < standstill || n == boots {
				continue // if the driver is not there, what waits for it will say so
			}
			w.Report("%s boots again: its driver gave up while this process got no time for %d ms", h.Name, worst.Milliseconds())
			w.Must(w.Fabric.PowerOff(h.Name))
			w.Must(h.Machine.Close())
			w.Must(w.Fabric.PowerOn(h.Name))
			again = append(again, h)
		}
		hosts = again
	}
	for _, h := range w.hosts {
		if !h.off && !h.ready {
			w.greet(h)
		}
	}
	w.Report("guests up after %.1f s", time.Since(start).Seconds())
}

// greet prepares a guest that has just booted.
func (w *World) greet(h *Host) {
	w.T.Helper()
	w.T.Logf("%s: Linux %s answered %.1f s after power-on", h.Name, h.Release, h.Booted.Seconds())
	if err := h.Echo(w.T.Context(), EchoPort); err != nil {
		w.T.Fatalf("%s: %v", h.Name, err)
	}
	if !w.spec.Bare {
		h.identify()
	}
	h.ready = true
}

// start starts guests; it returns when all have answered and loaded their drivers.
func (w *World) start(hosts []*Host) {
	w.T.Helper()
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() {
			h.Machine, errs[i] = guest.Start(w.T.Context(), guest.Config{
				Name: h.Name, Kernel: or(w.spec.Kernels[h.Name], w.spec.Kernel), NHIs: h.nhis, Memory: w.spec.Memory, Systemd: w.spec.Systemd,
				Modules: w.modules(h.Name), Carry: w.spec.Carry, Logs: w.Logs,
				Files: slices.Concat(w.spec.Files, w.spec.FilesOf[h.Name]),
			})
		})
	}
	wg.Wait()
	err := errors.Join(errs...)
	var no guest.Unavailable
	if errors.As(err, &no) {
		w.T.Skip(no.Error())
	}
	if err != nil {
		w.T.Fatal(err)
	}
}

func (w *World) modules(host string) []string {
	if m, ok := w.spec.ModulesOf[host]; ok {
		return m
	}
	return w.spec.Modules
}

func (w *World) hostNamed(name string) *Host {
	for _, h := range w.hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// Host returns a host by its name.
func (w *World) Host(name string) *Host {
	w.T.Helper()
	h := w.hostNamed(name)
	if h == nil {
		w.T.Fatalf("there is no host %q", name)
	}
	return h
}

// Hosts returns all hosts in the order in which the cables name them.
func (w *World) Hosts() []*Host { return w.hosts }

func (w *World) cable(name string) cable {
	w.T.Helper()
	for _, c := range w.cables {
		if c.name == name {
			return c
		}
	}
	w.T.Fatalf("there is no cable %q", name)
	return cable{}
}

// Step runs a part of the test as a subtest with its own name. If it fails the whole test ends: nobody knows
// what state the cables are in then.
func (w *World) Step(name string, do func()) {
	w.T.Helper()
	t, ok := w.T.(*testing.T)
	if !ok {
		w.T.Fatalf("step %s: only tests have steps", name)
	}
	passed := t.Run(name, func(sub *testing.T) {
		w.T = sub
		defer func() { w.T = t }()
		start := time.Now()
		do()
		for _, h := range w.hosts {
			if err := h.healthy(); err != nil {
				sub.Error(err)
			}
		}
		sub.Logf("step took %.1f s", time.Since(start).Seconds())
	})
	if !passed {
		t.FailNow()
	}
}

// Report logs a measured result and, if the environment names a file as USB4EMU_REPORT, appends it there.
func (w *World) Report(format string, args ...any) {
	w.T.Helper()
	line := fmt.Sprintf(format, args...)
	w.T.Log(line)
	file := os.Getenv("USB4EMU_REPORT")
	if file == "" {
		return
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = fmt.Fprintf(f, "%s: %s\n", w.T.Name(), line)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		w.T.Errorf("report: %v", err)
	}
}

// Until repeats try until it returns nil, and fails the test if that is not so within the limit. It returns how
// long it took. It also gives up when a guest's kernel has complained.
func (w *World) Until(what string, limit time.Duration, try func() error) time.Duration {
	w.T.Helper()
	start := time.Now()
	for {
		err := try()
		took := time.Since(start)
		if err == nil {
			return took
		}
		if took > limit {
			w.T.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		for _, h := range w.hosts {
			if err := h.healthy(); err != nil {
				w.T.Fatalf("%s: %v", what, err)
			}
		}
		select {
		case <-w.T.Context().Done():
			w.T.Fatalf("%s: %v; and the test has ended", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
