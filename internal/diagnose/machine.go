package diagnose

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// Rules about the machine and its controllers: without them there is no link.

var noController = &rule{
	code: "no-controller", severity: finding.Error, title: "No USB4 controller",
	explain: "The machine shows no USB4 or Thunderbolt host controller on its PCI bus, so there is nothing to plug a mesh cable into.",
	cause:   "the ports are plain USB, the controller is off in the firmware setup, or it sleeps until something is plugged (older Thunderbolt cards)",
	fix:     "look for USB4 or Thunderbolt in the firmware setup; plug a cable and look again", gain: "a port",
	source: "PCI class 0x0c0340 of USB4 host interfaces, and the PCI ids in drivers/thunderbolt/nhi.h",
	look: func(s subject) []hit {
		if len(s.in.Hardware.Controllers) > 0 {
			return nil
		}
		return []hit{{message: "no USB4 or Thunderbolt controller found", evidence: map[string]string{"sys/bus/pci/devices": "no device of class 0x0c0340"}}}
	},
}

var noDriver = &rule{
	code: "no-driver", severity: finding.Error, title: "The thunderbolt driver is not loaded",
	explain: "There is a USB4 controller, and no driver manages it.",
	cause:   "the kernel module thunderbolt is not loaded or not installed", gain: "ports",
	source: "drivers/thunderbolt/pci.c: the driver binds to every NHI",
	look: func(s subject) []hit {
		for _, c := range s.in.Hardware.Controllers {
			if c.Driver != "" || c.Domain >= 0 {
				return nil
			}
		}
		if s.in.Hardware.Loaded("thunderbolt") {
			return nil
		}
		return []hit{{
			message:  "no driver for " + s.in.Hardware.Controllers[0].PCI,
			evidence: map[string]string{"sys/module/thunderbolt": "absent", "sys/bus/pci/devices/" + s.in.Hardware.Controllers[0].PCI + "/driver": "absent"},
			fix:      s.system.module("thunderbolt"),
		}}
	},
}

var controllerDead = &rule{
	code: "controller-dead", severity: finding.Error, title: "The driver could not start a controller",
	explain: "The controller is there, but it has no domain: starting it failed, often after the driver was unloaded and loaded several times.",
	cause:   "probe of the controller failed; the router inside does not answer", fix: "power the machine off (not only reboot), then start it; do not unload and load the thunderbolt module", gain: "the controller's ports",
	source: "drivers/thunderbolt/nhi.c; logs of AMD machines after unloading and loading the module, which end with error -110 and AMD-Vi page faults",
	look: func(s subject) []hit {
		c := s.controller
		if c.Domain >= 0 {
			return nil
		}
		e := map[string]string{"sys/bus/pci/devices/" + c.PCI + "/domain*": "absent", "driver": orNone(c.Driver)}
		s.quote(e, c.PCI, "failed with error")
		return []hit{{message: "no domain was made of this controller", evidence: e}}
	},
}

// controllerErrors looks for lines that working controllers never log.
var controllerErrors = &rule{
	code: "controller-errors", severity: finding.Warning, title: "The driver logged failures",
	explain: "The kernel log has lines of the driver that only appear when a controller or a link is in trouble: a power transition that was refused, a reset that timed out, DMA to a forbidden address.",
	cause:   "the router or the peer stopped answering, often after a reboot of the peer",
	fix:     "replug the cable; if that does not help, power both machines off for a minute. Do not unload the thunderbolt module", gain: "links that come back",
	source: "public logs: MS-01 after a peer's reboot (failed request link state change), Strix Halo after module reloads (IO_PAGE_FAULT), 55 s resets (timeout resetting host router)",
	look: func(s subject) []hit {
		e := map[string]string{}
		for _, pattern := range []string{"failed request link state change", "timeout resetting host router", "IO_PAGE_FAULT"} {
			s.quote(e, "", pattern)
		}
		if len(e) == 0 || s.controller.PCI != s.in.Hardware.Controllers[0].PCI {
			return nil // lines name no controller: told once
		}
		return []hit{{message: "the kernel log shows failures of the driver", evidence: e}}
	},
}

