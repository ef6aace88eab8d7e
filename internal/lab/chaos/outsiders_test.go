package chaos

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// aside is what a machine outside of the mesh may do: speak to the node that it is
// plugged into, with addresses of its own.
func aside(iface string) func(attack, string) bool {
	return func(a attack, where string) bool {
		own := strings.Contains(a.what, "from its own") || strings.Contains(a.what, "from its link-local") || strings.Contains(a.what, "link-local address to")
		return where == iface+" in" || where == "socket" && own || where == iface+" out" && (own || a.what == "to the world")
	}
}

// assault lets the stranger send all that it may, and wants nothing of it in the mesh:
// the other nodes see none of it, and n1 only what allowed says.
func (l trio) assault(stray lab.Stray, iface string, allowed func(attack, string) bool) {
	l.Helper()
	mac, _ := net.ParseMAC(stray.MACs[1])
	all := l.attacks(ends{mac, l.mac("n1", iface)})
	eyes := map[string]func() seen{}
	for _, n := range l.Plan.Nodes {
		eyes[n.Name] = see(l.T, l.Lab, n.Name)
	}
	for range 3 {
		send(l.T, l.Lab, lab.StrangerName, stray.Interfaces[1], frames(all)...)
	}
	for node, end := range eyes {
		s := end()
		if node == "n1" && len(s.Marked) != len(all) {
			l.Errorf("%d of %d attacks reached n1's interface", len(s.Marked), len(all))
		}
		if bad := arrived(all, s, func(a attack, where string) bool { return node == "n1" && allowed(a, where) }); len(bad) > 0 {
			l.Errorf("node %s has let in or passed on:\n%s", node, strings.Join(bad, "\n"))
		}
	}
}

// A machine at a port that the plan does not use may be its owner's: it speaks to its
// node, and not to the mesh. The same holds of any that is plugged while the agent is
// dead, wherever it is.
func TestStrangerOutside(t *testing.T) {
	l := newTrio(t, program(t))
	honest := l.probing()
	stray, err := l.Stranger(t.Context(), lab.Socket{Node: "n1"}, lab.Stranger{Name: "laptop", Managed: true})
	if err != nil {
		t.Fatal(err)
	}
	l.finds("n1", "stranger-at-free-port", "laptop")
	release := l.manage("n1", stray.Interfaces[0])
	l.assault(stray, stray.Interfaces[0], aside(stray.Interfaces[0]))
	release()
	l.finds("n1", "outside-refused", "packets with an address of the mesh were refused")
	calm := honest()
	for _, n := range l.Plan.Nodes {
		if s := l.status(n.Name); calm && s.State != mesh.StateConverged {
			t.Errorf("node %s is %s: %s", n.Name, s.State, s.Why)
		}
	}
	if err := l.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.settles()

	// Somebody reloads a firewall.
	l.does("n1", "nft flush ruleset")
	until(t, 3*time.Second, "the filter comes back", func() bool { // the agent's own look takes longer
		return strings.Contains(l.does("n1", "nft list ruleset"), "table inet usb4mesh-guard")
	})

	if err := l.Agent(t.Context(), "n1", lab.AgentKill); err != nil {
		t.Fatal(err)
	}
	at := lab.Socket{Node: "n1", Cable: l.cable("n1", "n2")}
	if stray, err = l.Stranger(t.Context(), at, lab.Stranger{Name: "eve", Managed: true}); err != nil {
		t.Fatal(err)
	}
	release = l.manage("n1", stray.Interfaces[0])
	l.assault(stray, stray.Interfaces[0], aside(stray.Interfaces[0]))
	release()
	if err := l.Agent(t.Context(), "n1", lab.AgentStart); err != nil {
		t.Fatal(err)
	}
	l.finds("n1", "stranger-at-port", "eve")
	l.settles()
	if err := l.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.settles()
	if diff, err := l.Cleanup(t.Context()); err != nil || len(diff) > 0 {
		t.Errorf("agent --cleanup leaves %q, %v", diff, err)
	}
}

