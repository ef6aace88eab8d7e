package liveness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// None of what this file asks of the kernel takes the RTNL lock: a driver may hold
// that for seconds, and these are the seconds in which BFD is needed.

const (
	firstSourcePort = 49152 // RFC 5881, section 4
	lastSourcePort  = 65535
	hopLimit        = 255       // RFC 5881, section 5 (GTSM)
	trafficClass    = 0x30 << 2 // DSCP CS6, network control (RFC 4594, section 3.1)
	receiveBuffer   = 128 << 10 // bytes; the kernel counts about 800 for a packet
	bindAttempts    = 32
)

// socketAddr returns the address as the kernel takes it. The scope is the index, never a name:
// names come back with another index after a replug.
func socketAddr(a netip.Addr, port uint16, index int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Port: int(port), Addr: a.As16(), ZoneId: uint32(index)}
}

type option struct{ level, name, value int }

// open makes a socket that is bound to the interface with this index, and to nothing else yet.
func open(l Link, kind, protocol int, options ...option) (fd int, err error) {
	family := unix.AF_INET6
	if l.Local.Is4() {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	options = append(options,
		option{unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, l.Index}, // Linux 5.0
		option{unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer},
	)
	if family == unix.AF_INET {
		options = append(options,
			option{unix.IPPROTO_IP, unix.IP_FREEBIND, 1}, // before the address is there
			option{unix.IPPROTO_IP, unix.IP_TOS, trafficClass})
	} else {
		options = append(options,
			option{unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1},
			option{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass})
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("setsockopt %d, %d = %d: %w", o.level, o.name, o.value, err)
		}
	}
	// Ahead of the traffic in the queue of the interface: TC_PRIO_CONTROL takes
	// CAP_NET_ADMIN, without it traffic class and luck remain.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 7)
	return fd, nil
}

// openReceiver opens the socket for packets of the peer. It does not share the port:
// whoever may bind it again would get our packets.
func openReceiver(l Link, port uint16) (int, error) {
	limit := option{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1}
	if l.Local.Is4() {
		limit = option{unix.IPPROTO_IP, unix.IP_RECVTTL, 1}
	}
	fd, err := open(l, unix.SOCK_DGRAM, unix.IPPROTO_UDP, limit,
		option{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1}, option{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1})
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, socketAddr(l.Local, port, l.Index)); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			return -1, fmt.Errorf("another program (FRR's bfdd, BIRD?) has UDP port %d: stop its BFD, or choose another port at both ends", port)
		}
		return -1, fmt.Errorf("bind to [%s]:%d on %s: %w", l.Local, port, l.Name, err)
	}
	return fd, nil
}

// openSender opens the socket that sends, from a port of the range that RFC 5881 demands.
// Nothing is ever read from it.
func openSender(l Link) (int, error) {
	limit := option{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, hopLimit}
	if l.Local.Is4() {
		limit = option{unix.IPPROTO_IP, unix.IP_TTL, hopLimit}
	}
	fd, err := open(l, unix.SOCK_DGRAM, unix.IPPROTO_UDP, limit)
	if err != nil {
		return -1, err
	}
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err)
	}
	for range bindAttempts {
		port := firstSourcePort + rand.N(lastSourcePort-firstSourcePort+1)
		if err = unix.Bind(fd, socketAddr(l.Local, uint16(port), l.Index)); !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind to a source port of [%s] on %s: %w", l.Local, l.Name, err)
	}
	return fd, nil
}
