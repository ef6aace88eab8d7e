package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// socketBuffer is asked for probe sockets, in both directions: room for a second
// of probes, also of those that wait for a neighbour to be resolved.
const socketBuffer = 16 << 20

// listenUDP opens a UDP socket in the node, bound to one of its addresses.
func (n *Node) listenUDP(a netip.Addr) (*net.UDPConn, error) {
	var u *net.UDPConn
	err := n.inNet(func() (err error) {
		u, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	err = control(u, func(fd int) error {
		// Forced past net.core.rmem_max and wmem_max where that is allowed.
		for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
			if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[0], socketBuffer) == nil {
				continue
			}
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[1], socketBuffer); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		u.Close()
		return nil, fmt.Errorf("node %s: socket buffers: %w", n.Name, err)
	}
	return u, nil
}

// setHopLimit sets the TTL or hop limit of what a socket sends from now on.
func setHopLimit(u *net.UDPConn, v6 bool, hops int) error {
	return control(u, func(fd int) error {
		if v6 {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, hops)
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, hops)
	})
}

func control(u *net.UDPConn, f func(fd int) error) error {
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// endpoint is a socket of a node: its address and the port it got.
type endpoint struct {
	node *Node
	addr netip.Addr
	conn *net.UDPConn
	port netip.AddrPort
}

// endpoints opens one socket for each (node, address) of the paths.
func (w *world) endpoints(paths []Path) (map[endpointKey]*endpoint, error) {
	all := map[endpointKey]*endpoint{}
	for _, p := range paths {
		for _, k := range []endpointKey{{p.From, p.Source}, {p.To, p.Destination}} {
			if all[k] != nil {
				continue
			}
			n := w.byName[k.node]
			u, err := n.listenUDP(k.addr)
			if err != nil {
				closeEndpoints(all)
				return nil, err
			}
			all[k] = &endpoint{node: n, addr: k.addr, conn: u, port: u.LocalAddr().(*net.UDPAddr).AddrPort()}
		}
	}
	return all, nil
}

type endpointKey struct {
	node string
	addr netip.Addr
}

func closeEndpoints(all map[endpointKey]*endpoint) {
	for _, e := range all {
		e.conn.Close()
	}
}

// listenTCP opens a listening TCP socket in the node.
func (n *Node) listenTCP(ctx context.Context, a netip.Addr) (l net.Listener, err error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false) // Go's default; plain TCP is what is measured
	err = n.inNet(func() error {
		l, err = c.Listen(ctx, "tcp", netip.AddrPortFrom(a, 0).String())
		return err
	})
	return l, err
}

// dialTCP connects from one of the node's addresses. The connection is made on
// one thread: a numeric address of one family takes no resolver and no race.
func (n *Node) dialTCP(ctx context.Context, from netip.Addr, to string) (c net.Conn, err error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), FallbackDelay: -1}
	err = n.inNet(func() error {
		c, err = d.DialContext(ctx, "tcp", to)
		return err
	})
	return c, err
}
