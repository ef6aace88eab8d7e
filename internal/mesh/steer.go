package mesh

import "net/netip"

// Steering takes packets off a link at once, before the tables are changed: a
// Steer gives packets a mark, a rule leads marked packets to a table that holds
// nothing but the way out of one port. Rules and tables stand all the time; what
// changes in the hurry is a packet filter, which can be written while the kernel
// holds every change of routes back (RTNL).

// MarkMask are the bits of a packet's mark that steering uses. Others keep their
// meaning, and a packet that bears a bit of these already is left alone. The top
// byte is the one that known users of marks share least (Calico may take it, by
// its documentation from the low end of 0xffff0000 upwards; Kubernetes, Cilium's
// routing, Tailscale and Weave lie below).
const MarkMask uint32 = 0xff00_0000

// MaxSteered is how many ports of a node can be steered to: the marks of MarkMask.
const MaxSteered = 0xff

// steerTableFirst is the steering table of a node's first port, beyond those that
// rules by incoming interface lead to.
const steerTableFirst Table = 8000

// SteerMark returns the mark that leads out of a node's k-th port, counted from
// 0; k is below MaxSteered.
func SteerMark(k int) uint32 { return uint32(k+1) << 24 }

// SteerTable returns the table that leads out of a node's k-th port.
func SteerTable(k int) Table { return steerTableFirst + Table(k) }

// Steer sends packets for one destination out of a port, whatever the tables say.
type Steer struct {
	Incoming    string // interface they came in over; "" for the node's own
	Destination netip.Addr
	Port        string // interface they leave by, for people
	Mark        uint32 // that of the port, see SteerMark
}

// String says what is steered where.
func (s Steer) String() string {
	from := "own packets"
	if s.Incoming != "" {
		from = "from " + s.Incoming
	}
	return from + " to " + s.Destination.String() + " out of " + s.Port
}
