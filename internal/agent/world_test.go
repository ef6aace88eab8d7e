package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/gossip/gossiptest"
	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
	"github.com/usb4mesh/usb4mesh/internal/liveness"
	"github.com/usb4mesh/usb4mesh/internal/liveness/livenesstest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/remote"
	"github.com/usb4mesh/usb4mesh/internal/tune"
)

// world is a mesh of real agents on fake kernels, machines, BFD and gossip, in the
// time of a testing/synctest bubble.
type world struct {
	t      *testing.T
	plan   mesh.Plan
	file   string
	talk   *gossiptest.Mesh
	nodes  map[string]*worldNode
	cables map[string]*worldCable

	mu sync.Mutex // the machines' files
}

type worldNode struct {
	name    string
	world   *world
	kernel  *slowKernel
	machine *hwtest.Machine
	domains map[string]*hwtest.Domain
	once    bool
	rebinds []string
	tuner   worldTuner
	notes   []string        // to systemd
	state   string          // folder
	asks    []remote.Config // what measuring was opened with
	asking  int             // opened and not ended
	noPort  error

	agent *Agent
	live  *livenesstest.Fake // guarded by world.mu
	watch liveness.Config    // of live, likewise
	keys  [][]byte           // in the key file
	bad   error              // that it can't be read
	stop  context.CancelFunc
	ended chan error
	log   *bytes.Buffer
}

type worldCable struct {
	plan    mesh.CablePlan
	model   *hwtest.Cable
	index   [2]int // of the interfaces
	plugged bool
	silent  bool
	deaf    [2]bool // nothing arrives at an end
}

// slowKernel is a fake kernel that a driver may hold up.
type slowKernel struct {
	*kerneltest.Fake
	mu   sync.Mutex
	held chan struct{} // nil while it answers
}

func (k *slowKernel) wait() {
	k.mu.Lock()
	held := k.held
	k.mu.Unlock()
	if held != nil {
		<-held
	}
}

func (k *slowKernel) Snapshot(ctx context.Context) (mesh.State, error) {
	k.wait()
	return k.Fake.Snapshot(ctx)
}

func (k *slowKernel) Apply(ctx context.Context, changes []mesh.Change) error {
	k.wait()
	return k.Fake.Apply(ctx, changes)
}

func (k *slowKernel) hold(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if on {
		k.held = make(chan struct{})
	} else {
		close(k.held)
		k.held = nil
	}
}

func clusterFile(nodes int, shape, more string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "mesh: test\nidentity: [10.7.1.0/24, \"fd75::/64\"]\ntopology: %s\nnodes:\n", shape)
	for i := range nodes {
		fmt.Fprintf(&b, "  - {name: n%d, ports: {left: {path: \"pci-0000:c7:00.5\"}, right: {path: \"pci-0000:c7:00.6\"}}}\n", i+1)
	}
	return b.String() + more
}

// inWorld runs a test in a world of nodes with two ports each, all plugged, with
// agents running.
func inWorld(t *testing.T, nodes int, shape string, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nodes, shape)
		for _, c := range w.plan.Cables {
			w.plug(c.Name)
		}
		for _, n := range w.plan.Nodes {
			w.start(n.Name)
		}
		defer w.close()
		w.run(3 * time.Second)
		test(w)
	})
}

func newWorld(t *testing.T, nodes int, shape string) *world {
	t.Helper()
	w := &world{t: t, file: filepath.Join(t.TempDir(), "mesh.yaml"), nodes: map[string]*worldNode{}, cables: map[string]*worldCable{}}
	w.write(clusterFile(nodes, shape, ""))
	var fs []finding.Finding
	if _, w.plan, fs = readConfig(w.file, "n1"); finding.HasErrors(fs) {
		t.Fatal(fs)
	}
	c := gossip.Config{Members: map[string][]netip.Addr{}, Cables: map[string][2]string{}}
	for _, n := range w.plan.Nodes {
		c.Members[n.Name] = n.Identity
		node := &worldNode{name: n.Name, world: w, kernel: &slowKernel{Fake: kerneltest.NewFake()}, machine: hwtest.New(n.Name), domains: map[string]*hwtest.Domain{}, state: t.TempDir(), keys: [][]byte{{1}}}
		for _, pci := range []string{"0000:c7:00.5", "0000:c7:00.6"} {
			node.domains["pci-"+pci] = node.machine.AddDomain(pci, hwtest.AMD)
		}
		w.nodes[n.Name] = node
	}
	for _, k := range w.plan.Cables {
		c.Cables[k.Name] = [2]string{k.Ends[0].Node, k.Ends[1].Node}
		w.cables[k.Name] = &worldCable{plan: k}
	}
	w.talk = gossiptest.NewMesh(c)
	return w
}

func (w *world) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close() {
	for name := range w.nodes {
		w.end(name)
	}
}

