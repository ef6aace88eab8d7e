package gossip

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
)

// seal makes of a message what memberlist would send, with any key and label.
func seal(t testing.TB, key []byte, label string, plain []byte, number byte) []byte {
	t.Helper()
	b, err := memberlist.AddLabelHeaderToPacket(body(t, key, []byte(label), plain, number), label)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func body(t testing.TB, key, data, plain []byte, number byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	n := bytes.Repeat([]byte{number}, nonceSize)
	return aead.Seal(append([]byte{vsnNoPad}, n...), n, plain, data)
}

// sealStream makes the first message of a stream.
func sealStream(t testing.TB, key []byte, label string, plain []byte, number byte) []byte {
	t.Helper()
	head := binary.BigEndian.AppendUint32([]byte{encryptMsg}, uint32(1+nonceSize+len(plain)+tagSize))
	b := append(head, body(t, key, append(slices.Clone(head), label...), plain, number)...)
	return append(append([]byte{244, byte(len(label))}, label...), b...)
}

// user is memberlist's user message of an advert.
func user(a *advert) []byte { return append([]byte{8}, a.encode()...) }

// causes of the strangers that g has seen, with their counts.
func causes(g *Gossip) map[Cause]uint64 {
	m := map[Cause]uint64{}
	for _, s := range g.Strangers() {
		m[s.Cause] += s.Count
	}
	return m
}

// Whatever a stranger puts on the wire: it changes nothing, it is reported once,
// and it is counted.
func TestStrangers(t *testing.T) {
	otherKey := []byte("another key of thirty-two bytes!")
	poison := &advert{Origin: "02", Instance: 99, Seq: 1000, Links: []LinkState{{Cable: "1", Why: "poison"}}}
	good := func(t *testing.T, number byte) []byte {
		return seal(t, testKey, label("test"), user(&advert{Origin: "02", Instance: 99, Seq: 1}), number)
	}
	at := func(a string, port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), port) }
	tests := []struct {
		name  string
		cause Cause
		from  netip.AddrPort
		send  func(t *testing.T, i int) []byte
	}{
		{"address that is not in the plan", UnknownAddress, at("10.7.1.99", DefaultPort),
			func(t *testing.T, i int) []byte {
				return seal(t, testKey, label("test"), user(poison), byte(i))
			}},
		{"port that members do not use", UnknownAddress, at("10.7.1.2", 12345),
			func(t *testing.T, i int) []byte {
				return seal(t, testKey, label("test"), user(poison), byte(i))
			}},
		{"our own address", WrongAddress, at("10.7.1.1", DefaultPort),
			func(t *testing.T, i int) []byte {
				return seal(t, testKey, label("test"), user(poison), byte(i))
			}},
		{"wrong key", WrongKey, at("10.7.1.2", DefaultPort),
			func(t *testing.T, i int) []byte {
				return seal(t, otherKey, label("test"), user(poison), byte(i))
			}},
		{"no encryption", NotEncrypted, at("10.7.1.2", DefaultPort),
			func(t *testing.T, _ int) []byte {
				b, _ := memberlist.AddLabelHeaderToPacket(user(poison), label("test"))
				return b
			}},
		{"another mesh with the same key", OtherMesh, at("10.7.1.2", DefaultPort),
			func(t *testing.T, i int) []byte {
				return seal(t, testKey, label("elsewhere"), user(poison), byte(i))
			}},
		{"label that is swapped", WrongKey, at("10.7.1.2", DefaultPort),
			func(t *testing.T, i int) []byte {
				b, _ := memberlist.AddLabelHeaderToPacket(body(t, testKey, []byte(label("elsewhere")), user(poison), byte(i)), label("test"))
				return b
			}},
		{"no label", OtherMesh, at("10.7.1.2", DefaultPort),
			func(t *testing.T, i int) []byte { return body(t, testKey, nil, user(poison), byte(i)) }},
		{"altered on the way", WrongKey, at("10.7.1.2", DefaultPort),
			func(t *testing.T, i int) []byte {
				b := seal(t, testKey, label("test"), user(poison), byte(i))
				b[len(b)-20] ^= 1
				return b
			}},
		{"replay", Replayed, at("10.7.1.2", DefaultPort),
			func(t *testing.T, _ int) []byte { return good(t, 77) }},
		{"oversized", Oversized, at("10.7.1.2", DefaultPort),
			func(*testing.T, int) []byte { return make([]byte, maxPacket+1) }},
		{"nothing", OtherMesh, at("10.7.1.2", DefaultPort), func(*testing.T, int) []byte { return nil }},
		{"empty message", Malformed, at("10.7.1.2", DefaultPort),
			func(t *testing.T, i int) []byte { return seal(t, testKey, label("test"), nil, byte(i)) }},
		{"nonsense with our key", Malformed, at("10.7.1.2", DefaultPort),
			func(t *testing.T, i int) []byte {
				return seal(t, testKey, label("test"), []byte{8, wireVersion, 200}, byte(i))
			}},
		{"name that is not in the plan", UnknownName, at("10.7.1.2", DefaultPort),
			func(t *testing.T, i int) []byte {
				return seal(t, testKey, label("test"), user(&advert{Origin: "09", Instance: 1, Seq: uint64(i + 1), Links: poison.Links}), byte(i))
			}},
		{"cable of others", ForeignCable, at("10.7.1.2", DefaultPort),
			func(t *testing.T, i int) []byte {
				a := &advert{Origin: "02", Instance: 99, Seq: uint64(i + 1), Links: []LinkState{{Cable: "3", Why: "not mine"}}}
				return seal(t, testKey, label("test"), user(a), byte(i))
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 4)
				var log bytes.Buffer
				g := w.start("01", func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
				g.Announce(w.links("01"))
				time.Sleep(time.Second)
				for len(g.changed) > 0 {
					<-g.changed
				}
				before, lines := len(g.States()), strings.Count(log.String(), "refused")
				const times = 20
				for i := range times {
					w.air.send(tt.send(t, i), tt.from, netip.AddrPortFrom(identity(1), DefaultPort))
					time.Sleep(10 * time.Millisecond)
				}
				got := causes(g)[tt.cause]
				if want := uint64(times); got != want && (tt.cause != Replayed || got != want-1) {
					t.Errorf("%v; %s was counted %d times, want %d", causes(g), tt.cause, got, want)
				}
				if len(g.Strangers()) != 1 {
					t.Fatalf("reported as %v", g.Strangers())
				}
				if len(g.changed) != 1 {
					t.Error("nobody was told")
				}
				if n := strings.Count(log.String(), "refused") - lines; n != 1 {
					t.Errorf("%d lines in the log:\n%s", n, &log)
				}
				if got := g.States(); len(got) != before {
					t.Errorf("it is believed: %v", got)
				}
				for _, m := range g.Members() {
					if m.Alive && m.Node != "01" {
						t.Errorf("%s is taken for a member", m.Node)
					}
				}
				if f := g.Strangers()[0].Finding(); f.Message == "" || f.Kind == nil {
					t.Errorf("finding %+v", f)
				}
				time.Sleep(2 * strangerAge)
				if s := g.Strangers(); len(s) > 0 {
					t.Errorf("still remembered after %v: %v", 2*strangerAge, s)
				}
			})
		})
	}
}

