package diagnose_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/usb4mesh/usb4mesh/internal/diagnose"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// world is two machines with one cable; the first is diagnosed.
type world struct {
	a, b   *hwtest.Machine
	da, db *hwtest.Domain
	cable  *hwtest.Cable
	in     diagnose.Input
}

const nhi = "sys/devices/pci0000:00/0000:00:08.3/0000:c7:00.5/"

func set(name, value string) func(*world) {
	return func(w *world) { w.a.Set(name, value) }
}

func remove(part string) func(*world) {
	return func(w *world) {
		maps.DeleteFunc(w.a.FS, func(name string, _ *fstest.MapFile) bool { return strings.Contains(name, part) })
	}
}

func all(fs ...func(*world)) func(*world) {
	return func(w *world) {
		for _, f := range fs {
			f(w)
		}
	}
}

func measured(gbps float64) func(*world) {
	return func(w *world) { w.in.Measured = &diagnose.Measurement{Gbps: gbps} }
}

func kernel(release string) func(*world) { return set("proc/sys/kernel/osrelease", release) }

var (
	forwarding = all(set("proc/sys/net/ipv4/ip_forward", "1"), set("sys/class/net/eth0/flags", "0x1003"), set("sys/class/net/eth0/mtu", "1500"))
	second     = func(w *world) {
		hwtest.Plug(w.a.AddDomain("0000:c7:00.6", hwtest.AMD).Port(2), w.b.AddDomain("0000:c7:00.6", hwtest.AMD).Port(2))
	}
)

