package bench

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a stream does that is after the most that goes through. A call moves callSize
// bytes through a block of blockSize, over and over: few calls, and a block that
// stays in the first caches of a core.
const (
	callSize  = 2 << 20
	blockSize = 32 << 10
	// A receiver is woken for half a call. On a slow link, where that takes long, it
	// looks every wakeGrain, so that what it counted is never older.
	wakeSize  = callSize / 2
	wakeGrain = 10 * time.Millisecond
	// A sender is held back while this much waits that TCP may not send yet, where
	// the kernel would let megabytes pile up. The data is still in a cache when it
	// goes out, and under a congestion control that paces (BBR) it goes out in the
	// sender's own time: a full queue is emptied by a timer, once per 64 KiB. What is
	// on its way to the peer is not limited, however long the link. At 40 Gbit/s it
	// lasts for 50 µs: a sender on a core that sleeps has to wake up meanwhile.
	unsentSize = 256 << 10
)

// sendTCP writes until stop. The test's length is the size of a write, as in
// iperf3; with the default length several writes are one call.
func (s *stream) sendTCP(stop *atomic.Bool) error {
	if s.test.ZeroCopy {
		return s.sendFile(stop)
	}
	if s.unlimited() {
		// Without it the test is the same, at a higher cost.
		_ = unix.SetsockoptInt(s.sock.fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentSize)
	}
	iov := s.vectors()
	pace := newPacer(s.test.Rate)
	for !stop.Load() {
		if !pace.due() {
			continue
		}
		n, errno := s.sock.transfer(unix.SYS_WRITEV, iov)
		if errno == 0 {
			s.count.bytes.Add(int64(n))
			pace.add(n)
		} else if !pauses(errno) {
			return fmt.Errorf("stream %d: send: %w", s.id, errno)
		}
	}
	return nil
}

// sendFile sends the pages of a file in memory: the kernel copies nothing here.
func (s *stream) sendFile(stop *atomic.Bool) error {
	file, err := unix.MemfdCreate("usb4mesh-bench", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("stream %d: memfd: %w", s.id, err)
	}
	defer unix.Close(file)
	size := max(s.test.Length, DefaultLength)
	if _, err := unix.Write(file, payload(size)); err != nil {
		return fmt.Errorf("stream %d: memfd: %w", s.id, err)
	}
	pace := newPacer(s.test.Rate)
	for !stop.Load() {
		if !pace.due() {
			continue
		}
		var offset int64
		n, err := unix.Sendfile(s.sock.fd, file, &offset, size)
		if n > 0 {
			pace.add(n)
			s.count.bytes.Add(int64(n))
		}
		if err != nil && !pauses(err) {
			return fmt.Errorf("stream %d: sendfile: %w", s.id, err)
		}
	}
	return nil
}

// receiveTCP reads until stop or the end of the stream.
func (s *stream) receiveTCP(stop *atomic.Bool) error {
	iov := s.vectors()
	if s.unlimited() {
		grain := unix.NsecToTimeval(int64(wakeGrain))
		if err := unix.SetsockoptTimeval(s.sock.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &grain); err != nil {
			return fmt.Errorf("stream %d: receive timeout: %w", s.id, err)
		}
		// Without it the test is the same, with more wake-ups.
		_ = unix.SetsockoptInt(s.sock.fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, wakeSize)
	}
	for !stop.Load() {
		var n int
		var errno syscall.Errno
		if s.test.SkipCopy {
			n, errno = s.sock.discard(callSize)
		} else {
			n, errno = s.sock.transfer(unix.SYS_READV, iov)
		}
		switch {
		case errno == 0 && n == 0:
			return nil
		case errno == 0:
			s.count.bytes.Add(int64(n))
		case !pauses(errno):
			return fmt.Errorf("stream %d: receive: %w", s.id, errno)
		}
	}
	return nil
}

// unlimited reports whether the test is after the most that goes through.
func (s *stream) unlimited() bool { return s.test.Length == DefaultLength && s.test.Rate == 0 }

// vectors returns what one call transfers.
func (s *stream) vectors() []unix.Iovec {
	if s.unlimited() {
		return vector(payload(blockSize), callSize/blockSize)
	}
	return vector(payload(s.test.Length), 1)
}

// discard receives up to n bytes and drops them in the kernel.
func (s *socket) discard(n int) (int, syscall.Errno) {
	r, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(nil)), uintptr(n), unix.MSG_TRUNC, 0, 0)
	return int(r), errno
}
