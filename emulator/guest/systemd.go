package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/emulator/guest/cpio"
	"github.com/usb4mesh/usb4mesh/emulator/guest/debian"
)

// rootArchive is the file of the systemd image: an initramfs with a small Debian 13 in it.
const rootArchive = "root.cpio"

// systemdPackages are the roots of what a guest with systemd has: systemd with udev and networkd, and what a person
// would look around with.
var systemdPackages = []string{
	"systemd", "systemd-sysv", "udev", "kmod", "base-files", "base-passwd", "libc-bin", "bash", "dash", "coreutils",
	"util-linux", "mount", "grep", "sed", "iproute2", "iputils-ping",
}

// systemdImage returns the folder of the root archive. No maintainer script has run in it: what they would have done
// and is needed, inSystemdRoot does.
func systemdImage(ctx context.Context) (debian.Image, error) {
	return image(ctx, "systemd", func(ctx context.Context, dir string) (debian.Image, error) {
		s, err := mirror.stack(ctx, []string{"trixie"})
		if err != nil {
			return debian.Image{}, err
		}
		packages, err := s.Closure(systemdPackages, func(name string) bool {
			return strings.HasPrefix(name, "lib") || name == "zlib1g" || slices.Contains(systemdPackages, name)
		})
		if err != nil {
			return debian.Image{}, err
		}
		root := filepath.Join(dir, "root")
		if err := os.Mkdir(root, 0o755); err != nil {
			return debian.Image{}, err
		}
		im, err := unpack(ctx, s, packages, root, wantedOfSystem)
		if err != nil {
			return im, err
		}
		if err := pack(root, filepath.Join(dir, rootArchive)); err != nil {
			return im, err
		}
		return im, os.RemoveAll(root)
	})
}

// wantedOfSystem leaves out what a machine without people does not need.
func wantedOfSystem(path string) bool {
	if !strings.Contains(path, "/") {
		return false // links such as /bin, which pack makes
	}
	for _, folder := range []string{
		"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/i18n", "usr/share/info", "usr/share/lintian", "usr/share/bug",
		"usr/share/bash-completion", "usr/share/zsh", "usr/share/perl5", "usr/share/common-licenses", "usr/lib/udev/hwdb.d",
		"usr/lib/x86_64-linux-gnu/gconv", "usr/lib/x86_64-linux-gnu/perl-base", "usr/share/polkit-1",
	} {
		if path == folder || strings.HasPrefix(path, folder+"/") {
			return false
		}
	}
	return true
}

// pack writes everything below root as an initramfs, with the links and users that installation would have made.
func pack(root, file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	w := cpio.NewWriter(out)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		switch {
		case d.IsDir():
			return w.Dir(name)
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return w.Symlink(name, target)
		case d.Type().IsRegular():
			info, err := d.Info()
			if err != nil {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return w.File(name, info.Mode().Perm(), data)
		}
		return nil
	})
	if err == nil {
		err = installed(root, w)
	}
	return errors.Join(err, w.Close(), out.Close())
}

// agentUnit runs our init beside systemd.
const agentUnit = `[Unit]
Description=Harness of the USB4 emulator
DefaultDependencies=no
After=multi-user.target

[Service]
ExecStart=/usr/lib/usb4emu/init
`

// depmodUnit makes the index of modules, which a kernel's package would have made when it was installed.
const depmodUnit = `[Unit]
Description=Index of kernel modules
DefaultDependencies=no
Before=systemd-udevd.service systemd-udev-trigger.service systemd-modules-load.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/depmod
`

