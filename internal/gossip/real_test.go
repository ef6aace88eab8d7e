package gossip

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// order is what a test tells a node, a line of JSON each.
type order struct {
	Announce []LinkState
	Kick     bool
}

// report is what a node tells its test whenever something has changed.
type report struct {
	States    []LinkState
	Members   []Member
	Strangers []Stranger
}

// runNode is a node in a process of its own: it gossips until its input ends.
func runNode(config string) error {
	var c Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	g, err := Open(c)
	if err != nil {
		return err
	}
	orders := make(chan order)
	go func() {
		defer close(orders)
		in := json.NewDecoder(os.Stdin)
		for {
			var o order
			if in.Decode(&o) != nil {
				return
			}
			orders <- o
		}
	}()
	out := json.NewEncoder(os.Stdout)
	for {
		if err := out.Encode(report{g.States(), g.Members(), g.Strangers()}); err != nil {
			return err
		}
		select {
		case o, ok := <-orders:
			switch {
			case !ok:
				return g.Close()
			case o.Kick:
				g.Kick()
			default:
				g.Announce(o.Announce)
			}
		case <-g.Changed():
		}
	}
}

// lane is three nodes in a line, in network namespaces: 01 - 02 - 03. What goes from
// one end to the other is forwarded by the kernel in the middle.
type lane struct {
	t    *testing.T
	plan Config
	ns   [4]*os.File // by number of the node
	node [4]*process
}

type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser

	mu     sync.Mutex
	latest report
}

func newLane(t *testing.T) *lane {
	t.Helper()
	if noKernel != "" {
		t.Skip(noKernel)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip, from the package iproute2")
	}
	l := &lane{t: t, plan: Config{
		Mesh: "lane", Keys: [][]byte{testKey}, Members: map[string][]netip.Addr{},
		Cables: map[string][2]string{"1": {"01", "02"}, "2": {"02", "03"}},
	}}
	for i := 1; i <= 3; i++ {
		l.plan.Members[name(i)] = []netip.Addr{identity(i), identity6(i)}
		err := inThread(func() (err error) {
			if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
				l.ns[i], err = os.Open("/proc/thread-self/ns/net")
			}
			return err
		})
		if errors.Is(err, unix.EPERM) { // root of a container that may not
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.ns[i].Close() })
		l.ip(i, "link set lo up")
		l.set(i, "net/ipv4/ip_forward", "1")
		l.set(i, "net/ipv6/conf/all/forwarding", "1")
	}
	t.Cleanup(func() {
		for i, p := range l.node {
			if p != nil {
				l.stop(i)
			}
		}
	})
	return l
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

