package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/usb4mesh/usb4mesh/internal/cabling"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// The promised form of a machine (docs/cli.md). discover writes it and reads it back
// from other machines.
type (
	hardwareJSON struct {
		Node        string            `json:"node"`
		Kernel      string            `json:"kernel"`
		Version     string            `json:"version"`
		Machine     string            `json:"machine"`
		Controllers []controllerJSON  `json:"controllers"`
		Links       []usb4LinkJSON    `json:"links"`
		Modules     []moduleJSON      `json:"modules"`
		Findings    []finding.Finding `json:"findings"`
	}
	controllerJSON struct {
		PCI           string     `json:"pci"`
		ID            string     `json:"id"`
		Driver        string     `json:"driver"`
		Domain        int        `json:"domain"`
		RouterUUID    string     `json:"router_uuid"`
		Generation    int        `json:"generation"`
		Name          string     `json:"name"`
		Security      string     `json:"security"`
		DMAProtection bool       `json:"dma_protection"`
		FirmwareCM    bool       `json:"firmware_cm"`
		IOMMU         string     `json:"iommu"`
		Ports         []portJSON `json:"ports"`
	}
	portJSON struct {
		Adapter  int      `json:"adapter"`
		Link     string   `json:"link"`
		Retimers []string `json:"retimers"`
	}
	usb4LinkJSON struct {
		Interface    string            `json:"interface"`
		Parent       string            `json:"parent"`
		PCI          string            `json:"pci"`
		RouterUUID   string            `json:"router_uuid"`
		Port         int               `json:"port"`
		PeerUUID     string            `json:"peer_uuid"`
		PeerName     string            `json:"peer_name"`
		PeerVendor   string            `json:"peer_vendor"`
		Lanes        int               `json:"lanes"`
		GbpsPerLane  int               `json:"gbps_per_lane"`
		Gbps         int               `json:"gbps"`
		MAC          string            `json:"mac"`
		MTU          int               `json:"mtu"`
		Carrier      bool              `json:"carrier"`
		XDomain      string            `json:"xdomain"`
		Hops         int               `json:"hops"`
		PeerVendorID int               `json:"peer_vendor_id"`
		PeerDeviceID int               `json:"peer_device_id"`
		Up           bool              `json:"up"`
		Master       string            `json:"master"`
		Neighbour    string            `json:"neighbour_mac"`
		PeerMACs     []string          `json:"peer_macs"`
		Statistics   map[string]uint64 `json:"statistics"`
	}
	moduleJSON struct {
		Name       string            `json:"name"`
		Parameters map[string]string `json:"parameters"`
	}
)

func hardwareToJSON(h mesh.Hardware, findings []finding.Finding) hardwareJSON {
	out := hardwareJSON{Node: h.Node, Kernel: h.Release, Version: h.Version, Machine: h.Machine, Controllers: []controllerJSON{}, Links: []usb4LinkJSON{}, Modules: []moduleJSON{}, Findings: emptyNotNull(findings)}
	for _, c := range h.Controllers {
		cj := controllerJSON{PCI: c.PCI, ID: fmt.Sprintf("%04x:%04x", c.Vendor, c.Device), Driver: c.Driver, Domain: c.Domain, RouterUUID: c.UUID, Generation: c.Generation, Name: c.Name,
			Security: c.Security, DMAProtection: c.DMAProtection, FirmwareCM: c.FirmwareCM, IOMMU: c.IOMMU, Ports: []portJSON{}}
		for _, p := range c.Ports {
			cj.Ports = append(cj.Ports, portJSON{p.Adapter, p.Link, emptyNotNull(p.Retimers)})
		}
		out.Controllers = append(out.Controllers, cj)
	}
	for _, l := range h.Links {
		stats := l.Stats
		if stats == nil {
			stats = map[string]uint64{}
		}
		out.Links = append(out.Links, usb4LinkJSON{
			Interface: l.Interface, Parent: l.Parent, PCI: l.PCI, RouterUUID: l.RouterUUID, Port: l.Port, PeerUUID: l.Peer.UUID, PeerName: l.Peer.Name, PeerVendor: l.Peer.Vendor,
			Lanes: min(l.RxLanes, l.TxLanes), GbpsPerLane: min(l.RxSpeed, l.TxSpeed), Gbps: l.Gbps(), MAC: l.MAC, MTU: l.MTU, Carrier: l.Carrier,
			XDomain: l.XDomain, Hops: l.Hops, PeerVendorID: l.Peer.VendorID, PeerDeviceID: l.Peer.Device, Up: l.Up, Master: l.Master, Neighbour: l.Neighbour, PeerMACs: peerMACs(l.Peer.UUID), Statistics: stats,
		})
	}
	for _, m := range h.Modules {
		out.Modules = append(out.Modules, moduleJSON{m.Name, m.Parameters})
	}
	return out
}

