// Package tune changes what a mesh wants of a machine beside its network
// configuration, and remembers what was before.
//
// What is tuned: segmentation offload of ports, where packets meet a hop with a
// smaller MTU; the latency of the processors' sleep; and which processors serve
// the interrupts of the USB4 controllers. Apply brings about what is wanted and
// gives back what no longer is.
//
// The Journal is a file that holds every value as it was before it was changed,
// in place before the change is made. So a program that was killed can still give
// everything back. A reboot makes it void, as everything in it ends with the kernel
// that it was read from. What usb4mesh overwrites of the network configuration is
// remembered likewise, see mesh.Memory.
package tune
