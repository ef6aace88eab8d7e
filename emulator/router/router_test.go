package router_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/usb4mesh/usb4mesh/emulator/nhi"
	"github.com/usb4mesh/usb4mesh/emulator/packet"
	"github.com/usb4mesh/usb4mesh/emulator/router"
)

// bench is a router between a driver and a fabric that only remember.
type bench struct {
	router    *router.Router
	delivered []packet.Packet
	forwarded []packet.Packet
	changed   int
	dropped   int
	trace     []string
	asleep    bool
	silent    bool
	answer    router.Answer
}

func (b *bench) Deliver(p packet.Packet)            { b.delivered = append(b.delivered, p) }
func (b *bench) Receive(int, nhi.Frame) nhi.Outcome { return nhi.Sent }
func (b *bench) Wake() bool                         { return true }
func (b *bench) Asleep() bool                       { return b.asleep }
func (b *bench) Listening() bool                    { return true }
func (b *bench) Forward(_ int, p packet.Packet) router.Answer {
	b.forwarded = append(b.forwarded, p)
	return b.answer
}
func (b *bench) Silent(int) bool                           { return b.silent }
func (b *bench) Send(int, int, int, nhi.Frame) nhi.Outcome { return nhi.Sent }
func (b *bench) Changed(int)                               { b.changed++ }
func (b *bench) PathsChanged()                             {}
func (b *bench) Drop()                                     { b.dropped++ }
func (b *bench) Power(bool)                                {}
func (b *bench) Posted(int)                                {}
func (b *bench) Trace(direction byte, text string) {
	b.trace = append(b.trace, string(direction)+" "+text)
}
func (b *bench) Tracing() bool { return true }

func newBench(c router.Config) *bench {
	b := &bench{}
	b.router = router.New(c, b)
	b.router.SetHost(b)
	return b
}

var amd = router.Config{Vendor: 0x438, Device: 0x20a, UID: 0x1122_3344_0438_5566, Ports: 1, HostFirst: true, Bonding: true, Version: router.Version1}

// ask sends a request and returns the answer.
func (b *bench) ask(t *testing.T, pdf packet.PDF, a packet.Address, data ...uint32) []uint32 {
	t.Helper()
	b.delivered = nil
	b.router.Control(packet.NewRequest(pdf, 0, a, data...))
	if len(b.delivered) != 1 || b.delivered[0].PDF != pdf {
		t.Fatalf("%v %v: answered with %v", pdf, a, b.delivered)
	}
	return b.delivered[0].Words[3:]
}

// TestReadOnly writes ones and zeros to every dword of the router and its adapters. What
// the driver relies on does not change.
func TestReadOnly(t *testing.T) {
	b := newBench(amd)
	fixed := []packet.Address{
		{Space: packet.SpaceRouter, Offset: 0, Length: 2}, // identity, capability, adapters
		{Space: packet.SpaceRouter, Offset: 7, Length: 2}, // UID
		{Space: packet.SpaceAdapter, Adapter: 1, Offset: 0, Length: 4},
		{Space: packet.SpaceAdapter, Adapter: 2, Offset: 0, Length: 4},
		{Space: packet.SpaceAdapter, Adapter: 2, Offset: 0x10, Length: 1}, // lane capability
		{Space: packet.SpaceAdapter, Adapter: 2, Offset: 0x20, Length: 1}, // port capability
		{Space: packet.SpaceAdapter, Adapter: 2, Offset: 0x32, Length: 1}, // PORT_CS_18
	}
	before := make([][]uint32, len(fixed))
	for i, a := range fixed {
		before[i] = b.ask(t, packet.Read, a)
	}
	for _, v := range []uint32{0xffffffff, 0} {
		for at := range 0x40 {
			b.ask(t, packet.Write, packet.Address{Space: packet.SpaceRouter, Offset: at, Length: 1}, v)
			for adapter := 1; adapter <= 3; adapter++ {
				b.ask(t, packet.Write, packet.Address{Space: packet.SpaceAdapter, Adapter: adapter, Offset: at, Length: 1}, v)
			}
		}
	}
	for i, a := range fixed {
		got := b.ask(t, packet.Read, a)
		for j := range got {
			mask := ^uint32(0)
			if a.Space == packet.SpaceRouter && a.Offset+j == 1 {
				mask = ^uint32(7 << 20) // depth is the connection manager's
			}
			if got[j]&mask != before[i][j]&mask {
				t.Errorf("%v: dword %d is %#x, was %#x", a, a.Offset+j, got[j], before[i][j])
			}
		}
	}
	lane := b.ask(t, packet.Read, packet.Address{Space: packet.SpaceAdapter, Adapter: 2, Offset: 0x11, Length: 1})[0]
	if state := lane >> 26 & 0xf; state != 7 {
		t.Errorf("lane in state %d: the driver can't plug a cable in", state)
	}
}

