package liveness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what takes milliseconds on an idle machine.
const patience = 20 * time.Second

// realTimeConfig is the default profile on a real-time thread, if that is permitted: a
// test is not to fail because others are busy.
var realTimeConfig = Config{RealTime: true}

// world is two nodes, a and b, in network namespaces of their own, with cables between
// them. Tests use netlink directly: they build the world in which the engine is tried.
type world struct {
	t     testing.TB
	nodes [2]*node
}

type node struct {
	t    testing.TB
	ns   *os.File
	net  *netlink.Handle
	side int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	if noKernel != "" {
		t.Skip(noKernel)
	}
	w := &world{t: t}
	for i := range w.nodes {
		n, err := newNode(t, i)
		if errors.Is(err, unix.EPERM) { // root of a container that may not
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.nodes[i] = n
	}
	return w
}

func newNode(t testing.TB, side int) (*node, error) {
	n := &node{t: t, side: side}
	err := inThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		n.ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { n.ns.Close() })
	if n.net, err = netlink.NewHandleAt(netns.NsHandle(n.ns.Fd())); err != nil {
		return nil, err
	}
	t.Cleanup(n.net.Close)
	lo, err := n.net.LinkByName("lo")
	if err != nil {
		return nil, err
	}
	return n, n.net.LinkSetUp(lo)
}

// inThread runs f on a thread of its own, which ends with it.
func inThread(f func() error) error {
	c := make(chan error)
	go func() {
		runtime.LockOSThread()
		c <- f()
	}()
	return <-c
}

// in runs f on a thread in the namespace of the node.
func (n *node) in(f func() error) error {
	return inThread(func() error {
		if err := unix.Setns(int(n.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// address is that of a node on the k-th cable.
func address(side, k int, v4 bool) netip.Addr {
	if v4 {
		return netip.AddrFrom4([4]byte{10, 7, byte(k), byte(side + 1)})
	}
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: byte(k), 15: byte(side + 1)})
}

func cableName(k int) string { return fmt.Sprintf("tbt-%d", k) }

// plug joins the nodes by the k-th cable and returns it as both see it.
func (w *world) plug(k int, v4 bool) [2]Link {
	w.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = cableName(k)
	a, b := w.nodes[0], w.nodes[1]
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: attrs.Name, PeerNamespace: netlink.NsFd(b.ns.Fd())}
	if err := a.net.LinkAdd(pair); err != nil {
		w.t.Fatal(err)
	}
	var links [2]Link
	for i, n := range w.nodes {
		l, err := n.net.LinkByName(attrs.Name)
		if err != nil {
			w.t.Fatal(err)
		}
		local, remote := address(i, k, v4), address(1-i, k, v4)
		bits := 64
		if v4 {
			bits = 24
		}
		a, err := netlink.ParseAddr(fmt.Sprintf("%s/%d", local, bits))
		if err != nil {
			w.t.Fatal(err)
		}
		a.Flags = unix.IFA_F_NODAD
		if err := errors.Join(n.net.AddrAdd(l, a), n.net.LinkSetUp(l)); err != nil {
			w.t.Fatal(err)
		}
		links[i] = Link{Name: attrs.Name, Index: l.Attrs().Index, Local: local, Remote: remote}
	}
	return links
}

// unplug deletes both ends of the k-th cable.
func (w *world) unplug(k int) {
	w.t.Helper()
	l, err := w.nodes[0].net.LinkByName(cableName(k))
	if err == nil {
		err = w.nodes[0].net.LinkDel(l)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// silence makes the node lose all it receives on the k-th cable, or undoes that. It
// returns when the kernel has it.
func (n *node) silence(k int, silent bool) time.Time {
	n.t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(int(n.ns.Fd())))
	if err != nil {
		n.t.Fatal(err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyNetdev, Name: "silent-" + cableName(k)}
	if silent {
		c.AddTable(table)
		chain := c.AddChain(&nftables.Chain{
			Table: table, Name: "ingress", Type: nftables.ChainTypeFilter, Device: cableName(k),
			Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityFilter,
		})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}})
	} else {
		c.DelTable(table)
	}
	if err := c.Flush(); err != nil {
		n.t.Fatalf("nftables on node %d: %v", n.side, err)
	}
	return time.Now()
}

// engine opens an engine in the node.
func (n *node) engine(c Config, links ...Link) *Engine {
	n.t.Helper()
	var e *Engine
	err := n.in(func() (err error) {
		e, err = Open(context.Background(), c)
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	running = append(running, e)
	n.t.Cleanup(func() {
		e.Close()
		running = slices.DeleteFunc(running, func(o *Engine) bool { return o == e })
	})
	e.Set(links)
	return e
}

// running is the engines of the test.
var running []*Engine

// starved tells whether the machine kept an engine of this test from running for so long
// that its peer may have found it absent. That is no defect, and no test can help it.
func starved(t testing.TB, ev Event) bool {
	t.Helper()
	if ev.Session.Verdict == Dead {
		return false
	}
	for _, e := range running {
		for _, s := range e.Sessions() {
			if s.Late > DefaultInterval/2 {
				t.Logf("an engine was %s late, so a peer was %s", s.Late, ev.Session.Verdict)
				return true
			}
		}
	}
	return false
}

// only returns the one session of an engine.
func only(t testing.TB, e *Engine) Session {
	t.Helper()
	s := e.Sessions()
	if len(s) != 1 {
		t.Fatalf("%d sessions: %+v", len(s), s)
	}
	return s[0]
}

// until waits for an event with the verdict, and fails if another verdict comes before
// that is not among those allowed on the way.
func until(t testing.TB, e *Engine, want Verdict, onTheWay ...Verdict) (Event, time.Time) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case ev, ok := <-e.Events():
			now := time.Now()
			switch {
			case !ok:
				t.Fatalf("the engine ended before the link was %s", want)
			case ev.Session.Verdict == want:
				return ev, now
			case !slices.Contains(onTheWay, ev.Session.Verdict) && !starved(t, ev):
				t.Fatalf("the link is %s, want %s: %+v", ev.Session.Verdict, want, ev.Session)
			}
		case <-timeout:
			t.Fatalf("the link is not %s after %s: %+v", want, patience, e.Sessions())
		}
	}
}

