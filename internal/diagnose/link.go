package diagnose

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Rules about a link, from how the cable trained to whether packets arrive.

func (s subject) trained() map[string]string {
	l := s.link
	return map[string]string{
		l.XDomain + "/rx_lanes": strconv.Itoa(l.RxLanes), l.XDomain + "/rx_speed": fmt.Sprintf("%d.0 Gb/s", l.RxSpeed),
		l.XDomain + "/tx_lanes": strconv.Itoa(l.TxLanes), l.XDomain + "/tx_speed": fmt.Sprintf("%d.0 Gb/s", l.TxSpeed),
	}
}

func (s subject) speed() int { return min(s.link.RxSpeed, s.link.TxSpeed) }
func (s subject) lanes() int { return min(s.link.RxLanes, s.link.TxLanes) }

const trainingSource = "drivers/thunderbolt/xdomain.c: rx_speed is per lane, rx_lanes the lanes in use"

var oneSlowLane = &rule{
	code: "trained-10x1", severity: finding.Warning, title: "One lane of 10 Gbit/s",
	explain: "The cable trained at the slowest speed and with one lane: at most 9.5 Gbit/s of payload.",
	cause:   "an old Thunderbolt 3 host, or a cable that carries no more", fix: "try a short cable certified for 40 Gbit/s, then the other port; look whether the peer is a Thunderbolt 3 machine",
	gain: "up to four times the link rate", source: trainingSource, proof: "rx_speed and rx_lanes rise with another cable",
	look: func(s subject) []hit {
		if s.speed() != 10 || s.lanes() != 1 {
			return nil
		}
		return []hit{{message: "trained at 1 lane of 10 Gbit/s", evidence: s.trained()}}
	},
}

var slowLanes = &rule{
	code: "trained-10x2", severity: finding.Warning, title: "Two lanes of 10 Gbit/s instead of 20",
	explain: "Both lanes run at half speed: 20 instead of 40 Gbit/s per direction. Cable, retimers or firmware decided so while the cable was plugged.",
	cause:   "the link trained as Gen 2: the cable, a retimer, or the firmware's power delivery code",
	fix:     "replug the cable, once with Ethernet unplugged (seen on Strix Halo); then try another cable, the other port, a firmware update", gain: "at most twice; none while the receive credits are the limit (see credit-window)",
	source: trainingSource + "; Strix Halo trains 10.0x2 while RJ45 is attached and 20.0x2 otherwise, with three cables (OdinLink-Five issue 31)", proof: "rx_speed reads 20.0 Gb/s after replugging",
	look: func(s subject) []hit {
		if s.speed() != 10 || s.lanes() < 2 {
			return nil
		}
		return []hit{{message: fmt.Sprintf("trained at %d lanes of 10 Gbit/s", s.lanes()), evidence: s.trained()}}
	},
}

var oneLane = &rule{
	code: "trained-one-lane", severity: finding.Warning, title: "One lane instead of two",
	explain: "The two lanes of the cable were not joined: half of the link rate is unused.",
	cause:   "lane bonding failed or is not supported", gain: "up to twice the link rate",
	source: "drivers/thunderbolt/xdomain.c: bonding needs kernel 5.19 on both ends and the kernel's own connection manager; any failed step leaves one lane", proof: "rx_lanes reads 2 after replugging",
	look: func(s subject) []hit {
		if s.speed() < 20 || s.lanes() != 1 {
			return nil
		}
		e := s.trained()
		s.quote(e, "", "failed to enable lane bonding")
		h := hit{message: fmt.Sprintf("trained at 1 lane of %d Gbit/s", s.speed()), evidence: e, fix: "replug the cable; see that both ends run kernel 5.19 or newer; then try another cable"}
		switch {
		case s.controller.FirmwareCM:
			h.cause, h.fix, h.gain = "the firmware's connection manager never joins lanes between hosts", "none for this controller", "none possible"
		case s.suffers("kernel-lane-stays-off"):
			h.fix = "reboot this machine with the cable in: this kernel leaves lane 1 off after one failed bonding; then " + s.system.upgrade("6.12 or newer")
		}
		return []hit{h}
	},
}

