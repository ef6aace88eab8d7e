// Package router models a USB4 host router as its connection manager sees it: the
// configuration spaces of the router and its adapters, path entries, plug events, and the
// forwarding of XDomain packets and data frames to its USB4 ports.
//
// It knows nothing of PCI (package nhi) and nothing of what its ports are plugged into
// (a Fabric). The model follows what linux drivers/thunderbolt does; what no driver
// looks at (lane training, retimers, clocks, credits) is not there.
//
// # Concurrency
//
// A Router has no lock. All methods are called with the lock held that its NHI uses.
package router
