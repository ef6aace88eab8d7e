// Package guest boots stock Debian kernels in QEMU, with emulated USB4 host interfaces.
package guest
