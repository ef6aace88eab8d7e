package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Client is where tests go. Zero fields but Server are left to the kernel.
type Client struct {
	Server netip.AddrPort
	From   netip.Addr // source address of all connections
	// Report is called at the end of each interval.
	Report func(Interval)
}

// Run makes one test. It ends early with ctx, with an error.
func (c Client) Run(ctx context.Context, t Test) (Result, error) {
	return c.run(ctx, t, 0)
}

// Latency measures round trips of small datagrams for d, with nothing beside them;
// spacing is that of Test.
func (c Client) Latency(ctx context.Context, d, spacing time.Duration) (Distribution, error) {
	r, err := c.run(ctx, Test{Echo: true, noStreams: true, Duration: d, Spacing: spacing}, 0)
	if err != nil || r.Latency == nil || r.Latency.Idle == nil {
		return Distribution{}, err
	}
	return *r.Latency.Idle, nil
}

// PathMTU finds the largest IP packet that reaches the server unfragmented, up to
// most bytes.
func (c Client) PathMTU(ctx context.Context, most int) (PathMTU, error) {
	r, err := c.run(ctx, Test{Echo: true, noStreams: true, Duration: patience}, most)
	if err != nil || r.PathMTU == nil {
		return PathMTU{}, err
	}
	return *r.PathMTU, nil
}

func (c Client) run(ctx context.Context, t Test, search int) (Result, error) {
	t = t.withDefaults()
	if err := t.check(); err != nil {
		return Result{}, err
	}
	if t.noStreams {
		c.Report = nil
	}
	var r Result
	var err error
	for range busyTries {
		s := &clientSession{Client: c, test: t, cookie: newCookie(), search: search}
		if r, err = s.run(ctx); !errors.Is(err, ErrBusy) {
			break
		}
		select {
		case <-time.After(busyPause): // the test before may be about to end
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if err != nil {
		return r, fmt.Errorf("bench %s: %w", c.Server, err)
	}
	return r, nil
}

// How often, and after how long, a busy server is asked again.
const (
	busyTries = 8
	busyPause = 100 * time.Millisecond
)

// clientSession is one test, seen from the client.
type clientSession struct {
	Client
	test    Test
	cookie  [cookieSize]byte
	control control
	streams []*stream
	echo    *prober
	search  int // largest packet to try, instead of measuring latency; 0 for none
}

func (s *clientSession) run(ctx context.Context) (Result, error) {
	d := net.Dialer{Timeout: patience}
	conn, err := s.dial(ctx, d, "tcp")
	if err != nil {
		return Result{}, err
	}
	s.control = control{conn}
	defer conn.Close()
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	defer unhook()
	if err := s.open(ctx); err != nil {
		for _, st := range s.streams {
			st.sock.close()
		}
		if s.echo != nil {
			s.echo.close()
		}
		return Result{}, err
	}
	return s.measure(ctx)
}

// open goes through the handshake up to the moment when data may flow.
func (s *clientSession) open(ctx context.Context) error {
	c := s.control
	c.deadline(patience)
	if _, err := c.Write(s.cookie[:]); err != nil {
		return err
	}
	if err := c.expect(paramExchange); err != nil {
		return err
	}
	if err := c.sendJSON(s.test.parameters()); err != nil {
		return err
	}
	if err := c.expect(createStreams); err != nil {
		return err
	}
	sends, receives := s.test.directions()
	for i := range sends + receives {
		sock, err := s.connect(ctx)
		if err != nil {
			_ = c.say(clientTerminate)
			return fmt.Errorf("stream %d: %w", streamID(i), err)
		}
		s.streams = append(s.streams, &stream{id: streamID(i), sender: i < sends, sock: sock, test: s.test, wide: true})
	}
	if s.test.Echo {
		echo, err := s.dialEcho(ctx)
		if err != nil {
			_ = c.say(clientTerminate)
			return err
		}
		s.echo = echo
	}
	for _, want := range []state{testStart, testRunning} {
		if err := c.expect(want); err != nil {
			return err
		}
	}
	return nil
}

// measure lets data flow and exchanges what was counted.
func (s *clientSession) measure(ctx context.Context) (Result, error) {
	g := newGroup(s.streams)
	defer g.close()
	m := &meter{test: s.test, group: g, onReport: s.Report}
	limit := s.test.Omit + s.test.Duration
	s.control.deadline(limit + 2*patience)

	// One byte comes: the answer to our TEST_END, or bad news before it.
	type word struct {
		state state
		err   error
	}
	said, done := make(chan word, 2), make(chan struct{})
	go func() {
		st, err := s.control.hear()
		said <- word{st, err}
		close(done)
	}()
	stopped := make(chan struct{})
	go func() { // bad news, an error of a stream, or the caller's wish ends the test
		defer close(stopped)
		select {
		case <-done:
		case err := <-g.failed:
			said <- word{err: err}
			s.control.Close()
		case <-ctx.Done():
		}
	}()
	if s.echo != nil {
		defer s.echo.close()
		s.echo.start(s.test, s.search)
	}
	g.start()
	early := m.run(stopped, s.echo.finished(), s.test.Duration)
	g.halt()
	m.stop()
	if early {
		w := <-said
		if w.err == nil {
			w.err = s.control.explain(w.state, testEnd)
		}
		return Result{}, w.err
	}
	if err := s.control.say(testEnd); err != nil {
		return Result{}, err
	}
	w := <-said
	if w.err == nil {
		w.err = s.control.explain(w.state, exchangeResults)
	}
	if w.err != nil {
		return Result{}, w.err
	}
	ours := m.results()
	var theirs results
	if err := s.control.sendJSON(ours); err != nil {
		return Result{}, err
	}
	if err := s.control.readJSON(&theirs, maxResults); err != nil {
		return Result{}, fmt.Errorf("results: %w", err)
	}
	if err := theirs.check(len(s.streams)); err != nil {
		return Result{}, err
	}
	if err := s.control.expect(displayResults); err != nil {
		return Result{}, err
	}
	r := m.result(ours, theirs)
	if s.echo != nil {
		s.echo.close()
		r.Latency, r.PathMTU = s.echo.found(s.test)
	}
	return r, s.control.say(iperfDone)
}

// connect opens the socket of a stream.
func (s *clientSession) connect(ctx context.Context) (*socket, error) {
	d := net.Dialer{Timeout: patience, Control: s.test.controlOptions(!s.test.UDP)}
	if s.test.UDP {
		conn, err := s.dial(ctx, d, "udp")
		if err != nil {
			return nil, err
		}
		return greet(conn.(*net.UDPConn), nil)
	}
	conn, err := s.dial(ctx, d, "tcp")
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience)) // just connected
	if _, err := conn.Write(s.cookie[:]); err != nil {
		conn.Close()
		return nil, err
	}
	return blocking(conn.(*net.TCPConn))
}

