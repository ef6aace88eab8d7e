package gossip

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/memberlist"
)

// gate checks what comes from the network before memberlist sees it: where it
// comes from, how long it is, for which mesh it is, that it is encrypted with a
// key of ours, and that it is new. memberlist decrypts once more, which costs a
// microsecond; in return nobody without the key reaches its parsers and its log,
// makes it buffer 20 MiB before it looks at the key (its limit for a stream), or
// has it answer.
//
// A packet is [244 length label] then [1 nonce ciphertext]; the label is
// authenticated. A stream begins with the same label, then
// [10 length(4) 1 nonce ciphertext] where type, length and label are
// authenticated; an answer on a stream has no label in front. (memberlist:
// label.go, security.go, net.go encryptLocalState.)
type gate struct {
	label     string
	port      uint16
	self      string
	owners    map[netip.Addr]string         // identity -> node
	keys      atomic.Pointer[[]cipher.AEAD] // none: plain
	strangers *strangers
	limit     int // bytes of a stream

	mu     sync.Mutex
	nonces map[nonce]struct{}
	ring   []nonce // the same, in order of arrival
	next   int
}

type nonce [nonceSize]byte

const (
	encryptMsg = 10 // memberlist's messageType of an encrypted stream
	vsnNoPad   = 1  // its encryptionVersion of protocol versions from 2
	nonceSize  = 12
	tagSize    = 16

	maxPacket = 16 << 10 // bytes of a datagram; the longest advert has 9 KiB
	memory    = 4096     // packets that are recognized when they come again
)

func newGate(c *Config, s *strangers) (*gate, error) {
	g := &gate{
		label: label(c.Mesh), port: uint16(c.Port), self: c.Node, owners: owners(c.Members), strangers: s,
		limit:  64<<10 + len(c.Members)*(maxAdvert+1024),
		nonces: map[nonce]struct{}{}, ring: make([]nonce, memory),
	}
	keys, err := ciphers(c.Keys)
	if err != nil {
		return nil, err
	}
	g.keys.Store(&keys)
	return g, nil
}

func ciphers(keys [][]byte) (list []cipher.AEAD, err error) {
	for i, key := range keys {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("gossip: key %d has %d bytes; it must have 16, 24 or 32", i+1, len(key))
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("gossip: key %d: %w", i+1, err)
		}
		list = append(list, aead)
	}
	return list, nil
}

// label keeps meshes apart that share a key.
func label(mesh string) string { return "usb4mesh/" + mesh }

func owners(members map[string][]netip.Addr) map[netip.Addr]string {
	m := map[netip.Addr]string{}
	for node, addrs := range members {
		for _, a := range addrs {
			m[a] = node
		}
	}
	return m
}

// refusal is why something is kept out.
type refusal struct {
	cause  Cause
	detail string
}

func (r *refusal) Error() string { return fmt.Sprintf("%s: %s", r.cause, r.detail) }

func refuse(cause Cause, format string, args ...any) *refusal {
	return &refusal{cause, fmt.Sprintf(format, args...)}
}

// source returns the node that owns the address from.
func (g *gate) source(from netip.Addr) (string, *refusal) {
	node, ok := g.owners[from]
	switch {
	case !ok:
		return "", refuse(UnknownAddress, "no node of the plan has this address")
	case node == g.self:
		return "", refuse(WrongAddress, "somebody else sends from this node's own address")
	}
	return node, nil
}

// packet checks a datagram. from is the node that it says it is from.
func (g *gate) packet(b []byte, from netip.AddrPort) (string, *refusal) {
	node, no := g.source(from.Addr())
	if no == nil && from.Port() != g.port {
		no = refuse(UnknownAddress, "sent from port %d; members send from %d", from.Port(), g.port)
	}
	if no == nil && len(b) > maxPacket {
		no = refuse(Oversized, "a packet of more than %d bytes", maxPacket)
	}
	if no == nil {
		no = g.sealed(b)
	}
	if no != nil {
		g.strangers.report(no.cause, node, from.Addr(), no.detail)
	}
	return node, no
}

