package hw

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// host reads what is not USB4 and yet decides how its links do.
func (t *tree) host(h *mesh.Hardware) {
	f := &h.Host
	f.Counters = map[string]uint64{}
	t.cpu(f)
	t.interrupts(h)
	t.interfaces(f)
	t.neighbours(h)
	t.sysctls(h)
	t.counters(f)
	t.managers(f)
	t.firewalls(f)
	t.udevRules(f)
	if text := t.text("usb4mesh/log"); text != "" {
		f.Log = logLines(text)
	}
}

// cpu reads how deep CPUs sleep and which are slow. CPU 0 speaks for all.
func (t *tree) cpu(f *mesh.HostFacts) {
	const cpus = "sys/devices/system/cpu"
	policies := t.dir(cpus + "/cpufreq")
	for _, e := range policies.entries {
		if g := policies.sub(e.Name()).text("scaling_governor"); g != "" && !slices.Contains(f.Governors, g) {
			f.Governors = append(f.Governors, g)
		}
	}
	states := t.dir(cpus + "/cpu0/cpuidle")
	for i := range len(states.entries) {
		if name := "state" + strconv.Itoa(i); states.has(name) {
			s := states.sub(name)
			f.IdleStates = append(f.IdleStates, mesh.IdleState{Name: s.text("name"), Latency: s.number("latency"), Disabled: s.text("disable") == "1"})
		}
	}
	// "n/a" asks for no latency at all, 0 says that nobody asked (PM QoS).
	if s := t.line(cpus + "/cpu0/power/pm_qos_resume_latency_us"); s == "n/a" {
		f.LatencyLimit = 1
	} else if n, err := strconv.Atoi(s); err == nil {
		f.LatencyLimit = n
	}
	f.EfficiencyCPUs = t.line("sys/devices/cpu_atom/cpus") // Intel's hybrid processors
}

// interrupts adds counts and CPUs to the interrupts of the controllers, and the
// controllers' interrupts themselves where /sys does not list them.
func (t *tree) interrupts(h *mesh.Hardware) {
	counts := map[int]uint64{}
	for line := range strings.Lines(t.text("proc/interrupts")) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.Contains(line, "thunderbolt") {
			continue
		}
		number, err := strconv.Atoi(strings.TrimSuffix(fields[0], ":"))
		if err != nil {
			continue
		}
		for _, s := range fields[1:] {
			n, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				break
			}
			counts[number] += n
		}
		counts[number] += 0 // known, though it never fired
	}
	for i := range h.Controllers {
		c := &h.Controllers[i]
		c.Interrupts = slices.DeleteFunc(c.Interrupts, func(irq mesh.Interrupt) bool { _, known := counts[irq.Number]; return !known })
		for j := range c.Interrupts {
			irq := &c.Interrupts[j]
			irq.Count = counts[irq.Number]
			folder := "proc/irq/" + strconv.Itoa(irq.Number)
			if irq.CPUs = t.line(folder + "/effective_affinity_list"); irq.CPUs == "" {
				irq.CPUs = t.line(folder + "/smp_affinity_list")
			}
		}
	}
}

func (t *tree) interfaces(f *mesh.HostFacts) {
	all := t.dir("sys/class/net")
	for _, e := range all.entries {
		d := all.sub(e.Name())
		if name := Clean(e.Name()); d.number("flags")&1 != 0 && name != "lo" {
			f.Interfaces = append(f.Interfaces, mesh.HostInterface{Name: name, MTU: d.number("mtu"), Master: d.target("master")})
		}
	}
	// Interface, then destination in hex, little-endian: 169.254.0.0.
	for line := range strings.Lines(t.text("proc/net/route")) {
		if fields := strings.Fields(line); len(fields) > 2 && strings.EqualFold(fields[1], "0000FEA9") {
			f.LinkLocal = append(f.LinkLocal, fields[0])
		}
	}
}

// neighbours reads who answers on each link. The address tells which of its ports the
// peer has the cable in; see MAC.
func (t *tree) neighbours(h *mesh.Hardware) {
	seen := map[string][]string{}
	for line := range strings.Lines(t.text("proc/net/arp")) {
		// IP address, HW type, Flags, HW address, Mask, Device (net/ipv4/arp.c).
		fields := strings.Fields(line)
		if len(fields) == 6 && len(fields[3]) == len("00:00:00:00:00:00") && fields[3] != "00:00:00:00:00:00" && !slices.Contains(seen[fields[5]], fields[3]) {
			seen[fields[5]] = append(seen[fields[5]], Clean(fields[3]))
		}
	}
	for i := range h.Links {
		if l := &h.Links[i]; len(seen[l.Interface]) == 1 {
			l.Neighbour = seen[l.Interface][0]
		}
	}
}

