package kernel_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// machines is a whole mesh, one namespace a node. The tests of a single kernel
// know nothing of plans; these do, since what is steered only makes sense in one.
type machines struct {
	plan  mesh.Plan
	nodes map[string]*machine
}

type machine struct {
	*kernel.Kernel
	plan *mesh.NodePlan
	ns   *os.File
	net  *netlink.Handle
}

// ringOf plans and builds a ring of n nodes, n1 to n2 to ... to n1.
func ringOf(t *testing.T, n int) *machines {
	t.Helper()
	return build(t, n, mesh.Cluster{Topology: mesh.Topology{Shape: "ring"}})
}

// build makes a mesh of n nodes n1, n2, ... with two ports a and b each.
func build(t *testing.T, n int, c mesh.Cluster) *machines {
	t.Helper()
	if noKernel != "" {
		t.Skip(noKernel)
	}
	c.Name, c.MTU = "test", 9000
	c.Identity = []netip.Prefix{netip.MustParsePrefix("10.7.1.0/24"), netip.MustParsePrefix("fd75::/64")}
	for i := range n {
		c.Nodes = append(c.Nodes, mesh.Node{Name: fmt.Sprintf("n%d", i+1), Ports: []mesh.Port{{Name: "a", Path: "pci-0000:00:01.0"}, {Name: "b", Path: "pci-0000:00:02.0"}}})
	}
	p, findings := plan.Make(c)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	m := &machines{plan: p, nodes: map[string]*machine{}}
	t.Cleanup(func() {
		for _, x := range m.nodes {
			x.net.Close()
			if err := errors.Join(x.Close(), x.ns.Close()); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range m.plan.Nodes {
		x := &machine{plan: &m.plan.Nodes[i]}
		var err error
		if x.ns, err = unshare(); errors.Is(err, unix.EPERM) {
			t.Skip(err)
		} else if err != nil {
			t.Fatal(err)
		}
		if x.net, err = netlink.NewHandleAt(netns.NsHandle(x.ns.Fd())); err != nil {
			t.Fatal(err)
		}
		if x.Kernel, err = kernel.OpenNamespace(int(x.ns.Fd())); err != nil {
			t.Fatal(err)
		}
		m.nodes[x.plan.Name] = x
	}
	for _, cable := range m.plan.Cables {
		m.plug(t, cable)
	}
	for _, x := range m.nodes {
		m.converge(t, x)
	}
	for _, x := range m.nodes {
		m.waitForRoutes(t, x)
	}
	return m
}

// waitForRoutes waits until a node's kernel knows of its ports' carrier: it may
// hold back the news for a second (net/core/link_watch.c), and till then has no
// way to anybody.
func (m *machines) waitForRoutes(t *testing.T, x *machine) {
	t.Helper()
	in(t, x.ns, func() error {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			var unreachable error
			for _, n := range m.plan.Nodes {
				for _, id := range n.Identity {
					c, err := net.Dial("udp", net.JoinHostPort(id.String(), "9"))
					if err != nil {
						unreachable = err
						continue
					}
					c.Close()
				}
			}
			if unreachable == nil || time.Now().After(end) {
				return unreachable
			}
		}
	})
}

// port returns a node's interface of a cable.
func (m *machines) port(node, cable string) string {
	for _, l := range m.plan.Node(node).Links {
		if l.Cable == cable {
			return l.Interface
		}
	}
	return ""
}

func (m *machines) plug(t *testing.T, c mesh.CablePlan) {
	t.Helper()
	a, b := c.Ends[0].Node, c.Ends[1].Node
	attrs := netlink.NewLinkAttrs()
	attrs.Name = m.port(a, c.Name)
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: m.port(b, c.Name), PeerNamespace: netlink.NsFd(m.nodes[b].ns.Fd())}
	if err := m.nodes[a].net.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
}

// converge brings a node to its plan, with what steering needs.
func (m *machines) converge(t *testing.T, x *machine) {
	t.Helper()
	want := x.plan.Want(m.plan.Mesh, m.plan.MTU)
	rules, routes := plan.Steering(&m.plan, x.plan.Name)
	want.Rules, want.Routes = append(want.Rules, rules...), append(want.Routes, routes...)
	_, err := kernel.Converge(t.Context(), x, want)
	if errors.Is(err, kernel.ErrNoDummy) {
		want.Links[0].Kind = mesh.KindBridge
		_, err = kernel.Converge(t.Context(), x, want)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// in runs f on a thread inside a namespace. Sockets that f opens stay there.
func in(t *testing.T, ns *os.File, f func() error) {
	t.Helper()
	c := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			c <- err
			return
		}
		c <- f()
	}()
	if err := <-c; err != nil {
		t.Fatal(err)
	}
}

// nft runs nft inside a namespace and returns what it prints.
func nft(t *testing.T, ns *os.File, script string) string {
	t.Helper()
	return runNFT(t, ns, script)
}

// nftStateless returns the whole packet filter without what its counters count.
func nftStateless(t *testing.T, ns *os.File) string {
	t.Helper()
	return runNFT(t, ns, ruleset, "-s")
}

func runNFT(t *testing.T, ns *os.File, script string, options ...string) string {
	t.Helper()
	var out []byte
	in(t, ns, func() (err error) {
		cmd := exec.Command("nft", append(options, "-f", "-")...)
		cmd.Stdin = strings.NewReader(script)
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("nft: %w: %s\n%s", err, script, out)
		}
		return err
	})
	return string(out)
}

// silence makes a cable lose every frame although both ends stay up with
// carrier; what usb4mesh does not own does it, and must stay as it is.
func (m *machines) silence(t *testing.T, cable mesh.CablePlan) {
	t.Helper()
	for _, e := range cable.Ends {
		nft(t, m.nodes[e.Node].ns, fmt.Sprintf(
			`table netdev silence { chain in { type filter hook ingress device %q priority 0; drop; }; }`, m.port(e.Node, cable.Name)))
	}
}

func (m *machines) mend(t *testing.T, cable mesh.CablePlan) {
	t.Helper()
	for _, e := range cable.Ends {
		nft(t, m.nodes[e.Node].ns, "delete table netdev silence")
	}
}

func (m *machines) identity(node string, family int) net.IP {
	return m.plan.Node(node).Identity[family].AsSlice()
}
