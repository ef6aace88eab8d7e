package guest

import (
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

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/guest/cpio"
	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

// File is a file for the guest.
type File struct {
	Path string      // in the guest, absolute
	Mode fs.FileMode // 0 is 0644
	Data []byte
	From string // a file of this machine to take Data and, if Mode is 0, the mode from
}

// initPackage is what becomes /init.
const initPackage = "github.com/usb4mesh/usb4mesh/emulator/guest/init"

// initProgram builds init once in the life of this process. It must be called within the module.
var initProgram = sync.OnceValues(func() ([]byte, error) { return Build(context.Background(), initPackage) })

// Build builds a Go program of this module for guests: static, stripped.
func Build(ctx context.Context, pkg string) ([]byte, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return nil, Unavailable{"there is no go command to build " + pkg + " with"}
	}
	dir, err := os.MkdirTemp("", "usb4emu-build-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOARCH=amd64", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return os.ReadFile(file)
}

// modulePath is where a module lies in the initramfs.
func modulePath(name string) string { return "/modules/" + name + ".ko" }

// bootModules are needed before there is a port to talk over. With most kernels they are built in.
var bootModules = []string{"virtio_pci", "virtio_console"}

// memory writes the guest's whole file system into a nameless file in memory.
func memory(ctx context.Context, c Config, release string, m modules) (*os.File, error) {
	fd, err := unix.MemfdCreate("initramfs", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	ram := os.NewFile(uintptr(fd), "initramfs")
	if c.Systemd {
		err = systemdRAM(ctx, ram, c, release, m)
	} else {
		err = tinyRAM(ram, c, m)
	}
	if err != nil {
		return nil, errors.Join(err, ram.Close())
	}
	return ram, nil
}

// tinyRAM writes a file system that has init, modules and the wanted files.
func tinyRAM(ram *os.File, c Config, m modules) error {
	program, err := initProgram()
	if err != nil {
		return err
	}
	boot, err := m.Load(bootModules...)
	if err != nil {
		return err
	}
	all, err := m.Load(slices.Concat(bootModules, c.Modules, c.Carry)...)
	if err != nil {
		return err
	}
	list := ""
	for _, x := range boot {
		list += modulePath(x.Name) + "\n"
	}
	w := cpio.NewWriter(ram)
	errs := []error{
		w.File("init", 0o755, program), w.File(wire.BootModules, 0o644, []byte(list)),
		// Before init has mounted anything the kernel opens this one for it.
		w.Device("dev/console", 0o600, 5, 1),
		w.Dir("proc"), w.Dir("sys"), w.Dir("run"), w.Dir("tmp"), w.Dir("root"), w.Dir("var/lib"),
		w.File("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n")),
		w.File("etc/group", 0o644, []byte("root:x:0:\n")),
	}
	for _, x := range all {
		errs = append(errs, w.File(modulePath(x.Name), 0o644, x.Data))
	}
	for _, f := range c.Files {
		errs = append(errs, f.write(w))
	}
	return errors.Join(append(errs, w.Close())...)
}

func (f File) write(w *cpio.Writer) error {
	if !strings.HasPrefix(f.Path, "/") {
		return fmt.Errorf("file %q for the guest: the path is not absolute", f.Path)
	}
	if f.From != "" {
		info, err := os.Stat(f.From)
		if err != nil {
			return err
		}
		if f.Data, err = os.ReadFile(f.From); err != nil {
			return err
		}
		if f.Mode == 0 {
			f.Mode = info.Mode().Perm()
		}
	}
	if f.Mode == 0 {
		f.Mode = 0o644
	}
	return w.File(f.Path, f.Mode, f.Data)
}
