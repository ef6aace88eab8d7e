package liveness

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is how many datagrams are read from a socket in one system call.
const batch = 16

// datagram is what was received, and how.
type datagram struct {
	data     []byte
	from     netip.Addr // without zone
	hopLimit int
	lost     uint32 // datagrams that did not fit into the queue since the socket was opened
	arrived  int64  // when the kernel had it, by the real-time clock in ns; 0: not said
}

// reader reads datagrams into its own memory: a batch in one system call, and nothing
// for the garbage collector.
type reader struct {
	headers [batch]mmsghdr
	vectors [batch]unix.Iovec
	slots   [batch]struct {
		data    [maxPacket + 1]byte
		from    unix.RawSockaddrInet6 // as long as any that come here
		control [128]byte             // hop limit, SO_RXQ_OVFL, and SO_TIMESTAMPNS
	}
}

// age is how long before now a datagram arrived: a time between zero and most. The clock that
// the kernel's stamp is of may be set meanwhile, so the answer is good only within that.
func (d *datagram) age(now time.Time, most time.Duration) time.Duration {
	if d.arrived == 0 {
		return 0
	}
	return min(max(time.Duration(now.UnixNano()-d.arrived), 0), max(most, 0))
}

// mmsghdr is struct mmsghdr (recvmmsg(2)).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

func newReader() *reader {
	r := &reader{}
	for i := range r.headers {
		slot := &r.slots[i]
		r.vectors[i].Base = &slot.data[0]
		r.vectors[i].SetLen(len(slot.data))
		h := &r.headers[i].header
		h.Iov = &r.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&slot.from))
		h.Control = &slot.control[0]
	}
	return r
}

// read reads what waits in a socket that does not block, up to most datagrams, and returns how many there
// were. They are valid until the next read. An error that was pending on the socket
// is taken off it, and there are none.
func (r *reader) read(fd, most int) int {
	most = min(most, batch)
	if most <= 0 {
		return 0
	}
	for i := range most {
		h := &r.headers[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(len(r.slots[i].control))
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.headers[0])), uintptr(most), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// datagram returns the i-th that was read.
func (r *reader) datagram(i int) datagram {
	slot, h := &r.slots[i], &r.headers[i]
	d := datagram{data: slot.data[:h.length]}
	switch slot.from.Family {
	case unix.AF_INET:
		d.from = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&slot.from)).Addr)
	case unix.AF_INET6:
		d.from = netip.AddrFrom16(slot.from.Addr)
	}
	d.readControl(slot.control[:h.header.Controllen])
	return d
}

func (d *datagram) readControl(b []byte) {
	for len(b) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			return
		}
		b = rest
		if len(data) < 4 {
			continue
		}
		switch [2]int32{h.Level, h.Type} {
		case [2]int32{unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT}, [2]int32{unix.IPPROTO_IP, unix.IP_TTL}:
			d.hopLimit = int(int32(binary.NativeEndian.Uint32(data)))
		case [2]int32{unix.SOL_SOCKET, unix.SO_RXQ_OVFL}:
			d.lost = binary.NativeEndian.Uint32(data)
		case [2]int32{unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS}:
			if len(data) >= int(unsafe.Sizeof(unix.Timespec{})) {
				ts := (*unix.Timespec)(unsafe.Pointer(&data[0]))
				d.arrived = ts.Nano()
			}
		}
	}
}
