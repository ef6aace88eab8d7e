package chaos

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// triangleFile has three nodes; each has a port more that the plan does not use.
const triangleFile = `mesh: trio
identity: [10.7.9.0/24, "fd75:7362:3409::/64"]
topology: full-mesh
nodes:
  - {name: n1, ports: {a: {path: "pci-0000:c7:00.5"}, b: {path: "pci-0000:c7:00.6"}}}
  - {name: n2, ports: {a: {path: "pci-0000:c7:00.5"}, b: {path: "pci-0000:c7:00.6"}}}
  - {name: n3, ports: {a: {path: "pci-0000:c7:00.5"}, b: {path: "pci-0000:c7:00.6"}}}
`

// trio is a lab of three nodes that are all cabled to each other.
type trio struct {
	*testing.T
	*lab.Lab
	program string
}

func newTrio(t *testing.T, program string) trio {
	t.Helper()
	l := trio{t, startLab(t, program, []byte(triangleFile)), program}
	l.settles()
	return l
}

// settles waits until nothing is wrong in the mesh.
func (l trio) settles() {
	l.Helper()
	var v lab.Verdict
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(settlePoll) {
		var err error
		if v, err = l.Verify(l.Context()); err != nil {
			l.Fatal(err)
		}
		if len(v.Wrong) == 0 {
			return
		}
		if time.Now().After(end) {
			l.Fatalf("does not settle: %q", v.Wrong)
		}
	}
}

func (l trio) cable(a, b string) string {
	i := slices.IndexFunc(l.Plan.Cables, func(c mesh.CablePlan) bool {
		return c.Ends[0].Node == a && c.Ends[1].Node == b || c.Ends[0].Node == b && c.Ends[1].Node == a
	})
	return l.Plan.Cables[i].Name
}

func (l trio) id(node string, family int) netip.Addr { return l.Plan.Node(node).Identity[family] }

func (l trio) linkLocal(node string) netip.Addr { return mesh.LinkLocal(l.id(node, 1)) }

func (l trio) agent(node string) lab.AgentInfo {
	l.Helper()
	infos, err := l.Agents(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return infos[slices.IndexFunc(infos, func(i lab.AgentInfo) bool { return i.Node == node })]
}

func (l trio) status(node string) mesh.Status {
	l.Helper()
	i := l.agent(node)
	if i.Error != "" {
		l.Fatalf("node %s: %s", node, i.Error)
	}
	return i.Status
}

func has(s mesh.Status, code, text string) bool {
	return slices.ContainsFunc(s.Findings, func(f mesh.StatusFinding) bool { return f.Code == code && strings.Contains(f.Message, text) })
}

// finds waits for a finding of a node.
func (l trio) finds(node, code, text string) {
	l.Helper()
	var s mesh.Status
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(settlePoll) {
		if s = l.agent(node).Status; has(s, code, text) { // it may be starting
			return
		}
	}
	l.Errorf("node %s has no finding %s with %q: %+v", node, code, text, s.Findings)
}

func (l trio) link(node, peer string) mesh.LinkStatus {
	l.Helper()
	s := l.status(node)
	i := slices.IndexFunc(s.Links, func(k mesh.LinkStatus) bool { return k.Peer == peer })
	return s.Links[i]
}

// does runs a command in a node and returns what it says.
func (l trio) does(node, command string) string {
	l.Helper()
	f, err := os.CreateTemp(l.TempDir(), "output")
	if err != nil {
		l.Fatal(err)
	}
	defer f.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		l.Fatal(err)
	}
	defer null.Close()
	code, err := l.Exec(l.Context(), lab.Command{Node: node, Argv: []string{"/bin/sh", "-c", command}, Env: os.Environ()}, [3]*os.File{null, f, f}, nil)
	out, _ := os.ReadFile(f.Name())
	if err != nil || code != 0 {
		l.Fatalf("node %s: %s: exit %d, %v: %s", node, command, code, err, out)
	}
	return string(out)
}

