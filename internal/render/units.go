package render

import (
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// driver is what ethtool, and so udev's ID_NET_DRIVER, calls the driver of the
// ports (drivers/net/thunderbolt/main.c); module is what modprobe loads.
const (
	driver = "thunderbolt-net"
	module = "thunderbolt-net"
)

// system is all that is configured on one node, free of any format.
type system struct {
	mesh, source, node string
	module             string
	interfaces         []string // the ports, in plan order
	identity           bool     // whether the identity interface is among the units
	units              []unit
	sysctls            []mesh.Sysctl
}

// newSystem derives a node's system from its plan.
func newSystem(p mesh.Plan, n *mesh.NodePlan, o Options) (system, []finding.Finding) {
	s := system{mesh: p.Mesh, source: p.Source, node: n.Name, module: module, identity: len(n.Identity) > 0}
	fs := append(checkNames(n), checkSettings(n.Name, n.Settings)...)
	fs = append(fs, checkPorts(n)...)
	if s.identity {
		s.units = identityUnits(p, n, o)
	}
	for _, l := range n.Links {
		s.interfaces = append(s.interfaces, l.Interface)
		if pciAddress(l.Port.Path) != "" {
			s.units = append(s.units, merge(linkUnit(p, l), n.Settings.Link))
		}
		s.units = append(s.units, merge(networkUnit(n, l), n.Settings.Network))
	}
	s.sysctls = mergeSysctls(n.Sysctls, n.Settings.Sysctl)
	return s, fs
}

// identityUnits make the identity interface and give it the node's addresses.
// The .link file only carries the mark by which usb4mesh knows its interfaces.
func identityUnits(p mesh.Plan, n *mesh.NodePlan, o Options) []unit {
	const name = mesh.IdentityInterface
	netdev := unit{name: "30-" + name + ".netdev", sections: []section{
		sec("NetDev", set("Name", name), set("Kind", string(o.IdentityKind)), set("MTUBytes", strconv.Itoa(p.MTU))),
	}}
	if o.IdentityKind != mesh.KindDummy {
		netdev.note = "A " + string(o.IdentityKind) + " without ports stands in for the dummy interface that this kernel lacks."
	}
	link := unit{name: "30-" + name + ".link", sections: []section{
		sec("Match", set("OriginalName", name)),
		sec("Link", set("NamePolicy", ""), set("MACAddressPolicy", "none"), set("Alias", mesh.AliasPrefix+p.Mesh)),
	}}
	network := unit{name: "30-" + name + ".network", sections: []section{
		sec("Match", set("Name", name)),
		// The one interface that counts for wait-online, at any carrier: with none at
		// all systemd-networkd-wait-online (252) waits until its time is up, and the
		// boot with it, where networkd manages nothing but the mesh.
		sec("Link", set("RequiredForOnline", "no-carrier")),
		// A stand-in has no carrier, and a dummy needs none to hold an address.
		sec("Network", set("LinkLocalAddressing", "no"), set("IPv6AcceptRA", "no"), set("ConfigureWithoutCarrier", "yes")),
	}}
	for _, a := range n.Identity {
		network.sections = append(network.sections, addressSection(mesh.Address{Local: mesh.HostPrefix(a)}))
	}
	return []unit{link, netdev, network}
}

// linkUnit names the interface of a port. udev, systemd.link(5).
func linkUnit(p mesh.Plan, l mesh.LinkPlan) unit {
	match := sec("Match", set("Path", l.Port.Path), set("Driver", driver))
	if l.Port.Adapter != 0 {
		match.settings = append(match.settings, set("Property", devicePath(l.Port)))
	}
	return unit{name: "50-" + l.Interface + ".link", sections: []section{match,
		sec("Link",
			set("NamePolicy", ""), // takes precedence over Name= unless empty
			set("Name", l.Interface),
			set("Alias", mesh.AliasPrefix+p.Mesh+":"+l.Cable),
			set("MACAddressPolicy", "none"), // the driver's is derived from the host's UUID
		)}}
}

// devicePath matches one port of a host controller that serves several: the
// interface stands below the peer's XDomain, whose route string (0-1, 0-3) is
// the lane adapter it was reached by.
func devicePath(p mesh.Port) string {
	return "DEVPATH=*/" + pciAddress(p.Path) + "/domain?/?-0/?-" + strconv.FormatInt(int64(p.Adapter), 16) + "/*"
}

// pciAddress returns 0000:c7:00.5 of pci-0000:c7:00.5, or "". The PCI part is
// the last of a longer path, as platform-...-pci-0000:00:0d.2.
func pciAddress(path string) string {
	i := strings.LastIndex(path, "pci-")
	if i < 0 {
		return ""
	}
	return path[i+len("pci-"):]
}

// networkUnit configures a port: addresses, the routes that leave by it and the
// rules for packets that come in by it. systemd.network(5).
func networkUnit(n *mesh.NodePlan, l mesh.LinkPlan) unit {
	u := unit{name: "50-" + l.Interface + ".network", sections: []section{
		sec("Match", set("Name", l.Interface)),
		sec("Link", set("MTUBytes", strconv.Itoa(l.MTU)), set("RequiredForOnline", "no")),
		sec("Network",
			set("DHCP", "no"),
			set("LinkLocalAddressing", "ipv6"),
			set("IPv6AcceptRA", "no"),
			// The identity stands on every port, and an address that is still being
			// checked when a cable is plugged serves nobody.
			set("IPv6DuplicateAddressDetection", "0"),
			set("LLMNR", "no"),
			set("MulticastDNS", "no"),
			set("LLDP", "yes"), // shows which port the cable ends at
			set("EmitLLDP", "yes"),
		)}}
	for _, a := range l.Addresses {
		u.sections = append(u.sections, addressSection(a))
	}
	u.sections = append(u.sections, routeSections(n.Routes, l.Interface)...)
	for _, r := range n.Rules {
		if r.Incoming == l.Interface {
			u.sections = append(u.sections, sec("RoutingPolicyRule",
				set("IncomingInterface", r.Incoming), set("Table", tableNumber(r.Table)),
				set("Priority", strconv.Itoa(r.Priority)), set("Family", r.Family())))
		}
	}
	return u
}

func addressSection(a mesh.Address) section {
	s := sec("Address", set("Address", a.Local.String()))
	if a.Peer.IsValid() {
		s.settings = append(s.settings, set("Peer", a.Peer.String()))
	}
	if a.Local.Addr().Is6() {
		s.settings = append(s.settings, set("DuplicateAddressDetection", "none"))
	}
	return s
}

// tableNumber writes a table as its number, main included.
func tableNumber(t mesh.Table) string { return strconv.Itoa(int(t)) }
