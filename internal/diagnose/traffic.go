package diagnose

import (
	"fmt"
	"strconv"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// Rules about a link that carries packets: errors, MTU, segmentation.

var crcErrors = &rule{
	code: "crc-errors", severity: finding.Warning, title: "Frames arrive damaged",
	explain: "The controller found frames with a wrong checksum. USB4 should lose next to none; these are lost packets that TCP sends again.",
	cause:   "signal: the cable, a connector, a retimer", fix: "push the plugs in, then try a shorter or certified cable", gain: "no retransmissions",
	source: "drivers/net/thunderbolt/main.c: rx_crc_errors counts frames that the ring marks as damaged", proof: "the counter stays still with another cable",
	look: func(s subject) []hit {
		bad, all := s.link.Stats["rx_crc_errors"], s.link.Stats["rx_packets"]
		if bad == 0 {
			return nil
		}
		return []hit{{message: fmt.Sprintf("%d of %d frames were damaged", bad, all+bad), evidence: map[string]string{"statistics/rx_crc_errors": num(bad), "statistics/rx_packets": num(all)}}}
	},
}

var framesLost = &rule{
	code: "frames-lost", severity: finding.Warning, title: "The receiver loses frames",
	explain: "The receive ring ran over, or frames of a packet are missing: this machine could not keep up, and the sender was not held back.",
	cause:   "the receiving core was busy while end-to-end flow control was off", gain: "no retransmissions",
	fix:    "turn end-to-end flow control on where the kernel is sound (thunderbolt_net e2e=1 on both ends, see kernel-e2e-stall), use the performance governor, and move other work off the core that takes the interrupt",
	source: "drivers/net/thunderbolt/main.c: rx_over_errors is a ring overrun, rx_missed_errors a gap in frame numbers", proof: "the counters stay still under the same load",
	look: func(s subject) []hit {
		over, missed := s.link.Stats["rx_over_errors"], s.link.Stats["rx_missed_errors"]
		if over+missed == 0 {
			return nil
		}
		e := map[string]string{"statistics/rx_over_errors": num(over), "statistics/rx_missed_errors": num(missed), "thunderbolt_net/parameters/e2e": orNone(s.in.Hardware.Parameter("thunderbolt_net", "e2e"))}
		return []hit{{message: fmt.Sprintf("%d frames overran the ring, %d went missing", over, missed), evidence: e}}
	},
}

func (s subject) sysctl(path string) string {
	for _, x := range s.host().Sysctls {
		if x.Path == path {
			return x.Value
		}
	}
	return ""
}

// forwards reports whether the machine passes packets of the link on.
func (s subject) forwards() bool {
	if s.link == nil {
		return s.sysctl("net/ipv4/ip_forward") == "1"
	}
	return s.sysctl("net/ipv4/ip_forward") == "1" || s.sysctl("net/ipv4/conf/"+s.link.Interface+"/forwarding") == "1"
}

var transitTSO = &rule{
	code: "tso-in-transit", severity: finding.Warning, title: "Packets too large to pass on",
	explain: "With TCP segmentation offload a sender puts packets of up to 64 KiB on the cable, whatever its MTU. The receiver can use them, but not pass them on: to an interface with a smaller MTU they are refused or dropped, and what ran at Gbit/s runs at Mbit/s through a hop, a bridge, a pod or a virtual machine.",
	cause:   "thunderbolt_net sends unsegmented packets, and this machine forwards to a smaller MTU", gain: "from some Mbit/s to Gbit/s on the way through (244 KB/s to 380 MB/s between pods)",
	source: "drivers/net/thunderbolt/main.c (TSO), net/ipv4/ip_forward.c and net/bridge/br_forward.c (no fragmentation without gso_size); netdev thread of 2025; projectbluefin/lab issue 662", proof: "Ip FragFails grows while it is slow; `ethtool -K IFACE tso off` at the sender makes it fast",
	look: func(s subject) []hit {
		l := s.link
		const large = 65000 // an unsegmented packet fits
		narrow, width := "", 0
		for _, i := range s.host().Interfaces {
			if i.Name != l.Interface && i.MTU > 0 && i.MTU < large {
				narrow, width = i.Name, i.MTU
			}
		}
		e := map[string]string{"net/ipv4/ip_forward": orNone(s.sysctl("net/ipv4/ip_forward")), l.Interface + "/mtu": strconv.Itoa(l.MTU)}
		switch {
		case l.Master != "":
			e[l.Interface+"/master"] = l.Master
		case !s.forwards() || narrow == "":
			return nil
		default:
			e[narrow+"/mtu"] = strconv.Itoa(width)
		}
		if n, ok := s.host().Counters["Ip.FragFails"]; ok {
			e["proc/net/snmp Ip FragFails"] = num(n)
		}
		tso, known := l.Offloads["tso"]
		if known {
			e[l.Interface+" tso"] = onOff(tso)
		}
		if known && !tso {
			return nil // as set here it is probably set everywhere
		}
		h := hit{message: "large TCP packets that come in here can't be passed on", evidence: e,
			fix: fmt.Sprintf("on every sender: `ethtool -K %s tso off` (in a .link file: TCPSegmentationOffload=no, TCP6SegmentationOffload=no); or, where all hops are USB4, MTU 65520 on all of them", l.Interface)}
		if s.host().Counters["Ip.FragFails"] == 0 {
			h.severity, h.lower = finding.Info, true
			h.message = "large TCP packets that come in here could not be passed on; none was refused so far"
		}
		return []hit{h}
	},
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

var mtuDiffers = &rule{
	code: "mtu-differs", severity: finding.Warning, title: "The links of this machine differ in MTU",
	explain: "A mesh has one MTU on every hop. Where it differs, packets that fit on one cable are refused on the next.",
	cause:   "one interface was configured, another was not", fix: "give all mesh interfaces the same MTU; 65520 is usual: `ip link set IFACE mtu 65520`, for good by the rendered files", gain: "no packet is refused on the way",
	source: "net/ipv4/ip_forward.c",
	look: func(s subject) []hit {
		e, mtu, differ := map[string]string{}, 0, false
		for _, l := range s.in.Hardware.Links {
			if l.Interface == "" || !l.Up {
				continue
			}
			e[l.Interface+"/mtu"] = strconv.Itoa(l.MTU)
			differ = differ || mtu != 0 && l.MTU != mtu
			mtu = l.MTU
		}
		if !differ {
			return nil
		}
		return []hit{{message: "its USB4 interfaces differ in MTU", evidence: e}}
	},
}

var mtuMismatch = &rule{
	code: "mtu-mismatch", severity: finding.Warning, title: "The two ends of a cable differ in MTU",
	explain: "Nothing negotiates the MTU. Large packets pass one way only, and path MTU discovery sees no router that could complain.",
	cause:   "one end was configured, the other was not", fix: "set the same MTU on both ends; 65520 is usual", gain: "no black hole for large packets",
	source: "drivers/net/thunderbolt/main.c: the receiver does not check its MTU; guides report stalls with differing values", proof: "`ping -M do -s 60000` passes both ways",
	look: func(s subject) []hit {
		machine, peer := s.other()
		if peer == nil || peer.Interface == "" || peer.MTU == s.link.MTU {
			return nil
		}
		return []hit{{message: fmt.Sprintf("MTU %d here, %d on %s", s.link.MTU, peer.MTU, machine.Node),
			evidence: map[string]string{s.link.Interface + "/mtu": strconv.Itoa(s.link.MTU), machine.Node + " " + peer.Interface + "/mtu": strconv.Itoa(peer.MTU)}}}
	},
}

var mtuUnplanned = &rule{
	code: "mtu-unplanned", severity: finding.Warning, title: "The MTU is not the planned one",
	explain: "The cluster file asks for another MTU on every hop than this interface has.",
	cause:   "the rendered configuration is not applied, or another manager set the MTU", gain: "one MTU on every hop", source: "mtu of the cluster file",
	look: func(s subject) []hit {
		if s.in.MTU == 0 || s.link.MTU == s.in.MTU {
			return nil
		}
		return []hit{{message: fmt.Sprintf("MTU %d, the plan says %d", s.link.MTU, s.in.MTU), evidence: map[string]string{s.link.Interface + "/mtu": strconv.Itoa(s.link.MTU)}, fix: fmt.Sprintf("`ip link set %s mtu %d`, for good by the rendered files", s.link.Interface, s.in.MTU)}}
	},
}

var smallMTU = &rule{
	code: "small-mtu", severity: finding.Info, title: "Small packets on a link that takes large ones",
	explain: "Each packet takes a whole descriptor of the ring and a share of one core, however small it is. Between machines of the mesh large packets cost less.",
	cause:   "the driver starts with MTU 1500", gain: "large for UDP, tunnels and TCP without segmentation offload; small for plain TCP, which the driver sends in large packets anyway",
	source: "drivers/net/thunderbolt/main.c: 4084 bytes of payload per frame, ring of 256, MTU up to 65522", proof: "the rate of `iperf3 -u` or through a tunnel, before and after",
	look: func(s subject) []hit {
		if s.link.MTU == 0 || s.link.MTU >= 4070 {
			return nil
		}
		return []hit{{message: fmt.Sprintf("MTU %d of 65520 possible", s.link.MTU), evidence: map[string]string{s.link.Interface + "/mtu": strconv.Itoa(s.link.MTU)}, fix: fmt.Sprintf("on both ends, and on every mesh port: `ip link set %s mtu 65520`, for good by the rendered files", s.link.Interface)}}
	},
}
