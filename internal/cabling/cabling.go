// Package cabling finds out who is cabled to whom: from what several machines show
// (mesh.Hardware) to cables, and from cables to what differs from a plan.
//
// The two ends of a cable know each other by the UUIDs of their routers. Some
// machines take a new UUID at every boot, hosts may be called (none), and two cables
// between the same two routers look alike, so every cable says how sure it is and
// by what evidence.
package cabling

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// End is a port of a machine.
type End struct {
	Node      string
	PCI       string // of the controller
	Port      int    // lane adapter
	Interface string // "" without
}

func (e End) String() string { return fmt.Sprintf("%s %s port %d", e.Node, e.PCI, e.Port) }

// place is an end without what may change while the cable stays.
func (e End) place() End { e.Interface = ""; return e }

// Confidence says how sure a cable is.
type Confidence string

// Confidences, from the surest.
const (
	Certain Confidence = "certain" // both ends name the other's router by UUID
	Likely  Confidence = "likely"  // names agree, or one end alone names the other
	Guess   Confidence = "guess"   // one of several possibilities
)

// Cable joins two ports.
type Cable struct {
	Ends       [2]End
	Gbps       int // trained, per direction
	Confidence Confidence
	Evidence   string
}

// Stranger is a peer that is none of the machines given.
type Stranger struct {
	End    End
	Peer   mesh.PeerHost
	System string // Linux, macOS, Windows, unknown
	Hops   int    // hubs in between
}

// Cabling is what the machines together show.
type Cabling struct {
	Machines  []mesh.Hardware // as given, without repetitions
	Cables    []Cable
	Strangers []Stranger
	Findings  []finding.Finding
}

// seen is one link as one machine shows it.
type seen struct {
	machine int
	link    *mesh.USB4Link
	end     End
	used    bool
}

// Match finds the cables between machines. Equal input, in any order, gives equal
// cables; they are sorted by their ends.
func Match(machines []mesh.Hardware) Cabling {
	c := Cabling{}
	routers := map[string]int{} // UUID -> machine
	nodes := map[string]int{}
	for _, h := range machines {
		if i, twice := nodes[h.Node]; twice {
			if !sharesRouter(c.Machines[i], h) {
				c.Findings = append(c.Findings, finding.New(sameName, "two machines are called %q", h.Node).Hinted("give them different host names; only the first is used"))
			}
			continue
		}
		nodes[h.Node] = len(c.Machines)
		for _, k := range h.Controllers {
			if k.UUID != "" {
				routers[k.UUID] = len(c.Machines)
			}
		}
		c.Machines = append(c.Machines, h)
	}
	var all []*seen
	for i := range c.Machines {
		h := &c.Machines[i]
		for j := range h.Links {
			l := &h.Links[j]
			all = append(all, &seen{machine: i, link: l, end: End{h.Node, l.PCI, l.Port, l.Interface}})
		}
	}
	slices.SortStableFunc(all, func(a, b *seen) int { return compareEnds(a.end, b.end) })
	m := matcher{c: &c, all: all, routers: routers, nodes: nodes}
	m.byUUID()
	m.byName()
	m.oneSided()
	for i := range c.Cables {
		if e := &c.Cables[i].Ends; compareEnds(e[0], e[1]) > 0 {
			e[0], e[1] = e[1], e[0]
		}
	}
	slices.SortFunc(c.Cables, func(a, b Cable) int {
		return cmp.Or(compareEnds(a.Ends[0], b.Ends[0]), compareEnds(a.Ends[1], b.Ends[1]))
	})
	return c
}

func sharesRouter(a, b mesh.Hardware) bool {
	for _, x := range a.Controllers {
		for _, y := range b.Controllers {
			if x.UUID != "" && x.UUID == y.UUID {
				return true
			}
		}
	}
	return false
}

func compareEnds(a, b End) int {
	return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.PCI, b.PCI), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Interface, b.Interface))
}

type matcher struct {
	c       *Cabling
	all     []*seen
	routers map[string]int
	nodes   map[string]int
}

func (m *matcher) join(a, b *seen, how Confidence, evidence string) {
	a.used, b.used = true, true
	m.c.Cables = append(m.c.Cables, Cable{[2]End{a.end, b.end}, min(a.link.Gbps(), b.link.Gbps()), how, evidence})
}

