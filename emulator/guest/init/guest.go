package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

// Guest is the service that the harness calls.
type Guest struct {
	mu     sync.Mutex
	probes map[int]*probe
	last   int
	log    *kernelLog
	ready  time.Duration
}

func newGuest() (*Guest, error) {
	log, err := openLog()
	if err != nil {
		return nil, err
	}
	return &Guest{probes: map[int]*probe{}, log: log, ready: uptime()}, nil
}

func uptime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// Hello says who is there.
func (g *Guest) Hello(_ wire.None, out *wire.Hello) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	out.Release, out.Uptime = unix.ByteSliceToString(u.Release[:]), g.ready
	return nil
}

// Load loads modules of the initramfs, given as paths, in this order.
func (g *Guest) Load(paths []string, _ *wire.None) error { return loadAll(paths) }

func loadAll(paths []string) error {
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		if err := errors.Join(err, f.Close()); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("module %s: %w", p, err)
		}
	}
	return nil
}

// Unload removes modules, in this order.
func (g *Guest) Unload(names []string, _ *wire.None) error {
	for _, name := range names {
		if err := unix.DeleteModule(name, 0); err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	return nil
}

// children are the processes that somebody here waits for. Between their start and their entry
// forking is held, so that the reaper does not take them for orphans.
var (
	children sync.Map
	forking  sync.Mutex
)

func ours(pid int) bool {
	_, ok := children.Load(pid)
	return ok
}

// pidOf reads si_pid: after signal, errno and code, aligned (siginfo_t, asm-generic/siginfo.h).
func pidOf(info *unix.Siginfo) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), 16)))
}

// start starts a command in a process group of its own.
func start(cmd *exec.Cmd) error {
	forking.Lock()
	defer forking.Unlock()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	children.Store(cmd.Process.Pid, true)
	return nil
}

func wait(cmd *exec.Cmd) error {
	defer children.Delete(cmd.Process.Pid)
	return cmd.Wait()
}

// bounded is a buffer that forgets what is too much.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if room := wire.MaxOutput - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// Run runs a command to its end.
func (g *Guest) Run(in wire.Command, out *wire.Result) error {
	if len(in.Args) == 0 || in.Timeout <= 0 {
		return errors.New("a command needs arguments and a timeout")
	}
	ctx, cancel := context.WithTimeout(context.Background(), in.Timeout)
	defer cancel()
	cmd := exec.Command(in.Args[0], in.Args[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdin = environment(in.Env), in.Dir, bytes.NewReader(in.Stdin)
	var stdout, stderr bounded
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := start(cmd); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	err := wait(cmd)
	out.TimedOut = !stop()
	out.Stdout, out.Stderr, out.Code = stdout.Bytes(), stderr.Bytes(), cmd.ProcessState.ExitCode()
	var exit *exec.ExitError
	if errors.As(err, &exit) || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

func environment(extra []string) []string {
	return append([]string{"PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin", "HOME=/root", "LANG=C.UTF-8"}, extra...)
}

// Spawn starts a daemon and returns its process id.
func (g *Guest) Spawn(in wire.Daemon, pid *int) error {
	if len(in.Args) == 0 || in.Log == "" {
		return errors.New("a daemon needs arguments and a log file")
	}
	log, err := os.OpenFile(in.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(in.Args[0], in.Args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(in.Env), log, log
	if err := start(cmd); err != nil {
		return err
	}
	*pid = cmd.Process.Pid
	go func() { _ = wait(cmd) }()
	return nil
}

// Alive says whether a daemon still runs.
func (g *Guest) Alive(pid int, out *bool) error {
	*out = ours(pid)
	return nil
}

// Stop ends a daemon.
func (g *Guest) Stop(in wire.Stop, _ *wire.None) error {
	if in.Signal != 0 {
		if err := unix.Kill(in.Pid, unix.Signal(in.Signal)); err != nil {
			return err
		}
		for end := time.Now().Add(in.Grace); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if !ours(in.Pid) {
				return nil
			}
		}
	}
	err := unix.Kill(-in.Pid, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// ReadFile reads a file, of /proc and /sys too.
func (g *Guest) ReadFile(path string, data *[]byte) (err error) {
	*data, err = os.ReadFile(path)
	return err
}

// WriteFile writes a file, and makes the folders above it. Files of /proc and /sys are written as they are.
func (g *Guest) WriteFile(in wire.File, _ *wire.None) error {
	if err := os.MkdirAll(filepath.Dir(in.Path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(in.Path, in.Data, fs.FileMode(in.Mode))
}

// Tree reads everything below some folders. A root may have wildcards.
func (g *Guest) Tree(in wire.Tree, out *[]wire.Entry) error {
	for _, pattern := range in.Roots {
		roots, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, root := range roots {
			if err := walk(root, in, out); err != nil {
				return err
			}
		}
	}
	return nil
}

func walk(root string, in wire.Tree, out *[]wire.Entry) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone meanwhile
			}
			return err
		}
		if slices.Contains(in.Skip, d.Name()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		e := wire.Entry{Path: path}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			if e.Link, err = os.Readlink(path); err != nil {
				return nil //nolint:nilerr // gone meanwhile
			}
		case d.Type().IsRegular():
			info, err := d.Info()
			if err != nil || info.Mode().Perm()&0o444 == 0 {
				return nil //nolint:nilerr // gone meanwhile, or only for writing
			}
			if e.Data, err = os.ReadFile(path); err != nil {
				var inner syscall.Errno
				e.Error = err.Error()
				if errors.As(err, &inner) {
					e.Error = inner.Error()
				}
			}
		default:
			return nil
		}
		*out = append(*out, e)
		if len(*out) > in.Max {
			return fmt.Errorf("more than %d files below %s", in.Max, strings.Join(in.Roots, ", "))
		}
		return nil
	})
}

// Poweroff ends the guest at once.
func (g *Guest) Poweroff(wire.None, *wire.None) error {
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
