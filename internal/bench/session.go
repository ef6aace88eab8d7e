package bench

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// session is one test, seen from the server.
type session struct {
	server   *Server
	control  control
	cookie   [cookieSize]byte
	from     netip.Addr
	test     Test
	wide     bool
	open     bool // streams are awaited; guarded by server.mu
	incoming chan arrival
	streams  []*stream
	udp      *net.UDPConn // where the next UDP stream is awaited
	echo     *socket
}

// iperf3's number for "unable to receive parameters" (iperf_api.h).
const errReceiveParams = 114

// take accepts a connection as a stream of this test. server.mu is held.
func (s *session) take(conn arrival, cookie [cookieSize]byte, from netip.Addr) bool {
	if !s.open || from != s.from || subtle.ConstantTimeCompare(cookie[:], s.cookie[:]) != 1 {
		return false
	}
	select {
	case s.incoming <- conn:
		return true
	default:
		return false
	}
}

func (s *session) run(ctx context.Context) error {
	defer s.control.Close()
	defer s.drop()
	r, err := s.serve(ctx)
	e := Event{Client: s.from, Test: s.test, Err: err}
	if err == nil {
		e.Result = &r
	} else {
		e.Err = fmt.Errorf("test of %s: %w", s.from, err)
	}
	s.server.event(e)
	return e.Err
}

// drop closes what nobody needs any more.
func (s *session) drop() {
	s.await(false)
	if s.udp != nil {
		s.udp.Close()
	}
	for {
		select {
		case c := <-s.incoming:
			c.Close()
		default:
			return
		}
	}
}

func (s *session) await(open bool) {
	s.server.mu.Lock()
	s.open = open
	s.server.mu.Unlock()
}

func (s *session) serve(ctx context.Context) (Result, error) {
	c := s.control
	c.deadline(patience)
	if err := c.say(paramExchange); err != nil {
		return Result{}, err
	}
	var p parameters
	err := c.readJSON(&p, maxParams)
	if err == nil {
		s.test, err = p.test()
		s.wide = bool(p.Counters64)
	}
	if err != nil {
		s.refuse(syscall.EINVAL)
		return Result{}, err
	}
	s.test.Interval = MaxDuration // the client reports
	s.server.event(Event{Client: s.from, Test: s.test})
	if err := s.connect(ctx); err != nil {
		for _, st := range s.streams {
			st.sock.close()
		}
		if s.echo != nil {
			s.echo.close()
		}
		s.refuse(syscall.EINVAL)
		return Result{}, err
	}
	return s.measure(ctx)
}

// refuse tells the client that the test will not be.
func (s *session) refuse(e syscall.Errno) {
	code := int8(serverError)
	b := binary.BigEndian.AppendUint32([]byte{byte(code)}, errReceiveParams)
	_, _ = s.control.Write(binary.BigEndian.AppendUint32(b, uint32(e))) // it hears it or not
}

// connect says that streams may come and waits for all of them.
func (s *session) connect(ctx context.Context) error {
	receives, sends := s.test.directions() // of the client
	n := receives + sends
	add := func(sock *socket) {
		i := len(s.streams)
		s.streams = append(s.streams, &stream{id: streamID(i), sender: i >= receives, sock: sock, test: s.test, wide: s.wide})
	}
	if s.test.UDP || s.test.Echo {
		var err error
		if s.udp, err = s.listenUDP(ctx); err != nil {
			return err
		}
	}
	if !s.test.UDP {
		s.await(true)
	}
	if err := s.control.say(createStreams); err != nil {
		return err
	}
	if !s.test.UDP {
		if err := s.gather(ctx, n, add); err != nil {
			return err
		}
	}
	for s.test.UDP && len(s.streams) < n {
		last := len(s.streams) == n-1
		sock, err := s.acceptUDP(ctx, nil, last)
		if err != nil {
			return err
		}
		add(sock)
	}
	if s.test.Echo {
		var err error
		if s.echo, err = s.acceptUDP(ctx, s.cookie[:], true); err != nil {
			return fmt.Errorf("echo: %w", err)
		}
	}
	for _, st := range []state{testStart, testRunning} {
		if err := s.control.say(st); err != nil {
			return err
		}
	}
	return nil
}

