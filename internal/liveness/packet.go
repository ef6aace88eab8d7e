package liveness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// packet is a BFD control packet (RFC 5880, section 4.1) without authentication, which
// this engine neither sends nor accepts: between direct neighbours the hop limit of
// 255 keeps everybody else out (RFC 5881, section 9).
type packet struct {
	diagnostic    diagnostic
	state         state
	poll          bool
	final         bool
	controlPlane  bool // the sender's BFD shares the fate of its control plane if false
	demand        bool
	multiplier    uint8
	mine          uint32 // My Discriminator
	yours         uint32 // Your Discriminator
	desiredMinTx  microseconds
	requiredMinRx microseconds
	minEchoRx     microseconds
}

// state is a session state with its number on the wire.
type state uint8

const (
	stateAdminDown state = iota
	stateDown
	stateInit
	stateUp
)

var stateNames = [...]State{AdminDown, Down, Init, Up}

// diagnostic is why a session last went down.
type diagnostic uint8

const (
	diagNone          diagnostic = 0
	diagExpired       diagnostic = 1
	diagNeighborDown  diagnostic = 3
	diagAdminDown     diagnostic = 7
	diagnosticsOnWire            = 32 // the field has five bits
)

// The words of RFC 5880, section 4.1.
var diagnosticNames = [...]string{
	"",
	"control detection time expired",
	"echo function failed",
	"neighbor signaled session down",
	"forwarding plane reset",
	"path down",
	"concatenated path down",
	"administratively down",
	"reverse concatenated path down",
}

func (d diagnostic) String() string {
	if int(d) < len(diagnosticNames) {
		return diagnosticNames[d]
	}
	return fmt.Sprintf("diagnostic %d", uint8(d))
}

// microseconds is the unit of all times on the wire: up to 71 minutes.
type microseconds uint32

func (m microseconds) duration() time.Duration { return time.Duration(m) * time.Microsecond }

// inMicroseconds rounds to what fits on the wire.
func inMicroseconds(d time.Duration) microseconds {
	return microseconds(min(max(d.Microseconds(), 0), 1<<32-1))
}

const (
	packetLen = 24  // without authentication
	maxPacket = 255 // what the length field can say

	versionBits = 1 << 5

	flagPoll         = 1 << 5
	flagFinal        = 1 << 4
	flagControlPlane = 1 << 3
	flagAuth         = 1 << 2
	flagDemand       = 1 << 1
	flagMultipoint   = 1 << 0
)

// Why a packet is thrown away.
var (
	errMalformed     = errors.New("not a BFD control packet that RFC 5880, section 6.8.6 accepts")
	errHopLimit      = errors.New("hop limit is not 255: not sent by a direct neighbour")
	errSource        = errors.New("not from the peer of this link, or not to this node")
	errDiscriminator = errors.New("for no session on this link")
)

// parsePacket reads a packet and makes those checks of RFC 5880, section 6.8.6 that need no session.
// Bytes after the packet's own length are ignored, as there.
func parsePacket(b []byte) (packet, error) {
	if len(b) < packetLen || b[0]>>5 != 1 {
		return packet{}, errMalformed
	}
	flags, length := b[1], int(b[3])
	p := packet{
		diagnostic:    diagnostic(b[0] & 0x1f),
		state:         state(flags >> 6),
		poll:          flags&flagPoll != 0,
		final:         flags&flagFinal != 0,
		controlPlane:  flags&flagControlPlane != 0,
		demand:        flags&flagDemand != 0,
		multiplier:    b[2],
		mine:          binary.BigEndian.Uint32(b[4:]),
		yours:         binary.BigEndian.Uint32(b[8:]),
		desiredMinTx:  microseconds(binary.BigEndian.Uint32(b[12:])),
		requiredMinRx: microseconds(binary.BigEndian.Uint32(b[16:])),
		minEchoRx:     microseconds(binary.BigEndian.Uint32(b[20:])),
	}
	switch {
	case length < packetLen, length > len(b),
		flags&flagAuth != 0,       // no authentication is in use
		flags&flagMultipoint != 0, // MUST be zero
		p.multiplier == 0,
		p.mine == 0,
		p.yours == 0 && p.state != stateDown && p.state != stateAdminDown:
		return packet{}, errMalformed
	}
	return p, nil
}

// marshal writes the packet into b.
func (p *packet) marshal(b *[packetLen]byte) {
	flags := uint8(p.state) << 6
	for _, f := range [...]struct {
		set bool
		bit uint8
	}{{p.poll, flagPoll}, {p.final, flagFinal}, {p.controlPlane, flagControlPlane}, {p.demand, flagDemand}} {
		if f.set {
			flags |= f.bit
		}
	}
	b[0] = versionBits | uint8(p.diagnostic)&(diagnosticsOnWire-1)
	b[1] = flags
	b[2] = p.multiplier
	b[3] = packetLen
	binary.BigEndian.PutUint32(b[4:], p.mine)
	binary.BigEndian.PutUint32(b[8:], p.yours)
	binary.BigEndian.PutUint32(b[12:], uint32(p.desiredMinTx))
	binary.BigEndian.PutUint32(b[16:], uint32(p.requiredMinRx))
	binary.BigEndian.PutUint32(b[20:], uint32(p.minEchoRx))
}
