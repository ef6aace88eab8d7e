package mesh

import (
	"fmt"
	"net/netip"
	"strconv"
)

// Marks by which usb4mesh knows its own objects in a kernel. Nothing without
// such a mark is ever changed.
const (
	// RouteProtocol marks routes (rtm_protocol; /etc/iproute2/rt_protos does not
	// assign 117).
	RouteProtocol = 117
	// RulePriorityFirst and RulePriorityLast bound the priorities of our routing
	// policy rules, between the local (0) and the main (32766) rule. The first is
	// that of the rules by mark (see Steer), those by incoming interface follow.
	RulePriorityFirst = 7500
	RulePriorityLast  = 7999
	// AliasPrefix starts the alias of every interface that belongs to the mesh.
	AliasPrefix = "usb4mesh:"
)

// Table is a routing table number.
type Table int

// MainTable is the kernel's main table, RT_TABLE_MAIN.
const MainTable Table = 254

// String returns "main" or the number.
func (t Table) String() string {
	if t == MainTable {
		return "main"
	}
	return strconv.Itoa(int(t))
}

// State is what one node's kernel holds, or what it should hold.
//
// Observed and wanted state have the same type, so that Diff is a pure function.
// A wanted State lists only what usb4mesh wants; an observed one lists
// everything that Diff needs to see, foreign objects included.
type State struct {
	Links     []Link
	Addresses []Address
	Routes    []Route
	Rules     []Rule
	Sysctls   []Sysctl
}

// LinkKind says how an interface comes to be.
type LinkKind string

const (
	// KindPort is an interface that a driver makes when a cable is plugged; usb4mesh
	// configures it and never creates or deletes it.
	KindPort LinkKind = ""
	// KindDummy is created by usb4mesh (the identity interface).
	KindDummy LinkKind = "dummy"
	// KindBridge stands in, without ports, for a dummy where the kernel has none.
	KindBridge LinkKind = "bridge"
)

// Link is a network interface.
type Link struct {
	Name  string
	Kind  LinkKind
	Alias string // ifalias; starts with AliasPrefix on our interfaces
	MTU   int
	Up    bool // administratively

	// Observed only; Diff ignores them.
	Index   int
	Carrier bool
	MAC     string // 02:e2:1e:08:57:bc; "" where it has none of that form
}

// Address is an address on an interface. Local is a host prefix (/32 or /128)
// for everything usb4mesh makes; Peer is the other end of a point to point
// address, or the zero Prefix.
type Address struct {
	Interface string
	Local     netip.Prefix
	Peer      netip.Prefix
}

// Route is one next hop towards one destination. A directly connected peer has
// no Via. Routes with equal Destination and Table and different Metric are
// primary and detour: the kernel takes the lowest metric whose link is up.
type Route struct {
	Destination netip.Prefix
	Interface   string
	Via         netip.Addr // zero for a directly connected destination
	Metric      int
	Table       Table
	Source      netip.Addr // preferred source address
	Protocol    int        // RouteProtocol on ours
}

// Rule sends packets that came in over an interface, or that bear a mark, to a
// table.
type Rule struct {
	Incoming string // "" for any, and for the node's own packets
	Mark     uint32 // compared under MarkMask; 0 for any
	Table    Table
	Priority int
	IPv6     bool
}

// Family returns "ipv4" or "ipv6".
func (r Rule) Family() string {
	if r.IPv6 {
		return "ipv6"
	}
	return "ipv4"
}

// Sysctl is a kernel setting below /proc/sys, path with slashes:
// net/ipv4/conf/tbt-02/rp_filter.
type Sysctl struct{ Path, Value string }

// Op is what a Change does.
type Op string

// What a Change can do with its object.
const (
	Add    Op = "add"
	Remove Op = "remove"
	Set    Op = "set"
	Rename Op = "rename" // of a Link alone, see Renames
)

// Change is one step from have to want. Exactly one of the pointers is set.
type Change struct {
	Op      Op
	Link    *Link // Add creates it, Remove deletes it, Set gives alias, MTU and up, Rename gives the link of that Index the Name
	Address *Address
	Route   *Route
	Rule    *Rule
	Sysctl  *Sysctl
	Reason  string
}

func (l Link) String() string { return fmt.Sprintf("link %s mtu %d", l.Name, l.MTU) }

func (a Address) String() string {
	s := fmt.Sprintf("address %s", a.Local)
	if a.Peer.IsValid() {
		s += fmt.Sprintf(" peer %s", a.Peer)
	}
	return s + " dev " + a.Interface
}

func (r Route) String() string {
	s := "route " + r.Destination.String()
	if r.Via.IsValid() {
		s += " via " + r.Via.String()
	}
	return fmt.Sprintf("%s dev %s metric %d table %s", s, r.Interface, r.Metric, r.Table)
}

func (r Rule) String() string {
	s := fmt.Sprintf("rule %d: %s", r.Priority, r.Family())
	if r.Mark != 0 {
		s += fmt.Sprintf(" fwmark %#x/%#x", r.Mark, MarkMask)
	}
	if r.Incoming != "" || r.Mark == 0 {
		s += " iif " + r.Incoming
	}
	return s + " lookup " + r.Table.String()
}

func (s Sysctl) String() string { return "sysctl " + s.Path + " = " + s.Value }

func (c Change) String() string {
	var o fmt.Stringer
	switch {
	case c.Link != nil && c.Op == Rename:
		return fmt.Sprintf("rename link %d to %s", c.Link.Index, c.Link.Name)
	case c.Link != nil:
		o = c.Link
	case c.Address != nil:
		o = c.Address
	case c.Route != nil:
		o = c.Route
	case c.Rule != nil:
		o = c.Rule
	case c.Sysctl != nil:
		o = c.Sysctl
	default:
		return string(c.Op) + " nothing"
	}
	return string(c.Op) + " " + o.String()
}
