// Package kernel is the one door through which usb4mesh reads and writes the
// network configuration of a Linux network namespace.
//
// A Kernel belongs to one namespace. Snapshot reads it into a mesh.State, Apply
// carries out the changes that mesh.Diff computed, Watch tells when to look
// again, and Converge ties these together. Apply does what it is told; what may
// be changed at all (ownership) is decided by mesh.Diff.
//
// Steer is the way out when there is no time for that: it takes packets off a
// link by a packet filter, which works while the rest of the kernel's network
// configuration is locked.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// ErrClosed is returned by a Kernel after Close.
var ErrClosed = errors.New("kernel: closed")

// Door is what Converge needs of a kernel: the real one or a fake.
type Door interface {
	// Snapshot returns what the kernel holds, foreign objects included.
	Snapshot(ctx context.Context) (mesh.State, error)
	// Apply carries out changes in order and goes on after a failure; the error
	// is then an *ApplyError.
	Apply(ctx context.Context, changes []mesh.Change) error
}

var _ Door = (*Kernel)(nil)

// Kernel is an open network namespace. Its methods may be called from any
// goroutine; they take turns, but for Steer and Unsteer, which wait for nobody
// else.
//
// All work is done on one OS thread that lives in the namespace: netlink sockets
// keep the namespace in which they were opened, but a path below /proc/sys/net
// means that of the thread that opens it (net/sysctl_net.c, net_ctl_header_lookup).
type Kernel struct {
	jobs   chan func()
	done   chan struct{} // closed when the thread has ended
	close  sync.Once
	closed chan struct{}

	steering steering // has a lock of its own

	// Used on the thread only.
	socket *nl.SocketHandle
	extra  map[string]bool // sysctls written by Apply beyond the ones Snapshot knows
}

// Open opens the network namespace of the calling thread. A caller that has
// entered a namespace must have locked its goroutine to the thread.
func Open() (*Kernel, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("kernel: find the network namespace: %w", err)
	}
	defer f.Close()
	return OpenNamespace(int(f.Fd()))
}

// OpenNamespace opens the network namespace that fd refers to. The fd is not
// needed any more once OpenNamespace has returned.
func OpenNamespace(fd int) (*Kernel, error) {
	k := &Kernel{
		jobs:   make(chan func()),
		done:   make(chan struct{}),
		closed: make(chan struct{}),
		extra:  map[string]bool{},
	}
	ready := make(chan error)
	go k.thread(fd, ready)
	if err := <-ready; err != nil {
		<-k.done
		return nil, fmt.Errorf("kernel: %w", err)
	}
	return k, nil
}

// thread runs jobs inside the namespace until Close. The OS thread is never
// unlocked, so it ends with the goroutine and no other code ever runs in the
// namespace by accident.
func (k *Kernel) thread(fd int, ready chan<- error) {
	defer close(k.done)
	runtime.LockOSThread()
	if err := k.enter(fd); err != nil {
		ready <- err
		return
	}
	defer k.socket.Close()
	ready <- nil
	for {
		select {
		case job := <-k.jobs:
			job()
		case <-k.closed:
			return
		}
	}
}

func (k *Kernel) enter(fd int) error {
	// Entering the namespace one is in already needs CAP_SYS_ADMIN as well, so
	// don't ask for what is given: an unprivileged reader may still look.
	if same, err := inNamespace(fd); err != nil {
		return fmt.Errorf("compare network namespaces: %w", err)
	} else if !same {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
	}
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open a route netlink socket: %w", err)
	}
	// The kernel's own words for a refusal; kernels before 4.12 have none.
	_ = s.SetExtAck(true)
	k.socket = &nl.SocketHandle{Socket: s}
	k.steering.open()
	return nil
}

func inNamespace(fd int) (bool, error) {
	var here, there unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &here); err != nil {
		return false, err
	}
	if err := unix.Fstat(fd, &there); err != nil {
		return false, err
	}
	return here.Dev == there.Dev && here.Ino == there.Ino, nil
}

// Close ends the thread and waits for a job under way. It may be called again.
func (k *Kernel) Close() error {
	k.close.Do(func() { close(k.closed) })
	err := k.steering.close()
	<-k.done
	return err
}

// do runs job on the thread and waits for it.
func (k *Kernel) do(ctx context.Context, job func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	result := make(chan error, 1)
	select {
	case k.jobs <- func() { result <- job() }:
		return <-result
	case <-k.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}
