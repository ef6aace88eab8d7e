package diagnose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Rules about the machine around the links: CPU, other managers, filters, udev.

var sleepyCPU = &rule{
	code: "deep-sleep", severity: finding.Info, title: "Waking from deep sleep costs latency",
	explain: "A ping over an idle link waits for cores at both ends to wake. With deep C-states allowed, round trips of 0.6 ms were measured where 0.1 ms is possible.",
	cause:   "deep idle states of the CPU are allowed", gain: "round trips of 0.13 ms instead of 0.6 to 0.7 ms, for 1.5 to 15 W per machine",
	fix:    "hold a limit while the mesh matters: `echo 100 | tee /sys/devices/system/cpu/cpu*/power/pm_qos_resume_latency_us`, or keep /dev/cpu_dma_latency open with a value",
	source: "hogeheer499/strix-halo-guide: 600-700 µs to 134 µs; mecattaf/dotfiles: 577 µs to 58 µs", proof: "`ping -i 0.2` before and after",
	look: func(s subject) []hit {
		const deep = 100 // µs
		f := s.host()
		var worst mesh.IdleState
		for _, st := range f.IdleStates {
			if !st.Disabled && st.Latency > worst.Latency {
				worst = st
			}
		}
		if worst.Latency <= deep || f.LatencyLimit > 0 && f.LatencyLimit <= deep {
			return nil
		}
		return []hit{{message: fmt.Sprintf("cores may sleep as deep as %s, %d µs to wake", worst.Name, worst.Latency), evidence: map[string]string{
			"cpuidle " + worst.Name + " latency": strconv.Itoa(worst.Latency), "pm_qos_resume_latency_us": strconv.Itoa(f.LatencyLimit)}}}
	},
}

var squeezedCore = &rule{
	code: "receive-core-busy", severity: finding.Info, title: "A core ran out of time while receiving",
	explain: "One core does all receive work of a link. The kernel counts how often it had to stop although packets were waiting.",
	cause:   "the receive core is shared with other work, or too slow", gain: "depends on the machine",
	fix:    "use the performance governor, let `echo 1 > /sys/class/net/IFACE/threaded` move the work to a thread of its own, keep applications off that core, use MTU 65520",
	source: "net/core/dev.c: time_squeeze in /proc/net/softnet_stat; counted for all interfaces of the machine", proof: "the counter grows during a measurement, one CPU near 100 % softirq",
	look: func(s subject) []hit {
		squeezed, done := s.host().Counters["Softnet.Squeezed"], s.host().Counters["Softnet.Processed"]
		if squeezed < 100 || squeezed*1000 < done {
			return nil
		}
		return []hit{{message: fmt.Sprintf("receive work was cut short %d times for %d packets", squeezed, done), evidence: map[string]string{"proc/net/softnet_stat time_squeeze": num(squeezed), "proc/net/softnet_stat processed": num(done)}}}
	},
}

var savingGovernor = &rule{
	code: "saving-governor", severity: finding.Info, title: "The CPU saves power",
	explain: "The governor decides how fast cores run under the short bursts of network work. With powersave or conservative they may stay slow, though drivers such as intel_pstate and amd-pstate make more of that name than others.",
	cause:   "the CPU frequency governor", fix: "`cpupower frequency-set -g performance`, to compare", gain: "depends on the machine", source: "Documentation/admin-guide/pm/cpufreq.rst", proof: "the rate before and after",
	look: func(s subject) []hit {
		for _, g := range []string{"powersave", "conservative"} {
			if slices.Contains(s.host().Governors, g) {
				return []hit{{message: "the CPU governor is " + g, evidence: map[string]string{"cpufreq/scaling_governor": list(s.host().Governors)}}}
			}
		}
		return nil
	},
}

var foreignManager = &rule{
	code: "foreign-manager", severity: finding.Warning, title: "Another network manager holds the interface",
	explain: "NetworkManager and dhcpcd take every new interface. On USB4 links they give a link-local address and, with it, a route of 169.254.0.0/16; when the cable is replugged they may undo what was configured.",
	cause:   "a network manager claims the interface by default", gain: "addresses that stay",
	source: "NetworkManager's default for thunderbolt interfaces (link-local only); a Framework Desktop with 169.254.205.206/16 on thunderbolt0 (geerlingguy/beowulf-ai-cluster issue 16)", proof: "the 169.254 address is gone after replugging",
	look: func(s subject) (hits []hit) {
		for _, l := range s.in.Hardware.Links {
			if l.Interface == "" || !slices.Contains(s.host().LinkLocal, l.Interface) {
				continue
			}
			e := map[string]string{"proc/net/route": l.Interface + " 169.254.0.0"}
			fix := "tell your network manager to leave " + l.Interface + " alone"
			for _, m := range s.host().Managers {
				switch {
				case m == "NetworkManager":
					fix = `put [keyfile] unmanaged-devices=driver:thunderbolt-net into /etc/NetworkManager/conf.d/usb4mesh.conf and run ` + "`nmcli general reload`"
				case strings.HasPrefix(m, "dhcpcd"):
					fix = "add `denyinterfaces thunderbolt* tbt-*` to /etc/dhcpcd.conf and restart dhcpcd"
				default:
					continue
				}
				e["process"] = m
			}
			hits = append(hits, hit{message: l.Interface + " has a link-local address that the mesh did not give it", evidence: e, fix: fix})
		}
		return hits
	},
}

