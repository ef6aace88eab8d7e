package hw

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Watch delivers the kernel's events about USB4 links until ctx ends, when it closes
// the channel. Events only wake: when the kernel dropped some because nobody read
// them, an event with the action "overflow" comes instead, and the reader scans anew.
func Watch(ctx context.Context) (<-chan Uevent, error) { return watch(ctx, Uevent.About) }

func watch(ctx context.Context, keep func(Uevent) bool) (<-chan Uevent, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("socket for device events: %w", err)
	}
	// Group 1 is the kernel's own; group 2 is udev's, after its rules ran.
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listening for device events: %w", err)
	}
	// A pipe ends the wait: closing a socket does not wake who polls it.
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("pipe: %w", err)
	}
	out := make(chan Uevent, 64)
	stop := context.AfterFunc(ctx, func() { _ = unix.Close(pipe[1]) })
	go func() {
		defer close(out)
		defer unix.Close(fd)
		defer unix.Close(pipe[0])
		defer func() {
			if stop() { // ended by an error, not by ctx
				_ = unix.Close(pipe[1])
			}
		}()
		listen(ctx, fd, pipe[0], keep, out)
	}()
	return out, nil
}

func listen(ctx context.Context, fd, end int, keep func(Uevent) bool, out chan<- Uevent) {
	buf := make([]byte, ueventLimit+1)
	for {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(end), Events: unix.POLLIN}}
		if _, err := unix.Poll(polled, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if polled[1].Revents != 0 {
			return
		}
		n, from, err := unix.Recvfrom(fd, buf, 0)
		var e Uevent
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			e = Uevent{Action: "overflow"}
		case err != nil:
			return
		default:
			// Any process may write to the group; port 0 is the kernel.
			if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
				continue
			}
			if e, err = ParseUevent(buf[:n]); err != nil || !keep(e) {
				continue
			}
		}
		select {
		case out <- e:
		case <-ctx.Done():
			return
		}
	}
}