// A machine that gives the name of a planned node is found out by its UUID, since the
// node tells its own. One that gives the UUID, too, is found out because the node says
// that it is not plugged there.
func TestStrangerUnderAFalseName(t *testing.T) {
	l := newTrio(t, program(t))
	at := lab.Socket{Node: "n1", Cable: l.cable("n1", "n2")}
	stray, err := l.Stranger(t.Context(), at, lab.Stranger{Name: "n2", Managed: true})
	if err != nil {
		t.Fatal(err)
	}
	l.finds("n1", "stranger-at-port", "n2 (UUID")
	l.settles()
	honest := l.probing()
	nothing := func(iface string) func(attack, string) bool {
		return func(_ attack, where string) bool { return where == iface+" in" }
	}
	l.assault(stray, stray.Interfaces[0], nothing(stray.Interfaces[0]))
	honest()
	if err := l.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.settles()

	if stray, err = l.Stranger(t.Context(), at, lab.Stranger{Name: "n2", Twin: "n2", Managed: true}); err != nil {
		t.Fatal(err)
	}
	l.finds("n1", "peer-denies-cable", "tbt-n2")
	honest = l.probing()
	l.assault(stray, "tbt-n2", nothing("tbt-n2"))
	honest()
	if s := l.status("n1"); l.link("n1", "n2").Usable || s.State == mesh.StateFailed {
		t.Errorf("%s (%s), link %+v", s.State, s.Why, l.link("n1", "n2"))
	}
	if err := l.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.settles()
}

// A name or UUID in /sys is whatever the other machine sends.
func TestStrangerWithAHostileName(t *testing.T) {
	l := newTrio(t, program(t))
	at := lab.Socket{Node: "n1", Cable: l.cable("n1", "n2")}
	for _, name := range []string{"\x1b[2J\x1b]0;owned\a", strings.Repeat("x", 4000), "eve\u202e2n", "../../n2", "level=INFO msg=fine"} {
		if _, err := l.Stranger(t.Context(), at, lab.Stranger{Name: name}); err != nil {
			t.Fatal(err)
		}
		l.finds("n1", "stranger-at-port", "")
		bad := func(s string) bool { return strings.ContainsAny(s, "\x1b\a\u202e\n") || len(s) > 400 }
		for _, f := range l.status("n1").Findings {
			if bad(f.Message) || bad(f.Hint) {
				t.Errorf("%.40q: finding %q", name, f.Message)
			}
		}
		if k := l.link("n1", "n2"); bad(k.Stranger) || k.Stranger == "" {
			t.Errorf("%.40q: the link says %q", name, k.Stranger)
		}
		screen := l.does("n1", l.program+" status --socket /run/usb4mesh-lab/agent.sock || true")
		if strings.ContainsAny(screen, "\x1b\a\u202e") || !strings.Contains(screen, "stranger") {
			t.Errorf("%.40q: the screen shows\n%q", name, screen)
		}
		if err := l.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l.settles()
}

// Nodes of the mesh at wrong ports: they are told so, what they are plugged for is out,
// and the rest goes on.
func TestNodesAtWrongPorts(t *testing.T) {
	l := newTrio(t, program(t))
	socket := func(node, peer string) lab.Socket {
		if peer == "" {
			return lab.Socket{Node: node}
		}
		return lab.Socket{Node: node, Cable: l.cable(node, peer)}
	}
	for _, tt := range []struct {
		name   string
		cables [][2]lab.Socket
		finds  [][3]string
		left   []string // nodes that the cabling still joins; nil is all
	}{
		{"one port off", [][2]lab.Socket{{socket("n1", "n2"), socket("n2", "")}}, [][3]string{{"n2", "cable-at-unplanned-port", "n1"}}, nil},
		{"two plugs swapped at n1", [][2]lab.Socket{{socket("n1", "n2"), socket("n3", "n1")}, {socket("n1", "n3"), socket("n2", "n1")}},
			[][3]string{{"n1", "cable-at-wrong-port", "n3 instead of n2"}, {"n1", "cable-at-wrong-port", "n2 instead of n3"}}, []string{"n2", "n3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, c := range tt.cables { // pull them all first
				if _, err := l.Miswire(t.Context(), c[0], c[1]); err != nil {
					t.Fatal(err)
				}
			}
			l := trio{t, l.Lab, l.program}
			for _, f := range tt.finds {
				l.finds(f[0], f[1], f[2])
			}
			l.settles()
			honest := l.probing(tt.left...)
			time.Sleep(time.Second)
			honest()
			if err := l.Tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.settles()
		})
	}
}