// gather waits for n TCP streams and adds them in the order in which they came.
func (s *session) gather(ctx context.Context, n int, add func(*socket)) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	var came []arrival
	defer func() {
		for _, a := range came {
			a.Close() // those that were added are not in came any more
		}
	}()
	for len(came) < n {
		select {
		case a := <-s.incoming:
			came = append(came, a)
		case <-limit.C:
			return fmt.Errorf("%d of %d streams came within %s", len(came), n, patience)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	slices.SortFunc(came, func(a, b arrival) int { return cmp.Compare(a.place, b.place) })
	for len(came) > 0 {
		sock, err := blocking(came[0])
		came = came[1:]
		if err != nil {
			return err
		}
		add(sock)
		if err := s.test.setOptions(sock.fd, true); err != nil {
			return err
		}
	}
	return nil
}

// listenUDP opens a UDP socket on the address and port that the client knows.
func (s *session) listenUDP(ctx context.Context) (*net.UDPConn, error) {
	at := s.control.LocalAddr().(*net.TCPAddr).AddrPort()
	c := net.ListenConfig{Control: func(n, a string, raw syscall.RawConn) error {
		var inner error
		// Streams that are connected already stand on the same port.
		err := raw.Control(func(fd uintptr) {
			inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		})
		return errors.Join(err, inner, s.test.controlOptions(false)(n, a, raw))
	}}
	p, err := c.ListenPacket(ctx, network("udp", at.Addr()), at.String())
	if err != nil {
		return nil, err
	}
	return p.(*net.UDPConn), nil
}

// acceptUDP waits for the first datagram of a stream and answers it. Unless it is
// the last stream, the socket for the next one is opened before the answer goes
// out. The cookie, if any, must follow the greeting.
func (s *session) acceptUDP(ctx context.Context, cookie []byte, last bool) (*socket, error) {
	from, err := s.greeted(s.udp, cookie)
	if err != nil {
		return nil, err
	}
	if err := connectUDP(s.udp, from); err != nil {
		return nil, err
	}
	sock, err := blocking(s.udp)
	if err != nil {
		return nil, err
	}
	if !last {
		if s.udp, err = s.listenUDP(ctx); err != nil {
			sock.close()
			return nil, err
		}
	}
	answerGreeting(sock)
	return sock, nil
}

// greeted waits for the greeting; anybody else's datagrams are dropped. Meanwhile
// streams that are there already may ask again, if our answer to them got lost.
func (s *session) greeted(l *net.UDPConn, cookie []byte) (netip.AddrPort, error) {
	b := make([]byte, 128)
	for begin := time.Now(); ; {
		_ = l.SetReadDeadline(time.Now().Add(stopGrain)) // of a live socket
		n, from, err := l.ReadFromUDPAddrPort(b)
		if errors.Is(err, os.ErrDeadlineExceeded) && time.Since(begin) < patience {
			for _, st := range s.streams {
				if n, _, err := unix.Recvfrom(st.sock.fd, b, unix.MSG_DONTWAIT); err == nil && isGreeting(b[:n]) {
					answerGreeting(st.sock)
				}
			}
			continue
		}
		if err != nil {
			return from, fmt.Errorf("no greeting over UDP: %w", err)
		}
		if from.Addr().Unmap() != s.from || n < 4 {
			continue
		}
		if cookie == nil || subtle.ConstantTimeCompare(b[4:n], cookie) == 1 {
			return from, nil
		}
	}
}

// connectUDP ties a listening socket to one peer.
func connectUDP(l *net.UDPConn, to netip.AddrPort) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var sa unix.Sockaddr
	if a := to.Addr().Unmap(); a.Is4() {
		sa = &unix.SockaddrInet4{Port: int(to.Port()), Addr: a.As4()}
	} else {
		six := &unix.SockaddrInet6{Port: int(to.Port()), Addr: a.As16()}
		if zone := a.Zone(); zone != "" {
			i, err := net.InterfaceByName(zone)
			if err != nil {
				return err
			}
			six.ZoneId = uint32(i.Index)
		}
		sa = six
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = unix.Connect(int(fd), sa) }); err != nil {
		return err
	}
	return inner
}

// measure lets data flow until the client ends the test.
func (s *session) measure(ctx context.Context) (Result, error) {
	c := s.control
	limit := s.test.Omit + s.test.Duration + patience
	c.deadline(limit + patience)
	g := newGroup(s.streams)
	defer g.close()
	m := &meter{test: s.test, group: g, atServer: true}
	if s.echo != nil {
		var stop atomic.Bool
		done := make(chan struct{})
		roomFor(1)
		go func() {
			defer close(done)
			runtime.LockOSThread() // never unlocked: the thread ends here
			serveEcho(s.echo, &stop)
		}()
		defer func() {
			stop.Store(true)
			<-done
			s.echo.close()
		}()
	}
	said, heard := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(heard)
		said <- c.expect(testEnd)
	}()
	unhook := context.AfterFunc(ctx, func() { c.Close() })
	defer unhook()
	g.start()
	ended := m.run(heard, nil, limit)
	g.halt()
	m.stop()
	if !ended {
		return Result{}, fmt.Errorf("the client did not end its test within %s", limit)
	}
	if err := <-said; err != nil {
		select {
		case cause := <-g.failed:
			err = fmt.Errorf("%w (%w)", err, cause)
		default:
		}
		return Result{}, err
	}
	// Before iperf3 goes on it may wait for the rest of a block, or for the end.
	g.close()
	c.deadline(patience)
	if err := c.say(exchangeResults); err != nil {
		return Result{}, err
	}
	var theirs results
	if err := c.readJSON(&theirs, maxResults); err != nil {
		return Result{}, fmt.Errorf("results: %w", err)
	}
	if err := theirs.check(len(s.streams)); err != nil {
		return Result{}, err
	}
	ours := m.results()
	if err := c.sendJSON(ours); err != nil {
		return Result{}, err
	}
	if err := c.say(displayResults); err != nil {
		return Result{}, err
	}
	// iperf3 says IPERF_DONE, or just closes.
	_, _ = c.hear()
	return m.result(ours, theirs), nil
}
