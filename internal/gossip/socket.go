package gossip

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fabric is the network; tests have one in memory.
type fabric interface {
	listenPacket(netip.AddrPort) (packetConn, error)
	listen(netip.AddrPort) (net.Listener, error)
	dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error)
}

// packetConn is what is needed of a net.UDPConn.
type packetConn interface {
	ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
	Close() error
}

// kernel is the fabric of the network namespace of the calling thread.
type kernel struct{}

func (kernel) listenPacket(a netip.AddrPort) (packetConn, error) {
	lc := net.ListenConfig{Control: options}
	conn, err := lc.ListenPacket(context.Background(), "udp", a.String())
	if err != nil {
		return nil, err
	}
	return newDatagrams(conn.(*net.UDPConn))
}

// datagrams is a UDP socket that never waits. A port whose peer has died in silence
// may keep what was queued on it for seconds, and the memory of it counts against
// the socket; a write that waits for that would keep the word from all others, to
// whom the way is free.
type datagrams struct {
	*net.UDPConn
	raw syscall.RawConn
	v4  bool
}

// sendBuffer has room for what the queue of a dead port may hold: a thousand
// packets, at four kilobytes with what the kernel needs around them.
const sendBuffer = 4 << 20

func newDatagrams(conn *net.UDPConn) (*datagrams, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &datagrams{conn, raw, conn.LocalAddr().(*net.UDPAddr).IP.To4() != nil}
	return d, raw.Control(func(fd uintptr) {
		// Above the limit for everybody if we may, else as far as that goes.
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
		}
	})
}

// WriteToUDPAddrPort sends now or not at all.
func (d *datagrams) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	var at unix.Sockaddr = &unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}
	if d.v4 {
		at = &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	}
	var failed error
	if err := d.raw.Write(func(fd uintptr) bool {
		failed = unix.Sendto(int(fd), b, unix.MSG_DONTWAIT, at)
		return true
	}); err != nil {
		return 0, err
	}
	if failed != nil {
		// memberlist counts a probe as failed at once where it sees this type, and
		// not at all where it sees another (state.go, failedRemote).
		return 0, &net.OpError{Op: "write", Net: "udp", Addr: net.UDPAddrFromAddrPort(to), Err: os.NewSyscallError("sendto", failed)}
	}
	return len(b), nil
}

func (kernel) listen(a netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{Control: options, KeepAlive: -1} // streams live for less than a second
	return lc.Listen(context.Background(), "tcp", a.String())
}

func (kernel) dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)),
		Control:   options,
		KeepAlive: -1,
	}
	return d.DialContext(ctx, "tcp", to.String())
}

// options are set before bind. FREEBIND: the identity may be put on its
// interfaces later than we start, and may go and come. Class selector 6, as
// routing protocols use (RFC 4594 section 3.2): a full cable must not delay
// the word that another one is broken.
func options(network, _ string, c syscall.RawConn) error {
	const cs6 = 0xc0
	var failed error
	err := c.Control(func(fd uintptr) {
		set := func(level, name, value int) {
			if err := unix.SetsockoptInt(int(fd), level, name, value); failed == nil {
				failed = err
			}
		}
		switch network {
		case "udp4", "tcp4":
			set(unix.SOL_IP, unix.IP_FREEBIND, 1)
			set(unix.SOL_IP, unix.IP_TOS, cs6)
		default:
			set(unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
			set(unix.SOL_IPV6, unix.IPV6_TCLASS, cs6)
		}
	})
	if err != nil {
		return err
	}
	return failed
}