var xdomainOff = &rule{
	code: "xdomain-off", severity: finding.Error, title: "Links between hosts are forbidden",
	explain: "The machine does not take part in host-to-host links: the module parameter xdomain is off, or the firmware keeps it to itself (_OSC without XDomain).",
	cause:   "thunderbolt.xdomain=0, or a firmware setting", gain: "links to other hosts",
	source: "drivers/thunderbolt/xdomain.c and drivers/acpi/bus.c (USB4 _OSC)",
	look: func(s subject) []hit {
		e := map[string]string{}
		fix := "remove thunderbolt.xdomain=0 from the kernel command line and from /etc/modprobe.d, then reboot"
		if v := s.in.Hardware.Parameter("thunderbolt", "xdomain"); v == "N" {
			e["sys/module/thunderbolt/parameters/xdomain"] = v
		}
		for _, line := range s.host().Log {
			if strings.Contains(line, "USB4 _OSC: OS controls") && strings.Contains(line, "XDomain-") {
				e["kernel log"] = line
				fix = "allow host-to-host (USB4 or Thunderbolt networking, XDomain) in the firmware setup, or update the firmware"
			}
		}
		if len(e) == 0 {
			return nil
		}
		return []hit{{message: "host-to-host links are switched off", evidence: e, fix: fix}}
	},
}

var firmwareManager = &rule{
	code: "firmware-manager", severity: finding.Info, title: "Firmware manages the connections",
	explain: "Older Intel controllers run a connection manager in firmware. It never joins the two lanes of a link between hosts, and of two cables to the same peer it keeps only the second.",
	cause:   "Intel's connection manager in firmware (ICM)", fix: "nothing to set: plan one cable per pair, and one lane of speed", gain: "none possible",
	source: "drivers/thunderbolt/icm.c; the commit that added lane bonding names the exception",
	look: func(s subject) []hit {
		if !s.controller.FirmwareCM {
			return nil
		}
		return []hit{{message: "connections are managed by firmware: one lane, one cable per peer", evidence: map[string]string{"usb4_port*": "absent", "device": fmt.Sprintf("%#x", s.controller.Device)}}}
	},
}

var strictIOMMU = &rule{
	code: "iommu-strict", severity: finding.Info, title: "The IOMMU flushes after every frame",
	explain: "In strict mode each received frame costs a flush of the IOMMU's cache, since the driver maps and unmaps every buffer. Lazy mode gathers flushes, and leaves a short window in which a peer could write to memory already given back.",
	cause:   "the IOMMU group of the controller is in strict mode (DMA)", gain: "not known: nobody has published a measurement",
	source: "drivers/iommu/iommu.c (types DMA and DMA-FQ), drivers/net/thunderbolt/main.c (mapping per frame)", proof: "the rate before and after, with nothing else changed",
	look: func(s subject) []hit {
		if s.controller.IOMMU != "DMA" {
			return nil
		}
		return []hit{{
			message: "the IOMMU is strict for this controller", evidence: map[string]string{"iommu_group/type": s.controller.IOMMU},
			fix: "if you accept the window: " + s.system.parameter("iommu.strict=0"),
		}}
	},
}

var interruptPlace = &rule{
	code: "interrupt-on-efficiency-core", severity: finding.Warning, title: "Packets are received by a slow core",
	explain: "One core does all receive work of a link. On hybrid processors the interrupt may stand on an efficiency core, which is too slow for it. The interrupt is new after every replug.",
	cause:   "the interrupt of the receive ring is bound to efficiency cores", gain: "depends on the processor; people pin it to performance cores",
	source: "Intel hybrid processors in MS-01 and NUC clusters (scyto/homelab-docs)", proof: "the rate rises when the interrupt is moved by hand",
	look: func(s subject) (hits []hit) {
		slow := s.host().EfficiencyCPUs
		for _, irq := range s.controller.Interrupts {
			if slow == "" || irq.CPUs == "" || !within(irq.CPUs, slow) {
				continue
			}
			hits = append(hits, hit{
				message:  fmt.Sprintf("interrupt %d is handled by CPU %s, an efficiency core", irq.Number, irq.CPUs),
				evidence: map[string]string{fmt.Sprintf("proc/irq/%d/effective_affinity_list", irq.Number): irq.CPUs, "sys/devices/cpu_atom/cpus": slow, "interrupts": strconv.FormatUint(irq.Count, 10)},
				fix:      fmt.Sprintf("`echo 0 > /proc/irq/%d/smp_affinity_list` (a performance core), repeated after every replug; keep irqbalance from moving it back", irq.Number),
			})
		}
		return hits
	},
}

// discrete lists controllers on cards, where the width of the PCIe link means something;
// integrated ones report 2.5 GT/s x1 whatever they do.
var discrete = map[int]bool{0x2425: true, 0x1137: true, 0x5781: true, 0x5784: true, 0x15e8: true, 0x15eb: true, 0x15d2: true, 0x15d9: true}