// drain throws away the events that wait, which are to be of the given verdicts.
func drain(t testing.TB, e *Engine, allowed ...Verdict) {
	t.Helper()
	for {
		select {
		case ev := <-e.Events():
			if !slices.Contains(allowed, ev.Session.Verdict) {
				t.Fatalf("the link was %s: %+v", ev.Session.Verdict, ev.Session)
			}
		case <-time.After(100 * time.Millisecond):
			return
		}
	}
}

// quiet fails if there is an event within the time.
func quiet(t testing.TB, d time.Duration, engines ...*Engine) {
	t.Helper()
	end := time.After(d)
	for {
		var ev Event
		select {
		case ev = <-engines[0].Events():
		case ev = <-engines[len(engines)-1].Events():
		case <-end:
			return
		}
		if !starved(t, ev) {
			t.Fatalf("the link is %s, was %s: %+v", ev.Session.Verdict, ev.Previous, ev.Session)
		}
	}
}

// process runs in a node until the test has ended.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *os.File // what it prints; nil unless it was started with startAs
	done chan struct{}
}

// run starts a process in the node.
func (n *node) run(cmd *exec.Cmd) *process {
	n.t.Helper()
	p := &process{t: n.t, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	// The kernel kills the process when the thread that started it ends (Pdeathsig), so
	// that thread waits for it.
	go func() {
		runtime.LockOSThread()
		defer close(p.done)
		err := unix.Setns(int(n.ns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			if cmd.SysProcAttr == nil {
				cmd.SysProcAttr = &syscall.SysProcAttr{}
			}
			cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { p.end(syscall.SIGKILL) })
	return p
}

// first is run, ahead of others where that is permitted, as FRR's own frr.service asks.
func (n *node) first(cmd *exec.Cmd) *process {
	n.t.Helper()
	p := n.run(cmd)
	if err := unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, -5); err != nil {
		n.t.Logf("%s runs at normal priority: %v", cmd.Path, err)
	}
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// end sends a signal and waits until the process has ended.
func (p *process) end(s syscall.Signal) {
	p.t.Helper()
	p.signal(s)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.cmd.Path)
	}
}

// start starts an engine for the links in a process of its own in the node.
func (n *node) start(c Config, links ...Link) *process {
	n.t.Helper()
	return n.startAs(nil, c, links...)
}

func (n *node) startAs(who *syscall.Credential, c Config, links ...Link) *process {
	n.t.Helper()
	job, err := json.Marshal(peerJob{c.Interval, c.RealTime, links})
	if err != nil {
		n.t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { r.Close() })
	defer w.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asPeer+"="+string(job))
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	p := n.run(cmd)
	p.out = r
	return p
}

// line waits for what the process prints: its sessions, when the first has a verdict.
func (p *process) line() []byte {
	p.t.Helper()
	if err := p.out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	b, err := bufio.NewReader(p.out).ReadBytes('\n')
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

type peerJob struct {
	Interval time.Duration
	RealTime bool
	Links    []Link
}

// runPeer is the other process: it watches links until it is told to end.
func runPeer(job string) {
	var j peerJob
	if err := json.NewDecoder(strings.NewReader(job)).Decode(&j); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	e, err := Open(ctx, Config{Interval: j.Interval, RealTime: j.RealTime})
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
	e.Set(j.Links)
	for told := false; ; told = true {
		if _, ok := <-e.Events(); !ok {
			break
		}
		if !told {
			if err := json.NewEncoder(os.Stdout).Encode(e.Sessions()); err != nil {
				fmt.Fprintln(os.Stderr, "peer:", err)
			}
		}
	}
	e.Close()
}