// A node of the mesh is trusted with what passes it, but not to speak for others without
// the key, nor for other cables' BFD.
func TestRogueNeighbour(t *testing.T) {
	l := newTrio(t, program(t))
	tap := see(t, l.Lab, "n1")
	time.Sleep(1500 * time.Millisecond)
	var said []tapped
	for _, f := range tap().Agents["tbt-n2"] {
		if f.Port == gossipPort {
			said = append(said, f)
		}
	}
	if len(said) < 3 {
		t.Fatalf("%d packets of gossip were captured", len(said))
	}
	honest := l.probing()
	e := ends{l.mac("n3", "tbt-n1"), l.mac("n1", "tbt-n3")}
	say := func(from netip.Addr, payload []byte) []byte {
		return e.udp(from, l.id("n1", 0), gossipPort, gossipPort, payload)
	}
	low := e.udp(l.linkLocal("n3"), l.linkLocal("n1"), 50_000, bfdPort, bfd(7, 7))
	low[14+7] = 64 // as if a router had passed it on
	var all [][]byte
	for range 10 {
		all = append(all,
			e.udp(l.linkLocal("n2"), l.linkLocal("n1"), 50_000, bfdPort, bfd(7, 7)), low,
			e.udp(l.linkLocal("n3"), l.linkLocal("n1"), 50_000, bfdPort, []byte("not a packet of BFD at all")),
			say(l.id("n2", 0), []byte("hello")),
			say(l.id("n2", 0), sealed(t, "usb4mesh/trio")),
			say(l.id("n2", 0), sealed(t, "usb4mesh/other")),
			say(l.id("n1", 0), sealed(t, "usb4mesh/trio")))
		all = append(all, replayed(e, said)...)
	}
	send(t, l.Lab, "n3", "tbt-n1", all...)
	l.finds("n1", "bfd-stranger", "not from a neighbour")
	for _, text := range []string{"not encrypted with a key of this node", "received before", "label"} {
		l.finds("n1", "gossip-stranger", text)
	}
	time.Sleep(time.Second)
	calm := honest()
	for _, n := range l.Plan.Nodes {
		if !calm {
			break
		}
		s := l.status(n.Name)
		if s.State != mesh.StateConverged {
			t.Errorf("node %s is %s: %s", n.Name, s.State, s.Why)
		}
		for _, k := range s.Links {
			if !k.Usable || k.Flaps > 0 || k.Liveness.Flaps > 0 {
				t.Errorf("node %s: the link to %s has suffered: %+v", n.Name, k.Peer, k)
			}
		}
		for _, m := range s.Members {
			if !m.Alive {
				t.Errorf("node %s takes %s for dead", n.Name, m.Node)
			}
		}
	}
	l.settles()
}

// sealed is a message of gossip, encrypted with a key that nobody has.
func sealed(t *testing.T, label string) []byte {
	t.Helper()
	secret := make([]byte, 32+12)
	_, _ = rand.Read(secret)
	block, err := aes.NewCipher(secret[:32])
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	b := aead.Seal(slices.Concat([]byte{1}, secret[32:]), secret[32:], []byte("\x08anything"), []byte(label))
	if b, err = memberlist.AddLabelHeaderToPacket(b, label); err != nil {
		t.Fatal(err)
	}
	return b
}

// A machine of the mesh, with its key, speaks for another node that is there itself, as
// from a copied disk. What is said with the key is believed, so this is no wall; but the
// node hears itself speak, says so, and has the last word.
func TestAnotherNodesIdentity(t *testing.T) {
	l := newTrio(t, program(t))
	c := gossip.Config{Mesh: l.Plan.Mesh, Node: "n2", Members: map[string][]netip.Addr{}, Cables: map[string][2]string{}}
	for _, n := range l.Plan.Nodes {
		c.Members[n.Name] = n.Identity
	}
	for _, k := range l.Plan.Cables {
		c.Cables[k.Name] = [2]string{k.Ends[0].Node, k.Ends[1].Node}
	}
	for _, a := range c.Members["n2"] {
		l.does("n3", "ip addr add "+a.String()+" dev lo nodad")
	}
	honest := l.probing("n1", "n2")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	wait := wire(t, l.Lab, "n3", r, os.Stderr, wireTalk)
	if err := json.NewEncoder(w).Encode(c); err != nil {
		t.Fatal(err)
	}
	l.finds("n2", "gossip-duplicate", "n2")
	_ = w.Close()
	wait()
	_ = r.Close()
	for _, a := range c.Members["n2"] {
		l.does("n3", "ip addr del "+a.String()+" dev lo")
	}
	honest()
	l.settles()
}