func (s *clientSession) dial(ctx context.Context, d net.Dialer, proto string) (net.Conn, error) {
	if s.From.IsValid() {
		if proto == "tcp" {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.From, 0))
		} else {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.From, 0))
		}
	}
	conn, err := d.DialContext(ctx, network(proto, s.Server.Addr()), s.Server.String())
	if err != nil {
		return nil, fmt.Errorf("%w; does `usb4mesh bench server` or `iperf3 --server` run there?", err)
	}
	return conn, nil
}

// greet makes a UDP stream known to the server: a first datagram, and an answer.
// The datagram is repeated, since either may get lost on a bad link.
func greet(conn *net.UDPConn, cookie []byte) (*socket, error) {
	hello := binary.LittleEndian.AppendUint32(nil, connectMessage)
	hello = append(hello, cookie...)
	answer := make([]byte, 64)
	for wait, waited := 200*time.Millisecond, time.Duration(0); waited < patience; wait *= 2 {
		if _, err := conn.Write(hello); err != nil {
			conn.Close()
			return nil, err
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait)) // of a live socket
		n, err := conn.Read(answer)
		if err == nil && n >= 4 {
			// Data instead of the answer: that got lost, and the server has begun.
			if v := binary.LittleEndian.Uint32(answer); v == connectReply || v == legacyReply || cookie == nil {
				return blocking(conn)
			}
			continue
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			conn.Close()
			return nil, fmt.Errorf("no answer over UDP: %w", err)
		}
		waited += wait
	}
	conn.Close()
	return nil, fmt.Errorf("no answer over UDP within %s", patience)
}
