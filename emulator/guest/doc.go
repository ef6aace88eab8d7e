// Package guest boots stock Debian kernels in QEMU, with host interfaces that something else emulates behind
// vfio-user sockets.
//
// Everything that is needed is fetched from a Debian mirror, checked, and kept outside of the checkout: QEMU with its
// libraries, which runs by its own dynamic loader whatever the host's distribution, and kernels with their modules. Nothing
// is installed, and nobody has to be root. There is no KVM: all guests run on QEMU's translator, so that all runs are alike.
//
// A guest is started by [Start]; its file system is made for it in memory and has one program, the package's own init,
// which does what the methods of [Machine] ask for. With Config.Systemd it is a small Debian 13 instead.
//
// A guest ends with [Machine.Close], and with the process that started it however that ends.
package guest
