// Package identity has the machines whose host routers are emulated: PCI functions,
// routers, adapter layout, unique ids, as real machines show them.
package identity

import (
	"hash/fnv"
	"maps"
	"slices"

	"github.com/usb4mesh/usb4mesh/emulator/nhi"
	"github.com/usb4mesh/usb4mesh/emulator/router"
)

// Model is a kind of machine.
type Model struct {
	Name  string
	About string
	// Functions are the host interfaces in PCI order.
	Functions []Function
	// Ports of each host interface.
	Ports int
	// Lane adapters come after the host interface adapter.
	HostFirst bool
	// Router's vendor and device; Vendor is also in the unique id.
	RouterVendor, RouterDevice uint16
	// RouterVersion in ROUTER_CS_4.
	RouterVersion uint8
}

// Function is one PCI function.
type Function struct {
	Identity nhi.Identity
	// Address on the guest's root bus: device and function of the real machine where
	// the driver or a tool may look at them.
	Address string
}

// Default is the model of hosts that name none.
const Default = "amd"

var models = map[string]Model{
	// AMD Ryzen 7040 and 8040 ("Phoenix", "Pink Sardine"): two functions .5 and .6 with one
	// port each (lspci of several machines). The routers' device ids are those that linux
	// drivers/thunderbolt/quirks.c lists for the family.
	"amd": {
		About:        "AMD Ryzen 7040: two host interfaces with one port each",
		Functions:    amdFunctions(0x1668, 0x1669),
		Ports:        1,
		HostFirst:    true,
		RouterVendor: 0x0438, RouterDevice: 0x020a,
		RouterVersion: router.Version1,
	},
	// AMD Ryzen AI Max ("Strix Halo"): as above; the router is 438:20e in kernel logs.
	"amd-strix-halo": {
		About:        "AMD Ryzen AI Max: two host interfaces with one port each",
		Functions:    amdFunctions(0x158d, 0x158e),
		Ports:        1,
		HostFirst:    true,
		RouterVendor: 0x0438, RouterDevice: 0x020e,
		RouterVersion: router.Version1,
	},
	// Intel's discrete host router ("Barlow Ridge") as a USB4 v1 router: one function, two
	// ports, interrupts that clear themselves. The integrated ones (00:0d.2) want a mailbox
	// in their configuration space (icl_nhi_ops) and are not emulated.
	"intel": {
		About:        "Intel discrete host router: one host interface with two ports",
		Functions:    []Function{intelFunction(0x5781, 0)},
		Ports:        2,
		RouterVendor: 0x8087, RouterDevice: 0x5781,
		RouterVersion: router.Version1,
	},
	// The same with the host interface of USB4 v2, which the driver resets when it binds.
	"intel-v2": {
		About:        "Intel discrete host router with the host interface of USB4 v2",
		Functions:    []Function{intelFunction(0x5781, nhi.CapsVersion2)},
		Ports:        2,
		RouterVendor: 0x8087, RouterDevice: 0x5781,
		RouterVersion: router.Version1,
	},
}

func amdFunctions(devices ...uint16) []Function {
	var all []Function
	for i, d := range devices {
		all = append(all, Function{
			Identity: nhi.Identity{Vendor: 0x1022, Device: d, SubVendor: 0x1022, SubDevice: d},
			Address:  []string{"08.5", "08.6"}[i],
		})
	}
	return all
}

func intelFunction(device uint16, version uint8) Function {
	return Function{
		Identity: nhi.Identity{Vendor: 0x8086, Device: device, SubVendor: 0x8086, SubDevice: device, Version: version},
		Address:  "0d.0",
	}
}

// Models names the models.
func Models() []string { return slices.Sorted(maps.Keys(models)) }

// Lookup finds a model; "" is Default.
func Lookup(name string) (Model, bool) {
	if name == "" {
		name = Default
	}
	m, ok := models[name]
	m.Name = name
	return m, ok
}

// UID is the unique id of a host's router: the same in every run, different for each
// host and router, with the vendor in its second half-word as in real ones
// (0x5dde05610438ba11, 0xefb4a8c080876e30).
func (m Model) UID(host string, index int) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(host)) // a hash takes everything
	v := h.Sum64()&^0xffff00ff | uint64(m.RouterVendor)<<16
	return v + uint64(index)
}

// Router is the configuration of a host's router.
func (m Model) Router(host string, index, ports int) router.Config {
	return router.Config{
		Vendor:    m.RouterVendor,
		Device:    m.RouterDevice,
		UID:       m.UID(host, index),
		Ports:     ports,
		HostFirst: m.HostFirst,
		Bonding:   true,
		Version:   m.RouterVersion,
	}
}
