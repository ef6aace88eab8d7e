package kernel_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// ready returns a namespace with ports that are up.
func ready(t *testing.T, ports ...string) *namespace {
	t.Helper()
	n := newNamespace(t)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, p := range ports {
		if err := n.Plug(p); err != nil {
			t.Fatal(err)
		}
		up := mesh.Link{Name: p, MTU: 1500, Up: true}
		if err := n.Apply(t.Context(), []mesh.Change{{Op: mesh.Set, Link: &up}}); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func (n *namespace) state(t *testing.T) mesh.State {
	t.Helper()
	s, err := n.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func cidr(t *testing.T, s string) *net.IPNet {
	t.Helper()
	_, n, err := net.ParseCIDR(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Routes that usb4mesh never makes have to be read all the same.
func TestSnapshotReadsForeignRoutes(t *testing.T) {
	n := ready(t, "tbt-b", "tbt-c")
	// Without any IPv4 address the namespace has no local table, and without
	// that no IPv4 gateway is valid (net/ipv4/fib_frontend.c, __inet_dev_addr_type).
	own := mesh.Address{Interface: "tbt-b", Local: netip.MustParsePrefix("10.7.1.1/32")}
	if err := n.Apply(t.Context(), []mesh.Change{{Op: mesh.Add, Address: &own}}); err != nil {
		t.Fatal(err)
	}
	index := map[string]int{}
	for _, l := range n.state(t).Links {
		index[l.Name] = l.Index
	}
	hop := func(dev, via string) *netlink.NexthopInfo {
		return &netlink.NexthopInfo{LinkIndex: index[dev], Gw: net.ParseIP(via), Flags: int(netlink.FLAG_ONLINK)}
	}
	for _, r := range []*netlink.Route{
		{Dst: cidr(t, "192.0.2.0/24"), Protocol: 4, Priority: 7, MultiPath: []*netlink.NexthopInfo{hop("tbt-b", "10.0.0.1"), hop("tbt-c", "10.0.0.2")}},
		{Dst: cidr(t, "fd99::/64"), Protocol: 4, Priority: 8, MultiPath: []*netlink.NexthopInfo{hop("tbt-b", "fd01::1"), hop("tbt-c", "fd01::2")}},
		{Dst: cidr(t, "198.51.100.0/24"), Protocol: 4, Type: unix.RTN_BLACKHOLE, Table: 70000},
		{Dst: cidr(t, "203.0.113.0/24"), Protocol: 4, LinkIndex: index["tbt-b"], Flags: int(netlink.FLAG_ONLINK), Via: &netlink.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fd01::3")}},
		{Dst: cidr(t, "fd98::1/128"), Protocol: 4, Priority: 10, LinkIndex: index["tbt-b"]},
		{Dst: cidr(t, "fd98::1/128"), Protocol: 4, Priority: 10, LinkIndex: index["tbt-b"], Gw: net.ParseIP("fd98::1"), Table: 7501},
	} {
		if err := n.nearNet.RouteAdd(r); err != nil {
			t.Fatalf("%v: %v", r, err)
		}
	}
	route := func(d, dev, via string, metric int) mesh.Route {
		r := mesh.Route{Destination: netip.MustParsePrefix(d), Interface: dev, Metric: metric, Table: mesh.MainTable, Protocol: 4}
		if via != "" {
			r.Via = netip.MustParseAddr(via)
		}
		return r
	}
	hole := route("198.51.100.0/24", "", "", 0)
	hole.Table = 70000
	itself := route("fd98::1/128", "tbt-b", "", 10)
	itself.Table = 7501
	have := n.state(t).Routes
	for _, w := range []mesh.Route{
		itself,
		route("192.0.2.0/24", "tbt-b", "10.0.0.1", 7), route("192.0.2.0/24", "tbt-c", "10.0.0.2", 7),
		route("fd99::/64", "tbt-b", "fd01::1", 8), route("fd99::/64", "tbt-c", "fd01::2", 8),
		route("203.0.113.0/24", "tbt-b", "fd01::3", 0), hole,
	} {
		if !slices.Contains(have, w) {
			t.Errorf("missing %s in %v", w, have)
		}
	}
	for _, r := range have {
		if r.Table == unix.RT_TABLE_LOCAL {
			t.Errorf("%s is the kernel's own", r)
		}
	}
}

// A rule in our range with a selector that mesh.Rule can't express is not taken
// for one of ours.
func TestSnapshotLeavesOutOtherRules(t *testing.T) {
	n := ready(t, "tbt-b")
	marked := netlink.NewRule()
	marked.IifName, marked.Table, marked.Priority, marked.Mark, marked.Family = "tbt-b", 7501, 7501, 7, unix.AF_INET
	if err := n.nearNet.RuleAdd(marked); err != nil {
		t.Fatal(err)
	}
	ours := mesh.Rule{Incoming: "tbt-b", Table: 7502, Priority: 7502}
	if err := n.Apply(t.Context(), []mesh.Change{{Op: mesh.Add, Rule: &ours}}); err != nil {
		t.Fatal(err)
	}
	have := n.state(t).Rules
	if slices.ContainsFunc(have, func(r mesh.Rule) bool { return r.Priority == 7501 }) || !slices.Contains(have, ours) {
		t.Errorf("rules %v", have)
	}
	if !slices.Contains(have, mesh.Rule{Table: mesh.MainTable, Priority: 32766}) {
		t.Errorf("the main rule is missing in %v", have)
	}
}

// What stands all the time is in every snapshot, however much else changes.
func TestSnapshotIsConsistent(t *testing.T) {
	n := ready(t, "tbt-b")
	steady := mesh.Route{Destination: netip.MustParsePrefix("fd75::ffff/128"), Interface: "tbt-b", Metric: 10, Table: mesh.MainTable, Protocol: mesh.RouteProtocol}
	if err := n.Apply(t.Context(), []mesh.Change{{Op: mesh.Add, Route: &steady}}); err != nil {
		t.Fatal(err)
	}
	other, err := kernel.OpenNamespace(int(n.near.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	churned := make(chan int)
	go func() {
		turns := 0
		for ; ctx.Err() == nil; turns++ {
			var add, remove []mesh.Change
			for i := range 50 {
				r := steady
				r.Destination = mesh.HostPrefix(netip.AddrFrom16([16]byte{0xfd, 0x75, 15: byte(i)}))
				add = append(add, mesh.Change{Op: mesh.Add, Route: &r})
				remove = append(remove, mesh.Change{Op: mesh.Remove, Route: &r})
			}
			_ = other.Apply(ctx, append(add, remove...)) // ends with the context
			time.Sleep(5 * time.Millisecond)
		}
		churned <- turns
	}()
	read := 0
	for ctx.Err() == nil {
		s, err := n.Snapshot(t.Context())
		if err != nil {
			t.Fatalf("after %d snapshots: %v", read, err)
		}
		read++
		if !slices.Contains(s.Routes, steady) {
			t.Fatalf("snapshot %d lacks the steady route", read)
		}
	}
	if turns := <-churned; turns < 5 || read < 5 {
		t.Errorf("%d snapshots during %d turns prove nothing", read, turns)
	}
}

func TestApplyTellsTheKernelsWords(t *testing.T) {
	n := ready(t, "tbt-b")
	own := mesh.Address{Interface: "tbt-b", Local: netip.MustParsePrefix("10.7.1.1/32")}
	bad := mesh.Route{
		Destination: netip.MustParsePrefix("10.7.1.2/32"), Interface: "tbt-b", Via: netip.MustParseAddr("10.7.1.1"),
		Metric: 10, Table: mesh.MainTable, Protocol: mesh.RouteProtocol,
	}
	err := n.Apply(t.Context(), []mesh.Change{{Op: mesh.Add, Address: &own}, {Op: mesh.Add, Route: &bad}})
	if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "Nexthop has invalid gateway") {
		t.Errorf("error %v", err)
	}
}

func TestApplyKeepsToItsSysctls(t *testing.T) {
	n := ready(t)
	for _, path := range []string{"kernel/hostname", "net/../kernel/hostname", "/net/ipv4/ip_forward", "net//ipv4/ip_forward", ""} {
		s := mesh.Sysctl{Path: path, Value: "1"}
		if err := n.Apply(t.Context(), []mesh.Change{{Op: mesh.Set, Sysctl: &s}}); err == nil || !strings.Contains(err.Error(), "not a setting") {
			t.Errorf("%q: error %v", path, err)
		}
	}
}

// A setting that Snapshot does not know by itself is read back once it is set,
// and lands in the namespace of the Kernel, not in that of the caller.
func TestApplySetsAnySysctlInItsNamespace(t *testing.T) {
	n, other := ready(t), ready(t)
	s := mesh.Sysctl{Path: "net/ipv4/conf/all/arp_ignore", Value: "2"}
	if _, err := kernel.Converge(t.Context(), n, mesh.State{Sysctls: []mesh.Sysctl{s}}); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(n.state(t).Sysctls, s) {
		t.Errorf("%s does not show", s)
	}
	again := mesh.Sysctl{Path: s.Path, Value: "0"}
	if err := other.Apply(t.Context(), []mesh.Change{{Op: mesh.Set, Sysctl: &again}}); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(n.state(t).Sysctls, s) {
		t.Error("a write in one namespace shows in another")
	}
}

func TestClosedKernel(t *testing.T) {
	n := newNamespace(t)
	wake, err := n.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Kernel.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if _, err := n.Snapshot(t.Context()); !errors.Is(err, kernel.ErrClosed) {
		t.Errorf("snapshot: %v", err)
	}
	if err := n.Apply(t.Context(), nil); !errors.Is(err, kernel.ErrClosed) {
		t.Errorf("apply: %v", err)
	}
	deadline := time.After(5 * time.Second)
	for {
		select {
		case _, open := <-wake:
			if !open {
				return
			}
		case <-deadline:
			t.Fatal("watchers wait for a closed kernel")
		}
	}
}

func TestOpenIsTheNamespaceOfTheCaller(t *testing.T) {
	k, err := kernel.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	s, err := k.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	here, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range here {
		if !slices.ContainsFunc(s.Links, func(o mesh.Link) bool { return o.Name == l.Name && o.Index == l.Index && o.MTU == l.MTU }) {
			t.Errorf("%s is missing", l.Name)
		}
	}
}

// What usb4mesh adds has the properties that mesh.State does not show.
func TestApplyMakesPlainHostAddressesAndRoutes(t *testing.T) {
	n := ready(t, "tbt-b")
	var changes []mesh.Change
	for _, ip := range [][3]string{{"10.7.1.1", "10.7.1.2", "10.7.1.3"}, {"fd75::1", "fd75::2", "fd75::3"}} {
		self, peer, beyond := netip.MustParseAddr(ip[0]), netip.MustParseAddr(ip[1]), netip.MustParseAddr(ip[2])
		address := mesh.Address{Interface: "tbt-b", Local: mesh.HostPrefix(self)}
		direct := mesh.Route{Destination: mesh.HostPrefix(peer), Interface: "tbt-b", Metric: 10, Table: mesh.MainTable, Source: self, Protocol: mesh.RouteProtocol}
		through := direct
		through.Destination, through.Via = mesh.HostPrefix(beyond), peer
		changes = append(changes, mesh.Change{Op: mesh.Add, Address: &address},
			mesh.Change{Op: mesh.Add, Route: &direct}, mesh.Change{Op: mesh.Add, Route: &through})
	}
	if err := n.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	addrs, err := n.nearNet.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, a := range addrs {
		if ip, _ := netip.AddrFromSlice(a.IP); ip.IsLinkLocalUnicast() {
			continue
		}
		checked++
		if a.Flags&unix.IFA_F_TENTATIVE != 0 {
			t.Errorf("%s is tentative", a.IP)
		}
		if a.Flags&unix.IFA_F_NOPREFIXROUTE == 0 {
			t.Errorf("%s brings a prefix route", a.IP)
		}
	}
	if checked != 2 {
		t.Errorf("%d addresses, want 2", checked)
	}
	routes, err := n.nearNet.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: mesh.RouteProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		is4, via := r.Dst.IP.To4() != nil, r.Gw != nil
		if got := r.Scope == netlink.SCOPE_LINK; is4 && got == via {
			t.Errorf("%s: scope %s", r.Dst, r.Scope)
		}
		if got := r.Flags&int(netlink.FLAG_ONLINK) != 0; got != via {
			t.Errorf("%s: onlink %v", r.Dst, got)
		}
	}
	if len(routes) != 4 {
		t.Errorf("%d routes, want 4: %v", len(routes), routes)
	}
	for _, r := range n.state(t).Routes {
		if r.Protocol != mesh.RouteProtocol && !r.Destination.Addr().IsLinkLocalUnicast() {
			t.Errorf("%s came with something", r)
		}
	}
}

// A route with our mark is ours whoever made it, and with which scope:
// systemd-networkd makes routes from the files that usb4mesh renders.
func TestRoutesOfOtherMakersCanBeRemoved(t *testing.T) {
	n := ready(t, "tbt-b")
	dev, err := n.nearNet.LinkByName("tbt-b")
	if err != nil {
		t.Fatal(err)
	}
	r := &netlink.Route{Dst: cidr(t, "10.7.1.2/32"), LinkIndex: dev.Attrs().Index, Scope: netlink.SCOPE_UNIVERSE, Protocol: mesh.RouteProtocol, Priority: 10}
	if err := n.nearNet.RouteAdd(r); err != nil {
		t.Fatal(err)
	}
	changes, err := kernel.Converge(t.Context(), n, mesh.State{})
	if err != nil || len(changes) != 1 {
		t.Errorf("changes %v, error %v", changes, err)
	}
}
