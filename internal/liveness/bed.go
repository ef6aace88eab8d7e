package liveness

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inKernel is how a real-time thread sleeps: it runs again as soon as the kernel says so.
type inKernel struct{}

func (inKernel) sleep(p *poller, most time.Duration) {
	ts := unix.NsecToTimespec(most.Nanoseconds())
	_, _ = unix.Ppoll([]unix.PollFd{{Fd: int32(p.epoll), Events: unix.POLLIN}}, &ts, nil)
	p.look()
}

func (inKernel) close(p *poller) { unix.Close(p.epoll) }

// parked is how a goroutine sleeps that has no thread of its own: in the one epoll_wait
// in which Go's runtime sleeps anyway, to which the poller is one descriptor more.
// The time comes from a timerfd in the poller, since the runtime rounds its own down to
// milliseconds, wakes too early for them and then once more, and sysmon with each.
type parked struct {
	timer int
	file  *os.File // the poller's descriptor
	conn  syscall.RawConn
	look  func(uintptr) bool
}

// newParked takes over the descriptor of the poller, also when it fails.
func newParked(p *poller) (*parked, error) {
	b := &parked{look: func(uintptr) bool { return p.look() }}
	var err error
	if b.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		unix.Close(p.epoll)
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	// This tells NewFile that the runtime may poll it.
	err = os.NewSyscallError("fcntl", unix.SetNonblock(p.epoll, true))
	b.file = os.NewFile(uintptr(p.epoll), "epoll")
	if err == nil {
		err = p.add(b.timer)
	}
	if err == nil {
		err = b.file.SetReadDeadline(time.Time{}) // refused where the runtime does not poll it
	}
	if err == nil {
		b.conn, err = b.file.SyscallConn()
	}
	if err != nil {
		b.close(p)
		return nil, fmt.Errorf("sleep in Go's poller: %w", err)
	}
	return b, nil
}

func (b *parked) sleep(_ *poller, most time.Duration) {
	// Zero would disarm it. To set it takes back that it has expired.
	t := unix.ItimerSpec{Value: unix.NsecToTimespec(max(most.Nanoseconds(), 1))}
	_, _, _ = unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(b.timer), 0, uintptr(unsafe.Pointer(&t)), 0, 0, 0)
	if err := b.conn.Read(b.look); err != nil {
		time.Sleep(most) // no such error is known, but the loop must not spin
	}
}

func (b *parked) close(*poller) {
	unix.Close(b.timer)
	b.file.Close()
}