var narrowPCIe = &rule{
	code: "narrow-pcie", severity: finding.Warning, title: "The card has fewer PCIe lanes than it needs",
	explain: "A controller on a card moves every packet over PCIe. With fewer than four lanes that is the limit.",
	cause:   "the slot or the firmware gives the card fewer lanes", fix: "put the card into a slot with four lanes", gain: "up to the trained speed",
	source: "PCIe: a lane of generation 3 carries 7.9 Gbit/s",
	look: func(s subject) []hit {
		c := s.controller
		if !discrete[c.Device] || c.PCIeWidth == 0 || c.PCIeWidth >= 4 {
			return nil
		}
		return []hit{{message: fmt.Sprintf("the card runs on %d PCIe lanes instead of 4", c.PCIeWidth), evidence: map[string]string{"current_link_width": strconv.Itoa(c.PCIeWidth)}}}
	},
}

// unstable lists controllers that get a new UUID at every boot.
var unstable = map[int]bool{0x8a0d: true, 0x8a17: true, 0x9a1b: true, 0x9a1d: true}

var unstableUUID = &rule{
	code: "uuid-changes", severity: finding.Info, title: "The router's UUID changes at every boot",
	explain: "Ice Lake and Tiger Lake controllers take a new UUID when they boot, and with it a new MAC address. Match their interfaces by path, never by MAC, and expect peers to see a stranger after a reboot.",
	cause:   "the UUID is made anew by firmware", fix: "nothing to set: match by path, as the rendered files do", gain: "names that survive a reboot",
	source: "gicmo/bolt, boltd/bolt-sysfs.c: table of controllers",
	look: func(s subject) []hit {
		if s.controller.Vendor != 0x8086 || !unstable[s.controller.Device] {
			return nil
		}
		return []hit{{message: "its UUID is new after every boot", evidence: map[string]string{"device": fmt.Sprintf("%#x", s.controller.Device), "unique_id": s.controller.UUID}}}
	},
}

var handshakeStuck = &rule{
	code: "handshake-stuck", severity: finding.Error, title: "A cable is in, and no host answers",
	explain: "The port sees a USB4 link, but the host behind it has not introduced itself. Within the first half minute that is normal; later it means that the handshake failed.",
	cause:   "the handshake between the two hosts failed, or the peer does not take part (driver not loaded, XDomain off, still booting)",
	fix:     "wait 30 seconds and look again; then replug the cable, at the other machine first; see that the other machine has the thunderbolt driver loaded", gain: "the link",
	source: "drivers/thunderbolt/usb4_port.c and xdomain.c: link turns usb4 before the peer host exists", proof: "the peer appears after replugging",
	look: handshakeLook,
}

func handshakeLook(s subject) []hit {
	if s.port.Link != "usb4" {
		return nil
	}
	for _, l := range s.in.Hardware.Links {
		if l.PCI == s.controller.PCI && l.Port == s.port.Adapter {
			return nil
		}
	}
	e := map[string]string{fmt.Sprintf("usb4_port%d/link", s.port.Adapter): s.port.Link, "peer host": "absent"}
	s.quote(e, "", "failed read XDomain properties")
	return []hit{{message: fmt.Sprintf("port %d has a cable in it, and no host answers", s.port.Adapter), evidence: e}}
}

var noLink = &rule{
	code: "no-usb4-link", severity: finding.Info, title: "Something is plugged in, and there is no USB4 link",
	explain: "The connector feels a partner, but the port has no USB4 link. A USB device or a charger is fine like that; a cable to another host is not: many USB-C cables carry power and USB 3 only, and some sockets are no USB4 ports.",
	cause:   "a plain USB partner; a cable without USB4; a socket that is none; or a power delivery controller that missed the plug",
	fix:     "if it is a cable to another host: take one marked 20 or 40, and sockets marked USB4 or with a bolt; replug it; if no cable helps, take both machines off mains for a minute (Framework: `framework_tool --pd-reset 2`)", gain: "the link",
	source: "drivers/thunderbolt/usb4_port.c (link, connector); mecattaf/dotfiles on Framework Desktops whose controller goes blind after a reboot of both", proof: "link turns usb4 with another cable",
	look: func(s subject) []hit {
		if s.port.Link != "none" || !s.port.Partner {
			return nil
		}
		file := fmt.Sprintf("usb4_port%d", s.port.Adapter)
		return []hit{{message: fmt.Sprintf("something is plugged into port %d, without a USB4 link", s.port.Adapter), evidence: map[string]string{file + "/link": s.port.Link, file + "/connector": "has a partner"}}}
	},
}