// A node whose memberlist wants to join under somebody else's name, from an
// address of the plan and with the key.
func TestImpostors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		node  string // who it really is, in the plan of 01
		as    string
		addr  netip.Addr
		cause Cause
	}{
		{"a name that is not in the plan", "04", "99", identity(4), UnknownName},
		{"the name of another node", "04", "02", identity(4), WrongAddress},
		{"our own name", "04", "01", identity(4), WrongAddress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 4)
				for i := 1; i <= 3; i++ {
					w.start(name(i))
				}
				w.announceAll()
				w.settle()
				bad := w.plan
				bad.Members = map[string][]netip.Addr{"01": {identity(1)}, "02": {identity(2)}, "03": {identity(3)}}
				bad.Members[tt.as] = []netip.Addr{tt.addr}
				bad.Node, bad.Cables = tt.as, nil
				if tt.as == "01" { // it believes the real one to be somebody else
					bad.Members["04"] = []netip.Addr{identity(1)}
				}
				g, err := open(bad, w.air)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = g.Close() })
				time.Sleep(30 * time.Second)
				for _, i := range []int{1, 2, 3} {
					g := w.nodes[name(i)]
					for _, m := range g.Members() {
						if m.Alive != (m.Node != "04") {
							t.Errorf("node %s: member %s alive %v", name(i), m.Node, m.Alive)
						}
						if m.Node == tt.as && i != 1 && m.Address == tt.addr {
							t.Errorf("node %s: %s is at %s", name(i), m.Node, m.Address)
						}
					}
				}
				if n := causes(w.nodes["01"])[tt.cause]; n == 0 {
					t.Errorf("strangers of 01: %v", w.nodes["01"].Strangers())
				}
			})
		})
	}
}

