package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Node is one machine of the lab: a network namespace, and with it a mount
// namespace (so that /sys shows its own interfaces and /run is its own) and a
// UTS namespace (so that it has its own host name). An Engine works with it.
type Node struct {
	Name string
	Plan *mesh.NodePlan
	Mesh *mesh.Plan

	net, mnt, uts *os.File
	procs         *processes
	handle        *netlink.Handle // of the node's network namespace
}

// newNode makes the namespaces of a node, with its loopback interface up.
func newNode(plan *mesh.Plan, name string, procs *processes) (*Node, error) {
	n := &Node{Name: name, Mesh: plan, Plan: plan.Node(name), procs: procs}
	if err := onThread(n.unshare); err != nil {
		n.close()
		return nil, fmt.Errorf("node %s: %w", name, err)
	}
	h, err := netlink.NewHandleAt(nsHandle(n.net))
	if err != nil {
		n.close()
		return nil, fmt.Errorf("node %s: netlink: %w", name, err)
	}
	n.handle = h
	lo, err := h.LinkByName("lo")
	if err == nil {
		err = h.LinkSetUp(lo)
	}
	if err != nil {
		n.close()
		return nil, fmt.Errorf("node %s: lo up: %w", name, err)
	}
	return n, nil
}

// unshare runs on the thread that becomes the first inhabitant of the node.
func (n *Node) unshare() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	for _, s := range []struct {
		name string
		file **os.File
	}{{"net", &n.net}, {"mnt", &n.mnt}, {"uts", &n.uts}} {
		f, err := os.Open("/proc/thread-self/ns/" + s.name)
		if err != nil {
			return err
		}
		*s.file = f
	}
	if err := unix.Sethostname([]byte(n.Name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	// A sysfs mounted here shows the interfaces of this network namespace.
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	for folder, mode := range map[string]string{"/run": "mode=755", "/var/tmp": "mode=1777"} { // where daemons leave things
		if err := unix.Mount("tmpfs", folder, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, mode); err != nil {
			return fmt.Errorf("mount %s: %w", folder, err)
		}
	}
	return nil
}

func (n *Node) close() {
	if n.handle != nil {
		n.handle.Close()
	}
	for _, f := range []*os.File{n.net, n.mnt, n.uts} {
		if f != nil {
			f.Close()
		}
	}
}

// NetNS returns a descriptor of the node's network namespace; it belongs to the node.
func (n *Node) NetNS() int { return int(n.net.Fd()) }

// Netlink returns the node's rtnetlink handle; it belongs to the node.
func (n *Node) Netlink() *netlink.Handle { return n.handle }

// Do runs f on a thread that is in all of the node's namespaces. Sockets that f
// makes stay in the node, files it opens are seen as the node sees them, and
// processes it starts (through Start) live there.
func (n *Node) Do(f func() error) error {
	return onThread(func() error {
		// A thread that shares its working directory with others may not
		// change its mount namespace, setns(2).
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("enter node %s: unshare: %w", n.Name, err)
		}
		for _, ns := range []struct {
			file *os.File
			kind int
		}{{n.net, unix.CLONE_NEWNET}, {n.uts, unix.CLONE_NEWUTS}, {n.mnt, unix.CLONE_NEWNS}} {
			if err := unix.Setns(int(ns.file.Fd()), ns.kind); err != nil {
				return fmt.Errorf("enter node %s: %w", n.Name, err)
			}
		}
		return f()
	})
}

// inNet runs f on a thread in the node's network namespace only: all that is
// needed to make a socket.
func (n *Node) inNet(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(n.NetNS(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter node %s: %w", n.Name, err)
		}
		return f()
	})
}

// onThread runs f on a thread of its own that dies afterwards, so that nothing
// else ever runs in the namespaces it moved to: a goroutine that ends while it
// is locked takes its thread with it (runtime.LockOSThread).
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// Start starts cmd in the node. The lab's teardown ends it.
func (n *Node) Start(cmd *exec.Cmd) (*Process, error) {
	var p *Process
	err := n.Do(func() (err error) {
		p, err = n.procs.start(cmd)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return p, nil
}

// Run runs a command in the node and returns its standard output. The error
// holds what it wrote to standard error.
func (n *Node) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out strings.Builder
	said := &tail{limit: 4 << 10}
	cmd.Stdout, cmd.Stderr = &out, said
	p, err := n.Start(cmd)
	if err != nil {
		return nil, err
	}
	if err := p.Wait(); err != nil {
		return []byte(out.String()), fmt.Errorf("node %s: %s: %w: %s", n.Name, name, err, strings.TrimSpace(said.String()))
	}
	return []byte(out.String()), nil
}

// link returns the plan of the node's end of a cable, or nil.
func (n *Node) link(cable string) *mesh.LinkPlan {
	for i := range n.Plan.Links {
		if n.Plan.Links[i].Cable == cable {
			return &n.Plan.Links[i]
		}
	}
	return nil
}

// errTimeout is wrapped by everything that waited too long.
var errTimeout = errors.New("timed out")

// poll calls f every interval until it returns nil, and returns the last error
// when limit has passed.
func poll(ctx context.Context, interval, limit time.Duration, f func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w after %s: %w", errTimeout, limit, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(interval):
		}
	}
}
