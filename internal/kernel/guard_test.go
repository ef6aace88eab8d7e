package kernel_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func guards() mesh.Guard {
	return mesh.Guard{
		Ports: []string{"tbt-c", "tbt-b"}, Strangers: []string{"thunderbolt0"}, Outside: []string{"usb0"},
		Addresses: []netip.Addr{netip.MustParseAddr("10.7.1.2"), netip.MustParseAddr("10.7.1.1"), netip.MustParseAddr("fd75::1")},
	}
}

const guardTable = "list table inet usb4mesh-guard"

func (n *namespace) guards(t *testing.T, g mesh.Guard) mesh.Refused {
	t.Helper()
	r, err := n.Guard(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGuardWritesOneTable(t *testing.T) {
	n := ready(t)
	nft(t, n.near, "add table inet theirs; add chain inet theirs arriving; add rule inet theirs arriving counter")
	before := nft(t, n.near, ruleset)
	n.guards(t, guards())
	ours := nft(t, n.near, guardTable)
	if got := strings.Replace(nft(t, n.near, ruleset), ours, "", 1); got != before {
		t.Errorf("beside our table stands (-before +now):\n%s", cmp.Diff(before, got))
	}
	for _, want := range []string{
		`elements = { "tbt-b",`, `elements = { "thunderbolt0" }`, `elements = { "usb0" }`, "elements = { fd75::1 }",
		`type filter hook prerouting priority raw`, `type filter hook forward priority raw`, `type filter hook postrouting priority raw`,
		`iifname @strangers counter packets 0 bytes 0 drop comment "a stranger's, `, `oifname @strangers counter`,
		`iifname "thunderbolt*" ip saddr @addresses4 counter`, `iifname @outside ip6 saddr @addresses6 counter`,
		`oifname "thunderbolt*" ip6 daddr @addresses6 counter`,
		`iifname "thunderbolt*" oifname @ports counter`, `iifname @ports oifname @outside counter`,
	} {
		if !strings.Contains(ours, want) {
			t.Errorf("the table lacks %s:\n%s", want, ours)
		}
	}
	if err := n.Steer(t.Context(), steers()); err != nil {
		t.Fatal(err)
	}
	if err := n.Unsteer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := nft(t, n.near, guardTable); got != ours {
		t.Errorf("steering has changed it (-before +now):\n%s", cmp.Diff(ours, got))
	}
	for range 2 {
		if err := n.Unguard(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := nft(t, n.near, ruleset); after != before {
			t.Errorf("afterwards (-before +now):\n%s", cmp.Diff(before, after))
		}
	}
}

// What stands is left alone, with its handles; what somebody did to it is mended.
func TestGuardIsMended(t *testing.T) {
	n := ready(t)
	n.guards(t, guards())
	withHandles := func() string { return runNFT(t, n.near, guardTable, "-a") }
	stands, ours := withHandles(), nft(t, n.near, guardTable)
	n.guards(t, guards())
	if got := withHandles(); got != stands {
		t.Errorf("it is written although it stands (-before +now):\n%s", cmp.Diff(stands, got))
	}
	for _, harm := range []string{
		"flush ruleset",
		"delete table inet usb4mesh-guard",
		"flush table inet usb4mesh-guard",
		"flush chain inet usb4mesh-guard leaving",
		"flush set inet usb4mesh-guard strangers",
		"add element inet usb4mesh-guard ports { thunderbolt1 }",
		"delete element inet usb4mesh-guard addresses6 { fd75::1 }",
		"insert rule inet usb4mesh-guard arriving accept",
		"flush chain inet usb4mesh-guard passing; delete chain inet usb4mesh-guard passing",
		"add table inet usb4mesh-guard { flags dormant; }",
	} {
		nft(t, n.near, harm)
		n.guards(t, guards())
		if got := nft(t, n.near, guardTable); got != ours {
			t.Errorf("after %s (-before +now):\n%s", harm, cmp.Diff(ours, got))
		}
	}
	fewer := guards()
	fewer.Strangers = nil
	n.guards(t, fewer)
	if got := nft(t, n.near, guardTable); strings.Contains(got, "thunderbolt0") {
		t.Errorf("the stranger that is gone is in it:\n%s", got)
	}
}

// A large mesh, and a kernel that is closed.
func TestGuardBounds(t *testing.T) {
	n := newNamespace(t)
	g := guards()
	g.Addresses = nil
	for i := range 1000 {
		g.Addresses = append(g.Addresses, netip.AddrFrom4([4]byte{10, 7, byte(i >> 8), byte(i)}), netip.AddrFrom16([16]byte{0xfd, 0x75, 14: byte(i >> 8), 15: byte(i)}))
	}
	for range 2 {
		n.guards(t, g)
	}
	if got := strings.Count(nft(t, n.near, guardTable), "fd75::"); got != 1000 {
		t.Errorf("%d IPv6 addresses stand, want 1000", got)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Guard(t.Context(), g); !errors.Is(err, kernel.ErrClosed) {
		t.Errorf("guard: %v", err)
	}
}

// Packets that a stopped node would have let through, as its counters tell.
func TestGuardCounts(t *testing.T) {
	n := ready(t, "thunderbolt0", "usb0")
	ip := func(args string) {
		in(t, n.near, func() error {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %s: %w: %s", args, err, out)
			}
			return nil
		})
	}
	for i, port := range []string{"thunderbolt0", "usb0"} {
		ip(fmt.Sprintf("addr add 192.0.2.%d/32 dev %s", i+1, port))
		ip(fmt.Sprintf("route add 10.7.1.%d/32 dev %s", i+2, port))
	}
	g := guards()
	g.Addresses = append(g.Addresses, netip.MustParseAddr("10.7.1.3"))
	n.guards(t, g)
	for i := range 2 { // a stranger gets nothing, and outside nobody gets what is for the mesh
		in(t, n.near, func() error {
			c, err := net.Dial("udp", fmt.Sprintf("10.7.1.%d:9", i+2))
			if err != nil {
				return err
			}
			defer c.Close()
			_, _ = c.Write([]byte("x")) // the filter lets the sender know: EPERM
			return nil
		})
	}
	if r := n.guards(t, g); r.Stranger == 0 || r.Crossing == 0 || r.Forged != 0 {
		t.Errorf("counted %+v", r)
	}
	if r := n.guards(t, g); r.Crossing != 0 { // the kernel itself goes on to ask strangers for routers
		t.Errorf("counted twice: %+v", r)
	}
}

// BenchmarkGuard is what an agent pays in every turn, while all stands, and when a
// stranger has come or gone.
func BenchmarkGuard(b *testing.B) {
	if noKernel != "" {
		b.Skip(noKernel)
	}
	n, err := openNamespace()
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	for _, nodes := range []int{8, 64, 1000} {
		g := guards()
		g.Addresses = nil
		for i := range nodes {
			g.Addresses = append(g.Addresses, netip.AddrFrom4([4]byte{10, 7, byte(i >> 8), byte(i)}), netip.AddrFrom16([16]byte{0xfd, 0x75, 14: byte(i >> 8), 15: byte(i)}))
		}
		for _, changes := range []bool{false, true} {
			b.Run(fmt.Sprintf("nodes=%d/changes=%t", nodes, changes), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					if changes {
						g.Strangers = []string{fmt.Sprintf("thunderbolt%d", i%2)}
					}
					if _, err := n.Guard(b.Context(), g); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