// Two machines with the same name, address and key, such as a copied disk.
func TestDuplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.startAll()
		w.announceAll()
		w.settle()
		twin := &advert{Origin: "02", Instance: 4711, Seq: 5, Links: []LinkState{{Cable: "1"}, {Cable: "2"}}}
		var before int
		for i := range 100 { // it outbids at once, whatever it hears
			if a := w.nodes["01"].store.get("02"); a.Instance != twin.Instance {
				twin.Seq = a.Seq + 1
			}
			w.air.send(seal(t, testKey, label("test"), user(twin), byte(i)), netip.AddrPortFrom(identity(3), DefaultPort), netip.AddrPortFrom(identity(1), DefaultPort))
			time.Sleep(100 * time.Millisecond)
			if i == 50 {
				before = w.air.sentBy(identity(2))
			}
		}
		if causes(w.nodes["02"])[Duplicate] == 0 {
			t.Errorf("02 has not noticed: %v", w.nodes["02"].Strangers())
		}
		if n := w.air.sentBy(identity(2)) - before; n > 20_000 {
			t.Errorf("02 sent %d bytes in five seconds of quarrel", n)
		}
		time.Sleep(5 * time.Second)
		if err := says(w.nodes["01"], "02", "1", true); err != nil {
			t.Errorf("the twin has the last word: %v", err)
		}
	})
}

// Streams are checked like datagrams, and hold nothing for long.
func TestStrangeStreams(t *testing.T) {
	otherKey := []byte("another key of thirty-two bytes!")
	huge := append(append([]byte{244, byte(len(label("test")))}, label("test")...), encryptMsg, 0x7f, 0xff, 0xff, 0xff)
	for _, tt := range []struct {
		name  string
		from  netip.Addr
		send  []byte
		cause Cause
	}{
		{"unknown address", netip.MustParseAddr("10.7.1.99"), nil, UnknownAddress},
		{"wrong key", identity(2), sealStream(t, otherKey, label("test"), []byte("x"), 1), WrongKey},
		{"another mesh", identity(2), sealStream(t, testKey, label("tost"), []byte("x"), 2), OtherMesh},
		{"another mesh with a longer name", identity(2), sealStream(t, testKey, label("elsewhere"), []byte("x"), 3), OtherMesh},
		{"plain", identity(2), append(append([]byte{244, byte(len(label("test")))}, label("test")...), 6, 1, 2, 3, 4, 5), NotEncrypted},
		{"oversized", identity(2), huge, Oversized},
		{"empty", identity(2), sealStream(t, testKey, label("test"), nil, 4), Malformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				g := w.start("01")
				for range 3 {
					conn, err := w.air.dial(t.Context(), tt.from, netip.AddrPortFrom(identity(1), DefaultPort))
					if err != nil {
						t.Fatal(err)
					}
					go func() { _, _ = conn.Write(tt.send) }()
					if b, err := io.ReadAll(conn); len(b) > 0 || err != nil {
						t.Errorf("it was answered %q, %v", b, err)
					}
					_ = conn.Close()
				}
				if s := g.Strangers(); len(s) != 1 || s[0].Cause != tt.cause || s[0].Count != 3 || s[0].Address != tt.from {
					t.Errorf("strangers %v", s)
				}
			})
		})
	}
}

