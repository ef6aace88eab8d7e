package cabling

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Cluster makes a cluster file's contents out of the cabling: one node for each
// machine, its ports by path, the cables as they are plugged. name is that of the mesh.
func (c Cabling) Cluster(name string) (mesh.Cluster, []finding.Finding) {
	cluster := mesh.Cluster{Name: name, Identity: pools(c.Machines), MTU: mesh.DefaultMTU}
	var fs []finding.Finding
	labels := map[string]string{} // host name -> node name
	portOf := map[End]string{}    // place -> port name
	taken := map[string]string{}  // node name -> host name
	speed := func(gbps int) int { return min(gbps, mesh.MaxSpeed) }
	for _, h := range c.Machines {
		label := nodeName(h.Node)
		if other, twice := taken[label]; label == "" || twice {
			fs = append(fs, finding.New(badHostName, "the host name %q makes no node name%s", h.Node, also(other)).Hinted("give the machine a host name of letters, digits and hyphens, different from the others"))
			continue
		}
		taken[label], labels[h.Node] = h.Node, label
		n := mesh.Node{Name: label}
		for _, k := range h.Controllers {
			all := adapters(h, k)
			slices.Sort(all)
			for _, a := range all {
				p := mesh.Port{Name: fmt.Sprintf("port%d", len(n.Ports)+1), Path: "pci-" + k.PCI}
				if len(all) > 1 || k.Vendor == 0x8086 {
					p.Adapter = a // an NHI may serve a second port that is empty now
				}
				portOf[End{h.Node, k.PCI, a, ""}] = p.Name
				n.Ports = append(n.Ports, p)
			}
		}
		if len(n.Ports) == 0 {
			fs = append(fs, finding.New(badHostName, "%s shows no USB4 port", h.Node).Hinted("see `usb4mesh diagnose` there"))
			continue
		}
		cluster.Nodes = append(cluster.Nodes, n)
	}
	for _, cable := range c.Cables {
		var ends [2]mesh.Endpoint
		for i, e := range cable.Ends {
			ends[i] = mesh.Endpoint{Node: labels[e.Node], Port: portOf[e.place()]}
		}
		switch {
		case ends[0].Port == "" || ends[1].Port == "" || ends[0].Node == "" || ends[1].Node == "":
			continue
		case ends[0].Node == ends[1].Node:
			fs = append(fs, finding.New(loopCable, "a cable joins %s and %s of the same machine; it is left out", ends[0], ends[1]).Hinted("plug one end into another machine"))
			continue
		}
		cluster.Cables = append(cluster.Cables, mesh.Cable{Name: fmt.Sprint(len(cluster.Cables) + 1), Ends: ends, Speed: speed(cable.Gbps)})
	}
	if len(cluster.Cables) == 0 {
		fs = append(fs, finding.New(nothingPlugged, "no cable joins two of the machines").Hinted("plug cables, load thunderbolt_net, and give the scans of at least two machines"))
	}
	return cluster, fs
}

func also(other string) string {
	if other == "" {
		return ""
	}
	return fmt.Sprintf(" of its own: %q already has it", other)
}

// nodeName makes a label of RFC 1123 out of a host name.
func nodeName(host string) string {
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	label := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		if r == '_' || r == ' ' {
			return '-'
		}
		return -1
	}, host), "-")
	if nameless(host) {
		return ""
	}
	return label[:min(len(label), 63)]
}

// pools proposes ranges for identities. The IPv6 range is a unique local one (RFC
// 4193); its 40 bits come from the routers' UUIDs, so that equal machines give equal
// files and different meshes different ranges.
func pools(machines []mesh.Hardware) []netip.Prefix {
	var uuids []string
	for _, h := range machines {
		for _, k := range h.Controllers {
			uuids = append(uuids, k.UUID)
		}
	}
	slices.Sort(uuids)
	sum := sha256.Sum256([]byte(strings.Join(uuids, "\n")))
	ula := [16]byte{0: 0xfd}
	copy(ula[1:6], sum[:])
	return []netip.Prefix{netip.MustParsePrefix("10.7.1.0/24"), netip.PrefixFrom(netip.AddrFrom16(ula), 64)}
}

var (
	badHostName = finding.Register(finding.Kind{
		Code: "no-node-name", Severity: finding.Error, Title: "A machine can't become a node",
		Explain: "A node needs a host name that is a valid label, different from all others, and at least one USB4 port.",
	})
	loopCable = finding.Register(finding.Kind{
		Code: "loop-cable", Severity: finding.Warning, Title: "A cable joins two ports of one machine",
		Explain: "It works as a link, but leads nowhere.",
	})
	nothingPlugged = finding.Register(finding.Kind{
		Code: "nothing-plugged", Severity: finding.Error, Title: "No cable was found between the machines",
		Explain: "A cluster file made from live cabling needs at least one cable whose two ends were both scanned.",
	})
)