// sealed checks a packet behind its address.
func (g *gate) sealed(b []byte) *refusal {
	rest, got, err := memberlist.RemoveLabelHeaderFromPacket(b)
	switch {
	case err != nil:
		return refuse(OtherMesh, "a label that is cut off")
	case got != g.label:
		return refuse(OtherMesh, "label %q", clean(got, MaxName))
	case len(*g.keys.Load()) == 0:
		return nil
	}
	return g.open(rest, []byte(g.label))
}

// open decrypts, remembers the nonce, and forgets what it has read.
func (g *gate) open(b, data []byte) *refusal {
	if len(b) < 1+nonceSize+tagSize || b[0] != vsnNoPad {
		return refuse(NotEncrypted, "plain text, or another version of encryption")
	}
	n, text := nonce(b[1:1+nonceSize]), b[1+nonceSize:]
	for _, key := range *g.keys.Load() {
		plain, err := key.Open(nil, n[:], text, data)
		switch {
		case err != nil:
		case len(plain) == 0: // would crash memberlist's readStream
			return refuse(Malformed, "an empty message")
		case !g.fresh(n):
			return refuse(Replayed, "a message that was received before")
		default:
			return nil
		}
	}
	return refuse(WrongKey, "not encrypted with a key of this node, or altered on the way")
}

// fresh remembers n and reports whether it was not known. Nonces are random, so a
// second one is the same message. What is older than the memory is let through:
// the sequence numbers inside make it harmless.
func (g *gate) fresh(n nonce) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.nonces[n]; ok {
		return false
	}
	delete(g.nonces, g.ring[g.next])
	g.nonces[n], g.ring[g.next] = struct{}{}, n
	g.next = (g.next + 1) % len(g.ring)
	return true
}

// stream is a connection whose first message is checked before any of it is
// handed out, and which carries no more than that message.
type stream struct {
	net.Conn
	gate   *gate
	node   string // at the other end
	from   netip.Addr
	answer bool // we have dialled: the message has no label in front

	once  sync.Once
	err   error
	ready []byte
}

// check reads the first message. It blocks until the connection's deadline.
func (s *stream) check() error {
	s.once.Do(func() {
		var no *refusal
		if s.ready, s.err = s.gate.message(s.Conn, s.answer); errors.As(s.err, &no) {
			s.gate.strangers.report(no.cause, s.node, s.from, no.detail)
		}
	})
	return s.err
}

// Read hands out the message, then the end.
func (s *stream) Read(b []byte) (int, error) {
	if err := s.check(); err != nil {
		return 0, err
	}
	if len(s.ready) == 0 {
		if len(*s.gate.keys.Load()) == 0 { // plain messages do not tell their length
			return s.Conn.Read(b)
		}
		return 0, io.EOF
	}
	n := copy(b, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

// message reads a whole encrypted message with what stands in front of it, or,
// without keys, only what stands in front. The error may be a *refusal.
func (g *gate) message(r io.Reader, answer bool) ([]byte, error) {
	var b []byte
	more := func(n int) ([]byte, error) {
		b = append(b, make([]byte, n)...)
		_, err := io.ReadFull(r, b[len(b)-n:])
		return b[len(b)-n:], err
	}
	if !answer {
		head, err := more(2)
		if err != nil {
			return nil, err
		}
		want := memberlistLabel(g.label)
		if head[0] != want[0] || head[1] != want[1] {
			return nil, refuse(OtherMesh, "a stream without the label of this mesh")
		}
		if got, err := more(len(g.label)); err != nil {
			return nil, err
		} else if string(got) != g.label {
			return nil, refuse(OtherMesh, "label %q", clean(string(got), MaxName))
		}
	}
	if len(*g.keys.Load()) == 0 {
		return b, nil
	}
	head, err := more(5)
	if err != nil {
		return nil, err
	}
	if head[0] != encryptMsg {
		return nil, refuse(NotEncrypted, "a stream of plain text")
	}
	n := binary.BigEndian.Uint32(head[1:])
	if int64(n) > int64(g.limit) {
		return nil, refuse(Oversized, "a stream of %d bytes, the limit is %d", n, g.limit)
	}
	data := append(append([]byte(nil), head...), g.label...)
	body, err := more(int(n))
	if err != nil {
		return nil, err
	}
	if no := g.open(body, data); no != nil {
		return nil, no
	}
	return b, nil
}

func memberlistLabel(label string) [2]byte { return [2]byte{244, byte(len(label))} }