func (l *lane) in(i int, f func() error) error {
	return inThread(func() error {
		if err := unix.Setns(int(l.ns[i].Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// ip runs commands of iproute2 in the namespace of a node.
func (l *lane) ip(i int, commands ...string) {
	l.t.Helper()
	for _, c := range commands {
		if err := l.in(i, func() error {
			out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("ip %s: %w: %s", c, err, out)
			}
			return nil
		}); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *lane) set(i int, path, value string) {
	l.t.Helper()
	if err := l.in(i, func() error { return os.WriteFile("/proc/sys/"+path, []byte(value), 0) }); err != nil {
		l.t.Fatal(err)
	}
}

// plug joins a and b = a+1: as the plan does it, the identity of each on the port, and
// routes to the neighbour and to what lies beyond.
func (l *lane) plug(a int) {
	l.t.Helper()
	b := a + 1
	l.ip(a, fmt.Sprintf("link add tbt-%s type veth peer name tbt-%s netns /proc/%d/fd/%d", name(b), name(a), os.Getpid(), l.ns[b].Fd()))
	for _, end := range [][2]int{{a, b}, {b, a}} {
		self, peer := end[0], end[1]
		port := "tbt-" + name(peer)
		l.ip(self, "link set "+port+" up")
		for _, id := range []func(int) netip.Addr{identity, identity6} {
			nodad := ""
			if id(self).Is6() {
				nodad = " nodad"
			}
			l.ip(self, fmt.Sprintf("addr add %s dev %s%s", id(self), port, nodad))
			l.ip(self, fmt.Sprintf("route add %s dev %s src %s", id(peer), port, id(self)))
			if beyond := 2*peer - self; beyond >= 1 && beyond <= 3 {
				l.ip(self, fmt.Sprintf("route add %s via %s dev %s onlink src %s", id(beyond), id(peer), port, id(self)))
			}
		}
	}
}

func (l *lane) unplug(a int) { l.ip(a, "link del tbt-"+name(a+1)) }

func (l *lane) start(i int) {
	l.t.Helper()
	c := l.plan
	c.Node = name(i)
	config, err := json.Marshal(c)
	if err != nil {
		l.t.Fatal(err)
	}
	p := &process{cmd: exec.Command("/proc/self/exe")}
	p.cmd.Env = append(os.Environ(), asNode+"="+string(config))
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		l.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.in(i, p.cmd.Start); err != nil {
		l.t.Fatal(err)
	}
	l.node[i] = p
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			var r report
			if json.Unmarshal(in.Bytes(), &r) == nil {
				p.mu.Lock()
				p.latest = r
				p.mu.Unlock()
			}
		}
	}()
}

// stop ends a node as systemd does, kill as the kernel does when memory is short.
func (l *lane) stop(i int) {
	_ = l.node[i].in.Close()
	if err := l.node[i].cmd.Wait(); err != nil {
		l.t.Errorf("node %d: %v", i, err)
	}
	l.node[i] = nil
}

func (l *lane) kill(i int) {
	_ = l.node[i].cmd.Process.Signal(syscall.SIGKILL)
	_ = l.node[i].cmd.Wait()
	l.node[i] = nil
}

func (l *lane) order(i int, o order) {
	l.t.Helper()
	if err := json.NewEncoder(l.node[i].in).Encode(o); err != nil {
		l.t.Fatal(err)
	}
}

// announce makes a node say that its links are up, but for those named.
func (l *lane) announce(i int, down ...string) {
	l.t.Helper()
	w := world{plan: l.plan}
	l.order(i, order{Announce: w.links(name(i), down...)})
}

// until waits for a condition on the reports of some nodes.
func (l *lane) until(what string, nodes []int, f func(report) error) time.Duration {
	l.t.Helper()
	start := time.Now()
	for {
		var err error
		for _, i := range nodes {
			l.node[i].mu.Lock()
			r := l.node[i].latest
			l.node[i].mu.Unlock()
			if e := f(r); e != nil {
				err = fmt.Errorf("node %d: %w", i, e)
				break
			}
		}
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > 30*time.Second {
			l.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// reported returns an error unless node says up, or down, of cable.
func reported(r report, node, cable string, up bool) error {
	for _, s := range r.States {
		if s.Node == node && s.Cable == cable && s.Up == up {
			return nil
		}
	}
	return fmt.Errorf("cable %s is not said to be up=%v by %s: %v", cable, up, node, r.States)
}

func alive(r report, nodes string) error {
	got := ""
	for _, m := range r.Members {
		if m.Alive {
			got += m.Node[1:]
		}
	}
	if got != nodes {
		return fmt.Errorf("alive: %s, want %s", got, nodes)
	}
	return nil
}

var everyone = []int{1, 2, 3}

// A line of three with real sockets and real forwarding: a node is cut off and comes
// back, another is killed and started again, and a third leaves.
func TestLane(t *testing.T) {
	l := newLane(t)
	for _, i := range everyone { // before there is any cable
		l.start(i)
	}
	l.plug(1)
	l.plug(2)
	for _, i := range everyone {
		l.announce(i)
		l.order(i, order{Kick: true})
	}
	t.Logf("together after %v", l.until("together", everyone, func(r report) error { return alive(r, "123") }))

	l.announce(1, "1")
	t.Logf("a change reached all after %v", l.until("change", everyone, func(r report) error { return reported(r, "01", "1", false) }))

	l.unplug(1)
	l.announce(2, "1")
	l.until("the rest hears of the cut", []int{2, 3}, func(r report) error { return reported(r, "02", "1", false) })
	t.Logf("noticed that 01 is away after %v", l.until("away", []int{2, 3}, func(r report) error { return alive(r, "23") }))
	l.until("the other side", []int{1}, func(r report) error { return alive(r, "1") })

	l.plug(1)
	l.announce(1)
	l.announce(2)
	for _, i := range everyone {
		l.order(i, order{Kick: true})
	}
	t.Logf("states agree %v after the cable is back", l.until("healed", everyone, func(r report) error {
		return errors.Join(reported(r, "01", "1", true), reported(r, "02", "1", true))
	}))
	t.Logf("members %v after that", l.until("healed", everyone, func(r report) error { return alive(r, "123") }))

	for range 10 { // a high number
		l.announce(2, "2")
		l.announce(2)
	}
	l.announce(2, "2")
	l.until("before the kill", everyone, func(r report) error { return reported(r, "02", "2", false) })
	l.kill(2)
	l.start(2)
	l.announce(2)
	t.Logf("a killed node was believed again after %v", l.until("restart", everyone, func(r report) error { return reported(r, "02", "2", true) }))
	l.until("restart", everyone, func(r report) error { return alive(r, "123") })

	l.stop(3)
	t.Logf("a farewell was heard after %v", l.until("farewell", []int{1, 2}, func(r report) error { return alive(r, "12") }))
	for _, i := range []int{1, 2} {
		l.until("strangers", []int{i}, func(r report) error {
			if len(r.Strangers) > 0 {
				return fmt.Errorf("a member is taken for a stranger: %v", r.Strangers)
			}
			return nil
		})
	}
}

// IPv4 is taken away from a node; IPv6 carries on.
func TestLaneOneFamily(t *testing.T) {
	l := newLane(t)
	l.plug(1)
	l.plug(2)
	for _, i := range everyone {
		l.start(i)
		l.announce(i)
	}
	l.until("together", everyone, func(r report) error { return alive(r, "123") })
	l.ip(2, fmt.Sprintf("addr del %s dev tbt-01", identity(2)), fmt.Sprintf("addr del %s dev tbt-03", identity(2)))
	l.announce(2, "1")
	l.until("change", everyone, func(r report) error { return reported(r, "02", "1", false) })
	time.Sleep(2 * time.Second) // of silence
	l.announce(2)
	took := l.until("change", everyone, func(r report) error { return errors.Join(reported(r, "02", "1", true), alive(r, "123")) })
	t.Logf("a change over IPv6 took %v", took)
}

// Somebody at the end of a cable, with a real socket.
func TestLaneStranger(t *testing.T) {
	l := newLane(t)
	l.plug(1)
	l.start(1)
	l.announce(1)
	l.until("start", []int{1}, func(r report) error { return reported(r, "01", "1", true) })
	send := func(from netip.AddrPort) {
		t.Helper()
		err := l.in(2, func() error {
			c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(netip.AddrPortFrom(identity(1), DefaultPort)))
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			_, err = c.Write([]byte("let me in"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	l.ip(2, "addr add 10.7.1.99 dev tbt-01")
	l.ip(1, "route add 10.7.1.99 dev tbt-02")
	send(netip.AddrPortFrom(netip.MustParseAddr("10.7.1.99"), DefaultPort))
	send(netip.AddrPortFrom(identity(2), DefaultPort))
	l.until("both are noticed", []int{1}, func(r report) error {
		if len(r.Strangers) != 2 || r.Strangers[0].Cause != UnknownAddress || r.Strangers[1].Cause != OtherMesh || r.Strangers[1].Node != "02" {
			return fmt.Errorf("strangers %+v", r.Strangers)
		}
		return alive(r, "1")
	})
}

var errNoTBF = errors.New("the kernel has no token bucket filter (sch_tbf)")

// A port that takes packets and sends none, as that of a dead peer does until the
// driver gives it up, does not keep packets from other ports.
func TestLaneStuckPort(t *testing.T) {
	l := newLane(t)
	l.plug(1)
	l.plug(2)
	if err := l.in(2, func() error {
		out, err := exec.Command("tc", strings.Fields("qdisc add dev tbt-01 root tbf rate 8bit burst 2kb limit 1mb")...).CombinedOutput()
		if strings.Contains(string(out), "qdisc kind is unknown") {
			return errNoTBF
		}
		if err != nil {
			return fmt.Errorf("tc: %w: %s", err, out)
		}
		return nil
	}); errors.Is(err, errNoTBF) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	for _, id := range []func(int) netip.Addr{identity, identity6} {
		at := func(i int) netip.AddrPort { return netip.AddrPortFrom(id(i), DefaultPort) }
		var from, to packetConn
		for i, c := range map[int]*packetConn{2: &from, 3: &to} {
			if err := l.in(i, func() (err error) { *c, err = kernel{}.listenPacket(at(i)); return err }); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = (*c).Close() }()
		}
		done := make(chan error)
		go func() {
			for range 5000 {
				_, _ = from.WriteToUDPAddrPort(make([]byte, 1200), at(1))
			}
			_, err := from.WriteToUDPAddrPort([]byte("news"), at(3))
			done <- err
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the free port: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a send waits for the stuck port")
		}
		b := make([]byte, 100)
		n, sender, err := to.ReadFromUDPAddrPort(b)
		if err != nil || string(b[:n]) != "news" || sender.Addr().Unmap() != id(2) {
			t.Errorf("%q from %v, %v", b[:n], sender, err)
		}
	}
}
