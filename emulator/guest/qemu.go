package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

// Files that QEMU inherits, after the three standard ones.
const (
	initramfsFD = 3
	portFD      = 4
)

// commandLine is the kernel's. Nothing in it touches the drivers under test. The time of a guest without
// KVM is whatever the host has left for it: so no watchdog, no check whether the timer ticks (a busy host fails
// it, and the kernel panics), and no mitigations of a processor that is not there.
const commandLine = "console=ttyS0 loglevel=4 panic=-1 mitigations=off nokaslr nowatchdog no_timer_check rcupdate.rcu_cpu_stall_suppress=1 " +
	"random.trust_cpu=on usb4emu.host="

// arguments is QEMU's command line.
func arguments(c Config, dir, kernel string) []string {
	options := commandLine + c.Name
	if c.Systemd {
		options += systemdOptions + c.Name
	}
	args := []string{
		"-name", c.Name,
		"-L", filepath.Join(dir, "usr/share/qemu"), "-L", filepath.Join(dir, "usr/share/seabios"),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		// The emulator reads and writes the guest's memory, so it must be a file that can be passed.
		"-machine", "q35,memory-backend=ram,usb=off,smm=off,vmport=off",
		"-object", fmt.Sprintf("memory-backend-memfd,id=ram,size=%dM,share=on", c.Memory),
		"-m", fmt.Sprintf("%dM", c.Memory), "-smp", fmt.Sprint(c.CPUs),
		// Without KVM everywhere, so that all runs are alike; qemu64 boots fastest.
		"-accel", "tcg,thread=multi", "-cpu", "qemu64",
		"-kernel", kernel, "-initrd", fmt.Sprintf("/proc/self/fd/%d", initramfsFD),
		"-append", strings.TrimSpace(options + " " + c.Append),
		"-serial", "file:" + filepath.Join(c.Logs, c.Name+".console"),
		"-chardev", fmt.Sprintf("socket,id=port,fd=%d", portFD),
		"-device", "virtio-serial-pci,bus=pcie.0,addr=02.0",
		"-device", "virtserialport,chardev=port,name=" + wire.Port,
	}
	return append(args, places(c.NHIs)...)
}

// places puts the host interfaces where real machines have them.
//
// AMD (Phoenix, Strix): functions 5 and 6 of the device at bus c7. The bus below a root port gets
// the next free number, so the port sits on a host bridge of its own that begins at c6. A
// device is only looked for at its function 0: an entropy source stands there.
// Intel (since Tiger Lake): functions 2 and 3 of device 0d on the root bus.
func places(nhis []NHI) []string {
	var args []string
	amd, intel := 5, 2
	for _, n := range nhis {
		var bus, addr string
		if strings.HasPrefix(n.Model, "1022:") {
			if amd == 5 {
				args = append(args,
					"-device", "pxb-pcie,id=pxb,bus_nr=198,bus=pcie.0,addr=08.0",
					"-device", "pcie-root-port,id=c7,bus=pxb,chassis=1,addr=00.0",
					"-device", "virtio-rng-pci,bus=c7,addr=00.0,multifunction=on")
			}
			bus, addr = "c7", fmt.Sprintf("00.%d", amd)
			amd++
		} else {
			if intel == 2 {
				args = append(args, "-device", "virtio-rng-pci,bus=pcie.0,addr=0d.0,multifunction=on")
			}
			bus, addr = "pcie.0", fmt.Sprintf("0d.%d", intel)
			intel++
		}
		device := map[string]any{
			"driver": "vfio-user-pci", "bus": bus, "addr": addr, "multifunction": true,
			"socket": map[string]string{"type": "unix", "path": n.Socket},
		}
		text, err := json.Marshal(device)
		if err != nil { // a map of strings: can't be
			panic(err)
		}
		args = append(args, "-device", string(text))
	}
	return args
}

// process is QEMU.
type process struct {
	pid   int
	ended chan struct{} // closed when it has
	err   error         // then
	proc  *os.Process
}

// launch starts QEMU by its own dynamic loader, with its own libraries. It dies with this process: the kernel
// sees to it when the thread ends that started it, so that thread stays until QEMU has ended.
func launch(dir string, args []string, files []*os.File, log string) (*process, error) {
	loader := filepath.Join(dir, "usr/lib64/ld-linux-x86-64.so.2")
	line := append([]string{
		"--library-path", filepath.Join(dir, "usr/lib/x86_64-linux-gnu"), filepath.Join(dir, "usr/bin/qemu-system-x86_64"),
	}, args...)
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(loader, line...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = out, out, files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with QEMU
		err := cmd.Start()
		if err == nil {
			p.pid, p.proc = cmd.Process.Pid, cmd.Process
		}
		started <- err
		if err != nil {
			_ = out.Close()
			return
		}
		p.err = endOf(cmd.Wait(), log)
		_ = out.Close()
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("QEMU: %w", err)
	}
	return p, nil
}

// endOf says how QEMU ended, with what it said.
func endOf(err error, log string) error {
	text, readErr := os.ReadFile(log)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	said := strings.TrimSpace(string(text))
	if err == nil {
		err = errors.New("powered off or rebooted")
	}
	if said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// kill ends QEMU and waits until it is gone.
func (p *process) kill() {
	_ = p.proc.Kill()
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second): // it hangs in the kernel; nothing more can be done
	}
}

func pairOfFiles() (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "port"), os.NewFile(uintptr(fds[1]), "port of QEMU"), nil
}
