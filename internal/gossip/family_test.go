package gossip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func identity6(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfd, 0x75, 0x73, 0x62, 15: byte(i)})
}

func newWorld46(t testing.TB, n int) *world {
	w := newWorld(t, n)
	for i := 1; i <= n; i++ {
		w.plan.Members[name(i)] = []netip.Addr{identity(i), identity6(i)}
	}
	return w
}

// One family stops working without a word; the other carries on, and the first is
// not needed to come back.
func TestOneFamilyFails(t *testing.T) {
	for _, v4 := range []bool{true, false} {
		t.Run(fmt.Sprintf("IPv4=%v", v4), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld46(t, 4)
				w.startAll()
				w.announceAll()
				w.settle()
				w.air.set(func(from, _ netip.Addr) bool { return from.Is4() != v4 })
				w.nodes["01"].Announce(w.links("01", "4"))
				took := w.until(10*time.Second, "spread", func(g *Gossip) error { return says(g, "01", "4", false) })
				if took > 40*time.Millisecond {
					t.Errorf("a change right after took %v", took)
				}
				time.Sleep(10 * time.Second)
				w.nodes["01"].Announce(w.links("01", "1"))
				took = w.until(10*time.Second, "spread", func(g *Gossip) error { return says(g, "01", "1", false) })
				if took > 200*time.Millisecond {
					t.Errorf("a change took %v", took)
				}
				for _, m := range w.nodes["01"].Members() {
					if !m.Alive {
						t.Errorf("%s is not alive", m.Node)
					}
					if m.Node != "01" && m.Address.Is4() == v4 {
						t.Errorf("%s is said to be at %s", m.Node, m.Address)
					}
				}
			})
		})
	}
}

// noFamily is an air in which one family can't even be listened on.
type noFamily struct {
	*air
	v4 bool
}

func (n noFamily) listenPacket(a netip.AddrPort) (packetConn, error) {
	if a.Addr().Is4() == n.v4 {
		return nil, unix.EAFNOSUPPORT
	}
	return n.air.listenPacket(a)
}

// A node without IPv6 is a member of a mesh that has both.
func TestNodeWithoutFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld46(t, 3)
		w.start("01")
		w.start("02")
		c := w.plan
		c.Node = "03"
		g, err := open(c, noFamily{w.air, false})
		if err != nil {
			t.Fatal(err)
		}
		w.nodes["03"] = g
		w.announceAll()
		w.settle()
	})
}

func TestNoFamily(t *testing.T) {
	w := newWorld(t, 1)
	c := w.plan
	c.Node = "01"
	_, err := open(c, noFamily{w.air, true})
	if !errors.Is(err, unix.EAFNOSUPPORT) || !strings.Contains(err.Error(), "port 7946") {
		t.Errorf("error %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := newWorld(t, 2).plan
	good.Node = "01"
	for _, tt := range []struct {
		name string
		edit func(*Config)
		err  string
	}{
		{"name that is not in the plan", func(c *Config) { c.Node = "09" }, `node "09" has no identity`},
		{"address of somebody else", func(c *Config) { c.Bind = []netip.Addr{identity(2)} }, "is no identity of node 01"},
		{"no key", func(c *Config) { c.Keys = nil }, "nothing says that gossip may be plain"},
		{"short key", func(c *Config) { c.Keys = [][]byte{testKey, testKey[:5]} }, "key 2 has 5 bytes"},
		{"no port", func(c *Config) { c.Port = 70000 }, "port 70000"},
	} {
		c := good
		tt.edit(&c)
		g, err := open(c, newAir(0))
		if err == nil {
			_ = g.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q in it", tt.name, err, tt.err)
		}
	}
}

// A key is changed node by node, and everybody hears everybody all the time.
func TestKeyRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		next := slices.Clone(testKey)
		next[0] ^= 1
		w.startAll()
		w.announceAll()
		w.settle()
		for _, keys := range [][][]byte{{testKey, next}, {next, testKey}, {next}} {
			for i := 1; i <= 4; i++ {
				w.kill(name(i))
				w.start(name(i), func(c *Config) { c.Keys = keys }).Announce(w.links(name(i)))
				w.settle()
			}
		}
		for node, g := range w.nodes {
			if s := g.Strangers(); len(s) > 0 {
				t.Errorf("node %s: %v", node, s)
			}
		}
	})
}

// Without keys it works as well, if that is wished.
func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.plan.Keys, w.plan.Plain = nil, true
		w.startAll()
		w.announceAll()
		w.settle()
		w.nodes["01"].Announce(w.links("01", "1"))
		w.until(time.Second, "spread", func(g *Gossip) error { return says(g, "01", "1", false) })
		w.air.send([]byte("hello"), netip.AddrPortFrom(identity(2), DefaultPort), netip.AddrPortFrom(identity(1), DefaultPort))
		time.Sleep(time.Second)
		if causes(w.nodes["01"])[OtherMesh] != 1 {
			t.Errorf("strangers %v", w.nodes["01"].Strangers())
		}
	})
}

// Two plans at the same time, as while a new one is brought to the nodes: what
// one does not know it says so, and the rest goes on.
func TestTwoPlans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.start("01")
		bigger := newWorld(t, 4)
		bigger.air = w.air
		for _, node := range []string{"02", "03", "04"} {
			w.nodes[node] = bigger.start(node)
		}
		bigger.nodes = nil
		w.announceAll()
		time.Sleep(20 * time.Second)
		four := w.nodes["04"]
		delete(w.nodes, "04")
		w.nodes["02"].Announce(w.links("02", "1"))
		w.until(time.Second, "spread", func(g *Gossip) error { return says(g, "02", "1", false) })
		if n := causes(w.nodes["01"])[UnknownName]; n == 0 {
			t.Errorf("01 has not noticed: %v", w.nodes["01"].Strangers())
		}
		for _, s := range w.nodes["01"].States() {
			if s.Node == "04" {
				t.Errorf("01 stores %v", s)
			}
		}
		w.nodes["04"] = four
	})
}