// Many streams that say nothing: a few are held, the rest is turned away, and
// all are closed after a while.
func TestStreamFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		g := w.start("01")
		var conns []net.Conn
		for range 50 {
			conn, err := w.air.dial(t.Context(), identity(2), netip.AddrPortFrom(identity(1), DefaultPort))
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		time.Sleep(time.Second)
		g.transport.mu.Lock()
		open := g.transport.open[identity(2)]
		g.transport.mu.Unlock()
		if open != maxStreams {
			t.Errorf("%d streams are held, want %d", open, maxStreams)
		}
		if n := causes(g)[Flood]; n != 50-maxStreams {
			t.Errorf("%d were turned away", n)
		}
		time.Sleep(patient)
		g.transport.mu.Lock()
		left := len(g.transport.open)
		g.transport.mu.Unlock()
		if left != 0 {
			t.Errorf("%d addresses still have streams", left)
		}
		for _, c := range conns {
			_ = c.Close()
		}
	})
}

// A flood of datagrams from many forged sources leaves bounded traces, and the
// members are heard through it.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.startAll()
		w.announceAll()
		w.settle()
		to := netip.AddrPortFrom(identity(1), DefaultPort)
		junk := bytes.Repeat([]byte{0xa5}, 200)
		for i := range 20_000 {
			from := netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})
			if i%2 == 0 {
				from = identity(2)
			}
			w.air.send(junk, netip.AddrPortFrom(from, DefaultPort), to)
			if i == 10_000 {
				w.nodes["02"].Announce(w.links("02", "1"))
			}
			if i%50 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		w.until(2*time.Second, "announcement in a flood", func(g *Gossip) error { return says(g, "02", "1", false) })
		g := w.nodes["01"]
		before := g.Stats().Refused
		for range 100 { // ten times as fast
			for range 300 {
				w.air.send(junk, netip.AddrPortFrom(identity(2), DefaultPort), to)
			}
			time.Sleep(time.Millisecond)
		}
		if n := g.Stats().Refused - before; n > 15_000 {
			t.Errorf("a node takes %d packets in 100 ms from a flood", n)
		}
		if n := len(g.Strangers()); n > strangerLimit {
			t.Errorf("%d strangers are remembered", n)
		}
		if n := g.Stats().Refused; n < 10_000 {
			t.Errorf("%d were refused", n)
		}
		for _, m := range g.Members() {
			if !m.Alive {
				t.Errorf("%s is not alive", m.Node)
			}
		}
	})
}

// Everything that was ever on the wire is played again after all nodes have
// been restarted, so that nobody's memory of packets helps: numbers do.
func TestReplayAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.air.watch = true
		w.startAll()
		w.announceAll()
		w.settle()
		for i := range 10 {
			w.nodes["02"].Announce(w.links("02", fmt.Sprint(1+i%2)))
			time.Sleep(time.Second)
		}
		leaver := w.nodes["03"]
		delete(w.nodes, "03")
		_ = leaver.Close() // its farewell is on the wire too
		for _, node := range []string{"01", "02", "04"} {
			w.kill(node)
		}
		w.air.mu.Lock()
		w.air.watch = false
		recorded := w.air.seen
		w.air.mu.Unlock()
		w.startAll()
		w.announceAll()
		w.settle()
		for _, b := range recorded {
			for i := 1; i <= 4; i++ {
				w.air.send(b, netip.AddrPortFrom(identity(i%4+1), DefaultPort), netip.AddrPortFrom(identity(i), DefaultPort))
			}
			time.Sleep(time.Millisecond)
		}
		w.until(30*time.Second, "truth after a replay", func(g *Gossip) error {
			for _, cable := range []string{"1", "2"} {
				if err := says(g, "02", cable, true); err != nil {
					return err
				}
			}
			return w.agree(g)
		})
		w.settle()
	})
}