// start starts the agent of a node.
func (w *world) start(name string) {
	w.t.Helper()
	n := w.nodes[name]
	n.log = &bytes.Buffer{}
	a, err := New(Options{Config: w.file, Node: name, State: n.state, Once: n.once, Timer: 5 * time.Second, Log: slog.New(slog.NewTextHandler(n.log, nil))})
	w.must(err)
	a.parts = parts{
		openKernel:   func() (Kernel, error) { return n.kernel, nil },
		openHardware: func() (Hardware, error) { return &worldHardware{n}, nil },
		openLiveness: func(_ context.Context, c liveness.Config) (Liveness, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			n.live, n.watch = livenesstest.New(), c
			return n.live, nil
		},
		openMeasuring: n.openMeasuring,
		openGossip:    func(gossip.Config) (Gossip, error) { return w.talk.Open(name), nil },
		openTuner:     func() (Tuner, error) { return &n.tuner, nil },
		loadKeys:      func(string) ([][]byte, error) { w.mu.Lock(); defer w.mu.Unlock(); return n.keys, n.bad },
		notify:        func(s string) { w.mu.Lock(); defer w.mu.Unlock(); n.notes = append(n.notes, s) },
	}
	a.options.Key = "test" // has no file: the fake needs none
	n.agent, n.ended = a, make(chan error, 1)
	ctx, stop := context.WithCancel(w.t.Context())
	n.stop = stop
	go func() { n.ended <- a.Run(ctx) }()
}

// end ends the agent of a node, if it runs.
func (w *world) end(name string) {
	n := w.nodes[name]
	if n.agent == nil {
		return
	}
	n.stop()
	if err := <-n.ended; err != nil {
		w.t.Errorf("agent %s: %v", name, err)
	}
	n.agent = nil
	if w.t.Failed() {
		w.t.Logf("log of %s:\n%s", name, n.log)
	}
}

// run lets time pass, in which BFD judges the cables: every 50 ms at first, later
// less often, since little happens then.
func (w *world) run(d time.Duration) {
	step := 50 * time.Millisecond
	for passed := time.Duration(0); passed < d; passed += step {
		synctest.Wait()
		for _, c := range w.cables {
			w.judge(c)
		}
		if passed >= time.Second {
			step = 500 * time.Millisecond
		}
		time.Sleep(min(step, d-passed))
	}
	synctest.Wait()
}

func (w *world) judge(c *worldCable) {
	var up, agent [2]bool
	for i, e := range c.plan.Ends {
		l, ok := w.interfaceAt(c, i)
		up[i], agent[i] = ok && l.Up && l.Carrier && c.plugged, w.nodes[e.Node].agent != nil
	}
	for i, e := range c.plan.Ends {
		l, _ := w.interfaceAt(c, i)
		verdict := liveness.Dead
		switch {
		case !up[i] || !agent[i]:
			continue
		case c.silent || c.deaf[i] || !up[1-i]:
		case agent[1-i]:
			verdict = liveness.Alive
		default:
			verdict = liveness.Absent
		}
		w.mu.Lock()
		live := w.nodes[e.Node].live
		w.mu.Unlock()
		if live != nil {
			live.Say(l.Name, verdict)
		}
	}
}

// interfaceAt is the kernel's interface at an end of a cable.
func (w *world) interfaceAt(c *worldCable, end int) (mesh.Link, bool) {
	s, err := w.nodes[c.plan.Ends[end].Node].kernel.Fake.Snapshot(context.Background())
	w.must(err)
	i := slices.IndexFunc(s.Links, func(l mesh.Link) bool { return l.Index == c.index[end] })
	if i < 0 || c.index[end] == 0 {
		return mesh.Link{}, false
	}
	return s.Links[i], true
}

func (w *world) portOf(e mesh.Endpoint) hwtest.Port {
	for _, l := range w.plan.Node(e.Node).Links {
		if l.Port.Name == e.Port {
			return w.nodes[e.Node].domains[l.Port.Path].Port(2)
		}
	}
	w.t.Fatalf("no port %s", e)
	return hwtest.Port{}
}

// plug puts a cable in: the driver makes interfaces at both ends.
func (w *world) plug(cable string) {
	w.t.Helper()
	c := w.cables[cable]
	w.mu.Lock()
	defer w.mu.Unlock()
	c.model = hwtest.Plug(w.portOf(c.plan.Ends[0]), w.portOf(c.plan.Ends[1]))
	c.plugged = true
	for i, e := range c.plan.Ends {
		k := w.nodes[e.Node].kernel
		name := c.model.Interface(i)
		w.must(k.Plug(name))
		s, err := k.Fake.Snapshot(context.Background())
		w.must(err)
		l, _ := link(s, name)
		c.index[i] = l.Index
	}
}

func (w *world) unplug(cable string) {
	w.t.Helper()
	c := w.cables[cable]
	var names [2]string
	for i := range c.plan.Ends {
		l, _ := w.interfaceAt(c, i)
		names[i] = l.Name
	}
	w.mu.Lock()
	c.model.Unplug()
	c.plugged, c.model = false, nil
	w.mu.Unlock()
	for i, e := range c.plan.Ends {
		w.must(w.nodes[e.Node].kernel.Unplug(names[i]))
		c.index[i] = 0
	}
}