var peerNameless = &rule{
	code: "peer-nameless", severity: finding.Warning, title: "The peer has no name",
	explain: "A host introduces itself with the name it had when its driver loaded. In an initramfs that is often (none). Who is cabled to whom can then only be told by UUID, which some machines change at every boot.",
	cause:   "on the peer, thunderbolt was loaded before the host name was set",
	fix:     "on the peer: reload thunderbolt_net once the name is set (`modprobe -r thunderbolt_net; modprobe thunderbolt_net`; the link goes down for some seconds), or keep thunderbolt out of the initramfs", gain: "peers are known by name",
	source: "drivers/thunderbolt/xdomain.c: deviceid is utsname()->nodename, rebuilt only when the property block changes", proof: "device_name shows the peer's name afterwards",
	look: func(s subject) []hit {
		if n := s.link.Peer.Name; n != "" && n != "(none)" && n != "localhost" {
			return nil
		}
		return []hit{{message: fmt.Sprintf("the peer calls itself %q", s.link.Peer.Name), evidence: map[string]string{s.link.XDomain + "/device_name": s.link.Peer.Name}}}
	},
}

// vendorLinux is what kernels introduce themselves with from 7.x on; before, all
// said Intel (0x8086) whatever the hardware.
const (
	vendorLinux = 0x1d6b
	vendorOld   = 0x8086
)

var peerKernel = &rule{
	code: "peer-kernel-differs", severity: finding.Info, title: "The peer runs a kernel of another generation",
	explain: "Kernels before about 7.0 introduce themselves as Intel 0x8086:0x1, newer ones as Linux 0x1d6b:0x4. Mixed meshes work, but known defects, counters (rx_packets counts frames in old kernels) and lane bonding differ between the ends.",
	cause:   "the machines were not upgraded together", fix: "bring both machines to the same kernel", gain: "one set of known defects instead of two",
	source: "drivers/thunderbolt/xdomain.c of 6.12.107 and 7.2.13",
	look: func(s subject) []hit {
		peer := s.link.Peer
		v := s.kernel.version
		var what string
		switch {
		case !s.kernel.known:
			return nil
		case peer.VendorID == vendorLinux && v.before(version{7, 0, 0}):
			what = "a newer"
		case peer.VendorID == vendorOld && peer.Device == 1 && !v.before(version{7, 2, 0}):
			what = "an older"
		default:
			return nil
		}
		return []hit{{
			message:  fmt.Sprintf("%s runs a kernel of %s generation than ours", orNone(peer.Name), what),
			evidence: map[string]string{s.link.XDomain + "/vendor": fmt.Sprintf("%#x", peer.VendorID), s.link.XDomain + "/device": fmt.Sprintf("%#x", peer.Device), "proc/sys/kernel/osrelease": s.in.Hardware.Release},
		}}
	},
}

var noService = &rule{
	code: "no-network-service", severity: finding.Error, title: "The hosts see each other, and none offers a network",
	explain: "A network service appears when one of the two sides loads thunderbolt_net. Between two Linux machines neither does so by itself.",
	cause:   "thunderbolt_net is loaded on neither side", gain: "the link",
	source: "Documentation/admin-guide/thunderbolt.rst, Networking over Thunderbolt cable", proof: "the interface appears within seconds after loading the module",
	look: func(s subject) []hit {
		if s.link.Parent != "" {
			return nil
		}
		e := map[string]string{s.link.XDomain + ".0": "absent", "sys/module/thunderbolt_net": present(s.in.Hardware.Loaded("thunderbolt_net"))}
		h := hit{message: fmt.Sprintf("%s offers no network", orNone(s.link.Peer.Name)), evidence: e, fix: s.system.module("thunderbolt_net")}
		if s.in.Hardware.Loaded("thunderbolt_net") {
			h.cause, h.fix = "thunderbolt_net is loaded here; the peer has not loaded it or does not offer it", "on the peer: "+s.system.module("thunderbolt_net")
		}
		return []hit{h}
	},
}

