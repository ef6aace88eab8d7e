// Package vfiouser is the server side of the vfio-user protocol: it lets a process
// be a PCI device of a virtual machine.
//
// QEMU's vfio-user-pci connects to a Unix socket, passes the guest's memory as file
// descriptors and turns the guest's accesses to the device into messages. The device
// reads and writes guest memory itself (Memory) and interrupts the guest through
// eventfds (Interrupts). The protocol is described in QEMU's docs/interop/vfio-user.rst;
// the structures are those of linux/vfio.h.
//
// What a client may send is bounded: the size and number of messages' parts, of
// mappings and of descriptors. A client that breaks the rules gets an error reply or
// loses its connection; it can't end the process, not even by shrinking a file that it
// has passed (Memory turns the bus error into an error).
//
// # Concurrency
//
// A Server serves one client at a time, in the goroutine that calls Serve. Device
// methods are called with Server.Lock held. Memory and Interrupts have no lock of their
// own: they may be used whenever Server.Lock is held, and no longer after Detach.
package vfiouser
