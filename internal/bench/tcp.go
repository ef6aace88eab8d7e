package bench

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A call moves callSize bytes through a block of blockSize, over and over: few
// calls, and a block that stays in the first caches of a core.
const (
	callSize  = 1 << 20
	blockSize = 32 << 10
	// A receiver of as much as comes is woken for half a call, or after stopGrain.
	wakeSize = callSize / 2
)

// sendTCP writes until stop. The test's length is the size of a write, as in
// iperf3; with the default length several writes are one call.
func (s *stream) sendTCP(stop *atomic.Bool) error {
	if s.test.ZeroCopy {
		return s.sendFile(stop)
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
