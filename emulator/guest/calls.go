package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

// Load loads modules, with what they need. They must have been named in Config.Modules or Config.Carry.
func (m *Machine) Load(ctx context.Context, names ...string) error {
	list, err := m.modules.Load(names...)
	if err != nil {
		return err
	}
	var paths []string
	for _, x := range list {
		paths = append(paths, modulePath(x.Name))
	}
	return m.call(ctx, "Load", paths, &wire.None{})
}

// Unload removes modules.
func (m *Machine) Unload(ctx context.Context, names ...string) error {
	return m.call(ctx, "Unload", names, &wire.None{})
}

// Has says whether the guest's kernel has a module, built in or not.
func (m *Machine) Has(module string) bool { return m.modules.Has(module) }

// Run runs a program of the guest to its end, at most for a minute. An exit code other than 0 is an error
// that holds what the program said; the result is valid then, too.
func (m *Machine) Run(ctx context.Context, args ...string) (wire.Result, error) {
	return m.Command(ctx, wire.Command{Args: args, Timeout: time.Minute})
}

// Command runs a program as Run does, with all choices.
func (m *Machine) Command(ctx context.Context, c wire.Command) (wire.Result, error) {
	var r wire.Result
	if err := m.call(ctx, "Run", c, &r); err != nil {
		return r, fmt.Errorf("%s: %w", m.Config.Name, err)
	}
	what := fmt.Sprintf("%s: %s", m.Config.Name, strings.Join(c.Args, " "))
	switch {
	case r.TimedOut:
		return r, fmt.Errorf("%s: not done within %v\n%s%s", what, c.Timeout, r.Stdout, r.Stderr)
	case r.Code != 0:
		return r, fmt.Errorf("%s: exit code %d\n%s%s", what, r.Code, r.Stdout, r.Stderr)
	}
	return r, nil
}

// Spawn starts a program that goes on; both its outputs go into the guest's file log.
func (m *Machine) Spawn(ctx context.Context, log string, args ...string) (pid int, err error) {
	err = m.call(ctx, "Spawn", wire.Daemon{Args: args, Log: log}, &pid)
	return pid, err
}

// Alive says whether a spawned program still runs.
func (m *Machine) Alive(ctx context.Context, pid int) (alive bool, err error) {
	err = m.call(ctx, "Alive", pid, &alive)
	return alive, err
}

// Stop ends a spawned program by a signal, and by SIGKILL if it has not ended within grace.
func (m *Machine) Stop(ctx context.Context, pid, signal int, grace time.Duration) error {
	return m.call(ctx, "Stop", wire.Stop{Pid: pid, Signal: signal, Grace: grace}, &wire.None{})
}

// ReadFile reads a file of the guest.
func (m *Machine) ReadFile(ctx context.Context, path string) ([]byte, error) {
	var data []byte
	err := m.call(ctx, "ReadFile", path, &data)
	return data, err
}

// WriteFile writes a file of the guest.
func (m *Machine) WriteFile(ctx context.Context, path string, data []byte, mode os.FileMode) error {
	return m.call(ctx, "WriteFile", wire.File{Path: path, Data: data, Mode: uint32(mode.Perm())}, &wire.None{})
}

// Tree reads whole folders of the guest.
func (m *Machine) Tree(ctx context.Context, in wire.Tree) ([]wire.Entry, error) {
	var out []wire.Entry
	err := m.call(ctx, "Tree", in, &out)
	return out, err
}

// Links lists the guest's network interfaces.
func (m *Machine) Links(ctx context.Context) ([]wire.Link, error) {
	var out []wire.Link
	err := m.call(ctx, "Links", wire.None{}, &out)
	return out, err
}

// SetLink changes a network interface.
func (m *Machine) SetLink(ctx context.Context, in wire.SetLink) error {
	return m.call(ctx, "SetLink", in, &wire.None{})
}

// SetRoute adds or replaces a route.
func (m *Machine) SetRoute(ctx context.Context, in wire.Route) error {
	return m.call(ctx, "SetRoute", in, &wire.None{})
}

// Ping sends echo requests.
func (m *Machine) Ping(ctx context.Context, in wire.Ping) (wire.Pinged, error) {
	var out wire.Pinged
	err := m.call(ctx, "Ping", in, &out)
	return out, err
}

// Echo lets the guest answer UDP probes on a port from now on.
func (m *Machine) Echo(ctx context.Context, port int) error {
	return m.call(ctx, "Echo", port, &wire.None{})
}

// Probe sends numbered UDP packets until the returned function is called, which reports.
func (m *Machine) Probe(ctx context.Context, to string, interval time.Duration) (func() (wire.Probed, error), error) {
	var id int
	if err := m.call(ctx, "ProbeStart", wire.Probe{To: to, Interval: interval}, &id); err != nil {
		return nil, err
	}
	return func() (wire.Probed, error) {
		var out wire.Probed
		err := m.call(ctx, "ProbeStop", id, &out)
		return out, err
	}, nil
}

// Transfer sends size pseudo-random bytes over TCP to another guest, which listens at address:port, and
// compares what arrived.
func (m *Machine) Transfer(ctx context.Context, other *Machine, to string, size int64, timeout time.Duration) (wire.Transferred, error) {
	in := wire.Transfer{To: to, Size: size, Timeout: timeout}
	copy(in.Seed[:], m.Config.Name+" to "+other.Config.Name)
	var sent, received wire.Transferred
	answer := make(chan error, 1)
	go func() { answer <- other.call(ctx, "Receive", in, &received) }()
	err := m.call(ctx, "Send", in, &sent)
	if err := errors.Join(err, <-answer); err != nil {
		return received, err
	}
	if sent.Bytes != size || sent.Bytes != received.Bytes || sent.SHA256 != received.SHA256 {
		return received, fmt.Errorf("%d of %d bytes with SHA256 %s arrived, sent were %d with %s", received.Bytes, size, received.SHA256, sent.Bytes, sent.SHA256)
	}
	return received, nil
}

// Poweroff ends the guest in order.
func (m *Machine) Poweroff(ctx context.Context) error {
	if err := m.call(ctx, "Poweroff", wire.None{}, &wire.None{}); err != nil {
		select {
		case <-m.qemu.ended:
			return nil
		default:
		}
		return err
	}
	return nil
}
