// Package nhi is the native host interface of a USB4 host router: the PCI function
// through which a driver sends and receives control packets and data frames.
//
// It has the registers, descriptor rings and interrupts that Linux' drivers/thunderbolt
// (nhi.c, nhi_regs.h) uses, for USB4 hosts and for Intel's auto-clearing interrupts, and
// PCI power management with PME. What is behind it (configuration spaces, paths, cables)
// is the business of a Router; the NHI only moves packets between it and guest memory.
//
// # Concurrency
//
// An NHI has no lock. All methods, those of vfiouser.Device too, are called with one lock
// held that is shared by all NHIs that exchange frames.
package nhi
