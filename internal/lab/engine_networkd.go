package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/render"
)

// networkdEngine lets a real systemd-networkd in each node read the files that
// render writes, and nothing else configures the node.
//
// systemd-networkd runs without systemd and without udev. With /sys read-only it
// knows that there is no udev to wait for (udev_available, systemd
// src/shared/udev-util.c). What udev would do, the lab does: interfaces carry
// their names from the start, and systemd-sysctl is called for each new one as
// 99-systemd.rules does.
type networkdEngine struct {
	*doors
	daemons []networkdDaemon
}

type networkdDaemon struct {
	node *Node
	proc *Process
	said *tail
}

const (
	networkdPath = "/lib/systemd/systemd-networkd"
	sysctlPath   = "/lib/systemd/systemd-sysctl"
	networkdUser = "systemd-network"
	// networkdLimit bounds the wait for a node's first configuration.
	networkdLimit = 30 * time.Second
)

func (e *networkdEngine) Start(ctx context.Context, nodes []*Node) (err error) {
	for _, file := range []string{networkdPath, sysctlPath} {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("%w; install systemd-networkd (Debian: apt install systemd), or use --apply netlink", err)
		}
	}
	if e.doors, err = openDoors(nodes); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := e.startNode(ctx, n); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	err = poll(ctx, 20*time.Millisecond, networkdLimit, func() error {
		if err := e.running(); err != nil {
			return err
		}
		return e.settled(ctx)
	})
	if err != nil {
		return errors.Join(err, e.running())
	}
	return nil
}

func (e *networkdEngine) startNode(ctx context.Context, n *Node) error {
	files, findings := render.FilesWith(*n.Mesh, n.Name, render.Networkd, render.Options{IdentityKind: e.identityKind()})
	if finding.HasErrors(findings) {
		finding.Sort(findings)
		return findings[0]
	}
	if err := n.Do(func() error { return prepareNetworkd(files) }); err != nil {
		return err
	}
	// Once at boot, as systemd-sysctl.service does, for the network part only:
	// the rest of the machine's settings is not the lab's.
	if err := n.sysctl(ctx, "/net"); err != nil {
		return err
	}
	d := networkdDaemon{node: n, said: &tail{limit: 16 << 10}}
	cmd := exec.Command(networkdPath)
	cmd.Env = []string{"SYSTEMD_LOG_TARGET=console", "SYSTEMD_LOG_LEVEL=info", "SYSTEMD_LOG_COLOR=0"}
	cmd.Stdout, cmd.Stderr = d.said, d.said
	var err error
	if d.proc, err = n.Start(cmd); err != nil {
		return err
	}
	e.daemons = append(e.daemons, d)
	return nil
}

// prepareNetworkd runs inside the node: it lays out the file system that
// systemd-networkd and systemd-sysctl see.
func prepareNetworkd(files []render.File) error {
	for _, dir := range []string{"/etc/systemd", "/etc/sysctl.d"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
			return fmt.Errorf("mount an empty %s: %w", dir, err)
		}
	}
	for _, f := range files {
		path := filepath.Join("/", filepath.FromSlash(f.Path))
		if !strings.HasPrefix(path, "/etc/systemd/") && !strings.HasPrefix(path, "/etc/sysctl.d/") {
			continue // modules to load: the kernel of a lab has all it needs
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.Data, os.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/sys", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make /sys read-only: %w", err)
	}
	return prepareRuntime()
}

// prepareRuntime makes the directories that systemd makes for the service.
func prepareRuntime() error {
	u, err := user.Lookup(networkdUser)
	if err != nil {
		return fmt.Errorf("%w: systemd-networkd drops to that user (Debian: apt install systemd)", err)
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	if err := errors.Join(errUID, errGID); err != nil {
		return err
	}
	for _, dir := range []string{"", "links", "leases", "lldp"} {
		dir = filepath.Join("/run/systemd/netif", dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		err := os.Chown(dir, uid, gid)
		if errors.Is(err, unix.EINVAL) { // the user namespace knows one user
			return fmt.Errorf("systemd-networkd needs its own user %s, which an ordinary user can't give it: run as root, or use --apply netlink", networkdUser)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sysctl applies the node's sysctl.d files to what lies below the prefixes.
func (n *Node) sysctl(ctx context.Context, prefixes ...string) error {
	args := make([]string, len(prefixes))
	for i, p := range prefixes {
		args[i] = "--prefix=" + p
	}
	_, err := n.Run(ctx, sysctlPath, args...)
	return err
}

// running returns what a daemon said if it has ended.
func (e *networkdEngine) running() error {
	for _, d := range e.daemons {
		select {
		case <-d.proc.Done():
			return fmt.Errorf("systemd-networkd of node %s ended (%w): %s", d.node.Name, d.proc.Wait(), d.said)
		default:
		}
	}
	return nil
}

// Plugged makes the calls that udev's 99-systemd.rules makes for a new
// interface. The rest is systemd-networkd's.
func (e *networkdEngine) Plugged(ctx context.Context, ends [2]*Node, cable string) error {
	for _, n := range ends {
		name := n.link(cable).Interface
		err := n.sysctl(ctx, "/net/ipv4/conf/"+name, "/net/ipv4/neigh/"+name, "/net/ipv6/conf/"+name, "/net/ipv6/neigh/"+name)
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *networkdEngine) Settled(ctx context.Context) error {
	return errors.Join(e.running(), e.settled(ctx))
}

func (e *networkdEngine) Stop() error {
	var errs []error
	for _, d := range e.daemons {
		errs = append(errs, d.proc.End(time.Second))
	}
	if e.doors != nil {
		errs = append(errs, e.close())
	}
	return errors.Join(errs...)
}

func (e *networkdEngine) StandIns() []string {
	return append([]string{
		"systemd-networkd is real and alone; in place of udev the lab calls systemd-sysctl for each new interface, as 99-systemd.rules does",
	}, e.standIns()...)
}
