package vfiouser

import "golang.org/x/sys/unix"

// Device is what a Server offers to a virtual machine. Its methods are called with the
// server's lock held.
type Device interface {
	// RegionSize is the size of a region in bytes, 0 if the device does not have it.
	RegionSize(region int) uint64
	// Vectors is the number of MSI-X vectors.
	Vectors() int
	// Attach is called when a client has connected, Detach when it is gone.
	Attach(*Memory, *Interrupts)
	Detach()
	// ReadRegion fills p from offset. The access lies within the region's size.
	ReadRegion(region int, offset uint64, p []byte)
	// WriteRegion writes p to offset. The access lies within the region's size.
	WriteRegion(region int, offset uint64, p []byte)
	// Reset puts the device into the state after power on; memory and interrupts stay.
	Reset()
}

// Interrupts are the eventfds behind the MSI-X vectors of one client.
type Interrupts struct {
	fds []int // -1: the client does not listen
}

func newInterrupts(n int) *Interrupts {
	i := &Interrupts{fds: make([]int, n)}
	for v := range i.fds {
		i.fds[v] = -1
	}
	return i
}

// Trigger interrupts the guest. It reports whether there was somebody to interrupt.
func (i *Interrupts) Trigger(vector int) bool {
	if i == nil || vector < 0 || vector >= len(i.fds) || i.fds[vector] < 0 {
		return false
	}
	// An eventfd counts; the only failure is a counter near 2^64, and then it is readable.
	_, err := unix.Write(i.fds[vector], []byte{1, 0, 0, 0, 0, 0, 0, 0})
	return err == nil
}

// set replaces the eventfds of count vectors from start: by fds, which it owns from now
// on, or by none.
func (i *Interrupts) set(start, count int, fds []int) {
	for v := range count {
		if old := i.fds[start+v]; old >= 0 {
			_ = unix.Close(old)
		}
		i.fds[start+v] = -1
		if v < len(fds) {
			// QEMU's eventfds do not block anyway. Anything else must not stop us.
			if err := unix.SetNonblock(fds[v], true); err == nil {
				i.fds[start+v] = fds[v]
			} else {
				_ = unix.Close(fds[v])
			}
		}
	}
}

func (i *Interrupts) close() { i.set(0, len(i.fds), nil) }