// installed adds what maintainer scripts do in a Debian that is installed in the ordinary way.
func installed(root string, w *cpio.Writer) error {
	users, err := os.ReadFile(filepath.Join(root, "usr/share/base-passwd/passwd.master"))
	if err != nil {
		return err
	}
	groups, err := os.ReadFile(filepath.Join(root, "usr/share/base-passwd/group.master"))
	if err != nil {
		return err
	}
	more := "systemd-network:x:998:\nsystemd-journal:x:997:\ninput:x:996:\nkvm:x:995:\nrender:x:994:\nsgx:x:993:\nclock:x:992:\n"
	errs := []error{
		w.File("etc/passwd", 0o644, append(users, "systemd-network:x:998:998:systemd-networkd:/:/usr/sbin/nologin\n"...)),
		w.File("etc/group", 0o644, append(groups, more...)),
		w.File("etc/systemd/system/usb4emu.service", 0o644, []byte(agentUnit)),
		w.File("etc/systemd/system/usb4emu-depmod.service", 0o644, []byte(depmodUnit)),
		// Nothing has changed since the last boot: no caches are to be built.
		w.File("etc/.updated", 0o644, nil), w.File("var/.updated", 0o644, nil),
		w.File("etc/fstab", 0o644, nil),
	}
	for link, target := range map[string]string{
		"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64",
		"etc/systemd/system/default.target":                                       "/usr/lib/systemd/system/multi-user.target",
		"etc/systemd/system/default.target.wants/usb4emu.service":                 "../usb4emu.service",
		"etc/systemd/system/sysinit.target.wants/usb4emu-depmod.service":          "../usb4emu-depmod.service",
		"etc/systemd/system/multi-user.target.wants/systemd-networkd.service":     "/usr/lib/systemd/system/systemd-networkd.service",
		"etc/systemd/system/sockets.target.wants/systemd-networkd.socket":         "/usr/lib/systemd/system/systemd-networkd.socket",
		"etc/systemd/system/network-online.target.wants/systemd-networkd.service": "/usr/lib/systemd/system/systemd-networkd.service",
	} {
		errs = append(errs, w.Symlink(link, target))
	}
	// Consoles for nobody, file systems of hardware that is not there, and what would wait for a network.
	for _, unit := range []string{
		"getty-static.service", "getty@.service", "ldconfig.service", "modprobe@drm.service", "modprobe@fuse.service", "sys-fs-fuse-connections.mount",
		"dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-tracing.mount", "systemd-networkd-wait-online.service",
	} {
		errs = append(errs, w.Symlink("etc/systemd/system/"+unit, "/dev/null"))
	}
	for _, dir := range []string{"proc", "sys", "dev", "run", "tmp", "root", "var/log", "var/lib", "var/tmp"} {
		errs = append(errs, w.Dir(dir))
	}
	return errors.Join(errs...)
}

// systemdOptions are added to the kernel's command line.
const systemdOptions = " rdinit=/usr/lib/systemd/systemd systemd.getty_auto=0 systemd.firstboot=off systemd.show_status=no " +
	"systemd.hostname="

// systemdRAM appends the parts of one guest to the root archive: the kernel takes any number of archives in one file.
func systemdRAM(ctx context.Context, ram *os.File, c Config, release string, m modules) error {
	im, err := systemdImage(ctx)
	if err != nil {
		return err
	}
	root, err := os.Open(filepath.Join(im.Dir, rootArchive))
	if err != nil {
		return err
	}
	_, err = io.Copy(ram, root)
	if err := errors.Join(err, root.Close()); err != nil {
		return err
	}
	program, err := initProgram()
	if err != nil {
		return err
	}
	w := cpio.NewWriter(ram)
	all, err := m.Load(slices.Concat(bootModules, c.Modules, c.Carry)...)
	if err != nil {
		return err
	}
	folder := "usr/lib/modules/" + release
	errs := []error{
		w.File("usr/lib/usb4emu/init", 0o755, program), w.Dir(folder), w.Symlink("modules", folder),
		w.File("etc/hostname", 0o644, []byte(c.Name+"\n")),
		w.File("etc/machine-id", 0o444, fmt.Appendf(nil, "%032x\n", c.Name)),
	}
	for _, x := range all {
		errs = append(errs, w.File(folder+"/"+x.Name+".ko", 0o644, x.Data))
	}
	for _, f := range c.Files {
		errs = append(errs, f.write(w))
	}
	return errors.Join(append(errs, w.Close())...)
}
