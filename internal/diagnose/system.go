package diagnose

import (
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// system is a family of operating systems, as far as fixes are worded differently.
type system int

const (
	otherLinux system = iota
	debian
	proxmox
	nixos
	talos
	fedora
)

// systemOf tells the system from the marks that builders of kernels leave in release
// and version.
func systemOf(h mesh.Hardware) system {
	text := strings.ToLower(h.Release + " " + h.Version)
	for _, mark := range []struct {
		word string
		system
	}{{"-pve", proxmox}, {"nixos", nixos}, {"nixbld", nixos}, {"-talos", talos}, {"debian", debian}, {"+deb", debian}, {"ubuntu", debian}, {".fc", fedora}, {".el", fedora}} {
		if strings.Contains(text, mark.word) {
			return mark.system
		}
	}
	return otherLinux
}

// parameter words how a kernel parameter is set for good. All parameters of
// thunderbolt are read when the module loads, often in the initramfs, so the kernel
// command line is the place that always works.
func (s system) parameter(p string) string {
	switch s {
	case proxmox:
		return "add " + p + " to /etc/kernel/cmdline and run `proxmox-boot-tool refresh` (with GRUB: GRUB_CMDLINE_LINUX in /etc/default/grub, then `update-grub`), then reboot"
	case nixos:
		return `boot.kernelParams = [ "` + p + `" ]; then ` + "`nixos-rebuild boot` and reboot"
	case talos:
		return "machine.install.extraKernelArgs: [" + p + "] in the machine configuration, then `talosctl upgrade`"
	case fedora:
		return "`grubby --update-kernel=ALL --args=" + p + "`, then reboot"
	case debian:
		return "add " + p + " to GRUB_CMDLINE_LINUX in /etc/default/grub, run `update-grub`, then reboot"
	}
	return "add " + p + " to the kernel command line in your boot loader, then reboot"
}

// module words how a module is loaded now and at every boot.
func (s system) module(name string) string {
	switch s {
	case nixos:
		return `boot.kernelModules = [ "` + name + `" ]; then ` + "`nixos-rebuild switch`"
	case talos:
		return "machine.kernel.modules: [{name: " + name + "}], with the thunderbolt system extension"
	}
	return "`modprobe " + name + "`, and `echo " + name + " > /etc/modules-load.d/usb4mesh.conf` for every boot"
}

// upgrade words how a newer kernel comes.
func (s system) upgrade(version string) string {
	switch s {
	case debian:
		return "`apt update && apt full-upgrade` and reboot, or the kernel of backports where that brings none newer; the fix is in kernel " + version
	case proxmox:
		return "`apt update && apt full-upgrade` and reboot; the fix is in kernel " + version
	case nixos:
		return "boot.kernelPackages = pkgs.linuxPackages_latest; the fix is in kernel " + version
	case talos:
		return "`talosctl upgrade` to a release with kernel " + version
	}
	return "upgrade to kernel " + version + " and reboot"
}
