package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stopGrain bounds how long a stream that nothing moves on takes to see that the
// test is over.
const stopGrain = 100 * time.Millisecond

// udpBuffer is asked for UDP sockets where the test asks for nothing.
const udpBuffer = 4 << 20

// socket is a socket in blocking mode. A stream that moves 20 Gbit/s spends its
// time in long system calls; waiting inside of them instead of in the poller of
// the Go runtime saves a wake-up and a failed call for each.
type socket struct {
	fd   int
	once sync.Once
}

// blocking takes a socket away from the Go runtime; c is closed.
func blocking(c interface {
	syscall.Conn
	Close() error
}) (*socket, error) {
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, inner := -1, error(nil)
	err = raw.Control(func(p uintptr) { fd, inner = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, inner); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &socket{fd: fd}
	grain := unix.NsecToTimeval(int64(stopGrain))
	err = errors.Join(
		unix.SetNonblock(fd, false),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &grain),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &grain),
	)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("socket: %w", err)
	}
	return s, nil
}

// shut wakes whoever waits in the socket; close may follow when nobody uses it.
func (s *socket) shut() { _ = unix.Shutdown(s.fd, unix.SHUT_RDWR) } // ENOTCONN: nobody waits

func (s *socket) close() { s.once.Do(func() { unix.Close(s.fd) }) }

// transfer is readv or writev without an allocation per call.
func (s *socket) transfer(trap uintptr, iov []unix.Iovec) (int, syscall.Errno) {
	n, _, errno := unix.Syscall(trap, uintptr(s.fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	return int(n), errno
}

// get and put are read and write of which the Go runtime does not know, for threads
// that measure time or are measured. Told of a call, the runtime watches it every
// 20 microseconds to take the processor away from it, and the call waits to get it
// back: on two cores that was half of the 99th percentile. Not told, it ends the
// call by a signal where it needs the thread (EINTR, see pauses).
func (s *socket) get(b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

func (s *socket) put(b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

// pauses reports whether a call only ran into stopGrain, or was interrupted.
func pauses(e error) bool {
	return errors.Is(e, unix.EAGAIN) || errors.Is(e, unix.EINTR)
}

// vector describes one block of memory count times over.
func vector(block []byte, count int) []unix.Iovec {
	iov := make([]unix.Iovec, count)
	for i := range iov {
		iov[i].Base = &block[0]
		iov[i].SetLen(len(block))
	}
	return iov
}

// setOptions applies what a test asks for and what has to stand before a
// connection is made.
func (t Test) setOptions(fd int, tcp bool) error {
	type option struct {
		what               string
		level, name, value int
	}
	var all []option
	if t.Window > 0 {
		all = append(all, option{"receive window", unix.SOL_SOCKET, unix.SO_RCVBUF, t.Window},
			option{"send window", unix.SOL_SOCKET, unix.SO_SNDBUF, t.Window})
	}
	if t.TOS > 0 {
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			return err
		}
		if domain == unix.AF_INET6 {
			all = append(all, option{"traffic class", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, t.TOS})
		} else {
			all = append(all, option{"TOS", unix.IPPROTO_IP, unix.IP_TOS, t.TOS})
		}
	}
	if tcp && t.MSS > 0 {
		all = append(all, option{"MSS", unix.IPPROTO_TCP, unix.TCP_MAXSEG, t.MSS})
	}
	if t.UDP && t.Window == 0 {
		// Room for a receiver that is late, as far as the machine allows.
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, udpBuffer) != nil {
			all = append(all, option{"receive buffer", unix.SOL_SOCKET, unix.SO_RCVBUF, udpBuffer})
		}
	}
	for _, o := range all {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set %s to %d: %w", o.what, o.value, err)
		}
	}
	if tcp && t.Congestion != "" {
		if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, t.Congestion); err != nil {
			return fmt.Errorf("congestion control %q: %w (known: /proc/sys/net/ipv4/tcp_available_congestion_control)", t.Congestion, err)
		}
	}
	return nil
}

// controlOptions is setOptions in the form that package net calls before it
// connects or listens.
func (t Test) controlOptions(tcp bool) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var inner error
		if err := c.Control(func(fd uintptr) { inner = t.setOptions(int(fd), tcp) }); err != nil {
			return err
		}
		return inner
	}
}

// network is "tcp4" or "udp6" and so on: the family must be fixed, or the socket
// of an IPv4 test would be an IPv6 one.
func network(proto string, a netip.Addr) string {
	if a.Unmap().Is4() {
		return proto + "4"
	}
	return proto + "6"
}
