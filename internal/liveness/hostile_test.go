package liveness

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// strange sends datagrams to the engine of the other node, over one cable and from one
// address, with a hop limit.
type strange struct {
	t  testing.TB
	fd int
	to unix.Sockaddr
}

func (n *node) strange(l Link, from netip.Addr, limit int) *strange {
	n.t.Helper()
	l.Local = from
	s := &strange{t: n.t, to: socketAddr(l.Remote, Port, l.Index)}
	err := n.in(func() (err error) {
		level, name := unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
		if from.Is4() {
			level, name = unix.IPPROTO_IP, unix.IP_TTL
		}
		if s.fd, err = open(l, unix.SOCK_DGRAM, unix.IPPROTO_UDP, option{level, name, limit}); err != nil {
			return err
		}
		return unix.Bind(s.fd, socketAddr(from, 0, l.Index))
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

func (s *strange) send(b []byte) {
	s.t.Helper()
	if err := unix.Sendto(s.fd, b, 0, s.to); err != nil {
		s.t.Fatal(err)
	}
}

func bytesOf(p packet) []byte {
	var b [packetLen]byte
	p.marshal(&b)
	return b[:]
}

// What strangers send is thrown away, counted by reason, and changes nothing.
func TestStrangers(t *testing.T) {
	bothFamilies(t, func(t *testing.T, v4 bool) {
		w := newWorld(t)
		links, second := w.plug(1, v4), w.plug(2, v4)
		a := w.nodes[0].engine(realTimeConfig, links[0], second[0])
		b := w.nodes[1].engine(realTimeConfig, links[1], second[1])
		for _, e := range []*Engine{a, b} {
			until(t, e, Alive)
			until(t, e, Alive)
		}
		// A second address of the peer's.
		l, err := w.nodes[1].net.LinkByIndex(links[1].Index)
		if err != nil {
			t.Fatal(err)
		}
		other, bits := netip.MustParseAddr("fe80::bad"), 64
		if v4 {
			other, bits = netip.MustParseAddr("10.7.1.66"), 24
		}
		address, err := netlink.ParseAddr(fmt.Sprintf("%s/%d", other, bits))
		if err != nil {
			t.Fatal(err)
		}
		address.Flags = unix.IFA_F_NODAD
		if err := w.nodes[1].net.AddrAdd(l, address); err != nil {
			t.Fatal(err)
		}

		down := packet{state: stateDown, multiplier: 3, mine: 666, desiredMinTx: 1000000, requiredMinRx: 50000}
		bad := down
		bad.state, bad.yours = stateAdminDown, 12345 // not the session's, but with one chance in 2^32
		const n = 20
		for range n {
			w.nodes[1].strange(links[1], links[1].Local, 64).send(bytesOf(down))
			w.nodes[1].strange(links[1], other, 255).send(bytesOf(down))
			w.nodes[1].strange(links[1], links[1].Local, 255).send(bytesOf(bad))
			w.nodes[1].strange(links[1], links[1].Local, 255).send([]byte("not a BFD packet at all!"))
			// To the right address and from it, over the wrong cable.
			wrong := links[1]
			wrong.Index = second[1].Index
			w.nodes[1].strange(wrong, links[1].Local, 255).send(bytesOf(down))
		}
		want := Drops{Malformed: n, HopLimit: n, Source: n, Discriminator: n}
		var s Session
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if s = a.Sessions()[0]; s.Drops == want {
				break
			}
		}
		if s.Drops != want || s.Dropped != 4*n {
			t.Errorf("dropped %+v, want %+v", s.Drops, want)
		}
		quiet(t, 500*time.Millisecond, a, b)
		for _, s := range append(a.Sessions(), b.Sessions()...) {
			if s.Flaps != 0 || (s.Verdict != Alive || s.State != Up) && !starved(t, Event{Session: s}) {
				t.Errorf("the session suffered: %+v", s)
			}
		}
	})
}

// A flood on one link leaves the others alone, and what it costs is bounded.
func TestFlood(t *testing.T) {
	w := newWorld(t)
	links, second := w.plug(1, false), w.plug(2, false)
	a := w.nodes[0].engine(realTimeConfig, links[0], second[0])
	b := w.nodes[1].engine(realTimeConfig, links[1], second[1])
	for _, e := range []*Engine{a, b} {
		until(t, e, Alive)
		until(t, e, Alive)
	}
	s := w.nodes[1].strange(links[1], links[1].Local, 255)
	const flood = time.Second
	junk, sent := []byte("not a BFD packet at all!"), 0
	began := time.Now()
	for time.Since(began) < flood {
		s.send(junk)
		sent++
	}
	took := time.Since(began)
	time.Sleep(200 * time.Millisecond)
	sessions := a.Sessions()
	read := sessions[0].Drops.Malformed
	if most := uint64(took/floodRefill) + floodBurst + 300; read > most {
		t.Errorf("%d of %d packets were read, want %d at most", read, sent, most)
	}
	if read == 0 || sessions[0].Drops.Flood == 0 {
		t.Errorf("the flood is not counted: %+v", sessions[0].Drops)
	}
	t.Logf("%d packets in %s: %+v", sent, took, sessions[0].Drops)
	if o := sessions[1]; o.Flaps != 0 || (o.Verdict != Alive || o.State != Up) && !starved(t, Event{Session: o}) {
		t.Errorf("the other link suffered: %+v", o)
	}
	// The peer's kernel answers all the time.
	if f := sessions[0]; f.Flaps != 0 || f.Verdict == Dead {
		t.Errorf("called dead by a flood: %+v", f)
	}
}
