package liveness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// An echo request (RFC 792, RFC 4443 section 4.1): type, code, checksum, identifier,
// sequence number, and eight random bytes which only the peer has seen.
const (
	echoLen = 16
	// echoesKept is how many requests may wait for their answers.
	echoesKept = 64

	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// echoes makes echo requests and knows their answers.
type echoes struct {
	v4    bool
	id    uint16
	nonce uint64
	next  uint16 // sequence number
	sent  [echoesKept]time.Time
}

// request writes the next request into b.
func (e *echoes) request(b *[echoLen]byte, now time.Time) {
	seq := e.next
	e.next++
	e.sent[seq%echoesKept] = now
	clear(b[:])
	b[0] = echoRequest6 // the kernel makes the checksum (RFC 3542, section 3.1)
	if e.v4 {
		b[0] = echoRequest4
	}
	binary.BigEndian.PutUint16(b[4:], e.id)
	binary.BigEndian.PutUint16(b[6:], seq)
	binary.BigEndian.PutUint64(b[8:], e.nonce)
	if e.v4 {
		binary.BigEndian.PutUint16(b[2:], checksum(b[:]))
	}
}

// reply returns when the request was sent that this datagram answers. Each request is
// answered once.
func (e *echoes) reply(b []byte) (time.Time, bool) {
	want := byte(echoReply6)
	if e.v4 {
		// Raw IPv4 sockets give the header, too.
		if len(b) < 20 || b[0]>>4 != 4 || len(b) < int(b[0]&0xf)*4 {
			return time.Time{}, false
		}
		b = b[int(b[0]&0xf)*4:]
		want = echoReply4
	}
	if len(b) < echoLen || b[0] != want || b[1] != 0 ||
		binary.BigEndian.Uint16(b[4:]) != e.id || binary.BigEndian.Uint64(b[8:]) != e.nonce {
		return time.Time{}, false
	}
	seq := binary.BigEndian.Uint16(b[6:])
	if age := e.next - seq; age == 0 || age > echoesKept {
		return time.Time{}, false
	}
	t := e.sent[seq%echoesKept]
	e.sent[seq%echoesKept] = time.Time{}
	return t, !t.IsZero()
}

// checksum is that of RFC 1071, over an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// openEcho opens a raw socket that gets nothing but echo replies of the peer which came
// over this link.
func openEcho(l Link) (int, error) {
	protocol := unix.IPPROTO_ICMPV6
	if l.Local.Is4() {
		protocol = unix.IPPROTO_ICMP
	}
	fd, err := open(l, unix.SOCK_RAW, protocol)
	if errors.Is(err, unix.EPERM) {
		return -1, errors.New("no permission for echo requests (CAP_NET_RAW): a peer without agent can't be told from a dead link")
	}
	if err != nil {
		return -1, err
	}
	if err := filterEcho(fd, l.Local.Is4()); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("socket for echo requests: %w", err)
	}
	if err := unix.Bind(fd, socketAddr(l.Local, 0, l.Index)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("socket for echo requests: bind to %s on %s: %w", l.Local, l.Name, err)
	}
	if err := unix.Connect(fd, socketAddr(l.Remote, 0, l.Index)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("socket for echo requests: connect to %s on %s: %w", l.Remote, l.Name, err)
	}
	return fd, nil
}

func filterEcho(fd int, v4 bool) error {
	if v4 {
		// linux/icmp.h: ICMP_FILTER is option 1 of SOL_RAW, a set bit blocks a type.
		return unix.SetsockoptInt(fd, unix.SOL_RAW, 1, int(^uint32(1<<echoReply4)))
	}
	var f unix.ICMPv6Filter // RFC 3542, section 3.2; in Linux a set bit blocks
	for i := range f.Data {
		f.Data[i] = 1<<32 - 1
	}
	f.Data[echoReply6/32] &^= 1 << (echoReply6 % 32)
	return unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &f)
}
