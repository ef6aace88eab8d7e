package bench

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tcpPair returns both ends of a connection over loopback.
func tcpPair(t *testing.T) (near, far *socket) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ends := [2]*socket{}
	for i, c := range []net.Conn{out, in} {
		if ends[i], err = blocking(c.(*net.TCPConn)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(ends[i].close)
	}
	return ends[0], ends[1]
}

// start runs a stream until the test ends.
func start(t *testing.T, s *stream) {
	t.Helper()
	var stop atomic.Bool
	done := make(chan error, 1)
	go func() { done <- s.run(&stop) }()
	t.Cleanup(func() {
		stop.Store(true)
		s.sock.shut()
		t.Logf("the stream ended: %v", <-done)
	})
}

// soon waits until is.
func soon(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

// A sender whose peer takes nothing fills what may be on its way, and little more.
func TestSenderKeepsItsQueueShort(t *testing.T) {
	near, _ := tcpPair(t)
	s := &stream{id: 1, sender: true, sock: near, test: Test{}.withDefaults()}
	start(t, s)
	queue := func(what uint) int {
		n, err := unix.IoctlGetInt(near.fd, what)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	last, since := 0, time.Now()
	soon(t, "the queue stops growing", func() bool {
		if n := queue(unix.SIOCOUTQ); n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) > 3*stopGrain
	})
	// The kernel looks before it adds a packet, which holds 64 KiB.
	if n := queue(unix.SIOCOUTQNSD); n == 0 || n > unsentSize+64<<10 {
		t.Errorf("%d bytes wait to be sent, want at most %d and a packet", n, unsentSize)
	}
}

// A receiver counts what has come although it is less than it wants to be woken for.
func TestReceiverCountsLittle(t *testing.T) {
	near, far := tcpPair(t)
	s := &stream{id: 1, sock: far, test: Test{}.withDefaults()}
	start(t, s)
	for _, n := range []int64{1000, 2000} {
		if _, errno := near.put(make([]byte, 1000)); errno != 0 {
			t.Fatal(errno)
		}
		soon(t, "the bytes are counted", func() bool { return s.count.bytes.Load() == n })
	}
	limit, err := unix.GetsockoptTimeval(far.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO)
	if err != nil || time.Duration(limit.Nano()) > 2*wakeGrain {
		t.Errorf("it looks every %v (%v), want %v", time.Duration(limit.Nano()), err, wakeGrain)
	}
}
