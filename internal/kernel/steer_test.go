package kernel_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

const ruleset = "list ruleset"

func steers() []mesh.Steer {
	to := func(in, dest, port string, k int) mesh.Steer {
		return mesh.Steer{Incoming: in, Destination: netip.MustParseAddr(dest), Port: port, Mark: mesh.SteerMark(k)}
	}
	return []mesh.Steer{
		to("", "10.7.1.3", "tbt-b", 0), to("", "fd75::3", "tbt-b", 0), to("tbt-c", "10.7.1.3", "tbt-b", 0),
		to("tbt-c", "fd75::3", "tbt-b", 0), to("tbt-b", "10.7.1.9", "tbt-c", 1), to("tbt-b", "10.7.1.9", "tbt-b", 0),
	}
}

func TestSteerWritesOneTable(t *testing.T) {
	n := ready(t)
	nft(t, n.near, "add table inet theirs; add chain inet theirs usb4mesh; add rule inet theirs usb4mesh counter")
	before := nft(t, n.near, ruleset)
	if err := n.Steer(t.Context(), steers()); err != nil {
		t.Fatal(err)
	}
	all := nft(t, n.near, ruleset)
	ours := nft(t, n.near, "list table inet usb4mesh")
	if got := strings.Replace(all, ours, "", 1); got != before {
		t.Errorf("beside our table stands (-before +now):\n%s", cmp.Diff(before, got))
	}
	// As nft 1.0.6 prints it: a test of all bits of a byte becomes a prefix.
	want := `table inet usb4mesh {
	map transit4 {
		type ifname . ipv4_addr : verdict
		elements = { "tbt-c" . 10.7.1.3 : goto port-1,
			     "tbt-b" . 10.7.1.9 : goto port-1 }
	}

	map local4 {
		type ipv4_addr : verdict
		elements = { 10.7.1.3 : goto port-1 }
	}

	map transit6 {
		type ifname . ipv6_addr : verdict
		elements = { "tbt-c" . fd75::3 : goto port-1 }
	}

	map local6 {
		type ipv6_addr : verdict
		elements = { fd75::3 : goto port-1 }
	}
`
	if got, _, _ := strings.Cut(ours, "\n\tchain"); got != want {
		t.Errorf("maps (-want +got):\n%s", cmp.Diff(want, got))
	}
	for i, set := range [][]mesh.Steer{steers()[:1], nil, steers()} {
		if err := n.Steer(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		got := nft(t, n.near, "list table inet usb4mesh")
		if elements := strings.Contains(got, "elements"); elements != (len(set) > 0) {
			t.Errorf("set %d of %d entries:\n%s", i, len(set), got)
		}
		if i == 2 && got != ours {
			t.Errorf("the same set again (-before +now):\n%s", cmp.Diff(ours, got))
		}
	}
	for range 2 {
		if err := n.Unsteer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := nft(t, n.near, ruleset); after != before {
			t.Errorf("afterwards (-before +now):\n%s", cmp.Diff(before, after))
		}
	}
}

// Somebody who reloads a firewall flushes ours as well.
func TestSteerAfterAFlush(t *testing.T) {
	n := ready(t)
	if err := n.Steer(t.Context(), steers()); err != nil {
		t.Fatal(err)
	}
	ours := nft(t, n.near, ruleset)
	nft(t, n.near, "flush ruleset")
	if err := n.Steer(t.Context(), steers()); err != nil {
		t.Fatal(err)
	}
	if again := nft(t, n.near, ruleset); again != ours {
		t.Errorf("after a flush (-before +now):\n%s", cmp.Diff(ours, again))
	}
}

// A firewall that loads its rules anew flushes everybody's, and one that minds its own
// tables wakes nobody.
func TestSteeringIsWatched(t *testing.T) {
	n := ready(t)
	wake, err := n.WatchFilters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-wake
	for range 3 {
		if err := n.Steer(t.Context(), steers()); err != nil {
			t.Fatal(err)
		}
		nft(t, n.near, "add table inet theirs; add chain inet theirs usb4mesh; add table ip usb4mesh; delete table ip usb4mesh")
		select {
		case <-wake:
			t.Error("woken by somebody else's table")
		case <-time.After(200 * time.Millisecond):
		}
		nft(t, n.near, "flush ruleset")
		select {
		case <-wake:
		case <-time.After(5 * time.Second):
			t.Fatal("the whole ruleset was flushed, and nobody is woken")
		}
		for len(wake) > 0 {
			<-wake
		}
	}
	nft(t, n.near, "add table inet usb4mesh { flags dormant; }")
	select {
	case <-wake:
	case <-time.After(5 * time.Second):
		t.Error("our table was put to sleep, and nobody is woken")
	}
}

// A set that the kernel refuses changes nothing, and the next one works.
func TestSteerIsAllOrNothing(t *testing.T) {
	n := ready(t)
	if err := n.Steer(t.Context(), steers()); err != nil {
		t.Fatal(err)
	}
	ours := nft(t, n.near, ruleset)
	foreign := append(steers(), mesh.Steer{Destination: netip.MustParseAddr("10.7.1.7"), Mark: 7})
	if err := n.Steer(t.Context(), foreign); err == nil || !strings.Contains(err.Error(), "0x7 is outside of 0xff000000") {
		t.Errorf("a mark that is not ours: %v", err)
	}
	// The kernel itself refuses: the chain of the other program is in use.
	nft(t, n.near, "flush ruleset; add table inet usb4mesh { flags dormant; }")
	if err := n.Steer(t.Context(), steers()); err != nil {
		t.Errorf("over a table that somebody put to sleep: %v", err)
	}
	if again := nft(t, n.near, ruleset); again != ours {
		t.Errorf("afterwards (-before +now):\n%s", cmp.Diff(ours, again))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Steer(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSteerOfAClosedKernel(t *testing.T) {
	n := newNamespace(t)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Steer(t.Context(), nil); !errors.Is(err, kernel.ErrClosed) {
		t.Errorf("steer: %v", err)
	}
}

// A large mesh takes more than one attribute and more than the usual buffer.
func TestSteerManyEntries(t *testing.T) {
	n := ready(t)
	var many []mesh.Steer
	for i := range 1000 {
		for _, in := range []string{"", "tbt-a", "tbt-b", "tbt-c", "tbt-d"} {
			many = append(many,
				mesh.Steer{Incoming: in, Destination: netip.AddrFrom4([4]byte{10, 7, byte(i >> 8), byte(i)}), Mark: mesh.SteerMark(i % 4)},
				mesh.Steer{Incoming: in, Destination: netip.AddrFrom16([16]byte{0xfd, 0x75, 14: byte(i >> 8), 15: byte(i)}), Mark: mesh.SteerMark(i % 4)})
		}
	}
	if err := n.Steer(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(nft(t, n.near, ruleset), "goto port-"); got != len(many) {
		t.Errorf("%d entries stand, want %d", got, len(many))
	}
}

// TestSteerARing cuts one cable of a ring silently and lets its ends steer.
func TestSteerARing(t *testing.T) {
	m := ringOf(t, 4)
	whole := plan.Without(&m.plan, nil)
	way := whole.Path("n1", "n3")
	cable := m.plan.Cables[slices.IndexFunc(m.plan.Cables, func(c mesh.CablePlan) bool { return c.Name == way[1] })]
	a, b := cable.Ends[0].Node, cable.Ends[1].Node
	var streams []*stream
	for family := range 2 {
		streams = append(streams, m.stream(t, a, b, family, socketOptions{}), m.stream(t, b, a, family, socketOptions{}),
			m.stream(t, "n1", "n3", family, socketOptions{}))
	}
	talks := []*conversation{m.converse(t, a, b, 0), m.converse(t, b, a, 1)}
	// Who binds to the port means that port: liveness does.
	bound := []*stream{m.stream(t, a, b, 0, socketOptions{device: m.port(a, cable.Name), peer: m.port(b, cable.Name)})}
	marked := []*stream{m.stream(t, a, b, 0, socketOptions{mark: 0x0000_4007})}
	taken := []*stream{m.stream(t, a, b, 0, socketOptions{mark: 0x5500_0000})}
	nft(t, m.nodes[a].ns, "table inet theirs { counter kept { }; chain out { type filter hook postrouting priority 0; meta mark & 0x00ffffff == 0x4007 oifname != \""+
		m.port(a, cable.Name)+"\" counter name kept; }; }")
	before := map[string]string{}
	for name, x := range m.nodes {
		before[name] = nftStateless(t, x.ns)
		if err := x.Steer(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	allFlow(t, "at first", slicesOf(streams, bound, marked, taken))

	m.silence(t, cable)
	noneFlows(t, "cut", slicesOf(streams, bound, marked, taken))
	for _, end := range []string{a, b} {
		if err := m.nodes[end].Steer(t.Context(), whole.Around(end, map[string]bool{cable.Name: true})); err != nil {
			t.Fatal(err)
		}
	}
	allFlow(t, "steered", slicesOf(streams, marked))
	noneFlows(t, "steered", slicesOf(bound, taken))
	for _, c := range talks {
		c.goesOn(t, "steered")
	}
	if kept := nft(t, m.nodes[a].ns, "list counter inet theirs kept"); strings.Contains(kept, "packets 0 ") {
		t.Errorf("steering took the other bits of a mark: %s", kept)
	}

	from := make([]int64, len(streams))
	for i, s := range streams {
		from[i] = s.sent.Load()
	}
	m.mend(t, cable)
	allFlow(t, "mended", slicesOf(streams, bound, marked, taken))
	for _, end := range []string{a, b} {
		if err := m.nodes[end].Steer(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		allFlow(t, "no longer steered at "+end, streams)
	}
	for _, c := range talks {
		c.goesOn(t, "no longer steered")
	}
	for i, s := range streams {
		if to := s.sent.Load() - 20; s.lost(from[i], to) != 0 {
			t.Errorf("%s: %d of %d packets lost on the way back", s.name, s.lost(from[i], to), to-from[i])
		}
	}
	for name, x := range m.nodes {
		if err := x.Unsteer(t.Context()); err != nil {
			t.Error(err)
		}
		if now := nftStateless(t, x.ns); now != before[name] {
			t.Errorf("%s: packet filter (-before +now):\n%s", name, cmp.Diff(before[name], now))
		}
	}
}

// TestSteerUnusualMeshes: the kernel believes of an IPv6 gateway only what the main
// table says of the way to it. Here that is another cable than the one to steer to.
func TestSteerUnusualMeshes(t *testing.T) {
	cable := func(a, b string, speed int) mesh.Cable {
		end := func(s string) mesh.Endpoint { return mesh.Endpoint{Node: s[:2], Port: s[3:]} }
		return mesh.Cable{Ends: [2]mesh.Endpoint{end(a), end(b)}, Speed: speed}
	}
	for name, c := range map[string]struct {
		nodes  int
		cables []mesh.Cable
	}{
		"two cables to one neighbour":     {2, []mesh.Cable{cable("n1:a", "n2:a", 20), cable("n1:b", "n2:b", 20)}},
		"a cable slower than a way round": {3, []mesh.Cable{cable("n1:a", "n2:a", 5), cable("n2:b", "n3:a", 40), cable("n3:b", "n1:b", 40)}},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range c.cables {
				c.cables[i].Name = fmt.Sprint(i + 1)
			}
			m := build(t, c.nodes, mesh.Cluster{Cables: c.cables})
			whole := plan.Without(&m.plan, nil)
			var streams []*stream
			for family := range 2 {
				streams = append(streams, m.stream(t, "n1", "n2", family, socketOptions{}), m.stream(t, "n2", "n1", family, socketOptions{}))
			}
			for _, dead := range m.plan.Cables {
				allFlow(t, "whole", streams)
				m.silence(t, dead)
				for _, e := range dead.Ends {
					if err := m.nodes[e.Node].Steer(t.Context(), whole.Around(e.Node, map[string]bool{dead.Name: true})); err != nil {
						t.Fatal(err)
					}
				}
				allFlow(t, "without cable "+dead.Name, streams)
				for _, e := range dead.Ends {
					if err := m.nodes[e.Node].Steer(t.Context(), nil); err != nil {
						t.Fatal(err)
					}
				}
				m.mend(t, dead)
			}
		})
	}
}

// TestSteerInOneStep steers off a cable that carries and back, at either end, over
// and over. Proven is that each of the states delivers; this tries that there is
// nothing in between. One packet a flow and millisecond is little, so there are
// many flows.
func TestSteerInOneStep(t *testing.T) {
	m := ringOf(t, 4)
	cable := m.plan.Cables[0]
	whole := plan.Without(&m.plan, nil)
	var streams []*stream
	for family := range 2 {
		for _, s := range m.plan.Nodes {
			for _, d := range m.plan.Nodes {
				if s.Name != d.Name {
					streams = append(streams, m.stream(t, s.Name, d.Name, family, socketOptions{}))
				}
			}
		}
	}
	allFlow(t, "at first", streams)
	from := make([]int64, len(streams))
	for i, s := range streams {
		from[i] = s.sent.Load()
	}
	const times = 300
	for i := range times {
		end := cable.Ends[i%2].Node
		var steers []mesh.Steer
		if i/2%2 == 0 {
			steers = whole.Around(end, map[string]bool{cable.Name: true})
		}
		if err := m.nodes[end].Steer(t.Context(), steers); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	allFlow(t, "at last", streams)
	sent := int64(0)
	for i, s := range streams {
		to := s.sent.Load() - 20
		sent += to - from[i]
		if lost := s.lost(from[i], to); lost != 0 {
			t.Errorf("%s: %d of %d packets lost", s.name, lost, to-from[i])
		}
	}
	t.Logf("%d packets while the set changed %d times", sent, times)
}

func slicesOf(all ...[]*stream) (out []*stream) {
	for _, s := range all {
		out = append(out, s...)
	}
	return out
}

// BenchmarkSteer is the time from the verdict to the last packet into a dead link,
// by the size of the mesh: a node of four ports, one of them dead.
func BenchmarkSteer(b *testing.B) {
	if noKernel != "" {
		b.Skip(noKernel)
	}
	n, err := openNamespace()
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	for _, nodes := range []int{4, 16, 64, 256} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			var set []mesh.Steer
			for i := range nodes / 4 { // about a quarter of the mesh lies behind a port
				for _, in := range []string{"", "tbt-a", "tbt-b", "tbt-c"} {
					set = append(set, mesh.Steer{Incoming: in, Destination: netip.AddrFrom4([4]byte{10, 7, 1, byte(i)}), Mark: mesh.SteerMark(i % 3)},
						mesh.Steer{Incoming: in, Destination: netip.AddrFrom16([16]byte{0xfd, 0x75, 15: byte(i)}), Mark: mesh.SteerMark(i % 3)})
				}
			}
			for b.Loop() {
				if err := n.Steer(b.Context(), set); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
