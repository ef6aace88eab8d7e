// Package hw reads what a machine says about its USB4: controllers, ports, peer
// hosts and interfaces below /sys, and the facts of /proc that decide how fast and
// how reliably packets flow.
//
// It only reads, starts no process, and believes nothing: a tree may be a copy from
// another machine or a hostile one, so every read has a bound and every value a
// form. What is odd becomes a finding and stays unknown; nothing makes a scan fail.
// Forms and names: Documentation/ABI/testing/sysfs-bus-thunderbolt and
// drivers/thunderbolt of kernels 6.1 to 7.3.
//
// Two things can't be read from files: offload settings and the kernel log.
// AddLive asks the kernel for them; in a copy made by Collect they are files
// below usb4mesh/.
package hw

import (
	"cmp"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Scan reads a file system that holds sys and proc, such as that of Open. It always
// returns what could be read; the findings say what could not.
func Scan(fsys fs.FS) (mesh.Hardware, []finding.Finding) {
	t := newTree(fsys)
	var h mesh.Hardware
	h.Node = t.line("proc/sys/kernel/hostname")
	h.Release = t.line("proc/sys/kernel/osrelease")
	h.Version = t.line("proc/version")
	h.Machine = Clean(t.line("sys/class/dmi/id/sys_vendor") + " " + t.line("sys/class/dmi/id/product_name"))
	for _, name := range []string{"thunderbolt", "thunderbolt_net"} {
		if m, ok := t.module(name); ok {
			h.Modules = append(h.Modules, m)
		}
	}
	t.controllers(&h)
	slices.SortFunc(h.Controllers, func(a, b mesh.Controller) int { return cmp.Compare(a.PCI, b.PCI) })
	slices.SortFunc(h.Links, func(a, b mesh.USB4Link) int {
		x, _ := parseName(a.XDomain)
		y, _ := parseName(b.XDomain)
		return cmp.Or(cmp.Compare(x.domain, y.domain), cmp.Compare(x.route, y.route))
	})
	t.host(&h)
	return h, t.findings
}

func (t *tree) module(name string) (mesh.Module, bool) {
	d := t.dir("sys/module/" + name)
	if len(d.entries) == 0 {
		return mesh.Module{}, false
	}
	m := mesh.Module{Name: name, Parameters: map[string]string{}}
	if d.has("parameters") {
		p := d.sub("parameters")
		for _, e := range p.entries {
			m.Parameters[e.Name()] = p.text(e.Name())
		}
	}
	return m, true
}

// classUSB4 is the PCI class of a USB4 host interface.
const classUSB4 = 0x0c0340

// thunderbolt3 are controllers older than the PCI class (gicmo/bolt,
// boltd/bolt-sysfs.c; drivers/thunderbolt/nhi.h).
var thunderbolt3 = []int{0x157d, 0x15bf, 0x15d2, 0x15d9, 0x15e8, 0x15eb, 0x15dc, 0x15dd, 0x15de, 0x8a0d, 0x8a17}

const vendorIntel = 0x8086

// controllers finds all NHIs: by PCI class, by known id, or by the driver.
func (t *tree) controllers(h *mesh.Hardware) {
	bus := t.dir("sys/bus/pci/devices")
	for _, e := range bus.entries {
		d := bus.sub(e.Name())
		if d.number("class") != classUSB4 && d.target("driver") != "thunderbolt" &&
			(d.number("vendor") != vendorIntel || !slices.Contains(thunderbolt3, d.number("device"))) {
			continue
		}
		t.controller(h, d)
	}
}

func (t *tree) controller(h *mesh.Hardware, d dir) {
	c := mesh.Controller{
		PCI: Clean(path.Base(d.name)), Vendor: d.number("vendor"), Device: d.number("device"),
		Driver: d.target("driver"), PCIeWidth: d.number("current_link_width"), Domain: -1,
	}
	if d.has("iommu_group") {
		c.IOMMU = d.sub("iommu_group").text("type")
	}
	for _, e := range d.entries {
		number, ok := strings.CutPrefix(e.Name(), "domain")
		if e.Type() != fs.ModeDir || !ok || !digits(number) {
			continue
		}
		c.Domain, _ = strconv.Atoi(number) // digits: can't fail
		t.domain(h, &c, d.sub(e.Name()))
	}
	if d.has("msi_irqs") {
		msi := d.sub("msi_irqs")
		for _, e := range msi.entries {
			if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 && n < 1<<20 {
				_ = msi.text(e.Name()) // so that a copy holds it
				c.Interrupts = append(c.Interrupts, mesh.Interrupt{Number: n})
			}
		}
		slices.SortFunc(c.Interrupts, func(a, b mesh.Interrupt) int { return cmp.Compare(a.Number, b.Number) })
	}
	h.Controllers = append(h.Controllers, c)
}

func (t *tree) domain(h *mesh.Hardware, c *mesh.Controller, d dir) {
	c.Security = d.text("security")
	c.DMAProtection = d.text("iommu_dma_protection") == "1"
	root := strconv.Itoa(c.Domain) + "-0"
	if !d.has(root) {
		return
	}
	r := d.sub(root)
	c.UUID = r.uuid()
	c.Generation = r.number("generation")
	c.Name = strings.TrimSpace(r.text("vendor_name") + " " + r.text("device_name"))
	for _, e := range r.entries {
		number, ok := strings.CutPrefix(e.Name(), "usb4_port")
		if e.Type() != fs.ModeDir || !ok || !digits(number) {
			continue
		}
		var p mesh.USB4Port
		p.Adapter, _ = strconv.Atoi(number) // digits: can't fail
		u := r.sub(e.Name())
		p.Link = u.text("link")
		for _, retimer := range u.entries {
			if strings.HasPrefix(retimer.Name(), root+":") {
				_ = u.sub(retimer.Name()).text("device") // so that a copy holds it
				p.Retimers = append(p.Retimers, Clean(retimer.Name()))
			}
		}
		if u.has("connector") { // the Type-C port, where firmware describes it
			typec := u.sub("connector")
			for _, e := range typec.entries {
				if strings.HasSuffix(e.Name(), "-partner") {
					p.Partner = true
					_ = typec.sub(e.Name()).text("type") // so that a copy holds it
				}
			}
		}
		c.Ports = append(c.Ports, p)
	}
	slices.SortFunc(c.Ports, func(a, b mesh.USB4Port) int { return cmp.Compare(a.Adapter, b.Adapter) })
	// The kernel shows usb4_port only where its own connection manager runs
	// (tb_switch_is_icm, drivers/thunderbolt/usb4.c), and only there deauthorization
	// is 1 (tb.c). boot_acl comes from firmware.
	_ = d.text("boot_acl") // so that a copy holds it
	c.FirmwareCM = d.has("boot_acl") || len(c.Ports) == 0 && d.text("deauthorization") == "0"
	t.router(h, c, r, 0)
}

// maxDepth is how many routers a route can have (TB_SWITCH_MAX_DEPTH).
const maxDepth = 6

// router visits what hangs from a router: peer hosts, and hubs with more of the same.
func (t *tree) router(h *mesh.Hardware, c *mesh.Controller, r dir, depth int) {
	for _, e := range r.entries {
		n, ok := parseName(e.Name())
		if e.Type() != fs.ModeDir || !ok || n.service >= 0 || n.domain != c.Domain || n.route == 0 {
			continue
		}
		d := r.sub(e.Name())
		switch {
		case strings.Contains(d.uevent(), "DEVTYPE=thunderbolt_xdomain"):
			h.Links = append(h.Links, t.xdomain(c, d, n))
		case depth < maxDepth:
			t.router(h, c, d, depth+1)
		}
	}
}

// uevent returns the lines of a device's uevent file.
func (d dir) uevent() string {
	mode, ok := d.types["uevent"]
	if !ok {
		return ""
	}
	b, err := d.t.readRegular(path.Join(d.name, "uevent"), mode, attributeLimit)
	if err != nil {
		return ""
	}
	return string(b)
}

func (d dir) uuid() string {
	s := d.text("unique_id")
	if s != "" && !isUUID(s) {
		d.odd("unique_id", s, "a UUID")
		return ""
	}
	return s
}

// xdomain reads a peer host.
func (t *tree) xdomain(c *mesh.Controller, d dir, n deviceName) mesh.USB4Link {
	l := mesh.USB4Link{
		XDomain: path.Base(d.name), PCI: c.PCI, RouterUUID: c.UUID, Port: n.port(), Hops: n.hops(),
		Peer: mesh.PeerHost{
			UUID: d.uuid(), Name: d.text("device_name"), Vendor: d.text("vendor_name"),
			VendorID: d.number("vendor"), Device: d.number("device"),
		},
		RxLanes: d.lanes("rx_lanes"), TxLanes: d.lanes("tx_lanes"),
		RxSpeed: d.speed("rx_speed"), TxSpeed: d.speed("tx_speed"),
	}
	for _, e := range d.entries {
		if s, ok := parseName(e.Name()); e.Type() == fs.ModeDir && ok && s.service >= 0 {
			t.service(&l, d.sub(e.Name()))
		}
	}
	return l
}

// lanes is 1, 2, or 3 for an asymmetric Gen 4 link.
func (d dir) lanes(name string) int {
	n := d.number(name)
	if n < 0 || n > 3 {
		d.odd(name, strconv.Itoa(n), "1 to 3 lanes")
		return 0
	}
	return n
}

// speed reads "20.0 Gb/s", the speed of one lane (drivers/thunderbolt/xdomain.c).
func (d dir) speed(name string) int {
	s := d.text(name)
	if s == "" {
		return 0
	}
	number, ok := strings.CutSuffix(s, ".0 Gb/s")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 || n > 200 {
		d.odd(name, s, "a speed such as 20.0 Gb/s")
		return 0
	}
	return n
}

// service reads what a peer offers, and the interface that thunderbolt_net made of it.
func (t *tree) service(l *mesh.USB4Link, d dir) {
	s := mesh.Service{Name: path.Base(d.name), Key: d.text("key"), Settings: uint32(d.number("prtcstns")), Driver: d.target("driver")}
	l.Services = append(l.Services, s)
	if s.Key != "network" {
		return
	}
	l.Parent = s.Name
	if !d.has("net") {
		return
	}
	for _, e := range d.sub("net").entries {
		t.netdev(l, d.sub(path.Join("net", e.Name())))
		return // the driver makes one
	}
}

func (t *tree) netdev(l *mesh.USB4Link, d dir) {
	l.Interface = Clean(path.Base(d.name))
	l.MAC = d.text("address")
	l.MTU = d.number("mtu")
	l.Up = d.number("flags")&1 != 0 // IFF_UP
	l.Carrier = d.text("carrier") == "1"
	l.Master = d.target("master")
	l.Stats = map[string]uint64{}
	if d.has("statistics") {
		s := d.sub("statistics")
		for _, e := range s.entries {
			if n := s.counter(e.Name()); n != 0 {
				l.Stats[e.Name()] = n
			}
		}
	}
	if text := t.text("usb4mesh/offloads/" + l.Interface); text != "" {
		l.Offloads = parseOffloads(text)
	}
}

// parseOffloads reads lines of the form of `ethtool -k`.
func parseOffloads(text string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if name := offloadNames[key]; ok && name != "" {
			out[name] = strings.HasPrefix(value, "on")
		}
	}
	return out
}

// offloadNames maps the words of ethtool to ours.
var offloadNames = map[string]string{
	"tcp-segmentation-offload":     "tso",
	"generic-segmentation-offload": "gso",
	"generic-receive-offload":      "gro",
}
