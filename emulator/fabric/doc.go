// Package fabric joins emulated USB4 hosts with emulated cables.
//
// A fabric is made of a Topology. Each host interface of each host is a PCI function
// behind a Unix socket that speaks vfio-user, for QEMU's vfio-user-pci. The stock
// thunderbolt and thunderbolt_net drivers in the guests then see host routers, plug
// events, peers and paths.
package fabric