var openAuthorization = &rule{
	code: "open-authorization", severity: finding.Warning, title: "A udev rule lets any device in",
	explain: "The rule authorizes every Thunderbolt device that is plugged in. That opens PCIe, and with it memory, to whatever has a plug. Peers of a mesh need no authorization: host-to-host links have none.",
	cause:   "a recipe for peers that only does harm", gain: "no open door; links are not affected",
	source: "drivers/thunderbolt/xdomain.c: a peer host has no authorized attribute; drivers/thunderbolt/switch.c: authorized opens PCIe tunnels", proof: "links stay up without the rule",
	look: func(s subject) (hits []hit) {
		for _, r := range s.host().UdevRules {
			guarded := strings.Contains(r.Text, "unique_id") || strings.Contains(r.Text, "iommu_dma_protection")
			if guarded {
				continue
			}
			h := hit{message: fmt.Sprintf("%s line %d authorizes every Thunderbolt device", r.File, r.Line), evidence: map[string]string{fmt.Sprintf("/%s:%d", r.File, r.Line): r.Text}, fix: "remove the line; authorize single devices with boltctl where you need them"}
			protected := len(s.in.Hardware.Controllers) > 0
			for _, c := range s.in.Hardware.Controllers {
				protected = protected && c.DMAProtection
				h.evidence[c.PCI+" iommu_dma_protection"] = strconv.FormatBool(c.DMAProtection)
			}
			if protected {
				h.message += "; the IOMMU limits what these can reach"
				h.severity, h.lower = finding.Info, true
			}
			hits = append(hits, h)
		}
		return hits
	},
}

var reversePath = &rule{
	code: "strict-reverse-path", severity: finding.Warning, title: "Detours are dropped as spoofed",
	explain: "Strict reverse path filtering drops packets that come in over another interface than the way back leads. In a mesh that happens whenever a cable is cut and packets take a detour.",
	cause:   "rp_filter is 1 on a mesh interface (the kernel takes the larger of all and the interface)", gain: "packets survive a cut",
	fix:    "`sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.IFACE.rp_filter=2`, for good by the rendered files",
	source: "Documentation/networking/ip-sysctl.rst, rp_filter; RFC 3704", proof: "IPReversePathFilter in /proc/net/netstat grows while a cable is out",
	look: func(s subject) (hits []hit) {
		if s.sysctl("net/ipv4/ip_forward") != "1" {
			return nil
		}
		all := s.sysctl("net/ipv4/conf/all/rp_filter")
		for _, l := range s.in.Hardware.Links {
			own := s.sysctl("net/ipv4/conf/" + l.Interface + "/rp_filter")
			if l.Interface == "" || max(all, own) != "1" {
				continue
			}
			e := map[string]string{"net/ipv4/conf/all/rp_filter": orNone(all), "net/ipv4/conf/" + l.Interface + "/rp_filter": orNone(own), "net/ipv4/ip_forward": "1"}
			if n, ok := s.host().Counters["TcpExt.IPReversePathFilter"]; ok {
				e["proc/net/netstat IPReversePathFilter"] = num(n)
			}
			hits = append(hits, hit{message: l.Interface + " filters by reverse path, strictly", evidence: e})
		}
		return hits
	},
}

var firewallPresent = &rule{
	code: "firewall-present", severity: finding.Info, title: "A packet filter stands between the links",
	explain: "This machine passes packets on between its links and has a packet filter. Docker and firewalld let nothing through that they do not know; if that happens on some machines only, a pair is lost in one direction, silently.",
	cause:   "tables of iptables or nftables are in use while forwarding is on", gain: "transit traffic passes", fix: "see that the forward chain accepts packets from and to the mesh interfaces: `nft list ruleset`, or `iptables -S FORWARD`",
	source: "Docker's documentation: it sets the policy of FORWARD to DROP; a chain of Proxmox hosts that lost transit to it (bbirkinbine/homelab)", proof: "counters of the dropping rule grow",
	look: func(s subject) []hit {
		up := 0
		for _, l := range s.in.Hardware.Links {
			if l.Interface != "" && l.Up {
				up++
			}
		}
		f := s.host()
		if s.sysctl("net/ipv4/ip_forward") != "1" || up < 2 || len(f.Firewalls) == 0 {
			return nil
		}
		e := map[string]string{"net/ipv4/ip_forward": "1", "packet filters": list(f.Firewalls)}
		for _, m := range f.Managers {
			if m == "dockerd" || m == "firewalld" {
				e["process "+m] = "running"
			}
		}
		return []hit{{message: "a packet filter may hold back transit packets", evidence: e}}
	},
}