// peerMACs lists the addresses that the peer's interface can have: those of the first
// and the second connector of its router (lane adapters 1 and 2, 3 and 4).
func peerMACs(uuid string) []string {
	if hw.MAC(uuid, 1) == "" {
		return []string{}
	}
	return []string{hw.MAC(uuid, 1), hw.MAC(uuid, 3)}
}

// clean makes every text printable: it comes from another machine and goes to a
// terminal, and into a cluster file.
func (in *hardwareJSON) clean() {
	texts := []*string{&in.Node, &in.Kernel, &in.Version, &in.Machine}
	for i := range in.Controllers {
		c := &in.Controllers[i]
		texts = append(texts, &c.PCI, &c.Driver, &c.RouterUUID, &c.Name, &c.Security, &c.IOMMU)
		for j := range c.Ports {
			texts = append(texts, &c.Ports[j].Link)
		}
	}
	for i := range in.Links {
		l := &in.Links[i]
		texts = append(texts, &l.Interface, &l.Parent, &l.PCI, &l.RouterUUID, &l.PeerUUID, &l.PeerName, &l.PeerVendor, &l.MAC, &l.XDomain, &l.Master, &l.Neighbour)
	}
	for _, s := range texts {
		*s = hw.Clean(*s)
	}
}

// maxLinks bounds what one machine may claim in a file.
const maxLinks = 1024

// readHardware reads what `discover --json` wrote on another machine.
func readHardware(b []byte) (mesh.Hardware, error) {
	var in hardwareJSON
	in.Findings = nil
	raw := struct {
		*hardwareJSON
		Findings json.RawMessage `json:"findings"` // told there already
	}{hardwareJSON: &in}
	if err := json.Unmarshal(b, &raw); err != nil {
		return mesh.Hardware{}, fmt.Errorf("no answer of `usb4mesh discover --json`: %w", err)
	}
	if in.Node == "" || in.Controllers == nil || in.Links == nil {
		return mesh.Hardware{}, errors.New("no answer of `usb4mesh discover --json`: node, controllers or links are missing")
	}
	if len(in.Links) > maxLinks || len(in.Controllers) > maxLinks {
		return mesh.Hardware{}, fmt.Errorf("%d controllers and %d links are more than a machine has", len(in.Controllers), len(in.Links))
	}
	in.clean()
	h := mesh.Hardware{Node: in.Node, Release: in.Kernel, Version: in.Version, Machine: in.Machine}
	for _, c := range in.Controllers {
		k := mesh.Controller{PCI: c.PCI, Driver: c.Driver, Domain: c.Domain, UUID: c.RouterUUID, Generation: c.Generation, Name: c.Name,
			Security: c.Security, DMAProtection: c.DMAProtection, FirmwareCM: c.FirmwareCM, IOMMU: c.IOMMU}
		_, _ = fmt.Sscanf(c.ID, "%04x:%04x", &k.Vendor, &k.Device) // unknown ids stay 0
		for _, p := range c.Ports {
			k.Ports = append(k.Ports, mesh.USB4Port{Adapter: p.Adapter, Link: p.Link, Retimers: p.Retimers})
		}
		h.Controllers = append(h.Controllers, k)
	}
	for _, l := range in.Links {
		h.Links = append(h.Links, mesh.USB4Link{
			XDomain: l.XDomain, PCI: l.PCI, RouterUUID: l.RouterUUID, Port: l.Port, Hops: l.Hops,
			Peer:    mesh.PeerHost{UUID: l.PeerUUID, Name: l.PeerName, Vendor: l.PeerVendor, VendorID: l.PeerVendorID, Device: l.PeerDeviceID},
			RxLanes: l.Lanes, TxLanes: l.Lanes, RxSpeed: l.GbpsPerLane, TxSpeed: l.GbpsPerLane,
			Parent: l.Parent, Interface: l.Interface, MAC: l.MAC, MTU: l.MTU, Up: l.Up, Carrier: l.Carrier, Master: l.Master, Neighbour: l.Neighbour, Stats: l.Statistics,
		})
	}
	for _, m := range in.Modules {
		h.Modules = append(h.Modules, mesh.Module{Name: m.Name, Parameters: m.Parameters})
	}
	return h, nil
}

