// Package packet is the codec of the control packets between a USB4 host router and its
// connection manager, and of the XDomain packets that connection managers exchange.
//
// Sources: linux drivers/thunderbolt/tb_msgs.h and ctl.c, include/linux/thunderbolt.h.
package packet

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// PDF is the kind of a packet: the "protocol defined field" of its last frame.
type PDF uint8

// Kinds of packets (enum tb_cfg_pkg_type).
const (
	Read      PDF = 1
	Write     PDF = 2
	Error     PDF = 3
	NotifyAck PDF = 4
	Event     PDF = 5
	XDomReq   PDF = 6
	XDomResp  PDF = 7
	Override  PDF = 8
	Reset     PDF = 9
)

// XDomain reports whether the packet goes to another host. Linux' network driver sends
// its requests as responses, so that both are treated alike.
func (p PDF) XDomain() bool { return p == XDomReq || p == XDomResp }

// Packet is a control packet without its checksum, in dwords of the host's order.
type Packet struct {
	PDF   PDF
	Words []uint32
}

// Limits of a packet in bytes with the checksum (TB_FRAME_SIZE).
const (
	minSize = 12
	maxSize = 256
)

// reply is bit 31 of the first word: the packet comes from a router, not from a
// connection manager (ctl.c, check_header: "unknown == 1 << 9").
const reply = 1 << 31

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Parse reads a packet as it stands in a ring: big-endian dwords, the last one a CRC32C.
func Parse(pdf PDF, wire []byte) (Packet, error) {
	if len(wire) < minSize || len(wire) > maxSize || len(wire)%4 != 0 {
		return Packet{}, fmt.Errorf("control packet of %d bytes", len(wire))
	}
	body := wire[:len(wire)-4]
	if got, want := binary.BigEndian.Uint32(wire[len(body):]), crc32.Checksum(body, castagnoli); got != want {
		return Packet{}, fmt.Errorf("control packet: checksum %#x, should be %#x", got, want)
	}
	p := Packet{PDF: pdf, Words: make([]uint32, len(body)/4)}
	for i := range p.Words {
		p.Words[i] = binary.BigEndian.Uint32(body[4*i:])
	}
	return p, nil
}

// Append writes the packet with its checksum as it stands in a ring.
func (p Packet) Append(b []byte) []byte {
	start := len(b)
	for _, w := range p.Words {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// Route is where the packet goes: the adapter numbers of the routers on the way, one
// byte each, the first in the lowest.
func (p Packet) Route() uint64 {
	return uint64(p.Words[0]&^uint32(reply))<<32 | uint64(p.Words[1])
}

// Space is a configuration space (enum tb_cfg_space).
type Space uint8

// Configuration spaces.
const (
	SpacePath     Space = 0
	SpaceAdapter  Space = 1
	SpaceRouter   Space = 2
	SpaceCounters Space = 3
)

// MaxLength is the number of dwords that one packet reads or writes at most
// (TB_MAX_CONFIG_RW_LENGTH).
const MaxLength = 60

// Address is what a read or write packet asks for (struct tb_cfg_address).
type Address struct {
	Offset  int // in dwords
	Length  int // in dwords
	Adapter int
	Space   Space
	Seq     int
}

// Address of a read or write packet; ok is false for a packet that is too short.
func (p Packet) Address() (a Address, ok bool) {
	if len(p.Words) < 3 {
		return Address{}, false
	}
	w := p.Words[2]
	return Address{
		Offset:  int(w & 0x1fff),
		Length:  int(w >> 13 & 0x3f),
		Adapter: int(w >> 19 & 0x3f),
		Space:   Space(w >> 25 & 3),
		Seq:     int(w >> 27 & 3),
	}, true
}

func (a Address) word() uint32 {
	return uint32(a.Offset) | uint32(a.Length)<<13 | uint32(a.Adapter)<<19 | uint32(a.Space)<<25 | uint32(a.Seq)<<27
}

// Code is the code of an error packet (enum tb_cfg_error).
type Code uint8

// Codes.
const (
	NotConnected Code = 0
	BadSpace     Code = 2
	NoSuchPort   Code = 4
	AckPlug      Code = 7
)

// NewRequest makes a read or write packet as a connection manager sends it.
func NewRequest(pdf PDF, route uint64, a Address, data ...uint32) Packet {
	words := append([]uint32{uint32(route >> 32), uint32(route), a.word()}, data...)
	return Packet{PDF: pdf, Words: words}
}

// NewReply answers a read (with data) or write packet. The adapter becomes that through
// which the router is reached: its upstream adapter.
func NewReply(request Packet, a Address, upstream int, data ...uint32) Packet {
	a.Adapter = upstream
	words := append([]uint32{request.Words[0] | reply, request.Words[1], a.word()}, data...)
	return Packet{PDF: request.PDF, Words: words}
}

// NewError says that something about an adapter did not work.
func NewError(route uint64, code Code, adapter int) Packet {
	return Packet{PDF: Error, Words: []uint32{uint32(route>>32) | reply, uint32(route), uint32(code) | uint32(adapter)<<8}}
}

// NewPlug says that a cable was plugged into or pulled from an adapter of the host router.
func NewPlug(adapter int, unplug bool) Packet {
	w := uint32(adapter)
	if unplug {
		w |= 1 << 31
	}
	return Packet{PDF: Event, Words: []uint32{reply, 0, w}}
}

// NewReset answers a reset packet.
func NewReset(request Packet) Packet {
	return Packet{PDF: Reset, Words: []uint32{request.Words[0] | reply, request.Words[1]}}
}

// Arrived is an XDomain packet as the host at the other end of the cable receives it:
// its route is the adapter through which it came.
func (p Packet) Arrived(adapter int) Packet {
	words := append([]uint32(nil), p.Words...)
	words[0], words[1] = reply, uint32(adapter)
	return Packet{PDF: p.PDF, Words: words}
}
