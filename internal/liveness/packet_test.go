package liveness

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Written down from the figure of RFC 5880, section 4.1.
const upPacket = "20 c0 03 18  00000001 00000002  0000c350 0000c350 00000000"

func TestParsePacket(t *testing.T) {
	up := packet{state: stateUp, multiplier: 3, mine: 1, yours: 2, desiredMinTx: 50000, requiredMinRx: 50000}
	with := func(change func(*packet)) packet {
		p := up
		change(&p)
		return p
	}
	for _, c := range []struct {
		name, bytes string
		want        packet
		again       string // how it is written; "" for the same bytes
	}{
		{name: "up", bytes: upPacket, want: up},
		{name: "poll", bytes: "20 e0 03 18  00000001 00000002  0000c350 0000c350 00000000", want: with(func(p *packet) { p.poll = true })},
		{name: "final", bytes: "20 d0 03 18  00000001 00000002  0000c350 0000c350 00000000", want: with(func(p *packet) { p.final = true })},
		{name: "control plane independent", bytes: "20 c8 03 18  00000001 00000002  0000c350 0000c350 00000000", want: with(func(p *packet) { p.controlPlane = true })},
		{name: "demand", bytes: "20 c2 03 18  00000001 00000002  0000c350 0000c350 00000000", want: with(func(p *packet) { p.demand = true })},
		{name: "first packet", bytes: "20 40 03 18  00000001 00000000  000f4240 0000c350 00000000",
			want: packet{state: stateDown, multiplier: 3, mine: 1, desiredMinTx: 1000000, requiredMinRx: 50000}},
		{name: "admin down", bytes: "27 00 03 18  00000001 00000000  000f4240 0000c350 00000000",
			want: packet{diagnostic: diagAdminDown, state: stateAdminDown, multiplier: 3, mine: 1, desiredMinTx: 1000000, requiredMinRx: 50000}},
		{name: "a diagnostic of the future", bytes: "3f 80 ff 18  ffffffff ffffffff  ffffffff ffffffff ffffffff",
			want: packet{diagnostic: 31, state: stateInit, multiplier: 255, mine: 1<<32 - 1, yours: 1<<32 - 1,
				desiredMinTx: 1<<32 - 1, requiredMinRx: 1<<32 - 1, minEchoRx: 1<<32 - 1}},
		{name: "something behind it", bytes: upPacket + "ff", want: up, again: upPacket},
		{name: "length longer than what we know", bytes: "20 c0 03 19  00000001 00000002  0000c350 0000c350 00000000 ff", want: up, again: upPacket},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parsePacket(unhex(t, c.bytes))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(packet{})); d != "" {
				t.Error(d)
			}
			again := c.again
			if again == "" {
				again = c.bytes
			}
			var b [packetLen]byte
			got.marshal(&b)
			if d := cmp.Diff(unhex(t, again), b[:]); d != "" {
				t.Errorf("written: %s", d)
			}
		})
	}
}

func TestParsePacketRefuses(t *testing.T) {
	for _, c := range []struct{ name, bytes string }{
		{"nothing", ""},
		{"one byte short", upPacket[:len(upPacket)-2]},
		{"version 0", "00 c0 03 18  00000001 00000002  0000c350 0000c350 00000000"},
		{"version 2", "40 c0 03 18  00000001 00000002  0000c350 0000c350 00000000"},
		{"length too short", "20 c0 03 17  00000001 00000002  0000c350 0000c350 00000000"},
		{"length longer than the datagram", "20 c0 03 19  00000001 00000002  0000c350 0000c350 00000000"},
		{"multiplier 0", "20 c0 00 18  00000001 00000002  0000c350 0000c350 00000000"},
		{"multipoint", "20 c1 03 18  00000001 00000002  0000c350 0000c350 00000000"},
		{"no discriminator", "20 c0 03 18  00000000 00000002  0000c350 0000c350 00000000"},
		{"up for nobody", "20 c0 03 18  00000001 00000000  0000c350 0000c350 00000000"},
		{"init for nobody", "20 80 03 18  00000001 00000000  0000c350 0000c350 00000000"},
		{"authentication", "20 c4 03 1a  00000001 00000002  0000c350 0000c350 00000000 0000"},
	} {
		if p, err := parsePacket(unhex(t, c.bytes)); err == nil {
			t.Errorf("%s: accepted as %+v", c.name, p)
		}
	}
}

// FuzzPacket lets a peer send anything: nothing is accepted that is not written again
// as it was read, and a session that takes it keeps its invariants.
func FuzzPacket(f *testing.F) {
	for _, s := range []string{upPacket, "20 40 03 18  00000001 00000000  000f4240 0000c350 00000000",
		"27 00 03 18  00000001 00000000  000f4240 0000c350 00000000", "20 e0 01 18  00000001 00000007  00000000 00000000 00000000"} {
		b, _ := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		f.Add(append(b, b...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		now := epoch
		s := newTestSession(7, now)
		for n := 0; len(data) > 0 && n < 100; n++ {
			size := min(len(data), packetLen+int(data[0]&1))
			p, err := parsePacket(data[:size])
			if err == nil {
				var b [packetLen]byte
				p.marshal(&b)
				b[3] = data[3] // a longer length is not written again
				if string(b[:]) != string(data[:packetLen]) {
					t.Fatalf("read %x, written %x", data[:packetLen], b)
				}
				if err := s.receive(&p, now); err == nil && p.yours != 0 && p.yours != s.mine {
					t.Fatalf("took a packet for session %d", p.yours)
				}
			}
			if size >= 24 {
				now = now.Add(microseconds(binary.BigEndian.Uint32(data[20:])).duration() % (2 * slowest))
			}
			data = data[size:]
			settleDown(t, s, now)
		}
	})
}

// FuzzDatagram lets anybody send anything to the receiver of a link: what is not from the
// peer changes nothing but a counter.
func FuzzDatagram(f *testing.F) {
	b, _ := hex.DecodeString(strings.ReplaceAll(upPacket, " ", ""))
	f.Add(b, []byte{0xfe, 0x80, 15: 2}, 255)
	f.Add(b, []byte{0xfe, 0x80, 15: 3}, 255)
	f.Add(b, []byte{10, 0, 0, 2}, 254)
	f.Fuzz(func(t *testing.T, data, from []byte, limit int) {
		w := newTestWatch()
		before := w.session
		d := datagram{data: data, hopLimit: limit, from: addrFrom(from)}
		err := w.take(&d, epoch)
		if err == nil && (limit != 255 || d.from != w.link.Remote || len(data) < packetLen) {
			t.Fatalf("took %+v", d)
		}
		if err != nil {
			w.drop(err)
			if r := w.report(false); r.Dropped != 1 {
				t.Fatalf("%v is not counted: %+v", err, r)
			}
			if before.machine.heard != w.heard || before.state != w.state || before.yours != w.yours {
				t.Fatalf("%v, but the session changed", err)
			}
		}
		if _, ok := w.echoes.reply(data); ok {
			t.Fatal("took an answer to a question that was not asked")
		}
	})
}
