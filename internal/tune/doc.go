// Package tune changes what a mesh wants of a machine beside its network
// configuration, and remembers what was before.
//
// What is tuned: segmentation offload of ports, where packets meet a hop with a
// smaller MTU; the latency of the processors' sleep; and which processors serve
// the interrupts of the USB4 controllers. Apply brings about what is wanted and
// gives back what no longer is.
//
// The Journal is a file that holds every value as it was before it was changed, on
// disk before the change is made. So a program that was killed can still give
// everything back. It also keeps the mesh.Memory of the network configuration
// (kernel.Remembering, kernel.Cleanup). A reboot makes it void, as everything in
// it ends with the kernel that it was read from.
package tune
