package kernel

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// groups are the rtnetlink multicast groups that tell of what Snapshot reads.
// Sysctls have none of their own that would matter here.
var groups = []uint{
	unix.RTNLGRP_LINK,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
	unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE,
}

// reopenPause keeps a socket that dies at once from taking a processor.
const reopenPause = 100 * time.Millisecond

// Watch returns a channel that gets a value some time after anything in the
// namespace has changed. Many changes may give one value, and changes of our own
// give values too: a value says "look again", nothing more. The first value
// comes at once. The channel is closed when ctx is done or the Kernel closed.
func (k *Kernel) Watch(ctx context.Context) (<-chan struct{}, error) {
	wake, err := k.watch(ctx, k.subscribe, anything)
	if err != nil {
		return nil, fmt.Errorf("kernel: watch: %w", err)
	}
	return wake, nil
}

func anything([]syscall.NetlinkMessage) bool { return true }

// watch is Watch with a way to open a socket, again whenever one dies, and a choice
// of messages that matter.
func (k *Kernel) watch(ctx context.Context, subscribe func(context.Context) (*nl.NetlinkSocket, error), matters func([]syscall.NetlinkMessage) bool) (<-chan struct{}, error) {
	s, err := subscribe(ctx)
	if err != nil {
		return nil, err
	}
	wake := make(chan struct{}, 1)
	wake <- struct{}{}
	go func() {
		defer close(wake)
		for {
			k.listen(ctx, s, wake, matters)
			for s = nil; s == nil; {
				select {
				case <-ctx.Done():
					return
				case <-k.closed:
					return
				case <-time.After(reopenPause):
				}
				s, _ = subscribe(ctx) // fails again until it works, or we are told to stop
			}
			signal(wake) // whatever happened meanwhile was not heard
		}
	}()
	return wake, nil
}

func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default: // one is waiting already
	}
}

// subscribe opens a socket on the thread, and so in the namespace.
func (k *Kernel) subscribe(ctx context.Context) (s *nl.NetlinkSocket, err error) {
	err = k.do(ctx, func() (err error) {
		s, err = nl.Subscribe(unix.NETLINK_ROUTE, groups...)
		return err
	})
	return s, err
}

// listen signals what matters until the socket dies, ctx is done or the Kernel
// closed, and closes the socket.
func (k *Kernel) listen(ctx context.Context, s *nl.NetlinkSocket, wake chan<- struct{}, matters func([]syscall.NetlinkMessage) bool) {
	heard := make(chan struct{})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		select {
		case <-ctx.Done():
		case <-k.closed:
		case <-heard:
		}
		s.Close() // ends a Receive under way
	}()
	defer func() { close(heard); <-closed }()
	for {
		// ENOBUFS: the kernel dropped messages, the socket lives on (netlink(7)).
		messages, _, err := s.Receive()
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		if err != nil || matters(messages) {
			signal(wake)
		}
	}
}
