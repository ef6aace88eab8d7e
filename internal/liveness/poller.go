package liveness

import (
	"os"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is a set of descriptors, and sleeps until one of them can be read. A descriptor
// leaves the set when it is closed.
//
// Its system calls, and all others that the loop makes all the time, take microseconds and
// never wait; so they are made without telling Go's scheduler. Telling it would wake
// sysmon, the runtime's own watch, which then looks every 20 µs for a millisecond whether the
// call has come back: that takes as much of a core as all the sessions do.
type poller struct {
	epoll  int
	bed    bed
	events [64]unix.EpollEvent // more are told the next time
	ready  int                 // of events
}

// bed is a way to sleep until some descriptor of a poller can be read, or for so long.
// It may end too early, and looks when it ends.
type bed interface {
	sleep(p *poller, most time.Duration)
	close(p *poller)
}

// newPoller returns an empty set. Its sleep is that of the calling thread or, if that is
// not to be kept, of the goroutine.
func newPoller(thread bool) (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	p := &poller{epoll: epoll, bed: inKernel{}}
	if thread {
		return p, nil
	}
	if p.bed, err = newParked(p); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *poller) close() { p.bed.close(p) }

// add puts a descriptor into the set.
func (p *poller) add(fd int) error { return p.control(unix.EPOLL_CTL_ADD, fd) }

// remove takes it out.
func (p *poller) remove(fd int) error { return p.control(unix.EPOLL_CTL_DEL, fd) }

func (p *poller) control(op, fd int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// sleep returns when a descriptor can be read, or the time is over.
func (p *poller) sleep(most time.Duration) { p.bed.sleep(p, max(most, 0)) }

// look finds out which descriptors can be read now, and whether there is one.
func (p *poller) look() bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if p.ready = int(n); errno != 0 {
		p.ready = 0
	}
	return p.ready > 0
}

// readable tells whether a descriptor could be read after the sleep.
func (p *poller) readable(fd int) bool {
	return slices.ContainsFunc(p.events[:p.ready], func(e unix.EpollEvent) bool { return e.Fd == int32(fd) })
}
