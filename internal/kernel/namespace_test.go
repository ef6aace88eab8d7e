package kernel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
)

// namespace is a real kernel in a network namespace of its own. Ports are ends
// of veth pairs whose other ends lie in a second namespace, so that the node
// sees of a cable what it sees of a real one.
type namespace struct {
	*kernel.Kernel
	near, far       *os.File
	nearNet, farNet *netlink.Handle
}

var _ kerneltest.Fixture = (*namespace)(nil)

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	if noKernel != "" {
		t.Skip(noKernel)
	}
	n, err := openNamespace()
	if errors.Is(err, unix.EPERM) { // root of a container that may not
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func openNamespace() (n *namespace, err error) {
	n = &namespace{}
	for _, f := range []**os.File{&n.near, &n.far} {
		if *f, err = unshare(); err != nil {
			return nil, fmt.Errorf("make a network namespace: %w", err)
		}
	}
	if n.nearNet, err = netlink.NewHandleAt(netns.NsHandle(n.near.Fd())); err != nil {
		return nil, err
	}
	if n.farNet, err = netlink.NewHandleAt(netns.NsHandle(n.far.Fd())); err != nil {
		return nil, err
	}
	n.Kernel, err = kernel.OpenNamespace(int(n.near.Fd()))
	return n, err
}

// unshare returns a new network namespace, which lives as long as the file is
// open. The thread that made it ends, as it is never unlocked.
func unshare() (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	c := make(chan result)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			c <- result{nil, err}
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		c <- result{f, err}
	}()
	r := <-c
	return r.f, r.err
}

func farName(name string) string { return "far-" + name[len(name)-2:] }

func (n *namespace) Plug(name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = farName(name)
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: name, PeerNamespace: netlink.NsFd(n.near.Fd())}
	if err := n.farNet.LinkAdd(pair); err != nil {
		return err
	}
	return n.Carrier(name, true)
}

func (n *namespace) Unplug(name string) error {
	l, err := n.nearNet.LinkByName(name)
	if err != nil {
		return err
	}
	return n.nearNet.LinkDel(l)
}

func (n *namespace) Carrier(name string, on bool) error {
	l, err := n.farNet.LinkByName(farName(name))
	if err != nil {
		return err
	}
	if on {
		return n.farNet.LinkSetUp(l)
	}
	return n.farNet.LinkSetDown(l)
}

// FlushFilters does it through another Kernel: the kernel tells them apart by
// their sockets.
func (n *namespace) FlushFilters() error {
	other, err := kernel.OpenNamespace(int(n.near.Fd()))
	if err != nil {
		return err
	}
	return errors.Join(other.Unsteer(context.Background()), other.Close())
}

func (n *namespace) Close() error {
	n.nearNet.Close()
	n.farNet.Close()
	return errors.Join(n.Kernel.Close(), n.near.Close(), n.far.Close())
}

func TestKernel(t *testing.T) {
	if noKernel != "" {
		t.Skip(noKernel)
	}
	kerneltest.Suite(t, func() kerneltest.Fixture { return newNamespace(t) })
}