// mac is the address of a node's interface.
func (l trio) mac(node, iface string) net.HardwareAddr {
	l.Helper()
	m, err := net.ParseMAC(strings.TrimSpace(l.does(node, "cat /sys/class/net/"+iface+"/address")))
	if err != nil {
		l.Fatal(err)
	}
	return m
}

// starved is how late a probe may be sent where what is lost still says something: a
// machine that does not run anybody for so long lets BFD and buffers overrun, too.
const starved = 100 * time.Millisecond

// probing sends probes between these nodes, or all, and wants none of them to get lost.
// It says whether the machine had the time for that.
func (l trio) probing(nodes ...string) (end func() bool) {
	l.Helper()
	var flows []lab.Flow
	for _, p := range lab.Paths(&l.Plan) {
		if p.Hops() > 0 && (nodes == nil || slices.Contains(nodes, p.From) && slices.Contains(nodes, p.To)) {
			flows = append(flows, lab.Flow{Pair: p.Pair, Spacing: 2 * time.Millisecond})
		}
	}
	p, err := l.Probe(l.Context(), flows)
	if err != nil {
		l.Fatal(err)
	}
	return func() bool {
		l.Helper()
		r, err := p.Stop(l.Context())
		if err != nil {
			l.Fatal(err)
		}
		if r.Late > starved {
			l.Logf("a probe was sent %s late: this machine is too busy to tell what is lost", r.Late)
			return false
		}
		for _, f := range r.Flows {
			if n := f.Phases[0]; n.Lost > 0 || n.Sent < 100 {
				l.Errorf("%s: %d of %d probes lost", f.Pair, n.Lost, n.Sent)
			}
		}
		return true
	}
}

// manage plays a manager of a node that sets a stranger's interface up again and again,
// with all that the agent takes from it.
func (l trio) manage(node, iface string) (end func()) {
	l.Helper()
	ctx, stop := context.WithCancel(l.Context())
	script := fmt.Sprintf(`i=%s; while sleep 0.02; do c=/proc/sys/net; echo 0 > $c/ipv6/conf/$i/disable_ipv6
echo 1 > $c/ipv4/conf/$i/forwarding; echo 1 > $c/ipv6/conf/$i/forwarding; echo 2 > $c/ipv6/conf/$i/accept_ra; ip link set $i up
ip addr replace 192.0.2.1/24 dev $i; ip addr replace 2001:db8::1/64 dev $i nodad; done 2>/dev/null`, iface)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		l.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = l.Exec(ctx, lab.Command{Node: node, Argv: []string{"/bin/sh", "-c", script}, Env: os.Environ()}, [3]*os.File{null, null, null}, nil)
	}()
	return func() { stop(); <-done; _ = null.Close() }
}

// attack is a frame of a stranger, and what it tries.
type attack struct {
	what  string
	frame []byte
}

