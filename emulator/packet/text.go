package packet

import (
	"fmt"
	"strings"
)

// ackUnplug in the top bits of an acknowledgement (TB_CFG_ERROR_PG_HOT_UNPLUG).
const ackUnplug = 3

var pdfNames = map[PDF]string{
	Read: "read", Write: "write", Error: "error", NotifyAck: "notification acknowledged", Event: "event",
	XDomReq: "XDomain request", XDomResp: "XDomain response", Override: "override", Reset: "reset",
}

// String is the name of the kind.
func (p PDF) String() string {
	if name, ok := pdfNames[p]; ok {
		return name
	}
	return fmt.Sprintf("packet of kind %d", uint8(p))
}

var codeNames = map[Code]string{
	NotConnected: "port not connected", 1: "link error", BadSpace: "no such configuration space or offset",
	NoSuchPort: "no such port", AckPlug: "plug event acknowledged", 8: "route has a loop", 15: "port is locked",
}

// String is the name of the code.
func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// String is the packet in words. Read and write packets say where, not what: the names of
// registers depend on the router that answers.
func (p Packet) String() string {
	word := func(i int) uint32 {
		if i < len(p.Words) {
			return p.Words[i]
		}
		return 0
	}
	switch {
	case p.PDF == Read || p.PDF == Write:
		if a, ok := p.Address(); ok {
			return fmt.Sprintf("%v route %x %v", p.PDF, p.Route(), a)
		}
	case p.PDF == Error && Code(word(2)&0xf) == AckPlug:
		event := "plug"
		if word(2)>>30 == ackUnplug {
			event = "unplug"
		}
		return fmt.Sprintf("%s event acknowledged, adapter %d", event, word(2)>>8&0x3f)
	case p.PDF == Error:
		return fmt.Sprintf("error: %v, adapter %d", Code(word(2)&0xf), word(2)>>8&0x3f)
	case p.PDF == Event && word(2)>>31 == 1:
		return fmt.Sprintf("unplug event, adapter %d", word(2)&0x3f)
	case p.PDF == Event:
		return fmt.Sprintf("plug event, adapter %d", word(2)&0x3f)
	case p.PDF.XDomain():
		return p.xdomain()
	}
	return p.PDF.String()
}

// String is the address without names of registers.
func (a Address) String() string {
	where := fmt.Sprintf("adapter %d", a.Adapter)
	switch a.Space {
	case SpaceRouter:
		where = "router"
	case SpacePath:
		where += " path"
	case SpaceCounters:
		where += " counter"
	case SpaceAdapter:
	}
	return fmt.Sprintf("%s dwords %d to %d", where, a.Offset, a.Offset+a.Length-1)
}

// XDomain packets: the route, the length and a sequence number, a UUID that tells the
// protocol, then what the protocol has (struct tb_xdp_header, struct thunderbolt_ip_header).
const (
	xdUUID     = 3  // protocol
	xdType     = 7  // discovery: type
	xdBody     = 8  // discovery: what follows
	netType    = 15 // network: type, after the UUIDs of both hosts
	netStatus  = 17
	xdSeqShift = 27
	xdSeqMask  = 3
	discovery  = "b638d70e-42ff-40bb-97c2-90e2c0b2ff07" // tb_xdp_uuid
	network    = "798f589e-3616-8a47-97c6-5664a920c8dd" // tbnet_svc_uuid
)

// enum tb_xdp_type
var discoveryNames = map[uint32]string{
	1: "UUID request (old)", 2: "UUID response", 3: "properties request", 4: "properties response",
	5: "properties changed", 6: "properties changed response", 7: "error response", 12: "UUID request",
	15: "link state status request", 16: "link state status response",
	17: "link state change request", 18: "link state change response",
}

// enum thunderbolt_ip_type
var networkNames = map[uint32]string{0: "login", 1: "login response", 2: "logout", 3: "status"}

// uuid reads four dwords as Linux prints UUIDs (%pUb): bytes in the order of memory.
func (p Packet) uuid(at int) string {
	if at+4 > len(p.Words) {
		return ""
	}
	var b strings.Builder
	for i := range 16 {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b.WriteByte('-')
		}
		fmt.Fprintf(&b, "%02x", byte(p.Words[at+i/4]>>(8*(i%4))))
	}
	return b.String()
}

// Request reports whether an XDomain packet asks the other host for something, as opposed
// to an answer. The packet's kind does not tell.
func (p Packet) Request() bool {
	switch p.uuid(xdUUID) {
	case discovery:
		if len(p.Words) <= xdType {
			return false
		}
		t := p.Words[xdType]
		return t == 1 || t == 3 || t == 5 || t == 12 || t == 15 || t == 17
	case network:
		return len(p.Words) > netType && p.Words[netType]%2 == 0
	}
	return p.PDF == XDomReq
}

func (p Packet) xdomain() string {
	if len(p.Words) <= xdType {
		return fmt.Sprintf("%v of %d dwords", p.PDF, len(p.Words))
	}
	seq := p.Words[2] >> xdSeqShift & xdSeqMask
	name := func(names map[uint32]string, t uint32) string {
		if s, ok := names[t]; ok {
			return s
		}
		return fmt.Sprintf("type %d", t)
	}
	switch id := p.uuid(xdUUID); {
	case id == discovery:
		text := fmt.Sprintf("XDomain %s #%d", name(discoveryNames, p.Words[xdType]), seq)
		return text + p.discoveryDetail()
	case id == network && len(p.Words) > netType:
		text := fmt.Sprintf("ThunderboltIP %s #%d", name(networkNames, p.Words[netType]), seq)
		if t := p.Words[netType]; t == 0 && len(p.Words) > netStatus+1 {
			text += fmt.Sprintf(", transmit path %d", p.Words[netStatus+1])
		} else if t%2 == 1 && len(p.Words) > netStatus {
			text += fmt.Sprintf(", status %d", p.Words[netStatus])
		}
		return text
	default:
		return fmt.Sprintf("XDomain protocol %s #%d", id, seq)
	}
}

// discoveryDetail says what matters of a discovery packet's body.
func (p Packet) discoveryDetail() string {
	word := func(i int) uint32 {
		if i < len(p.Words) {
			return p.Words[i]
		}
		return 0
	}
	switch p.Words[xdType] {
	case 2:
		return ", host " + p.uuid(xdBody)
	case 3:
		return fmt.Sprintf(", from dword %d", word(xdBody+8)&0xffff)
	case 4:
		return fmt.Sprintf(", from dword %d of %d, generation %d", word(xdBody+8)&0xffff, word(xdBody+8)>>16, word(xdBody+9))
	case 7:
		return fmt.Sprintf(", error %d", word(xdBody)) // enum tb_xdp_error
	case 16:
		return fmt.Sprintf(", widths %#x speeds %#x", word(xdBody+1)&0xff, word(xdBody+1)>>16&0xff)
	case 17:
		return fmt.Sprintf(", width %#x", word(xdBody)&0xff)
	}
	return ""
}
