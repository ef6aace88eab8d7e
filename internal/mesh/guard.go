package mesh

import "net/netip"

// DriverInterface starts the names that the driver gives to interfaces, before they
// are named after the plan (drivers/net/thunderbolt/main.c, tbnet_probe).
const DriverInterface = "thunderbolt"

// Guard keeps machines that are not of the plan out of the mesh, in a packet filter:
// settings of an interface can be undone by whoever manages it, and one switch makes
// IPv6 forward everywhere. Interfaces other than those of USB4 are not its business.
type Guard struct {
	// Ports are the interfaces of the plan. Nothing passes between them and a USB4
	// interface that is none of them: one of Outside, or one that bears the driver's name.
	Ports []string
	// Addresses are those of the mesh, the node's own included. A packet from one of
	// them is not taken from a USB4 interface that is not of the plan, and none for
	// one of them leaves there.
	Addresses []netip.Addr
	// Strangers are interfaces behind which another machine is than should be: nothing
	// comes in there, and nothing goes out.
	Strangers []string
	// Outside are USB4 interfaces of ports that the plan does not use.
	Outside []string
}

// Refused counts packets that a Guard has stopped.
type Refused struct {
	Stranger uint64 // came from, or were for, a stranger
	Forged   uint64 // came from outside with an address of the mesh
	Crossing uint64 // were to pass from outside into the mesh, or from there out
}

// Plus adds.
func (r Refused) Plus(o Refused) Refused {
	return Refused{r.Stranger + o.Stranger, r.Forged + o.Forged, r.Crossing + o.Crossing}
}
