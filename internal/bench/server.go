package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// pendingLimit bounds connections that have not said yet which test they are of.
const pendingLimit = 2*MaxStreams + 16

// Server answers tests, one at a time. The zero value listens nowhere.
type Server struct {
	Bind  []netip.Addr // addresses to listen on; IPv6 link-local ones with their zone
	Port  uint16       // 0 lets the kernel choose one
	Once  bool         // end after the first test
	Allow func(netip.Addr) bool
	// Event is called for each test: when it begins and when it has ended.
	Event func(Event)

	listeners []net.Listener
	mu        sync.Mutex
	current   *session
	pending   chan struct{}
	accepted  atomic.Int64
	work      sync.WaitGroup
}

// Event is a line of the server's log.
type Event struct {
	Client netip.Addr
	Test   Test
	Result *Result // of a test that ended well
	Err    error   // of one that did not
}

// Listen opens the sockets and returns their addresses.
func (s *Server) Listen(ctx context.Context) ([]netip.AddrPort, error) {
	if len(s.Bind) == 0 {
		return nil, errors.New("bench server: no address to listen on")
	}
	s.pending = make(chan struct{}, pendingLimit)
	var all []netip.AddrPort
	var c net.ListenConfig
	c.SetMultipathTCP(false) // plain TCP is what is measured
	for _, a := range s.Bind {
		l, err := c.Listen(ctx, network("tcp", a), netip.AddrPortFrom(a, s.Port).String())
		if err != nil {
			s.close()
			return nil, fmt.Errorf("bench server: %w", err)
		}
		at := l.Addr().(*net.TCPAddr).AddrPort()
		s.Port = at.Port() // one port for all addresses
		s.listeners = append(s.listeners, l)
		all = append(all, at)
	}
	return all, nil
}

func (s *Server) close() {
	for _, l := range s.listeners {
		l.Close()
	}
}

// Serve answers tests until ctx ends or, with Once, one test has ended. It returns
// the error of that test.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	unhook := context.AfterFunc(ctx, s.close)
	defer unhook()
	once := make(chan error, 1)
	if s.Once {
		defer func() { s.Once = false }()
	}
	var accepting sync.WaitGroup
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		accepting.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						failed <- fmt.Errorf("bench server: %w", err)
					}
					return
				}
				s.admit(ctx, arrival{conn.(*net.TCPConn), s.accepted.Add(1)}, func(err error) {
					if s.Once {
						select {
						case once <- err:
						default:
						}
					}
				})
			}
		})
	}
	var err error
	select {
	case err = <-once:
	case err = <-failed:
	case <-ctx.Done():
	}
	cancel()
	s.close()
	accepting.Wait()
	s.work.Wait()
	return err
}

// arrival is a connection with its place in the order in which connections came. The
// order of its streams is all by which a client says what each is for.
type arrival struct {
	*net.TCPConn
	place int64
}

// admit takes a connection in, if there is room for it and its address may.
func (s *Server) admit(ctx context.Context, conn arrival, ended func(error)) {
	from := peer(conn)
	if s.Allow != nil && !s.Allow(from) {
		_ = control{conn}.say(accessDenied) // it hears it or not
		conn.Close()
		return
	}
	select {
	case s.pending <- struct{}{}:
	default:
		conn.Close()
		return
	}
	s.work.Go(func() {
		unhook := context.AfterFunc(ctx, func() { conn.Close() })
		defer unhook()
		c := control{conn}
		c.deadline(patience)
		var cookie [cookieSize]byte
		_, err := io.ReadFull(c, cookie[:])
		<-s.pending
		if err != nil {
			conn.Close()
			return
		}
		own, taken := s.claim(c, cookie, from)
		switch {
		case own != nil:
			err := own.run(ctx)
			s.release()
			ended(err)
		case taken: // a stream; its test closes it
		default:
			_ = c.say(accessDenied) // it hears it or not
			conn.Close()
		}
	})
}

// claim makes the connection the control connection of a new test, or hands it to
// the running one as a stream.
func (s *Server) claim(c control, cookie [cookieSize]byte, from netip.Addr) (own *session, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		s.current = &session{server: s, control: c, cookie: cookie, from: from, incoming: make(chan arrival, 2*MaxStreams)}
		return s.current, false
	}
	return nil, s.current.take(c.Conn.(arrival), cookie, from)
}

func (s *Server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = nil
}

func (s *Server) event(e Event) {
	if s.Event != nil {
		s.Event(e)
	}
}

func peer(c net.Conn) netip.Addr { return c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap() }