var hostReset = &rule{
	code: "host-reset", severity: finding.Info, title: "Loading the driver resets the ports",
	explain: "When the thunderbolt driver starts it resets the host router, and every peer sees the cable go and come. Some links do not come back by themselves then, others only after many minutes.",
	cause:   "the module parameter host_reset is on, the default since it exists (not in 6.1)", gain: "links back after 90 to 110 s instead of 15 to 25 minutes with a Mac; no replugging on some machines",
	source: "drivers/thunderbolt/nhi.c and tb.c; riverscn/thunderbolt-net-dkms (Mac peers); gavinmcfall/home-ops (MS-01). With 7.2 one project needed the default again", proof: "the link comes back after a reboot of this machine, with the parameter and not without",
	look: func(s subject) []hit {
		if s.in.Hardware.Parameter("thunderbolt", "host_reset") != "Y" {
			return nil
		}
		e := map[string]string{"thunderbolt/parameters/host_reset": "Y"}
		what := ""
		for _, l := range s.in.Hardware.Links {
			if l.Peer.VendorID == vendorApple {
				e[l.XDomain+"/vendor"], what = fmt.Sprintf("%#x", l.Peer.VendorID), "a Mac is a peer"
			}
		}
		for _, c := range s.in.Hardware.Controllers {
			for _, p := range c.Ports {
				if stuck := (subject{in: s.in, controller: &c, port: &p}); len(handshakeLook(stuck)) > 0 {
					e[fmt.Sprintf("%s usb4_port%d/link", c.PCI, p.Adapter)], what = p.Link, "a peer does not answer"
				}
			}
		}
		if what == "" {
			return nil
		}
		return []hit{{message: "the ports are reset when the driver loads, and " + what, evidence: e, fix: "to try, not to keep blindly: " + s.system.parameter("thunderbolt.host_reset=0")}}
	},
}

const vendorApple = 0xa27

var routerFull = &rule{
	code: "router-full", severity: finding.Warning, title: "More links than the router can serve",
	explain: "Each open link needs a DMA ring of its own in the controller. Behind a hub, more peers can be plugged in than there are rings; the interface that is set up last fails.",
	cause:   "the controller has rings for fewer links", fix: "plug the peers into other controllers", gain: "links that can be set up",
	source: "AMD routers announce three paths, one of them for control (dmesg of 438:20e), a NUC8 twelve (netdev, May 2025); drivers/net/thunderbolt/main.c fails with `failed to allocate Tx ring`", proof: "setting one interface down lets the other come up",
	look: func(s subject) []hit {
		f := familyOf(s.controller)
		var names []string
		for _, l := range s.in.Hardware.Links {
			if l.PCI == s.controller.PCI && l.Interface != "" {
				names = append(names, l.Interface)
			}
		}
		if f == nil || f.DataRings == 0 || len(names) <= f.DataRings {
			return nil
		}
		return []hit{{message: fmt.Sprintf("%d links on a controller that serves %d", len(names), f.DataRings), evidence: map[string]string{"interfaces": list(names)}}}
	},
}

var oldBond = &rule{
	code: "bond-unsupported", severity: finding.Warning, title: "The bond needs what the driver can't do",
	explain: "Before kernel 7.0 the driver neither takes a MAC address nor tells its speed, so a bond of two cables works in active-backup mode only: 802.3ad and balance-rr lose packets or do not come up.",
	cause:   "a bond of another mode than active-backup on a kernel before 7.0", gain: "both cables carry traffic",
	fix:    "use mode active-backup; or give up the bond and let usb4mesh route over both cables; or kernel 7.0 or newer",
	source: "drivers/net/bonding/bond_main.c; ndo_set_mac_address and get_link_ksettings came to thunderbolt_net with 7.0", proof: "the lines do not come back in the kernel log",
	look: func(s subject) []hit {
		e := map[string]string{}
		s.quote(e, "bond", "failed to get link speed/duplex")
		s.quote(e, "bond", "does not support setting the MAC address")
		if len(e) == 0 {
			return nil
		}
		return []hit{{message: "the kernel log complains about a bond", evidence: e}}
	},
}

// quote adds the newest line of the kernel log that has both patterns.
func (s subject) quote(evidence map[string]string, a, b string) {
	for _, line := range s.host().Log {
		if strings.Contains(line, a) && strings.Contains(line, b) {
			evidence["kernel log: "+b] = line
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// within reports whether all CPUs of list a are in list b. Lists read 0-3,8.
func within(a, b string) bool {
	in := cpuSet(b)
	set := cpuSet(a)
	for cpu := range set {
		if !in[cpu] {
			return false
		}
	}
	return len(set) > 0
}

func cpuSet(list string) map[int]bool {
	const most = 8192
	set := map[int]bool{}
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a, err := strconv.Atoi(from)
		b := a
		if isRange && err == nil {
			b, err = strconv.Atoi(to)
		}
		if err != nil || a < 0 || b > most {
			continue
		}
		for cpu := a; cpu <= b; cpu++ {
			set[cpu] = true
		}
	}
	return set
}
