package kernel_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a flow of numbered UDP packets, one each millisecond.
type stream struct {
	name string
	sent atomic.Int64
	mu   sync.Mutex
	seen map[int64]bool
	stop chan struct{}
	done sync.WaitGroup
}

// socketOptions are set on the sending socket.
type socketOptions struct {
	device string // SO_BINDTODEVICE, at both ends: the cable's
	peer   string
	mark   int // SO_MARK
}

func control(device string, mark int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		outer := c.Control(func(fd uintptr) {
			if device != "" {
				err = unix.BindToDevice(int(fd), device)
			}
			if mark != 0 && err == nil {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark)
			}
		})
		if err == nil {
			err = outer
		}
		return err
	}
}

// stream starts a flow between two nodes; it ends with the test.
func (m *machines) stream(t *testing.T, src, dst string, family int, o socketOptions) *stream {
	t.Helper()
	s := &stream{seen: map[int64]bool{}, stop: make(chan struct{}), name: fmt.Sprintf("%s to %s over IPv%d %+v", src, dst, 4+2*family, o)}
	var to net.PacketConn
	in(t, m.nodes[dst].ns, func() (err error) {
		lc := net.ListenConfig{Control: control(o.peer, 0)}
		to, err = lc.ListenPacket(t.Context(), "udp", net.JoinHostPort(m.identity(dst, family).String(), "0"))
		return err
	})
	var from net.Conn
	in(t, m.nodes[src].ns, func() (err error) {
		d := net.Dialer{Control: control(o.device, o.mark)}
		from, err = d.DialContext(t.Context(), "udp", to.LocalAddr().String())
		return err
	})
	s.done.Add(2)
	go func() {
		defer s.done.Done()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
			n := s.sent.Add(1)
			_, _ = from.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) // ICMP errors come back here
		}
	}()
	go func() {
		defer s.done.Done()
		var b [64]byte
		for {
			n, _, err := to.ReadFrom(b[:])
			if err != nil {
				return
			}
			if n == 8 {
				s.mu.Lock()
				s.seen[int64(binary.BigEndian.Uint64(b[:]))] = true
				s.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		close(s.stop)
		from.Close()
		to.Close()
		s.done.Wait()
	})
	return s
}

// lost returns how many of the packets sent after a and up to b did not come.
func (s *stream) lost(a, b int64) (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := a + 1; i <= b; i++ {
		if !s.seen[i] {
			n++
		}
	}
	return n
}

// flows waits until n packets sent from now on have come, and says whether they
// have within the time.
func (s *stream) flows(n int64, within time.Duration) bool {
	start := s.sent.Load()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if now := s.sent.Load(); now-start-s.lost(start, now) >= n {
			return true
		}
	}
	return false
}

func allFlow(t *testing.T, when string, streams []*stream) {
	t.Helper()
	for _, s := range streams {
		if !s.flows(20, 10*time.Second) {
			t.Errorf("%s: nothing comes from %s", when, s.name)
		}
	}
}

// noneFlows checks that of what is sent for a fifth of a second nothing comes.
func noneFlows(t *testing.T, when string, streams []*stream) {
	t.Helper()
	start := make([]int64, len(streams))
	for i, s := range streams {
		start[i] = s.sent.Load() + 5 // what is under way may come
	}
	time.Sleep(200 * time.Millisecond)
	for i, s := range streams {
		if now := s.sent.Load(); s.lost(start[i], now) < now-start[i] || now-start[i] < 10 {
			t.Errorf("%s: %d of %d packets of %s came", when, now-start[i]-s.lost(start[i], now), now-start[i], s.name)
		}
	}
}

// conversation is a TCP connection over which numbers go to and fro.
type conversation struct {
	turns atomic.Int64
	err   atomic.Pointer[error]
}

func (m *machines) converse(t *testing.T, src, dst string, family int) *conversation {
	t.Helper()
	c := &conversation{}
	var l net.Listener
	in(t, m.nodes[dst].ns, func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(m.identity(dst, family).String(), "0"))
		return err
	})
	var from net.Conn
	in(t, m.nodes[src].ns, func() (err error) {
		from, err = net.Dial("tcp", l.Addr().String())
		return err
	})
	to, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Add(2)
	go func() { defer done.Done(); _, _ = io.Copy(to, to) }()
	go func() {
		defer done.Done()
		out, back := make([]byte, 8), make([]byte, 8)
		for n := int64(1); ; n++ {
			binary.BigEndian.PutUint64(out, uint64(n))
			_, err := from.Write(out)
			if err == nil {
				_, err = io.ReadFull(from, back)
			}
			if err == nil && !slices.Equal(out, back) {
				err = fmt.Errorf("sent %x, got %x", out, back)
			}
			if err != nil {
				c.err.Store(&err)
				return
			}
			c.turns.Store(n)
			time.Sleep(time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		from.Close()
		to.Close()
		l.Close()
		done.Wait()
	})
	return c
}

// goesOn waits for ten more turns.
func (c *conversation) goesOn(t *testing.T, when string) {
	t.Helper()
	start := c.turns.Load()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c.turns.Load() >= start+10 {
			return
		}
		if err := c.err.Load(); err != nil {
			t.Fatalf("%s: the connection broke: %v", when, *err)
		}
	}
	t.Fatalf("%s: the connection stands still", when)
}
