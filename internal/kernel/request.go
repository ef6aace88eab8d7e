package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// message is one netlink request: a fixed header and attributes.
//
// The requests are written out here, on top of the library's sockets, because
// the library's own calls hide things this package lives on: the flags of a
// request, attributes it does not know, and whether a dump was interrupted.
type message struct {
	kind  int // RTM_*
	flags int // NLM_F_* beyond REQUEST
	head  nl.NetlinkRequestData
	attrs []*nl.RtAttr
}

func (m *message) add(kind int, value []byte) { m.attrs = append(m.attrs, nl.NewRtAttr(kind, value)) }
func (m *message) addString(kind int, s string) {
	m.add(kind, append([]byte(s), 0))
}
func (m *message) addUint32(kind int, v uint32) {
	m.add(kind, binary.NativeEndian.AppendUint32(nil, v))
}
func (m *message) addAddr(kind int, a netip.Addr) { m.add(kind, a.AsSlice()) }

// send sends the request and returns the payloads of type reply, if any.
func (k *Kernel) send(m message, reply uint16) ([][]byte, error) {
	req := nl.NewNetlinkRequest(m.kind, m.flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: k.socket}
	req.AddData(m.head)
	for _, a := range m.attrs {
		req.AddData(a)
	}
	return req.Execute(unix.NETLINK_ROUTE, reply)
}

// change sends a request that the kernel acknowledges.
func (k *Kernel) change(m message) error {
	m.flags |= unix.NLM_F_ACK
	_, err := k.send(m, 0)
	return err
}

// errUnsettled says that the kernel's tables changed while they were dumped.
var errUnsettled = errors.New("the tables changed while they were read")

// dump returns all objects of one sort. It reports errUnsettled when the kernel
// flagged the dump as interrupted: such a dump may miss objects that were there
// all the time (Documentation/userspace-api/netlink/intro.rst, "Dump consistency").
func (k *Kernel) dump(kind int, reply uint16, head nl.NetlinkRequestData) ([][]byte, error) {
	out, err := k.send(message{kind: kind, flags: unix.NLM_F_DUMP, head: head}, reply)
	if errors.Is(err, nl.ErrDumpInterrupted) {
		return nil, errUnsettled
	}
	return out, err
}

// attributes maps attribute types to values; of repeated types the last counts.
type attributes map[int][]byte

// nestMask strips NLA_F_NESTED and NLA_F_NET_BYTEORDER (include/uapi/linux/netlink.h).
const nestMask = 0x3fff

func parseAttributes(b []byte) (attributes, error) {
	out := attributes{}
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return nil, fmt.Errorf("netlink attribute of %d bytes in %d", size, len(b))
		}
		out[int(binary.NativeEndian.Uint16(b[2:])&nestMask)] = b[unix.SizeofRtAttr:size]
		b = b[min(len(b), (size+3)&^3):]
	}
	return out, nil
}

func (a attributes) uint32(kind int) uint32 {
	if v := a[kind]; len(v) >= 4 {
		return binary.NativeEndian.Uint32(v)
	}
	return 0
}

func (a attributes) string(kind int) string {
	s, _, _ := strings.Cut(string(a[kind]), "\x00")
	return s
}

// addr returns an address attribute, or the zero Addr.
func (a attributes) addr(kind int) netip.Addr {
	ip, _ := netip.AddrFromSlice(a[kind])
	return ip
}