var noNetModule = &rule{
	code: "no-network-module", severity: finding.Error, title: "thunderbolt_net is not loaded here",
	explain: "The peer offers a network, and this machine has no driver for it.",
	cause:   "the module is not loaded, not installed, or blacklisted", gain: "the link", source: "drivers/net/thunderbolt/main.c",
	look: func(s subject) []hit {
		if s.in.Hardware.Loaded("thunderbolt_net") || s.link.Interface != "" {
			return nil
		}
		return []hit{{message: "the module thunderbolt_net is not loaded", evidence: map[string]string{"sys/module/thunderbolt_net": "absent", s.link.Parent + "/key": "network"}, fix: s.system.module("thunderbolt_net")}}
	},
}

var noInterface = &rule{
	code: "no-interface", severity: finding.Error, title: "The network service has no interface",
	explain: "The peer offers a network and the module is loaded, but no interface was made: the service is bound to another driver or the probe failed.",
	cause:   "another driver holds the service, or thunderbolt_net could not bind", fix: "look at the kernel log; unload out-of-tree drivers for thunderbolt services, then replug the cable", gain: "the link", source: "drivers/net/thunderbolt/main.c, tbnet_probe",
	look: func(s subject) []hit {
		if s.link.Interface != "" {
			return nil
		}
		e := map[string]string{s.link.Parent + "/net": "absent"}
		for _, service := range s.link.Services {
			e[service.Name+"/driver"] = orNone(service.Driver)
		}
		return []hit{{message: "no interface was made for " + s.link.Parent, evidence: e}}
	},
}

var interfaceDown = &rule{
	code: "interface-down", severity: finding.Error, title: "The interface is set down here",
	explain: "Nobody has set the interface up, so the hosts do not log in to each other and no packet flows. The peer waits without carrier.",
	cause:   "no network manager took the interface, or somebody set it down", gain: "the link", source: "drivers/net/thunderbolt/main.c: logins start when the interface is opened",
	look: func(s subject) []hit {
		if s.link.Up {
			return nil
		}
		return []hit{{message: "the interface is down", evidence: map[string]string{s.link.Interface + "/flags": "without IFF_UP"}, fix: fmt.Sprintf("`ip link set %s up`; for good, let `usb4mesh render` write the configuration", s.link.Interface)}}
	},
}

var noCarrier = &rule{
	code: "no-carrier", severity: finding.Error, title: "The peer does not answer logins",
	explain: "Cable, service and our interface are fine, and there is no carrier. That comes when both ends have logged in; an interface that is down does not answer.",
	cause:   "the interface of the peer is down, or its login attempts have ended (after five minutes); more rarely DMA paths could not be set up", gain: "the link",
	source: "drivers/net/thunderbolt/main.c: login, up to 60 times every 5 s; carrier after both logins", proof: "carrier comes within seconds after the peer's interface was set down and up",
	look: func(s subject) []hit {
		if s.link.Carrier {
			return nil
		}
		e := map[string]string{s.link.Interface + "/carrier": "0", s.link.Interface + "/flags": "IFF_UP", s.link.Parent: "present"}
		h := hit{message: fmt.Sprintf("no carrier: %s does not answer", orNone(s.link.Peer.Name)), evidence: e,
			fix: fmt.Sprintf("on %s: set the interface towards here down and up (`ip link set thunderbolt0 down; ip link set thunderbolt0 up`); then the same here (`ip link set %s down; ip link set %[2]s up`)", orNone(s.link.Peer.Name), s.link.Interface)}
		s.quote(e, "", "login timed out")
		s.quote(e, "", "failed to enable DMA paths")
		if e["kernel log: failed to enable DMA paths"] != "" {
			h.cause = "the DMA paths could not be set up; the kernel says so"
		}
		if _, peer := s.other(); peer != nil && peer.Interface != "" {
			e["peer "+peer.Interface+" is up"] = strconv.FormatBool(peer.Up)
		}
		return []hit{h}
	},
}