// The promised form of several machines.
type (
	cablingJSON struct {
		Machines   []string          `json:"machines"`
		Cables     []liveCableJSON   `json:"cables"`
		Strangers  []strangerJSON    `json:"strangers"`
		Comparison *comparisonJSON   `json:"comparison,omitempty"`
		Findings   []finding.Finding `json:"findings"`
	}
	liveCableJSON struct {
		Ends       [2]endJSON `json:"ends"`
		Gbps       int        `json:"gbps"`
		Confidence string     `json:"confidence"`
		Evidence   string     `json:"evidence"`
	}
	endJSON struct {
		Node      string `json:"node"`
		PCI       string `json:"pci"`
		Port      int    `json:"port"`
		Interface string `json:"interface"`
	}
	strangerJSON struct {
		End      endJSON `json:"end"`
		PeerName string  `json:"peer_name"`
		PeerUUID string  `json:"peer_uuid"`
		System   string  `json:"system"`
		Hops     int     `json:"hops"`
	}
	comparisonJSON struct {
		AsPlanned   []string         `json:"as_planned"`
		Misplugged  []mispluggedJSON `json:"misplugged"`
		Missing     []string         `json:"missing"`
		Unseen      []string         `json:"unseen"`
		Unplanned   []string         `json:"unplanned"`
		Moves       []moveJSON       `json:"moves"`
		NothingToDo bool             `json:"nothing_to_do"`
	}
	mispluggedJSON struct {
		Cable   string    `json:"cable"`
		Planned [2]string `json:"planned"`
		Actual  [2]string `json:"actual"`
	}
	moveJSON struct {
		Kind string `json:"kind"`
		From string `json:"from"`
		To   string `json:"to"`
		Text string `json:"text"`
	}
)

func cablingToJSON(c cabling.Cabling, against *cabling.Comparison, findings []finding.Finding) cablingJSON {
	end := func(e cabling.End) endJSON { return endJSON{e.Node, e.PCI, e.Port, e.Interface} }
	out := cablingJSON{Machines: []string{}, Cables: []liveCableJSON{}, Strangers: []strangerJSON{}, Findings: emptyNotNull(findings)}
	for _, h := range c.Machines {
		out.Machines = append(out.Machines, h.Node)
	}
	for _, x := range c.Cables {
		out.Cables = append(out.Cables, liveCableJSON{[2]endJSON{end(x.Ends[0]), end(x.Ends[1])}, x.Gbps, string(x.Confidence), x.Evidence})
	}
	for _, s := range c.Strangers {
		out.Strangers = append(out.Strangers, strangerJSON{end(s.End), s.Peer.Name, s.Peer.UUID, s.System, s.Hops})
	}
	if against != nil {
		j := comparisonJSON{AsPlanned: emptyNotNull(against.Good), Misplugged: []mispluggedJSON{}, Missing: emptyNotNull(against.Missing), Unseen: emptyNotNull(against.Unseen), Unplanned: emptyNotNull(against.Extra), Moves: []moveJSON{}, NothingToDo: against.Clean()}
		for _, m := range against.Misplugs {
			j.Misplugged = append(j.Misplugged, mispluggedJSON{m.Cable, m.Planned, m.Actual})
		}
		for _, m := range against.Moves {
			j.Moves = append(j.Moves, moveJSON{m.Kind, m.From, m.To, m.String()})
		}
		out.Comparison = &j
	}
	return out
}
