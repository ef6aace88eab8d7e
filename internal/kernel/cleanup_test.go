package kernel_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// everythingIn returns, as text, all there is to know of a namespace: what iproute2
// and nft print, and every setting below /proc/sys/net.
func everythingIn(t *testing.T, ns *os.File) string {
	t.Helper()
	var b strings.Builder
	in(t, ns, func() error {
		for _, cmd := range []string{
			"ip -d link", "ip -d address", "ip -d -4 route show table all", "ip -d -6 route show table all",
			"ip -d -4 rule", "ip -d -6 rule", "ip nexthop", "nft list ruleset", "tc qdisc",
		} {
			args := strings.Fields(cmd)
			out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s: %w: %s", cmd, err, out)
			}
			fmt.Fprintf(&b, "# %s\n%s", cmd, out)
		}
		return filepath.WalkDir("/proc/sys/net", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			value, err := os.ReadFile(path)
			if err != nil {
				value = []byte(err.Error() + "\n") // unset secrets, write-only switches
			}
			fmt.Fprintf(&b, "%s = %s", path, value)
			return nil
		})
	})
	return b.String()
}

// TestCleanupLeavesNoTrace compares everything before the first start and after
// cleaning up, byte by byte. In between the program dies and its memory goes
// through a file. One thing can't be given back and so is had before: a queueing
// discipline, which an interface gets when it is set up for the first time.
func TestCleanupLeavesNoTrace(t *testing.T) {
	n := ready(t)
	for _, name := range []string{"thunderbolt0", "thunderbolt1", "eth0"} {
		if err := n.Plug(name); err != nil {
			t.Fatal(err)
		}
	}
	in(t, n.near, func() error {
		out, err := exec.Command("sh", "-ec", `
			ip link set lo up
			ip link set eth0 up mtu 1400 alias uplink
			ip address add 192.0.2.2/24 dev eth0
			ip -6 address add 2001:db8::2/64 dev eth0 nodad
			ip link set thunderbolt0 up
			ip link set thunderbolt0 down
			ip link set thunderbolt1 up mtu 4000
			ip address add 10.9.9.1/31 dev thunderbolt1
			ip route add default via 192.0.2.1 proto static
			ip route add 198.51.100.0/24 via 192.0.2.9 proto ospf metric 20
			ip -6 route add 2001:db8:9::/48 via 2001:db8::9 proto bgp metric 20
			ip rule add pref 100 fwmark 0x4007/0xffff lookup 51820
			sysctl -qw net.ipv6.conf.eth0.forwarding=1 net.ipv4.conf.all.rp_filter=1
			nft add table inet filter
			sleep 2.2`).CombinedOutput() // for carrier and duplicate address detection
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	before := everythingIn(t, n.near)

	p, findings := plan.Make(mesh.Cluster{
		Name: "test", MTU: 9000, Topology: mesh.Topology{Shape: "full-mesh"}, Identity: []netip.Prefix{netip.MustParsePrefix("10.7.1.0/24"), netip.MustParsePrefix("fd75::/64")},
		Nodes: []mesh.Node{twoPorts("a"), twoPorts("b"), twoPorts("c")},
	})
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	node := p.Node("a")
	want := node.Want(p.Mesh, p.MTU)
	want.Links[0].Kind = mesh.KindBridge
	rules, routes := plan.Steering(&p, "a")
	want.Rules, want.Routes = append(want.Rules, rules...), append(want.Routes, routes...)
	file := filepath.Join(t.TempDir(), "memory.json")
	load := func() *mesh.Memory {
		m := &mesh.Memory{}
		if text, err := os.ReadFile(file); err == nil {
			if err := json.Unmarshal(text, m); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	careful := func() kernel.Door {
		m := load()
		return kernel.Remembering(n, func(have mesh.State, changes []mesh.Change) error {
			if !m.Remember(have, changes) {
				return nil
			}
			text, err := json.Marshal(m)
			if err != nil {
				return err
			}
			return os.WriteFile(file, text, 0o600)
		})
	}
	index := map[string]int{}
	for _, l := range n.state(t).Links {
		index[l.Name] = l.Index
	}
	renames := mesh.Renames(n.state(t).Links, map[int]string{index["thunderbolt0"]: node.Links[0].Interface, index["thunderbolt1"]: node.Links[1].Interface})
	if err := careful().Apply(t.Context(), renames); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second is another life of the program
		if _, err := kernel.Converge(t.Context(), careful(), want); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Steer(t.Context(), steers()); err != nil {
		t.Fatal(err)
	}
	if during := everythingIn(t, n.near); during == before {
		t.Fatal("nothing changed")
	}

	if _, err := kernel.Cleanup(t.Context(), n, load()); err != nil {
		t.Fatal(err)
	}
	if after := everythingIn(t, n.near); after != before {
		t.Errorf("before and after (-before +after):\n%s", cmp.Diff(strings.Split(before, "\n"), strings.Split(after, "\n")))
	}
}

func twoPorts(name string) mesh.Node {
	n := mesh.Node{Name: name}
	for i := range 2 {
		n.Ports = append(n.Ports, mesh.Port{Name: string(rune('a' + i)), Path: fmt.Sprintf("pci-0000:00:0%d.0", i)})
	}
	return n
}