// TestRouterOperation: none is supported, and the driver is told so at once.
func TestRouterOperation(t *testing.T) {
	b := newBench(amd)
	b.ask(t, packet.Write, packet.Address{Space: packet.SpaceRouter, Offset: 26, Length: 1}, 1<<31|0x24)
	if v := b.ask(t, packet.Read, packet.Address{Space: packet.SpaceRouter, Offset: 26, Length: 1})[0]; v != 1<<30|0x24 {
		t.Errorf("ROUTER_CS_26 %#x", v)
	}
}

// TestCapabilityLists walks the lists as cap.c does: they end, and have what is needed.
func TestCapabilityLists(t *testing.T) {
	for _, c := range []router.Config{amd, {Vendor: 0x8087, Ports: 2, Version: router.Version1}} {
		b := newBench(c)
		for adapter := 1; adapter <= 2*c.Ports+1; adapter++ {
			var ids string
			at := b.ask(t, packet.Read, packet.Address{Space: packet.SpaceAdapter, Adapter: adapter, Offset: 1, Length: 1})[0] & 0xff
			for at != 0 && len(ids) < 9 {
				v := b.ask(t, packet.Read, packet.Address{Space: packet.SpaceAdapter, Adapter: adapter, Offset: int(at), Length: 1})[0]
				ids += string(rune('0' + v>>8&0xff))
				at = v & 0xff
			}
			want := "16" // lane, USB4 port
			switch {
			case adapter == b.router.HostAdapter():
				want = ""
			case adapter != b.router.Adapter(0) && (c.Ports == 1 || adapter != b.router.Adapter(1)):
				want = "1"
			}
			if ids != want {
				t.Errorf("adapter %d has capabilities %q, expected %q", adapter, ids, want)
			}
		}
	}
}

// TestEvents: one event for each change that the driver has not heard of, none while hot
// plug is off.
func TestEvents(t *testing.T) {
	b := newBench(amd)
	link := router.Link{Up: true, Lanes: 2, Speed: 20, Width: 1}
	b.router.SetLink(0, link)
	if len(b.delivered) != 0 {
		t.Errorf("%v although hot plug is off", b.delivered)
	}
	b.router.Control(packet.NewRequest(packet.Write, 0, packet.Address{Space: packet.SpaceAdapter, Adapter: 2, Offset: 5, Length: 1}, 0))
	if len(b.delivered) != 2 || b.delivered[1].String() != "plug event, adapter 2" {
		t.Errorf("after hot plug is on: %v", b.delivered)
	}
	b.delivered = nil
	link.Width = 2
	b.router.SetLink(0, link) // bonding is no event
	b.asleep = true
	b.router.SetLink(0, router.Link{})
	b.router.SetLink(0, link)
	b.asleep = false
	b.router.Posted(0)
	if len(b.delivered) != 0 {
		t.Errorf("%v for a link that is as before", b.delivered)
	}
	b.router.SetLink(0, router.Link{})
	if len(b.delivered) != 1 || b.delivered[0].String() != "unplug event, adapter 2" {
		t.Errorf("after the link fell: %v", b.delivered)
	}
	if b.router.Events != 2 {
		t.Errorf("%d events counted", b.router.Events)
	}
}

// TestForeignRoutes: configuration packets for routers that are not there are answered
// with an error, or not at all behind a silent port.
func TestForeignRoutes(t *testing.T) {
	b := newBench(amd)
	for _, x := range []struct {
		route  uint64
		silent bool
		want   string
	}{
		{2, false, "error: port not connected, adapter 2"},
		{2, true, ""},
		{9, true, "error: port not connected, adapter 9"},
		{0x0102, false, "error: port not connected, adapter 2"},
	} {
		b.silent, b.delivered = x.silent, nil
		b.router.Control(packet.NewRequest(packet.Read, x.route, packet.Address{Space: packet.SpaceRouter, Length: 1}))
		var got []string
		for _, p := range b.delivered {
			got = append(got, p.String())
		}
		if strings.Join(got, ",") != x.want {
			t.Errorf("route %#x, silent %v: %q, expected %q", x.route, x.silent, got, x.want)
		}
	}
}