// other returns what the machine at the other end shows of this link, if it is among
// the peers and shows exactly one.
func (s subject) other() (*mesh.Hardware, *mesh.USB4Link) {
	var machine *mesh.Hardware
	var found *mesh.USB4Link
	for i := range s.in.Peers {
		p := &s.in.Peers[i]
		for j := range p.Links {
			l := &p.Links[j]
			if l.RouterUUID == "" || l.RouterUUID != s.link.Peer.UUID || l.Peer.UUID != s.link.RouterUUID {
				continue
			}
			if found != nil {
				return nil, nil // two cables between the same routers
			}
			machine, found = p, l
		}
	}
	return machine, found
}

var oneWay = &rule{
	code: "one-way", severity: finding.Error, title: "Packets go out, and nothing comes in",
	explain: "Carrier is up and the interface sends, but it has never received a frame. Ping and routing protocols see a dead link, the kernel does not.",
	cause:   "the transmit or receive path of one end is stuck", gain: "from nothing to full speed",
	fix:    "set the interface down and up on both ends; if that does not help, replug the cable; switch end-to-end flow control off on one end (options thunderbolt_net e2e=0)",
	source: "commit 1881f2efbf7f (end-to-end credits never returned on ASM4242 and AMD); AppMana and Strix Halo logs of links that look up and receive nothing", proof: "rx_packets of the peer stays 0 while our tx_packets grows",
	look: func(s subject) []hit {
		const some = 100 // more than the chatter of a fresh interface
		tx, rx := s.link.Stats["tx_packets"], s.link.Stats["rx_packets"]
		deaf := tx >= some && rx == 0
		e := map[string]string{s.link.Interface + "/statistics/tx_packets": num(tx), s.link.Interface + "/statistics/rx_packets": num(rx), s.link.Interface + "/carrier": "1"}
		if _, peer := s.other(); peer != nil {
			e["peer "+peer.Interface+"/statistics/rx_packets"] = num(peer.Stats["rx_packets"])
			deaf = deaf || tx >= some && peer.Interface != "" && peer.Stats["rx_packets"] == 0
		}
		if !deaf {
			return nil
		}
		h := hit{message: fmt.Sprintf("%d packets sent, %d received", tx, rx), evidence: e}
		for _, service := range s.link.Services {
			if service.Name == s.link.Parent {
				e[service.Name+"/prtcstns"] = fmt.Sprintf("%#08x", service.Settings)
				if service.Settings&mesh.E2E != 0 && s.suffers("kernel-e2e-stall") {
					h.cause = "this kernel stalls in transmit while end-to-end flow control is on (kernel-e2e-stall)"
					h.fix = "`echo options thunderbolt_net e2e=0 > /etc/modprobe.d/usb4mesh.conf` on either end and reboot; better, " + s.system.upgrade("6.12.105, 7.2 or newer")
				}
			}
		}
		return []hit{h}
	},
}

var sameMAC = &rule{
	code: "same-mac", severity: finding.Warning, title: "Two interfaces have the same MAC address",
	explain: "The driver derives the address from the router and its port. Peers behind one hub share both, so their interfaces have equal addresses; a bridge or a switch of virtual machines then mixes them up.",
	cause:   "two peers behind one port, through a hub", fix: "give one of them another address (kernel 7.0 or newer), or plug the peers into ports of their own", gain: "interfaces that can be bridged",
	source: "drivers/net/thunderbolt/main.c, tbnet_generate_mac",
	look: func(s subject) (hits []hit) {
		seen := map[string]string{}
		for _, l := range s.in.Hardware.Links {
			if first := seen[l.MAC]; l.MAC != "" && first != "" {
				hits = append(hits, hit{message: fmt.Sprintf("%s and %s have the same address", first, l.Interface), evidence: map[string]string{first + "/address": l.MAC, l.Interface + "/address": l.MAC}})
			}
			seen[l.MAC] = l.Interface
		}
		return hits
	},
}

func present(b bool) string {
	if b {
		return "present"
	}
	return "absent"
}

func num(n uint64) string { return strconv.FormatUint(n, 10) }

func list(words []string) string { return strings.Join(words, ", ") }