func (t *tree) sysctls(h *mesh.Hardware) {
	paths := []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/rp_filter", "net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem"}
	for _, l := range h.Links {
		if l.Interface != "" {
			paths = append(paths, "net/ipv4/conf/"+l.Interface+"/forwarding", "net/ipv4/conf/"+l.Interface+"/rp_filter", "net/ipv4/conf/"+l.Interface+"/accept_local")
		}
	}
	for _, p := range paths {
		if v := t.line("proc/sys/" + p); v != "" {
			h.Host.Sysctls = append(h.Host.Sysctls, mesh.Sysctl{Path: p, Value: v})
		}
	}
}

// counters reads the tables of pairs of lines in /proc/net/snmp and netstat, and sums
// up softnet_stat.
func (t *tree) counters(f *mesh.HostFacts) {
	wanted := []string{"Ip.ForwDatagrams", "Ip.FragFails", "Icmp.OutDestUnreachs", "Tcp.OutSegs", "Tcp.RetransSegs", "TcpExt.IPReversePathFilter"}
	for _, file := range []string{"snmp", "netstat"} {
		var head []string
		for line := range strings.Lines(t.text("proc/net/" + file)) {
			fields := strings.Fields(line)
			if len(fields) == len(head) && len(head) > 0 && fields[0] == head[0] {
				for i := 1; i < len(fields); i++ {
					key := strings.TrimSuffix(head[0], ":") + "." + head[i]
					if n, err := strconv.ParseUint(fields[i], 10, 64); err == nil && slices.Contains(wanted, key) {
						f.Counters[key] = n
					}
				}
			}
			head = fields
		}
	}
	for line := range strings.Lines(t.text("proc/net/softnet_stat")) {
		// One line per CPU, hex: processed, dropped, time_squeeze (net/core/net-procfs.c).
		fields := strings.Fields(line)
		for i, key := range []string{"Softnet.Processed", "Softnet.Dropped", "Softnet.Squeezed"} {
			if i < len(fields) {
				if n, err := strconv.ParseUint(fields[i], 16, 32); err == nil {
					f.Counters[key] += n
				}
			}
		}
	}
}

// managers are programs that take interfaces into their hands unasked.
var managers = []string{"NetworkManager", "dhcpcd", "dhcpcd5", "connmand", "dockerd", "firewalld"}

func (t *tree) managers(f *mesh.HostFacts) {
	for _, e := range t.dir("proc").entries {
		if !digits(e.Name()) {
			continue // no process
		}
		b, err := t.read(path.Join("proc", e.Name(), "comm"), attributeLimit)
		if err != nil {
			continue // it ended just now
		}
		if name := Clean(string(b)); slices.Contains(managers, name) && !slices.Contains(f.Managers, name) {
			f.Managers = append(f.Managers, name)
		}
	}
	slices.Sort(f.Managers)
}

// firewalls names packet filters that are in use: tables of iptables, and nf_tables
// where somebody uses the module.
func (t *tree) firewalls(f *mesh.HostFacts) {
	for _, file := range []string{"ip_tables_names", "ip6_tables_names"} {
		for _, table := range strings.Fields(t.text("proc/net/" + file)) {
			f.Firewalls = append(f.Firewalls, Clean(strings.TrimSuffix(file, "_tables_names")+"tables "+table))
		}
	}
	for line := range strings.Lines(t.text("proc/modules")) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[0] == "nf_tables" && fields[2] != "0" {
			f.Firewalls = append(f.Firewalls, "nftables")
		}
	}
}

// udevFolders hold rule files, in the order of udev.
var udevFolders = []string{"etc/udev/rules.d", "run/udev/rules.d", "usr/lib/udev/rules.d"}

// udevRules finds the lines that authorize Thunderbolt devices.
func (t *tree) udevRules(f *mesh.HostFacts) {
	for _, folder := range udevFolders {
		d := t.dir(folder)
		for _, e := range d.entries {
			if !strings.HasSuffix(e.Name(), ".rules") || len(f.UdevRules) >= findingLimit {
				continue
			}
			full := path.Join(d.name, e.Name())
			number := 0
			for line := range strings.Lines(t.text(full)) {
				number++
				if authorizes(line) {
					f.UdevRules = append(f.UdevRules, mesh.UdevRule{File: Clean(full), Line: number, Text: Clean(line)})
				}
			}
		}
	}
}

// authorizes reports whether a line of a udev rule file sets authorized to 1 or 2.
func authorizes(line string) bool {
	line = strings.ReplaceAll(strings.TrimSpace(line), " ", "")
	if strings.HasPrefix(line, "#") {
		return false
	}
	_, value, ok := strings.Cut(line, `ATTR{authorized}="`)
	return ok && (strings.HasPrefix(value, "1") || strings.HasPrefix(value, "2"))
}
