// Command init is the first and only program of an emulated machine: it mounts what every
// program expects, and then does what the harness asks for over a virtio-serial port.
package main

import (
	"fmt"
	"net/rpc"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

func main() {
	if err := run(); err != nil {
		complain(err)
	}
	// The end of process 1 is a panic of the kernel, which the harness notices.
}

// complain writes to the kernel's log, which ends up on the serial console.
func complain(err error) {
	text := "<2>usb4emu init: " + strings.ReplaceAll(err.Error(), "\n", "; ") + "\n"
	if e := os.WriteFile("/dev/kmsg", []byte(text), 0); e != nil {
		fmt.Fprint(os.Stderr, text)
	}
}

func run() error {
	// As a service of a guest with systemd everything is mounted, and init is another.
	if os.Getpid() == 1 {
		if err := mountAll(); err != nil {
			return err
		}
		if err := loadBoot(); err != nil {
			return err
		}
		if host := option("usb4emu.host"); host != "" {
			if err := unix.Sethostname([]byte(host)); err != nil {
				return err
			}
		}
		if err := setLink("lo", true); err != nil {
			return err
		}
		go reap()
	}
	port, err := openPort()
	if err != nil {
		return err
	}
	g, err := newGuest()
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.RegisterName(wire.Service, g); err != nil {
		return err
	}
	server.ServeConn(port) // until the harness is gone
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func mountAll() error {
	for _, m := range []struct{ kind, where, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", "mode=755"},
		{"devpts", "/dev/pts", "mode=620,ptmxmode=666"},
		{"tmpfs", "/dev/shm", ""},
		{"tmpfs", "/run", "mode=755"},
		{"tmpfs", "/tmp", "mode=1777"},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"debugfs", "/sys/kernel/debug", ""},
		{"configfs", "/sys/kernel/config", ""},
	} {
		if err := os.MkdirAll(m.where, 0o755); err != nil && m.kind != "configfs" {
			return err
		}
		err := unix.Mount(m.kind, m.where, m.kind, 0, m.options)
		if err != nil && m.kind != "configfs" { // configfs is a module, and not all kernels need it
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.where, err)
		}
	}
	return nil
}

// loadBoot loads the modules without which there is no port.
func loadBoot() error {
	list, err := os.ReadFile(wire.BootModules)
	if err != nil {
		return err
	}
	return loadAll(strings.Fields(string(list)))
}

// option returns the value of a word of the kernel's command line.
func option(name string) string {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return ""
	}
	for word := range strings.FieldsSeq(string(line)) {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}
	return ""
}

// openPort waits for the virtio-serial port of our name.
func openPort() (*os.File, error) {
	const wait = 30 * time.Second
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			text, err := os.ReadFile(file)
			if err != nil || strings.TrimSpace(string(text)) != wire.Port {
				continue
			}
			f, err := os.OpenFile("/dev/"+filepath.Base(filepath.Dir(file)), os.O_RDWR, 0)
			if err == nil {
				return f, nil
			}
		}
	}
	return nil, fmt.Errorf("no virtio-serial port %q within %v", wire.Port, wait)
}

// reap collects what orphans leave. Children of our own are waited for by who started them; this
// looks only at processes whose parent is gone, which WNOWAIT tells apart.
func reap() {
	for range time.Tick(time.Second) {
		for reapOne() {
		}
	}
}

func reapOne() bool {
	forking.Lock()
	defer forking.Unlock()
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	pid := pidOf(&info)
	if err != nil || pid == 0 || ours(pid) {
		return false
	}
	_, err = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return err == nil
}