// worldHardware is the machine of a node. Its files call interfaces as the kernel
// does.
type worldHardware struct{ n *worldNode }

func (h *worldHardware) Scan() (mesh.Hardware, []finding.Finding) {
	w := h.n.world
	for _, c := range w.cables {
		for i, e := range c.plan.Ends {
			if l, ok := w.interfaceAt(c, i); ok && e.Node == h.n.name {
				w.mu.Lock()
				if c.model != nil {
					c.model.Rename(i, l.Name)
				}
				w.mu.Unlock()
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	found, fs := hw.Scan(h.n.machine.FS)
	for i := range found.Links {
		found.Links[i].MAC = "" // the fake kernel knows none
	}
	return found, fs
}

func (h *worldHardware) Watch(ctx context.Context) (<-chan struct{}, error) {
	c := make(chan struct{})
	context.AfterFunc(ctx, func() { close(c) })
	return c, nil
}

func (h *worldHardware) Rebind(service string) error {
	h.n.world.mu.Lock()
	defer h.n.world.mu.Unlock()
	h.n.rebinds = append(h.n.rebinds, service)
	return nil
}

func (h *worldHardware) Close() error { return nil }

// worldTuner notes what is wanted.
type worldTuner struct{ wanted []tune.Wanted }

func (t *worldTuner) Apply(w tune.Wanted) error { t.wanted = append(t.wanted, w); return nil }

func (t *worldTuner) Close() error { return nil }

// out returns the port by which a node sends a packet on, as its kernel would.
func (w *world) out(name, incoming string, dest netip.Addr) string {
	k := w.nodes[name].kernel
	for _, s := range k.Steered() {
		if s.Incoming == incoming && s.Destination == dest {
			return s.Port
		}
	}
	s, err := k.Fake.Snapshot(context.Background())
	w.must(err)
	tables := []mesh.Table{mesh.MainTable}
	for _, r := range s.Rules {
		if r.Mark == 0 && r.Incoming == incoming && r.IPv6 == dest.Is6() {
			tables = []mesh.Table{r.Table, mesh.MainTable}
		}
	}
	for _, t := range tables {
		best := mesh.Route{}
		for _, r := range s.Routes {
			l, _ := link(s, r.Interface)
			if r.Table == t && r.Destination == mesh.HostPrefix(dest) && l.Up && l.Carrier && (best.Interface == "" || r.Metric < best.Metric) {
				best = r
			}
		}
		if best.Interface != "" {
			return best.Interface
		}
	}
	return ""
}

// way follows a packet; ok says whether it arrives.
func (w *world) way(src, dst string, family int) (cables []string, ok bool) {
	at, incoming := src, ""
	for range 4 * len(w.plan.Nodes) {
		if at == dst {
			return cables, true
		}
		port := w.out(at, incoming, w.plan.Node(dst).Identity[family])
		var over *mesh.LinkPlan
		for i, l := range w.plan.Node(at).Links {
			if l.Interface == port {
				over = &w.plan.Node(at).Links[i]
			}
		}
		if over == nil || !w.cables[over.Cable].plugged || w.cables[over.Cable].silent {
			return cables, false
		}
		for i, e := range w.cables[over.Cable].plan.Ends {
			if e.Node == over.Peer && w.cables[over.Cable].deaf[i] {
				return cables, false
			}
		}
		for _, l := range w.plan.Node(over.Peer).Links {
			if l.Cable == over.Cable {
				incoming = l.Interface
			}
		}
		cables, at = append(cables, over.Cable), over.Peer
	}
	return cables, false
}

// reaches fails the test unless every pair of the nodes is joined (nil: all).
func (w *world) reaches(nodes ...string) {
	w.t.Helper()
	if nodes == nil {
		for _, n := range w.plan.Nodes {
			nodes = append(nodes, n.Name)
		}
	}
	for _, a := range nodes {
		for _, b := range nodes {
			for family := range w.plan.Node(a).Identity {
				if way, ok := w.way(a, b, family); !ok {
					w.t.Errorf("%s does not reach %s (family %d), the packet goes over %v", a, b, family, way)
				}
			}
		}
	}
}

func (w *world) status(name string) mesh.Status { return w.nodes[name].agent.Status() }

func (w *world) states(want mesh.AgentState) {
	w.t.Helper()
	for name, n := range w.nodes {
		if n.agent == nil {
			continue
		}
		if s := n.agent.Status(); s.State != want {
			w.t.Errorf("%s is %s (%s), want %s", name, s.State, s.Why, want)
		}
	}
}

// finds returns the findings of a code.
func (w *world) finds(name, code string) []mesh.StatusFinding {
	var out []mesh.StatusFinding
	for _, f := range w.status(name).Findings {
		if f.Code == code {
			out = append(out, f)
		}
	}
	return out
}

func (w *world) expect(name, code, text string) {
	w.t.Helper()
	fs := w.finds(name, code)
	if len(fs) == 0 || !strings.Contains(fs[0].Message, text) {
		w.t.Errorf("%s: finding %s with %q is not there: %+v", name, code, text, w.status(name).Findings)
	}
}