// byUUID joins links that name each other's routers.
func (m *matcher) byUUID() {
	for _, a := range m.all {
		if a.used || a.link.RouterUUID == "" {
			continue
		}
		var back []*seen
		alike := 0 // links between the same two routers, matched or not
		for _, b := range m.all {
			switch {
			case b != a && !b.used && b.link.RouterUUID == a.link.Peer.UUID && b.link.Peer.UUID == a.link.RouterUUID:
				back = append(back, b)
			case b.link.RouterUUID == a.link.RouterUUID && b.link.Peer.UUID == a.link.Peer.UUID:
				alike++
			}
		}
		switch {
		case len(back) == 1 && alike == 1:
			m.join(a, back[0], Certain, "both ends name the other's router UUID")
		case len(back) > 0:
			// Nothing in sysfs says which port of the peer's router a link ends at, but
			// each port has a MAC address of its own.
			if i := slices.IndexFunc(back, func(b *seen) bool { return answers(a, b) || answers(b, a) }); i >= 0 {
				m.join(a, back[i], Likely, "who answers on the link has the MAC address of the other end")
				continue
			}
			m.join(a, back[0], Guess, fmt.Sprintf("%d cables join the same two routers; which end is which is not visible", alike))
		}
	}
}

// answers reports whether a's neighbour is b.
func answers(a, b *seen) bool {
	return a.link.Neighbour != "" && a.link.Neighbour == b.link.MAC
}

// nameless are what hosts call themselves before they have a name.
func nameless(name string) bool { return name == "" || name == "(none)" || name == "localhost" }

// byName joins what is left where both ends name the other's host: UUIDs change when
// some machines reboot, and a scan may be older than that.
func (m *matcher) byName() {
	for _, a := range m.all {
		if a.used || m.known(a) {
			continue
		}
		var back []*seen
		for _, b := range m.all {
			if !b.used && b != a && !nameless(a.link.Peer.Name) && !nameless(b.link.Peer.Name) && a.end.Node != b.end.Node &&
				a.link.Peer.Name == b.end.Node && b.link.Peer.Name == a.end.Node {
				back = append(back, b)
			}
		}
		switch {
		case len(back) == 1:
			m.join(a, back[0], Likely, "the hosts name each other; a UUID differs, as after a reboot of some machines")
		case len(back) > 1:
			m.join(a, back[0], Guess, fmt.Sprintf("the hosts name each other over %d links; UUIDs differ", len(back)))
		}
	}
}

// known reports whether the peer's UUID belongs to one of the machines.
func (m *matcher) known(s *seen) bool {
	_, ok := m.routers[s.link.Peer.UUID]
	return ok && s.link.Peer.UUID != ""
}

// oneSided tells about links that only one end shows.
func (m *matcher) oneSided() {
	for _, s := range m.all {
		if s.used {
			continue
		}
		peer, ok := m.routers[s.link.Peer.UUID]
		if !m.known(s) {
			peer, ok = m.nodes[s.link.Peer.Name]
			ok = ok && !nameless(s.link.Peer.Name)
		}
		if ok && m.c.Machines[peer].Node != s.end.Node {
			f := finding.New(oneSided, "%s sees %s, which does not see it back", s.end, m.c.Machines[peer].Node).
				Hinted("scan both machines again at the same time; if it stays, replug the cable")
			m.c.Findings = append(m.c.Findings, f)
			continue
		}
		m.c.Strangers = append(m.c.Strangers, Stranger{s.end, s.link.Peer, SystemOf(s.link.Peer), s.link.Hops})
	}
}

// SystemOf tells a peer's system from how it introduces itself: Linux as Intel
// 0x8086:0x1 before about 7.0, as Linux 0x1d6b:0x4 from then on; Apple 0xa27;
// Microsoft 0x45e.
func SystemOf(p mesh.PeerHost) string {
	switch {
	case p.VendorID == 0x1d6b, p.VendorID == 0x8086 && p.Device == 1:
		return "Linux"
	case p.VendorID == 0xa27 || strings.HasPrefix(p.Vendor, "Apple"):
		return "macOS"
	case p.VendorID == 0x45e || strings.HasPrefix(p.Vendor, "Microsoft"):
		return "Windows"
	}
	return "unknown system"
}

var (
	sameName = finding.Register(finding.Kind{
		Code: "same-host-name", Severity: finding.Error, Title: "Two machines have the same host name",
		Explain: "Cables are named by the machines they join, so every machine of a mesh needs a name of its own. Two scans of one machine are recognised by its router UUIDs and do not count.",
	})
	oneSided = finding.Register(finding.Kind{
		Code: "one-sided-link", Severity: finding.Warning, Title: "Only one end of a cable sees the other",
		Explain: "One machine shows a peer, and that peer does not show this machine. Mostly one scan is older than the other; otherwise the handshake worked in one direction only, and replugging helps.",
	})
)
