// Package match finds out which cable of the plan each interface is.
//
// Names of the kernel follow the order of plugging, and a peer's UUID may change
// when it reboots, so neither is trusted: a port is known by its controller and
// lane adapter, which are soldered, and the peer by what it says of itself,
// checked against what the nodes tell each other.
package match

import (
	"cmp"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Input is what is known.
type Input struct {
	Plan     mesh.Plan
	Node     string
	Hardware mesh.Hardware
	Links    []mesh.Link // of the kernel

	// Routers are the UUIDs of host routers of which the node is known: what
	// nodes say of themselves, or what was seen before.
	Routers map[string]string
	// Told are the nodes that have just told all their UUIDs: whoever bears their
	// name and another UUID is somebody else.
	Told map[string]bool
}

// Port is a port of the node that the plan uses.
type Port struct {
	Plan     mesh.LinkPlan
	Peer     *mesh.USB4Link // who is at the port; nil nobody, or nothing is known of the hardware
	Kernel   mesh.Link      // the interface; Name "" without one
	Stranger string         // who is there instead of the planned peer
}

// Plugged reports whether somebody is at the port.
func (p Port) Plugged() bool { return p.Peer != nil || p.Kernel.Name != "" }

// Part reports whether the port has an interface to the planned peer.
func (p Port) Part() bool { return p.Kernel.Name != "" && p.Stranger == "" }

// Result is what was found.
type Result struct {
	Ports    []Port            // in the order of the plan
	Names    map[int]string    // planned names of interfaces that bear others, by index
	Seen     map[string]string // UUIDs of peers that are what they should be
	Outside  []string          // interfaces of USB4 ports that the plan does not use
	Findings []finding.Finding
}

// Find matches ports to the plan. A machine that shows no USB4 controller at all
// is believed by its interfaces' names.
func Find(in Input) Result {
	m := matcher{Input: in, self: in.Plan.Node(in.Node), result: Result{Seen: map[string]string{}, Names: map[int]string{}}, taken: map[string]bool{}}
	if m.self == nil {
		return m.result
	}
	for _, l := range m.self.Links {
		m.result.Ports = append(m.result.Ports, m.port(l))
	}
	m.unplanned()
	m.names()
	return m.result
}

type matcher struct {
	Input
	self   *mesh.NodePlan
	result Result
	taken  map[string]bool // names of XDomains that are at a port of the plan
}

func (m *matcher) report(f finding.Finding) { m.result.Findings = append(m.result.Findings, f) }

// at reports whether a peer hangs from a port.
func at(l mesh.USB4Link, p mesh.Port) bool {
	return "pci-"+l.PCI == p.Path && (p.Adapter == 0 || p.Adapter == l.Port)
}

func (m *matcher) port(l mesh.LinkPlan) Port {
	p := Port{Plan: l}
	if len(m.Hardware.Controllers) == 0 {
		p.Kernel, _ = m.named(l.Interface)
		return p
	}
	var found []mesh.USB4Link
	for _, h := range m.Hardware.Links {
		if at(h, l.Port) {
			found = append(found, h)
		}
	}
	// Behind a hub there may be several; the planned peer goes first.
	slices.SortStableFunc(found, func(a, b mesh.USB4Link) int {
		rank := func(h mesh.USB4Link) int {
			if m.stranger(h, l.Peer) == "" {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Hops, b.Hops))
	})
	if len(found) == 0 {
		return p
	}
	h := found[0]
	p.Peer = &h
	m.taken[h.XDomain] = true
	p.Kernel = m.kernel(h)
	p.Stranger = m.stranger(h, l.Peer)
	switch {
	case p.Stranger == "":
		if uuid := h.Peer.UUID; uuid != "" && host(h.Peer.Name) == l.Peer {
			m.result.Seen[uuid] = l.Peer
		}
	case m.Plan.Node(p.Stranger) != nil:
		m.report(finding.New(wrongPort, "port %s is cabled to node %s instead of %s; it stays out of the mesh", m.portName(l), p.Stranger, l.Peer).
			Hinted("plug the cable to %s there, or change the cluster file", l.Peer))
	default:
		m.report(finding.New(stranger, "port %s is cabled to %s, which is not the planned node %s; it stays out of the mesh", m.portName(l), describe(h.Peer), l.Peer).
			Hinted("pull the cable if you do not know that machine"))
	}
	if p.Stranger == "" && h.Parent == "" {
		m.report(finding.New(noService, "port %s sees node %s, but there is no network service", m.portName(l), l.Peer).
			Hinted("load thunderbolt_net on both nodes: `modprobe thunderbolt_net`"))
	}
	return p
}

func (m *matcher) portName(l mesh.LinkPlan) string {
	if l.Port.Name != "" {
		return l.Port.Name
	}
	return l.Port.Path
}

// stranger says who the peer is if it is not the planned one: a node's name, or a
// description; "" if it may be.
func (m *matcher) stranger(h mesh.USB4Link, planned string) string {
	name, owner := host(h.Peer.Name), m.Routers[h.Peer.UUID]
	switch {
	case owner != "" && owner != planned && (m.Told[owner] || name != planned):
		return owner // its UUID is another node's, whatever it is called
	case owner == planned && (m.Told[planned] || name == planned || name == ""):
		return ""
	case m.Told[planned]: // the planned peer is alive and has other UUIDs
		return describe(h.Peer)
	case name == planned, name == "":
		return "" // a new UUID after a reboot; a name that is not set yet
	case m.Plan.Node(name) != nil:
		return name
	}
	return describe(h.Peer)
}

// longestName bounds what of a stranger's name is repeated. Linux knows no longer ones
// (__NEW_UTS_LEN); hardware may send thousands of bytes.
const longestName = 64

// host is the first label of a host name; "" for one that is not set.
func host(name string) string {
	name, _, _ = strings.Cut(name, ".")
	if name == "(none)" || name == "localhost" {
		return ""
	}
	return name
}

func describe(p mesh.PeerHost) string {
	name := p.Name
	if len(name) > longestName {
		name = strings.ToValidUTF8(name[:longestName], "") + "..."
	}
	if host(name) == "" {
		name = "a machine without a name"
	}
	if p.UUID != "" {
		name += " (UUID " + p.UUID + ")"
	}
	return name
}

// kernel returns the interface of a peer: by the name that the device tree shows,
// or, if it has just been renamed, by its hardware address.
func (m *matcher) kernel(h mesh.USB4Link) mesh.Link {
	if h.Interface == "" {
		return mesh.Link{}
	}
	if l, ok := m.named(h.Interface); ok && (h.MAC == "" || l.MAC == "" || l.MAC == h.MAC) {
		return l
	}
	var same []mesh.Link
	for _, l := range m.Links {
		if h.MAC != "" && l.MAC == h.MAC && l.Kind == mesh.KindPort {
			same = append(same, l)
		}
	}
	if len(same) == 1 {
		return same[0]
	}
	return mesh.Link{}
}

func (m *matcher) named(name string) (mesh.Link, bool) {
	i := slices.IndexFunc(m.Links, func(l mesh.Link) bool { return l.Name == name })
	if i < 0 {
		return mesh.Link{}, false
	}
	return m.Links[i], true
}

// unplanned reports peers at ports that the plan does not use.
func (m *matcher) unplanned() {
	for _, h := range m.Hardware.Links {
		if m.taken[h.XDomain] {
			continue
		}
		if l := m.kernel(h); l.Name != "" {
			m.result.Outside = append(m.result.Outside, l.Name)
		}
		who := m.Routers[h.Peer.UUID]
		if who == "" {
			who = host(h.Peer.Name)
		}
		if m.Plan.Node(who) == nil || who == m.Node {
			// The port is free for whatever its owner likes, as long as it is not the mesh.
			m.report(finding.New(freePort, "%s is cabled as %s to controller %s, to a port which the plan does not use; it is kept out of the mesh", describe(h.Peer), h.XDomain, h.PCI))
			continue
		}
		m.report(finding.New(unplannedPort, "node %s is cabled as %s to controller %s, to a port which the plan does not use", who, h.XDomain, h.PCI).
			Hinted("plug the cable where the plan has it, or add it to the cluster file"))
	}
}

// names lists the interfaces that have to be renamed.
func (m *matcher) names() {
	for _, p := range m.result.Ports {
		if p.Part() && p.Kernel.Name != p.Plan.Interface {
			m.result.Names[p.Kernel.Index] = p.Plan.Interface
		}
	}
}