// rules provokes each finding.
var rules = map[string]func(*world){
	"no-controller":                remove("sys/bus/pci"),
	"no-driver":                    all(remove("/driver"), remove("/domain0"), remove("sys/module")),
	"controller-dead":              all(remove("/domain0"), set("usb4mesh/log", "thunderbolt 0000:c7:00.5: probe with driver thunderbolt failed with error -110")),
	"controller-errors":            set("usb4mesh/log", "thunderbolt 0000:c7:00.5: timeout resetting host router"),
	"xdomain-off":                  set("usb4mesh/log", "ACPI: USB4 _OSC: OS controls USB3+ DisplayPort+ PCIe+ XDomain-"),
	"firmware-manager":             all(remove("/usb4_port2"), set(nhi+"domain0/deauthorization", "0")),
	"iommu-strict":                 set(nhi+"iommu_group/type", "DMA"),
	"interrupt-on-efficiency-core": all(set(nhi+"msi_irqs/71", "msix"), set("proc/interrupts", " 71: 5 PCI-MSI thunderbolt"), set("proc/irq/71/effective_affinity_list", "9"), set("sys/devices/cpu_atom/cpus", "8-15")),
	"narrow-pcie":                  all(set(nhi+"vendor", "0x1b21"), set(nhi+"device", "0x2425"), set(nhi+"current_link_width", "2")),
	"uuid-changes":                 all(set(nhi+"vendor", "0x8086"), set(nhi+"device", "0x9a1b")),
	"handshake-stuck":              func(w *world) { w.cable.Unplug(); w.a.Set(nhi+"domain0/0-0/usb4_port2/link", "usb4") },
	"no-usb4-link": func(w *world) {
		w.cable.Unplug()
		w.a.Set(nhi+"domain0/0-0/usb4_port2/connector/port0-partner/type", "x")
	},
	"host-reset":       func(w *world) { w.cable.SetEnd(0, "vendor", "0xa27") },
	"bond-unsupported": set("usb4mesh/log", "bond0: (slave thunderbolt0): failed to get link speed/duplex"),
	"router-full": func(w *world) {
		for i := range 2 {
			hwtest.Plug(w.da.Port(10+i), hwtest.New("c").AddDomain("0000:c7:00.5", hwtest.AMD).Port(2))
		}
	},
	"trained-10x1":        func(w *world) { w.cable.Train(1, 10) },
	"trained-10x2":        func(w *world) { w.cable.Train(2, 10) },
	"trained-one-lane":    func(w *world) { w.cable.Train(1, 20) },
	"peer-nameless":       func(w *world) { w.cable.Set("device_name", "(none)") },
	"peer-kernel-differs": func(w *world) { w.cable.Set("vendor", "0x1d6b") },
	"no-network-service":  all(remove("sys/module/thunderbolt_net"), func(w *world) { w.cable.RemoveService(0) }),
	"no-network-module":   all(remove("sys/module/thunderbolt_net"), remove("/net/thunderbolt0")),
	"no-interface":        remove("/net/thunderbolt0"),
	"interface-down":      func(w *world) { w.cable.SetInterface(0, "flags", "0x1002") },
	"no-carrier":          func(w *world) { w.cable.SetInterface(0, "carrier", "0") },
	"one-way":             func(w *world) { w.cable.SetInterface(0, "statistics/tx_packets", "5000") },
	"crc-errors":          func(w *world) { w.cable.SetInterface(0, "statistics/rx_crc_errors", "3") },
	"frames-lost":         func(w *world) { w.cable.SetInterface(0, "statistics/rx_missed_errors", "3") },
	"tso-in-transit":      all(forwarding, set("proc/net/snmp", "Ip: Forwarding FragFails\nIp: 1 9")),
	"mtu-differs":         all(second, func(w *world) { w.cable.SetInterface(0, "mtu", "65520") }),
	"mtu-mismatch": func(w *world) {
		w.cable.SetInterface(1, "mtu", "9000")
		h, _ := hw.Scan(w.b.FS)
		w.in.Peers = []mesh.Hardware{h}
	},
	"mtu-unplanned":            func(w *world) { w.in.MTU = 65520 },
	"small-mtu":                func(*world) {},
	"default-credits":          func(*world) {},
	"deep-sleep":               all(set("sys/devices/system/cpu/cpu0/cpuidle/state0/name", "C3"), set("sys/devices/system/cpu/cpu0/cpuidle/state0/latency", "350")),
	"receive-core-busy":        set("proc/net/softnet_stat", "00001000 00000000 00000100"),
	"saving-governor":          set("sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "powersave"),
	"foreign-manager":          all(set("proc/99/comm", "NetworkManager"), set("proc/net/route", "Iface Destination\nthunderbolt0 0000FEA9 00000000")),
	"open-authorization":       all(set(nhi+"domain0/iommu_dma_protection", "0"), set("etc/udev/rules.d/9.rules", `ACTION=="add", SUBSYSTEM=="thunderbolt", ATTR{authorized}="1"`)),
	"strict-reverse-path":      all(forwarding, set("proc/sys/net/ipv4/conf/all/rp_filter", "1")),
	"firewall-present":         all(forwarding, second, set("proc/net/ip_tables_names", "filter")),
	"same-mac":                 all(second, func(w *world) { w.cable.SetInterface(0, "address", hw.MAC(w.a2(), 2)) }),
	"credit-window":            measured(11.8),
	"controller-is-the-limit":  all(measured(26), set("sys/module/thunderbolt/parameters/dma_credits", "32")),
	"link-is-the-limit":        all(measured(9.3), func(w *world) { w.cable.Train(1, 10) }),
	"beyond-the-link":          measured(60),
	"below-every-limit":        measured(2),
	"kernel-patch-unknown":     kernel("6.1.0-44-amd64"),
	"kernel-e2e-stall":         kernel("6.1.176+deb12-amd64"),
	"kernel-frame-overflow":    kernel("6.12.99+deb13-amd64"),
	"kernel-property-overflow": kernel("6.12.93"),
	"kernel-teardown-order":    kernel("6.12.104"),
	"kernel-login-leak":        kernel("6.12.107"),
	"kernel-lane-stays-off":    kernel("6.1.176"),
	"kernel-no-rediscovery":    kernel("6.1.60"),
	"kernel-tcp6-checksum":     kernel("6.1.60"),
	"kernel-amd-interrupts":    kernel("6.1.30"),
	"kernel-use-after-free":    kernel("6.12.104"),
	"kernel-amd-power-states":  kernel("6.1.24"),
	"kernel-amd-wakeup":        kernel("6.5.12"),
	"kernel-resume-swap":       kernel("6.12.107"),
	"kernel-no-bonding":        kernel("5.15.0"),
}

// a2 is the UUID of the second controller of the first machine.
func (w *world) a2() string {
	h, _ := hw.Scan(w.a.FS)
	return h.Controllers[1].UUID
}

// TestRules: each problem is found, with all that a finding needs; and the machine
// without the problem does not have the finding.
func TestRules(t *testing.T) {
	usual := []string{"small-mtu", "default-credits", "kernel-login-leak", "kernel-resume-swap"} // of the machine that nothing was done to
	for _, code := range diagnose.Codes() {
		prepare, ok := rules[code]
		if !ok {
			t.Errorf("no case provokes %s", code)
			continue
		}
		w := &world{a: hwtest.New("a"), b: hwtest.New("b")}
		w.da, w.db = w.a.AddDomain("0000:c7:00.5", hwtest.AMD), w.b.AddDomain("0000:c7:00.5", hwtest.AMD)
		w.cable = hwtest.Plug(w.da.Port(2), w.db.Port(2))
		if !slices.Contains(usual, code) {
			if got := diagnose.Run(diagnose.Input{Hardware: scan(t, w.a.FS)}); slices.Contains(codes(got, finding.Info), code) {
				t.Errorf("%s: found where nothing is wrong", code)
			}
		}
		prepare(w)
		w.in.Hardware = scan(t, w.a.FS)
		fs := diagnose.Run(w.in)
		i := slices.IndexFunc(fs, func(f diagnose.Finding) bool { return f.Kind.Code == code })
		if i < 0 {
			t.Errorf("%s: not found; found %v", code, codes(fs, finding.Info))
			continue
		}
		f := fs[i]
		if f.Subject == "" || f.Message == "" || len(f.Evidence) == 0 || f.Cause == "" || f.Fix == "" || f.Gain == "" || f.Source == "" {
			t.Errorf("%s lacks something: %+v", code, f)
		}
	}
}

// TestParentSilencesChildren: what follows from a problem is not told beside it.
func TestParentSilencesChildren(t *testing.T) {
	for code, silent := range map[string][]string{
		"no-controller":      {"trained-10x2", "no-carrier", "small-mtu", "kernel-login-leak"},
		"no-network-service": {"no-interface", "no-carrier", "small-mtu"},
		"interface-down":     {"no-carrier", "one-way", "small-mtu", "default-credits"},
		"no-carrier":         {"one-way", "small-mtu", "default-credits"},
		"one-way":            {"small-mtu", "crc-errors"},
	} {
		w := &world{a: hwtest.New("a"), b: hwtest.New("b")}
		w.da, w.db = w.a.AddDomain("0000:c7:00.5", hwtest.AMD), w.b.AddDomain("0000:c7:00.5", hwtest.AMD)
		w.cable = hwtest.Plug(w.da.Port(2), w.db.Port(2))
		w.cable.SetInterface(0, "statistics/rx_crc_errors", "3")
		rules[code](w)
		got := codes(diagnose.Run(diagnose.Input{Hardware: scan(t, w.a.FS)}), finding.Info)
		for _, s := range silent {
			if slices.Contains(got, s) {
				t.Errorf("%s is told beside %s: %v", s, code, got)
			}
		}
		if !slices.Contains(got, code) {
			t.Errorf("%s not found: %v", code, got)
		}
	}
}

// TestFailureLines: the published lines of failing links are recognised.
func TestFailureLines(t *testing.T) {
	b, err := os.ReadFile("../hw/testdata/samples/failures-dmesg.txt")
	if err != nil {
		t.Fatal(err)
	}
	a, peer := pair()
	hwtest.Plug(a.Port(2), peer.Port(2)).SetInterface(0, "carrier", "0")
	a.Machine.Set("usb4mesh/log", string(b))
	evidence := map[string]string{}
	for _, f := range diagnose.Run(diagnose.Input{Hardware: scan(t, a.Machine.FS)}) {
		maps.Copy(evidence, f.Evidence)
	}
	for key, line := range map[string]string{
		"kernel log: failed request link state change":         "failed request link state change, aborting",
		"kernel log: timeout resetting host router":            "timeout resetting host router",
		"kernel log: IO_PAGE_FAULT":                            "thunderbolt 0000:c8:00.6: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0043 address=0xecce8000 flags=0x0020]",
		"kernel log: failed to get link speed/duplex":          "bond0: (slave thunderbolt0): failed to get link speed/duplex",
		"kernel log: does not support setting the MAC address": "bond0: (slave thunderbolt0): The slave device specified does not support setting the MAC address",
	} {
		if evidence[key] != line {
			t.Errorf("%s: evidence %q, want %q", key, evidence[key], line)
		}
	}
}

// TestOneWayNamesTheKernel: on a kernel that stalls, the dead link is explained by it.
func TestOneWayNamesTheKernel(t *testing.T) {
	a, b := pair()
	c := hwtest.Plug(a.Port(2), b.Port(2))
	c.SetInterface(0, "statistics/tx_packets", "100")
	a.Machine.Set("proc/sys/kernel/osrelease", "6.1.0-44-amd64")
	a.Machine.Set("proc/version", "Linux version 6.1.0-44-amd64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-09-01)")
	f := diagnose.Run(diagnose.Input{Hardware: scan(t, a.Machine.FS)})[0]
	if f.Kind.Code != "one-way" || !strings.Contains(f.Cause, "kernel-e2e-stall") || !strings.Contains(f.Fix, "e2e=0") {
		t.Errorf("%s: %s / %s", f.Kind.Code, f.Cause, f.Fix)
	}
}

// TestOver: with an earlier look only what was added since counts.
func TestOver(t *testing.T) {
	for _, tt := range []struct {
		name                           string
		tx0, rx0, crc0, tx1, rx1, crc1 string
		want                           []string
	}{
		{"deaf since", "5000", "4000", "0", "5200", "4000", "0", []string{"one-way"}},
		{"both ways", "5000", "4000", "0", "5200", "4100", "0", nil},
		{"nothing sent", "5000", "4000", "0", "5001", "4000", "0", nil},
		{"old errors", "5000", "4000", "7", "5200", "4100", "7", nil},
		{"errors go on", "5000", "4000", "7", "5200", "4100", "9", []string{"crc-errors"}},
		{"began anew", "5000", "4000", "0", "200", "0", "0", []string{"one-way"}},
	} {
		a, b := pair()
		c := hwtest.Plug(a.Port(2), b.Port(2))
		count := func(tx, rx, crc string) mesh.Hardware {
			c.SetInterface(0, "statistics/tx_packets", tx)
			c.SetInterface(0, "statistics/rx_packets", rx)
			c.SetInterface(0, "statistics/rx_crc_errors", crc)
			return scan(t, a.Machine.FS)
		}
		earlier := count(tt.tx0, tt.rx0, tt.crc0)
		got := codes(diagnose.Run(diagnose.Input{Hardware: count(tt.tx1, tt.rx1, tt.crc1), Earlier: &earlier}), finding.Warning)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestKernels holds the table of defects against versions whose state is known.
func TestKernels(t *testing.T) {
	debian12 := "Linux version 6.1.0-44-amd64 (x) #1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-09-01)"
	debian13 := "Linux version 6.12.43+deb13-amd64 (x) (x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0, GNU ld (GNU Binutils for Debian) 2.44) #1 SMP PREEMPT_DYNAMIC Debian 6.12.43-1 (2025-08-27)"
	for _, tt := range []struct {
		code, release, version string
		affected, sure         bool
	}{
		{"kernel-e2e-stall", "6.1.0-44-amd64", debian12, true, true},
		{"kernel-e2e-stall", "6.1.0-30-amd64", strings.ReplaceAll(debian12, "6.1.176-1", "6.1.124-1"), false, false},
		{"kernel-e2e-stall", "6.1.0-44-amd64", "", false, false}, // can't be told
		{"kernel-frame-overflow", "6.1.0-44-amd64", "", false, false},
		{"kernel-e2e-stall", "6.1.180", "", true, false}, // newer than what was read
		{"kernel-e2e-stall", "6.12.42", "", false, false},
		{"kernel-e2e-stall", "6.12.43+deb13-amd64", "", true, true},
		{"kernel-e2e-stall", "6.12.43+deb13-amd64", debian13, true, true}, // and not the compiler's 14.2.0
		{"kernel-e2e-stall", "6.12.104", "", true, true},
		{"kernel-e2e-stall", "6.12.105", "", false, false},
		{"kernel-e2e-stall", "6.16.5", "", false, false},
		{"kernel-e2e-stall", "6.18.44", "", true, false}, // the fix may have come to this line
		{"kernel-e2e-stall", "7.2.13+deb14-amd64", "", false, false},
		{"kernel-frame-overflow", "6.12.100", "", false, false},
		{"kernel-frame-overflow", "6.1.0-44-amd64", debian12, true, true},
		{"kernel-property-overflow", "6.1.0-44-amd64", debian12, false, false},
		{"kernel-tcp6-checksum", "6.5.5", "", true, false},
		{"kernel-tcp6-checksum", "6.8.12-4-pve", "", false, false},
		{"kernel-no-bonding", "5.15.0-100-generic", "", true, true},
		{"kernel-no-bonding", "5.19.0", "", false, false},
		{"kernel-amd-wakeup", "6.1.176", "", true, false},
		{"kernel-login-leak", "7.3-rc7", "", false, false},
		{"kernel-login-leak", "rubbish", "", false, false},
	} {
		affected, sure := diagnose.Affected(tt.code, tt.release, tt.version)
		if affected != tt.affected || sure != tt.sure {
			t.Errorf("%s on %s: affected %v sure %v, want %v %v", tt.code, tt.release, affected, sure, tt.affected, tt.sure)
		}
	}
}

func TestSystems(t *testing.T) {
	for want, h := range map[string]mesh.Hardware{
		"debian":  {Release: "6.12.107+deb13-amd64"},
		"proxmox": {Release: "6.8.12-4-pve", Version: "Linux version 6.8.12-4-pve (build@proxmox) #1 SMP PREEMPT_DYNAMIC PMX 6.8.12-4"},
		"nixos":   {Release: "6.12.50", Version: "Linux version 6.12.50 (nixbld@localhost) #1-NixOS SMP"},
		"talos":   {Release: "6.18.1-talos"},
		"fedora":  {Release: "6.18.0-65.fc44.x86_64"},
		"other":   {Release: "6.17.1-arch1-1"},
	} {
		if got := diagnose.SystemOf(h); got != diagnose.Others[want] {
			t.Errorf("%s is taken for %v, want %s", h.Release, got, want)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"9", "8-15", true}, {"8-9,12", "8-15", true}, {"7-9", "8-15", false}, {"", "8-15", false}, {"x", "8-15", false}, {"0-99999999", "8-15", false}} {
		if got := diagnose.Within(tt.a, tt.b); got != tt.want {
			t.Errorf("%q within %q: %v", tt.a, tt.b, got)
		}
	}
}
