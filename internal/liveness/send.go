package liveness

import (
	"encoding/binary"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// target is an address that send takes as it is.
type target struct {
	raw    unix.RawSockaddrInet6 // or what fits into it
	length uint32
}

func targetOf(a netip.Addr, port uint16, index int) target {
	out := target{length: unix.SizeofSockaddrInet6}
	if a.Is4() {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&out.raw)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.As4()}
		out.length = unix.SizeofSockaddrInet4
	} else {
		out.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: a.As16(), Scope_id: uint32(index)}
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&out.raw.Port))[:], port)
	return out
}

// send sends a datagram without waiting, to the peer to which the socket is connected if
// no address is given.
//
// A thread in ppoll has woken sysmon all the same when it returned. The longest calls it
// makes are these, and while it is in one that Go's scheduler knows of, sysmon is content;
// else it would find the thread running too long, and interrupt it.
func (p *poller) send(fd int, b []byte, to *target) error {
	var length uint32
	if to != nil {
		length = to.length
	}
	var errno unix.Errno
	if _, thread := p.bed.(inKernel); thread {
		_, _, errno = unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT,
			uintptr(unsafe.Pointer(to)), uintptr(length))
	} else {
		_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT,
			uintptr(unsafe.Pointer(to)), uintptr(length))
	}
	if errno != 0 {
		return os.NewSyscallError("sendto", errno)
	}
	return nil
}