// attacks are what a machine at a port of n1 may put on the wire. Numbers count from 0.
func (l trio) attacks(e ends) (all []attack) {
	add := func(what string, frame func(payload []byte) []byte) {
		all = append(all, attack{what, frame(payload(len(all)))})
	}
	all4 := map[string]netip.Addr{"its own": netip.MustParseAddr("192.0.2.66"), "n2's": l.id("n2", 0), "n3's": l.id("n3", 0), "n1's own": l.id("n1", 0)}
	all6 := map[string]netip.Addr{
		"its own": netip.MustParseAddr("2001:db8::66"), "its link-local": netip.MustParseAddr("fe80::66"),
		"n2's": l.id("n2", 1), "n3's": l.id("n3", 1), "n1's own": l.id("n1", 1), "n2's link-local": l.linkLocal("n2"),
	}
	to6 := map[string]netip.Addr{"n1's link-local": l.linkLocal("n1"), "n3's link-local": l.linkLocal("n3"), "all nodes": netip.MustParseAddr("ff02::1")}
	for i, n := range []string{"n1", "n2", "n3"} {
		to6[n] = l.id(n, 1)
		for from, a := range all4 {
			for _, port := range []uint16{wirePort, gossipPort, bfdPort} {
				add(fmt.Sprintf("UDP %d from %s address to %s", port, from, n), func(p []byte) []byte { return e.udp(a, l.id(n, 0), port, port, p) })
			}
		}
		add("ARP: "+n+" is here", func(p []byte) []byte { return append(e.arp(2, l.id(n, 0), l.id("n1", 0)), p...) })
		add("neighbour advertisement: "+n+" is here", func(p []byte) []byte {
			return append(e.icmp6(l.linkLocal("n2"), all6["n1's own"], advertisement(l.id(n, 1), e.from)), p...)
		})
		add("redirect to here for "+n, func(p []byte) []byte {
			return append(e.icmp6(l.linkLocal("n2"), l.id("n1", 1), redirect6(l.linkLocal("n2"), l.id(n, 1), e.from)), p...)
		})
		add("IPv4 redirect to here for "+n, func(p []byte) []byte {
			return append(e.icmp4(l.id("n2", 0), l.id("n1", 0), redirect4(l.id("n2", 0), l.id("n1", 0), l.id(n, 0))), p...)
		})
		add("router advertisement with a way to "+n, func(p []byte) []byte {
			return append(e.icmp6(netip.MustParseAddr("fe80::66"), to6["all nodes"], routerAdvertisement(e.from, netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::", i)), l.id(n, 1))), p...)
		})
		for k, from := range []string{"n2", "n3", "n1"} {
			add(fmt.Sprintf("BFD of %s to %s", from, n), func(p []byte) []byte {
				return append(e.udp(l.linkLocal(from), l.linkLocal(n), uint16(50_000+k), bfdPort, bfd(7, 0)), p...)
			})
			add(fmt.Sprintf("IPv4 BFD of %s to %s", from, n), func(p []byte) []byte {
				return append(e.udp(l.id(from, 0), l.id(n, 0), uint16(50_000+k), bfdPort, bfd(7, 0)), p...)
			})
		}
	}
	for from, a := range all6 {
		for to, b := range to6 {
			for _, port := range []uint16{wirePort, gossipPort} {
				add(fmt.Sprintf("UDP %d from %s address to %s", port, from, to), func(p []byte) []byte { return e.udp(a, b, port, port, p) })
			}
		}
	}
	add("broadcast", func(p []byte) []byte {
		return e.udp(all4["n2's"], netip.MustParseAddr("255.255.255.255"), wirePort, wirePort, p)
	})
	add("to the world", func(p []byte) []byte {
		return e.udp(all6["its own"], netip.MustParseAddr("2001:db8:ffff::1"), wirePort, wirePort, p)
	})
	return all
}

func frames(all []attack) (f [][]byte) {
	for _, a := range all {
		f = append(f, a.frame)
	}
	return f
}

// replayed are frames of agents, as if they came from another interface.
func replayed(e ends, all []tapped) (f [][]byte) {
	for _, a := range all {
		f = append(f, e.again(a.Frame))
	}
	return f
}

// arrived lists marked frames that a node has seen elsewhere than where they may be.
func arrived(all []attack, s seen, may func(a attack, where string) bool) (bad []string) {
	for n, wheres := range s.Marked {
		for where, times := range wheres {
			if n < len(all) && !may(all[n], where) {
				bad = append(bad, fmt.Sprintf("%s: %s, %d times", all[n].what, where, times))
			}
		}
	}
	slices.Sort(bad)
	return bad
}

// A machine that is not of the plan is plugged where n2 was, sets out to do harm, and has
// an ally in n1: a manager that sets its interface up whatever the agent does.
func TestStrangerAtAPlannedPort(t *testing.T) {
	l := newTrio(t, program(t))
	at := lab.Socket{Node: "n1", Cable: l.cable("n1", "n2")}

	// What the agents said on the cable before, as whoever was in between would have it.
	tap := see(t, l.Lab, "n2")
	time.Sleep(1500 * time.Millisecond)
	captured := tap().Agents["tbt-n1"]
	if len(captured) < 10 || !slices.ContainsFunc(captured, func(c tapped) bool { return c.Port == gossipPort }) {
		t.Fatalf("%d frames of agents were captured, some of them of gossip", len(captured))
	}
	honest := []func() bool{l.probing("n1", "n3"), l.probing("n2", "n3")} // n1 and n2 part for a moment, when the cable goes
	stray, err := l.Stranger(t.Context(), at, lab.Stranger{Name: "eve", Managed: true})
	if err != nil {
		t.Fatal(err)
	}
	l.finds("n1", "stranger-at-port", "eve")
	l.finds("n2", "link-down", "tbt-n1")
	l.settles()
	release := l.manage("n1", stray.Interfaces[0])
	whole := l.probing()
	before := map[string]string{}
	tables := "ip -4 route show table all; ip -6 route show table all; ip rule; ip -6 rule"
	routes := func(node string) string {
		lines := strings.Split(l.does(node, tables), "\n")
		lines = slices.DeleteFunc(lines, func(s string) bool {
			return strings.Contains(s, "dev "+stray.Interfaces[0]) || strings.Contains(s, "192.0.2.") || strings.Contains(s, "2001:db8::")
		})
		slices.Sort(lines)
		return strings.Join(slices.Compact(lines), "\n")
	}
	for _, n := range l.Plan.Nodes {
		before[n.Name] = routes(n.Name)
	}

	mac, _ := net.ParseMAC(stray.MACs[1])
	e := ends{mac, l.mac("n1", stray.Interfaces[0])}
	all := l.attacks(e)
	eyes := map[string]func() seen{}
	for _, n := range []string{"n1", "n2", "n3", lab.StrangerName} {
		eyes[n] = see(t, l.Lab, n)
	}
	for range 4 {
		send(t, l.Lab, lab.StrangerName, stray.Interfaces[1], frames(all)...)
		send(t, l.Lab, lab.StrangerName, stray.Interfaces[1], replayed(e, captured)...)
	}
	for node, end := range eyes {
		s := end()
		if node == lab.StrangerName {
			if n := s.IP[stray.Interfaces[1]]; n > 0 {
				t.Errorf("n1 sent %d packets to the stranger", n)
			}
			continue
		}
		own := stray.Interfaces[0] + " in" // what the driver hands up, before anybody can refuse it
		if node == "n1" && len(s.Marked) != len(all) {
			t.Errorf("%d of %d attacks reached n1's interface", len(s.Marked), len(all))
		}
		if bad := arrived(all, s, func(_ attack, where string) bool { return node == "n1" && where == own }); len(bad) > 0 {
			t.Errorf("node %s has let in or passed on:\n%s", node, strings.Join(bad, "\n"))
		}
	}
	release()
	for _, n := range l.Plan.Nodes {
		if now := routes(n.Name); now != before[n.Name] {
			t.Errorf("node %s: routes were\n%s\nand are\n%s", n.Name, before[n.Name], now)
		}
		for _, line := range strings.Split(l.does(n.Name, "ip -4 neigh; ip -6 neigh"), "\n") {
			if strings.Contains(line, stray.MACs[1]) && !strings.Contains(line, "dev "+stray.Interfaces[0]) {
				t.Errorf("node %s takes the stranger for a neighbour elsewhere: %s", n.Name, line)
			}
		}
	}
	calm := true
	for _, end := range append(honest, whole) {
		calm = end() && calm
	}
	if k := l.link("n1", "n2"); k.Usable || !strings.Contains(k.Stranger, "eve") || k.Kernel != stray.Interfaces[0] {
		t.Errorf("the stranger's link is %+v", k)
	}
	for _, pair := range [][2]string{{"n1", "n3"}, {"n3", "n1"}, {"n2", "n3"}, {"n3", "n2"}} {
		if k := l.link(pair[0], pair[1]); calm && (!k.Usable || k.Flaps > 0 || k.Liveness.Verdict != "alive" || k.Liveness.Flaps > 0) {
			t.Errorf("the link of %s to %s has suffered: %+v", pair[0], pair[1], k)
		}
	}
	l.settles()

	// The planned peer comes back.
	if err := l.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.settles()
	if s := l.status("n1"); has(s, "stranger-at-port", "") {
		t.Errorf("the stranger is gone, and a finding: %+v", s.Findings)
	}
}