// TestTrace compares the trace of a few packets with what it should read like.
func TestTrace(t *testing.T) {
	b := newBench(amd)
	b.router.SetLink(0, router.Link{Up: true, Lanes: 2, Speed: 20, Width: 2})
	b.ask(t, packet.Read, packet.Address{Space: packet.SpaceRouter, Offset: 0, Length: 5})
	b.ask(t, packet.Read, packet.Address{Space: packet.SpaceAdapter, Adapter: 2, Offset: 0x10, Length: 2})
	b.ask(t, packet.Read, packet.Address{Space: packet.SpaceAdapter, Adapter: 2, Offset: 4, Length: 1})
	b.ask(t, packet.Write, packet.Address{Space: packet.SpaceAdapter, Adapter: 2, Offset: 0x33, Length: 1}, 1)
	b.ask(t, packet.Write, packet.Address{Space: packet.SpacePath, Adapter: 1, Offset: 16, Length: 2}, 1<<31|2<<11|9, 0)
	b.ask(t, packet.Write, packet.Address{Space: packet.SpaceRouter, Offset: 5, Length: 1}, 1)
	b.ask(t, packet.Read, packet.Address{Space: packet.SpaceRouter, Offset: 6, Length: 1})
	b.ask(t, packet.Write, packet.Address{Space: packet.SpaceRouter, Offset: 26, Length: 1}, 1<<31|0x24)
	b.ask(t, packet.Read, packet.Address{Space: packet.SpaceRouter, Offset: 0x20, Length: 1})
	b.router.Control(packet.NewRequest(packet.Read, 0, packet.Address{Space: packet.SpaceAdapter, Adapter: 9, Length: 1}))
	want := `< read router ROUTER_CS_0..ROUTER_CS_4 = 0x20a0438 0xc120 0x0 0x0 0x20000000
< read adapter 2 LANE_ADP_CS_0..LANE_ADP_CS_1 = up, 20 Gb/s, width 2, target 1, no flags
< read adapter 2 ADP_CS_4 = 90 buffers, 0 without flow control, no flags
> write adapter 2 PORT_CS_19 = reset
> write adapter 1 path 8 = enabled, to adapter 2 path 9
> write router ROUTER_CS_5 = sleep
< read router ROUTER_CS_6 = sleep ready+ready
> write router ROUTER_CS_26 = operation DROM read started
< read router TMU_RTR_CS_0 = 0x40000300
> read adapter 9 ADP_CS_0
< error: no such port, adapter 9`
	if got := strings.Join(b.trace, "\n"); got != want {
		t.Errorf("trace:\n%s\nexpected:\n%s", got, want)
	}
}

// FuzzControl sends whatever control packets to a router whose link comes and goes. Every
// read and write is answered exactly once, and nothing panics.
func FuzzControl(f *testing.F) {
	for _, p := range []packet.Packet{
		packet.NewRequest(packet.Read, 0, packet.Address{Space: packet.SpaceAdapter, Adapter: 2, Offset: 0x10, Length: 2}),
		packet.NewRequest(packet.Write, 0, packet.Address{Space: packet.SpacePath, Adapter: 1, Offset: 16, Length: 2}, 1<<31, 0),
		packet.NewRequest(packet.Write, 0, packet.Address{Space: packet.SpaceRouter, Offset: 26, Length: 1}, 1<<31),
		{PDF: packet.XDomReq, Words: []uint32{0, 2, 0, 0}},
		{PDF: packet.Reset, Words: []uint32{0, 0}},
	} {
		f.Add(uint8(p.PDF), p.Append(nil), true)
	}
	f.Fuzz(func(t *testing.T, pdf uint8, wire []byte, up bool) {
		words := make([]uint32, min(len(wire)/4, 63))
		for i := range words {
			words[i] = binary.BigEndian.Uint32(wire[4*i:])
		}
		p, err := packet.Parse(packet.PDF(pdf), packet.Packet{Words: words}.Append(nil))
		if err != nil {
			return
		}
		b := newBench(amd)
		b.answer = router.Refused
		if up {
			b.router.SetLink(0, router.Link{Up: true, Lanes: 2, Speed: 20, Width: 1})
		}
		b.router.Control(p)
		answers := 0
		for _, d := range b.delivered {
			if d.PDF != packet.Event {
				answers++
			}
			if len(d.Words) > 63 || d.Words[0]>>31 != 1 {
				t.Errorf("answer %v", d)
			}
		}
		_, ok := p.Address()
		if config := (p.PDF == packet.Read || p.PDF == packet.Write) && (ok || p.Route() != 0); config && answers != 1 {
			t.Errorf("%v: %d answers", p, answers)
		}
		b.router.Incoming(0, 8, nhi.Frame{})
		b.router.Transmit(1, nhi.Frame{})
		b.router.Reset()
	})
}
