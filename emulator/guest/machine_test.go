package guest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/guest"
	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

const toolPackage = "github.com/usb4mesh/usb4mesh/emulator/guest/testdata/tool"

// available skips a test if there can be no guests.
func available(t *testing.T) {
	t.Helper()
	err := guest.Available(t.Context(), guest.Linux612)
	var no guest.Unavailable
	if errors.As(err, &no) {
		t.Skip(no.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start boots a guest without host interfaces, or skips if there can be none.
func start(t *testing.T, c guest.Config) *guest.Machine {
	t.Helper()
	if c.Logs == "" {
		c.Logs = t.TempDir()
	}
	available(t)
	m, err := guest.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return m
}

// TestGuest goes through everything that a guest can be asked for; it boots once for all.
func TestGuest(t *testing.T) {
	tool, err := guest.Build(t.Context(), toolPackage)
	if err != nil {
		t.Fatal(err)
	}
	m := start(t, guest.Config{Name: "a", Carry: []string{"dummy"}, Files: []guest.File{{Path: "/bin/tool", Mode: 0o755, Data: tool}, {Path: "/etc/x", Data: []byte("hi")}}})
	ctx := t.Context()
	t.Logf("Linux %s answers after %.1f s", m.Release, m.Booted.Seconds())

	t.Run("command", func(t *testing.T) { commands(t, m) })
	t.Run("daemon", func(t *testing.T) { daemon(t, m) })
	t.Run("files", func(t *testing.T) {
		data, err := m.ReadFile(ctx, "/etc/x")
		if err != nil || string(data) != "hi" {
			t.Errorf("/etc/x: %q, %v", data, err)
		}
		if err := m.WriteFile(ctx, "/var/lib/y/z", []byte("there"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := m.Tree(ctx, wire.Tree{Roots: []string{"/var/lib/*"}, Max: 10})
		if err != nil || len(got) != 1 || got[0].Path != "/var/lib/y/z" || string(got[0].Data) != "there" {
			t.Errorf("tree: %+v, %v", got, err)
		}
		if _, err := m.Tree(ctx, wire.Tree{Roots: []string{"/proc/sys"}, Max: 10}); err == nil {
			t.Error("a tree of more files than allowed came without an error")
		}
	})
	t.Run("network", func(t *testing.T) { network(t, m) })
	t.Run("healthy", func(t *testing.T) {
		if err := m.Check(); err != nil {
			t.Error(err)
		}
	})
	t.Run("complaint", func(t *testing.T) {
		if err := m.WriteFile(ctx, "/dev/kmsg", []byte("<4>WARNING: CPU: 0 at nowhere\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		notice(t, m, "WARNING: CPU: 0 at nowhere")
	})
}

// notice waits until Check complains, and names the file of the log.
func notice(t *testing.T, m *guest.Machine, what string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := m.Check()
		switch {
		case err != nil && strings.Contains(err.Error(), what) && strings.Contains(err.Error(), m.Config.Logs):
			return
		case time.Now().After(end):
			t.Fatalf("Check says %v, expected %q and the path of the log", err, what)
		}
	}
}

func commands(t *testing.T, m *guest.Machine) {
	ctx := t.Context()
	r, err := m.Command(ctx, wire.Command{Args: []string{"/bin/tool", "cat"}, Stdin: []byte("abc"), Timeout: time.Minute})
	if err != nil || string(r.Stdout) != "abc" {
		t.Errorf("cat: %q, %v", r.Stdout, err)
	}
	_, err = m.Run(ctx, "/bin/tool", "fly")
	if err == nil || !strings.Contains(err.Error(), "exit code 7") || !strings.Contains(err.Error(), "cannot fly") {
		t.Errorf("a failed command: %v", err)
	}
	r, err = m.Command(ctx, wire.Command{Args: []string{"/bin/tool", "sleep", "600"}, Timeout: time.Second})
	if err == nil || !r.TimedOut || string(r.Stdout) != "sleeping\n" {
		t.Errorf("a command that takes too long: %+v, %v", r, err)
	}
	if _, err = m.Run(ctx, "/bin/none"); err == nil {
		t.Error("a command that is not there was no error")
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if _, err = m.Run(short, "/bin/tool", "sleep", "20"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call beyond its context: %v", err)
	}
}

func daemon(t *testing.T, m *guest.Machine) {
	ctx := t.Context()
	pid, err := m.Spawn(ctx, "/tmp/log", "/bin/tool", "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	if alive, err := m.Alive(ctx, pid); err != nil || !alive {
		t.Errorf("alive: %v, %v", alive, err)
	}
	if err := m.Stop(ctx, pid, int(unix.SIGTERM), 10*time.Second); err != nil {
		t.Error(err)
	}
	if alive, err := m.Alive(ctx, pid); err != nil || alive {
		t.Errorf("alive after its end: %v, %v", alive, err)
	}
}

func network(t *testing.T, m *guest.Machine) {
	ctx := t.Context()
	if err := m.Load(ctx, "dummy"); err != nil {
		t.Fatal(err)
	}
	err := m.SetLink(ctx, wire.SetLink{Name: "dummy0", Rename: "d", MTU: 9000, Up: true, Addresses: []string{"10.9.9.1/24", "fd99::1/64"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetRoute(ctx, wire.Route{To: "10.8.0.0/16", Via: "10.9.9.2", Dev: "d", Metric: 5}); err != nil {
		t.Error(err)
	}
	links, err := m.Links(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, l := range links {
		if l.Name == "d" {
			found = l.MTU == 9000 && l.Up && len(l.Addresses) >= 2
		}
	}
	if !found {
		t.Errorf("links: %+v", links)
	}
	for to, want := range map[string]int{"10.9.9.1": 2, "fd99::1": 2, "10.9.9.77": 0} {
		p, err := m.Ping(ctx, wire.Ping{To: to, Size: 1000, Count: 2, Wait: 300 * time.Millisecond})
		if err != nil || p.Received != want || p.Sent != 2 {
			t.Errorf("ping %s: %+v, %v; want %d answers", to, p, err, want)
		}
	}
	if err := m.Echo(ctx, 7); err != nil {
		t.Fatal(err)
	}
	stop, err := m.Probe(ctx, "10.9.9.1:7", 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	p, err := stop()
	if err != nil || p.Sent < 25 || p.Lost() != 0 {
		t.Errorf("probe: %+v, %v", p, err)
	}
	lost, err := m.Probe(ctx, "10.9.9.77:7", 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	p, err = lost()
	if err != nil || p.Received != 0 || len(p.Gaps) != 1 || p.Longest() != time.Duration(p.Sent)*20*time.Millisecond {
		t.Errorf("probe of nobody: %+v, %v", p, err)
	}
	got, err := m.Transfer(ctx, m, "10.9.9.1:9", 1<<20, time.Minute)
	if err != nil || got.Bytes != 1<<20 {
		t.Errorf("transfer: %+v, %v", got, err)
	}
}

// TestPanic: a kernel that panics ends every call, and Check says why.
func TestPanic(t *testing.T) {
	m := start(t, guest.Config{Name: "b", Modules: []string{}})
	err := m.WriteFile(t.Context(), "/proc/sysrq-trigger", []byte("c"), 0o644)
	if err == nil {
		t.Error("the call that brought about the panic came to a good end")
	}
	notice(t, m, "the kernel complains")
	if _, err := m.Links(t.Context()); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("a call after the end: %v", err)
	}
}

// TestNothingLeft kills a process that has started a guest; the guest must go with it.
func TestNothingLeft(t *testing.T) {
	if file := os.Getenv("USB4EMU_TEST_VICTIM"); file != "" {
		m := start(t, guest.Config{Name: "c", Modules: []string{}})
		if err := os.WriteFile(file+".new", []byte(strconv.Itoa(m.PID())), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		return
	}
	available(t)
	file := filepath.Join(t.TempDir(), "pid")
	cmd := exec.Command(os.Args[0], "-test.run", "^TestNothingLeft$")
	cmd.Env = append(os.Environ(), "USB4EMU_TEST_VICTIM="+file)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	for end := time.Now().Add(2 * time.Minute); pid == 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if text, err := os.ReadFile(file); err == nil {
			if pid, err = strconv.Atoi(string(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || pid == 0 {
		t.Fatalf("the victim was not killed in time: %v, pid %d\n%s", err, pid, out.String())
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("QEMU, process %d, outlives the process that started it", pid)
		}
	}
}

// TestBootFails: what QEMU says is in the error.
func TestBootFails(t *testing.T) {
	available(t)
	_, err := guest.Start(t.Context(), guest.Config{Name: "f", Logs: t.TempDir(), NHIs: []guest.NHI{{Socket: "/nowhere/socket", Model: "8086:5781"}}})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/socket") {
		t.Errorf("a guest with a host interface that is not there: %v", err)
	}
	_, err = guest.Start(t.Context(), guest.Config{Name: "g", Logs: t.TempDir(), Kernel: "2.4"})
	if err == nil || !strings.Contains(err.Error(), `"2.4"`) {
		t.Errorf("a kernel that there is not: %v", err)
	}
	_, err = guest.Start(t.Context(), guest.Config{Name: "h", Logs: t.TempDir(), Modules: []string{"floppy_disk"}})
	if err == nil || !strings.Contains(err.Error(), "floppy_disk") {
		t.Errorf("a module that there is not: %v", err)
	}
}
