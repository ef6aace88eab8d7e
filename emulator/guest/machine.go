package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

// NHI is a host interface: a PCI function behind a socket that speaks vfio-user.
type NHI struct {
	Socket string // path
	// Model is the PCI identity, "1022:1668". AMD's functions get the address c7:00.5 and following,
	// Intel's 00:0d.2 and following, as in real machines.
	Model string
}

// Config is one guest to start.
type Config struct {
	Name   string // host name, and name of the log files
	Kernel Kernel // empty is Linux612
	NHIs   []NHI
	Memory int // MiB; 0 is 256, with Systemd 768
	CPUs   int // 0 is 1
	// Systemd makes the guest a Debian 13 with systemd, udev and networkd instead of the tiny one. Modules are not loaded
	// then, but there for udev and modprobe.
	Systemd bool
	// Modules are put into the guest and loaded, with what they need, in this order. nil is thunderbolt and
	// thunderbolt_net.
	Modules []string
	// Carry are modules that are put into the guest and left for [Machine.Load].
	Carry []string
	Files []File
	// Logs is the folder for NAME.console and NAME.kmsg. It must exist.
	Logs string
	// Append is added to the kernel's command line.
	Append string
	// BootTimeout is for the way to the first answer; 0 is five minutes, and 15 with Systemd: sixty times what it takes.
	BootTimeout time.Duration
}

// Machine is a running guest.
type Machine struct {
	Config  Config
	Release string        // of the kernel
	Booted  time.Duration // from the start of QEMU to the first answer

	qemu    *process
	rpc     *rpc.Client
	modules modules
	logs    *logs
	closing sync.Once
}

// Console and Kmsg return the paths of the guest's logs.
func (m *Machine) Console() string { return filepath.Join(m.Config.Logs, m.Config.Name+".console") }

// Kmsg is the path of the kernel's messages.
func (m *Machine) Kmsg() string { return filepath.Join(m.Config.Logs, m.Config.Name+".kmsg") }

// Start boots a guest and waits for its first answer. The error is of type [Unavailable] if this
// machine can't run guests. The guest ends with Close, and with this process at the latest.
func Start(ctx context.Context, c Config) (*Machine, error) {
	m, err := start(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("guest %s: %w", c.Name, err)
	}
	return m, nil
}

func start(ctx context.Context, c Config) (_ *Machine, err error) {
	if c.Kernel == "" {
		c.Kernel = Linux612
	}
	if c.Memory == 0 {
		c.Memory = 256
		if c.Systemd {
			c.Memory = 768
		}
	}
	if c.CPUs == 0 {
		c.CPUs = 1
	}
	if c.BootTimeout == 0 {
		c.BootTimeout = 5 * time.Minute
		if c.Systemd {
			c.BootTimeout *= 3
		}
	}
	if c.Modules == nil {
		c.Modules = []string{"thunderbolt", "thunderbolt_net"}
	}
	qemu, err := qemuImage(ctx)
	if err != nil {
		return nil, err
	}
	kernel, err := kernelImage(ctx, c.Kernel)
	if err != nil {
		return nil, err
	}
	file, release, err := vmlinuz(kernel.Dir)
	if err != nil {
		return nil, err
	}
	m := &Machine{Config: c}
	if m.modules, err = modulesIn(kernel.Dir, release); err != nil {
		return nil, err
	}
	ram, err := memory(ctx, c, release, m.modules)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ram.Close() }()
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()

	began := time.Now()
	m.qemu, err = launch(qemu.Dir, arguments(c, qemu.Dir, file), []*os.File{ram, theirs}, filepath.Join(c.Logs, c.Name+".qemu"))
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	m.rpc = rpc.NewClient(ours)
	defer func() {
		if err != nil {
			err = errors.Join(err, m.verdict(), m.Close())
		}
	}()
	bootCtx, cancel := context.WithTimeout(ctx, c.BootTimeout)
	defer cancel()
	var hello wire.Hello
	if err := m.call(bootCtx, "Hello", wire.None{}, &hello); err != nil {
		return nil, fmt.Errorf("no first answer: %w", err)
	}
	m.Release, m.Booted = hello.Release, time.Since(began)
	if m.logs, err = m.follow(); err != nil {
		return nil, err
	}
	if c.Systemd { // udev loads what is needed
		return m, nil
	}
	return m, m.Load(bootCtx, c.Modules...)
}

// call calls a method of the guest's init. It returns when there is an answer, when the guest has
// ended, or when ctx has.
func (m *Machine) call(ctx context.Context, method string, in, out any) error {
	call := m.rpc.Go(wire.Service+"."+method, in, out, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		if call.Error == nil {
			return nil
		}
		if errors.Is(call.Error, rpc.ErrShutdown) || errors.Is(call.Error, io.ErrUnexpectedEOF) {
			select { // the connection ends a moment before QEMU does
			case <-m.qemu.ended:
				return fmt.Errorf("%s: the guest has ended: %w", method, m.qemu.err)
			case <-time.After(5 * time.Second):
			}
		}
		return fmt.Errorf("%s: %w", method, call.Error)
	case <-m.qemu.ended:
		return fmt.Errorf("%s: the guest has ended: %w", method, m.qemu.err)
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer: %w", method, context.Cause(ctx))
	}
}

// Close ends the guest at once, as if the power were cut, and waits until nothing of it is left.
func (m *Machine) Close() error {
	var err error
	m.closing.Do(func() {
		m.qemu.kill()
		err = m.rpc.Close()
		if m.logs != nil {
			err = errors.Join(err, m.logs.close())
		}
	})
	return err
}

// PID is the process id of QEMU.
func (m *Machine) PID() int { return m.qemu.pid }

// Check returns an error if the guest's kernel has complained (WARNING, BUG, Oops, panic), or has ended.
// It names the log.
func (m *Machine) Check() error {
	select {
	case <-m.qemu.ended:
		return fmt.Errorf("guest %s has ended: %w; %w", m.Config.Name, m.qemu.err, m.verdict())
	default:
	}
	return m.verdict()
}

// verdict looks through both logs.
func (m *Machine) verdict() error {
	for _, file := range []string{m.Kmsg(), m.Console()} {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if line := complaint(string(text)); line != "" {
			return fmt.Errorf("guest %s: the kernel complains: %q; the whole log is %s", m.Config.Name, line, file)
		}
	}
	return nil
}

// complaints are what no healthy kernel says. What the emulation alone provokes (stalls of a guest that
// gets no time from its host) is switched off on the command line.
var complaints = []string{
	"WARNING:", "BUG:", "Oops", "Call Trace:", "Kernel panic", "general protection fault", "kernel BUG at",
	"usb4emu init:", "refcount_t:", "list_add corruption", "list_del corruption", "UBSAN:", "KASAN:",
	"DMA-API:", "unregister_netdevice: waiting for", "blocked for more than",
}

// complaint returns the first line that holds one of them.
func complaint(log string) string {
	for line := range strings.Lines(log) {
		for _, c := range complaints {
			if strings.Contains(line, c) {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}

func socketpair() (net.Conn, *os.File, error) {
	ours, theirs, err := pairOfFiles()
	if err != nil {
		return nil, nil, err
	}
	conn, err := net.FileConn(ours)
	err = errors.Join(err, ours.Close())
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn, theirs, nil
}
