package packet_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/emulator/packet"
)

// TestWire compares with a packet put together by hand: a read of router dwords 0 to 4, and
// CRC32C of the twelve bytes before it.
func TestWire(t *testing.T) {
	p := packet.NewRequest(packet.Read, 0, packet.Address{Space: packet.SpaceRouter, Offset: 0, Length: 5, Seq: 1})
	want := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0x0c, 0, 0xa0, 0}
	got := p.Append(nil)
	if string(got[:12]) != string(want) || len(got) != 16 {
		t.Errorf("% x, expected % x and a checksum", got, want)
	}
	// RFC 3720, B.4: the CRC32C of 32 bytes of zeros.
	zeros := packet.Packet{Words: make([]uint32, 8)}.Append(nil)
	if sum := zeros[32:]; string(sum) != "\x8a\x91\x36\xaa" {
		t.Errorf("checksum of 32 zeros: % x", sum)
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := packet.Packet{
			PDF:   packet.PDF(rapid.IntRange(0, 15).Draw(t, "pdf")),
			Words: rapid.SliceOfN(rapid.Uint32(), 2, 63).Draw(t, "words"),
		}
		wire := p.Append(nil)
		got, err := packet.Parse(p.PDF, wire)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Fatal(diff)
		}
		bit := rapid.IntRange(0, 8*len(wire)-1).Draw(t, "bit")
		wire[bit/8] ^= 1 << (bit % 8)
		if _, err := packet.Parse(p.PDF, wire); err == nil {
			t.Fatalf("bit %d is wrong, and the checksum is said to be right", bit)
		}
	})
}

func TestAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := packet.Address{
			Offset: rapid.IntRange(0, 1<<13-1).Draw(t, "offset"), Length: rapid.IntRange(0, 63).Draw(t, "length"),
			Adapter: rapid.IntRange(0, 63).Draw(t, "adapter"), Seq: rapid.IntRange(0, 3).Draw(t, "seq"),
			Space: packet.Space(rapid.IntRange(0, 3).Draw(t, "space")),
		}
		if got, ok := packet.NewRequest(packet.Write, 0x1234, a).Address(); !ok || got != a {
			t.Fatalf("%+v is read as %+v", a, got)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	good := packet.NewPlug(1, false).Append(nil)
	for name, wire := range map[string][]byte{
		"empty": nil, "short": good[:8], "not dwords": good[:15], "long": make([]byte, 260),
	} {
		if p, err := packet.Parse(packet.Event, wire); err == nil {
			t.Errorf("%s: read as %v", name, p)
		}
	}
}

// TestText reads packets as the trace shows them. The XDomain packets are those of two Linux
// 6.12 guests.
func TestText(t *testing.T) {
	discovery := []uint32{0, 1, 0x10000005, 0x0ed738b6, 0xbb40ff42, 0xe290c297, 0x07ffb2c0}
	xd := func(words ...uint32) packet.Packet {
		return packet.Packet{PDF: packet.XDomReq, Words: append(append([]uint32(nil), discovery...), words...)}
	}
	ip := append([]uint32{0, 1, 0x08000011, 0x9e588f79, 0x478a1636, 0x6456c697, 0xddc820a9}, make([]uint32, 8)...)
	net := func(words ...uint32) packet.Packet {
		return packet.Packet{PDF: packet.XDomResp, Words: append(append([]uint32(nil), ip...), words...)}
	}
	for want, p := range map[string]packet.Packet{
		"read route 1 router dwords 0 to 4":                                   packet.NewRequest(packet.Read, 1, packet.Address{Space: packet.SpaceRouter, Length: 5}),
		"write route 0 adapter 2 path dwords 16 to 17":                        packet.NewRequest(packet.Write, 0, packet.Address{Adapter: 2, Offset: 16, Length: 2}, 1, 2),
		"error: port not connected, adapter 2":                                packet.NewError(0, packet.NotConnected, 2),
		"unplug event acknowledged, adapter 3":                                {PDF: packet.Error, Words: []uint32{0, 0, 3<<30 | 3<<8 | 7}},
		"plug event acknowledged, adapter 3":                                  {PDF: packet.Error, Words: []uint32{0, 0, 2<<30 | 3<<8 | 7}},
		"plug event, adapter 3":                                               packet.NewPlug(3, false),
		"unplug event, adapter 3":                                             packet.NewPlug(3, true),
		"reset":                                                               packet.NewReset(packet.Packet{PDF: packet.Reset, Words: []uint32{0, 0}}),
		"packet of kind 12":                                                   {PDF: 12, Words: []uint32{0, 0}},
		"XDomain request of 2 dwords":                                         {PDF: packet.XDomReq, Words: []uint32{0, 0}},
		"XDomain UUID request #2":                                             xd(12),
		"XDomain properties request #2, from dword 60":                        xd(3, 0, 0, 0, 0, 0, 0, 0, 0, 60),
		"XDomain link state change request #2, width 0x3":                     xd(17, 0x0c03),
		"XDomain type 99 #2":                                                  xd(99),
		"XDomain error response #2, error 4":                                  xd(7, 4),
		"XDomain UUID response #2, host 11ba3804-6105-de5d-ffff-ffffffffffff": xd(2, 0x0438ba11, 0x5dde0561, 0xffffffff, 0xffffffff),
		"ThunderboltIP login #1, transmit path 8":                             net(0, 1, 1, 8),
		"ThunderboltIP login response #1, status 0":                           net(1, 1, 0),
		"ThunderboltIP logout #1":                                             net(2, 1),
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, expected %q", got, want)
		}
	}
	for name, request := range map[string]struct {
		p    packet.Packet
		want bool
	}{
		"UUID request": {xd(12), true}, "UUID response": {xd(2), false}, "properties changed": {xd(5), true},
		"login": {net(0), true}, "login response": {net(1), false}, "logout": {net(2), true}, "status": {net(3), false},
		"too short": {packet.Packet{PDF: packet.XDomResp, Words: discovery}, false},
	} {
		if got := request.p.Request(); got != request.want {
			t.Errorf("%s: request %v", name, got)
		}
	}
}

// FuzzText parses and prints whatever; the text stays a short line.
func FuzzText(f *testing.F) {
	f.Add(uint8(6), []byte("12345678123456781234567812345678"))
	f.Add(uint8(1), []byte("123456781234"))
	f.Fuzz(func(t *testing.T, pdf uint8, body []byte) {
		body = body[:len(body)&^3]
		p := packet.Packet{PDF: packet.PDF(pdf)}
		for ; len(body) > 0; body = body[4:] {
			p.Words = append(p.Words, uint32(body[0])|uint32(body[1])<<8|uint32(body[2])<<16|uint32(body[3])<<24)
		}
		p, err := packet.Parse(p.PDF, p.Append(nil))
		if err != nil {
			return
		}
		_ = p.Request()
		if text := p.String(); text == "" || len(text) > 200 || strings.ContainsAny(text, "\n%") {
			t.Errorf("text %q", text)
		}
	})
}
