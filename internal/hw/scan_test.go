package hw_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// trees loads every model tree of testdata, by name.
func trees(t testing.TB) map[string]fstest.MapFS {
	t.Helper()
	files, err := filepath.Glob("testdata/trees/*.txtar")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d model trees: %v", len(files), err)
	}
	all := map[string]fstest.MapFS{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for tree, fsys := range hwtest.Load(b) {
			all[tree] = fsys
		}
	}
	return all
}

// TestScanLosesNothing holds every attribute file of every model tree against what
// Scan made of it.
func TestScanLosesNothing(t *testing.T) {
	for name, fsys := range trees(t) {
		t.Run(name, func(t *testing.T) {
			h, findings := hw.Scan(fsys)
			for _, f := range findings {
				t.Errorf("finding: %s", f.Message)
			}
			checked := 0
			for file, content := range fsys {
				want := strings.TrimSuffix(string(content.Data), "\n")
				got, known := attribute(h, file)
				if !known {
					continue
				}
				checked++
				if got != want {
					t.Errorf("%s: scanned %q, the tree has %q", file, got, want)
				}
			}
			if checked < 40 {
				t.Errorf("only %d attributes were compared", checked)
			}
		})
	}
}

// attribute finds what Scan made of a file, in the words of the file. What is not
// known here is no part of Hardware.
func attribute(h mesh.Hardware, file string) (string, bool) {
	parts := strings.Split(file, "/")
	base, parent := parts[len(parts)-1], ""
	if len(parts) > 1 {
		parent = parts[len(parts)-2]
	}
	for _, l := range h.Links {
		switch {
		case parent == l.XDomain && strings.Contains(file, l.PCI):
			v, ok := map[string]string{
				"unique_id": l.Peer.UUID, "device_name": l.Peer.Name, "vendor_name": l.Peer.Vendor,
				"vendor": fmt.Sprintf("%#x", l.Peer.VendorID), "device": fmt.Sprintf("%#x", l.Peer.Device),
				"rx_lanes": strconv.Itoa(l.RxLanes), "tx_lanes": strconv.Itoa(l.TxLanes),
				"rx_speed": fmt.Sprintf("%d.0 Gb/s", l.RxSpeed), "tx_speed": fmt.Sprintf("%d.0 Gb/s", l.TxSpeed),
			}[base]
			return v, ok
		case parent == l.Parent && base == "prtcstns":
			return fmt.Sprintf("%#08x", l.Services[0].Settings), true
		case parent == l.Parent && base == "key":
			return l.Services[0].Key, true
		case parent == l.Interface && strings.Contains(file, "/"+l.Parent+"/net/"):
			carrier, flags := "0", "0x1002"
			if l.Carrier {
				carrier = "1"
			}
			if l.Up {
				flags = "0x1003"
			}
			v, ok := map[string]string{"address": l.MAC, "mtu": strconv.Itoa(l.MTU), "carrier": carrier, "flags": flags}[base]
			return v, ok
		case parent == "statistics" && strings.Contains(file, "/"+l.Interface+"/"):
			return strconv.FormatUint(l.Stats[base], 10), true
		}
	}
	for _, c := range h.Controllers {
		switch {
		case parent == c.PCI:
			v, ok := map[string]string{"vendor": fmt.Sprintf("%#x", c.Vendor), "device": fmt.Sprintf("%#x", c.Device)}[base]
			return v, ok
		case strings.HasPrefix(parent, "domain") && strings.Contains(file, c.PCI) && base == "security":
			return c.Security, true
		case strings.HasSuffix(parent, "-0") && strings.Contains(file, c.PCI):
			v, ok := map[string]string{"unique_id": c.UUID, "generation": strconv.Itoa(c.Generation)}[base]
			return v, ok
		}
		for _, p := range c.Ports {
			if parent == "usb4_port"+strconv.Itoa(p.Adapter) && strings.Contains(file, c.PCI) && base == "link" {
				return p.Link, true
			}
		}
	}
	if module, parameter, ok := strings.Cut(strings.TrimPrefix(file, "sys/module/"), "/parameters/"); ok {
		return h.Parameter(module, parameter), true
	}
	v, ok := map[string]string{"proc/sys/kernel/hostname": h.Node, "proc/sys/kernel/osrelease": h.Release}[file]
	return v, ok
}

// TestScanOne compares one scan as a whole.
func TestScanOne(t *testing.T) {
	h, _ := hw.Scan(trees(t)["amd-6.12/um790-01"])
	want := mesh.USB4Link{
		XDomain: "0-2", PCI: "0000:c7:00.5", RouterUUID: "11ba3804-6105-de5d-ffff-ffffffffffff", Port: 2,
		Peer:    mesh.PeerHost{UUID: "e8c83804-4039-5f22-ffff-ffffffffffff", Name: "um790-02", Vendor: "Intel Corp.", VendorID: 0x8086, Device: 1},
		RxLanes: 2, TxLanes: 2, RxSpeed: 20, TxSpeed: 20,
		Services: []mesh.Service{{Name: "0-2.0", Key: "network", Settings: 7, Driver: "thunderbolt-net"}}, Parent: "0-2.0",
		Interface: "thunderbolt0", MAC: "02:e2:1e:08:57:bc", MTU: 1500, Up: true, Carrier: true, Stats: map[string]uint64{},
	}
	if diff := cmp.Diff(want, h.Links[0]); diff != "" {
		t.Errorf("link (-want +got):\n%s", diff)
	}
	if got := h.Links[0].Gbps(); got != 40 {
		t.Errorf("%d Gbit/s, want 40", got)
	}
	c := h.Controllers[1]
	if c.PCI != "0000:c7:00.6" || c.Domain != 1 || c.Driver != "thunderbolt" || c.IOMMU != "DMA-FQ" || !c.DMAProtection || c.FirmwareCM || len(c.Ports) != 1 {
		t.Errorf("second controller: %+v", c)
	}
	for _, l := range h.Links {
		if got := hw.MAC(l.RouterUUID, l.Port); got != l.MAC {
			t.Errorf("%s: computed MAC %s, the tree has %s", l.Interface, got, l.MAC)
		}
	}
}

// TestScanForms tries what differs between machines and kernels.
func TestScanForms(t *testing.T) {
	a, b := hwtest.New("a"), hwtest.New("b")
	da, db := a.AddDomain("0000:00:0d.2", hwtest.Intel), b.AddDomain("0000:c7:00.5", hwtest.AMD)
	c := hwtest.Plug(da.Port(3), db.Port(2))
	router := "sys/devices/pci0000:00/0000:00:0d.2/domain0/0-0"

	t.Run("a host behind a hub", func(t *testing.T) {
		hub := router + "/0-1/"
		a.Set(hub+"uevent", "DEVTYPE=thunderbolt_device")
		a.Set(hub+"0-301/uevent", "DEVTYPE=thunderbolt_xdomain")
		a.Set(hub+"0-301/unique_id", db.UUID)
		h, fs := hw.Scan(a.FS)
		if len(h.Links) != 2 || len(fs) > 0 {
			t.Fatalf("links %+v, findings %v", h.Links, fs)
		}
		if l := h.Links[1]; l.XDomain != "0-301" || l.Hops != 1 || l.Port != 1 {
			t.Errorf("behind the hub: %+v", l)
		}
	})
	t.Run("firmware connection manager", func(t *testing.T) {
		old := hwtest.New("old")
		d := old.AddDomain("0000:04:00.0", hwtest.Intel)
		for name := range old.FS {
			if strings.Contains(name, "usb4_port") {
				delete(old.FS, name)
			}
		}
		old.Set("sys/devices/pci0000:00/0000:04:00.0/domain0/deauthorization", "0")
		h, _ := hw.Scan(old.FS)
		if c := h.Controllers[0]; !c.FirmwareCM || c.UUID != d.UUID {
			t.Errorf("controller %+v", c)
		}
	})
	t.Run("training and unplugging", func(t *testing.T) {
		c.Train(1, 10)
		h, _ := hw.Scan(b.FS)
		if h.Links[0].Gbps() != 10 || h.Controllers[0].Ports[0].Link != "usb4" {
			t.Errorf("trained: %+v", h.Links[0])
		}
		c.Unplug()
		if h, fs := hw.Scan(b.FS); len(h.Links) != 0 || len(fs) != 0 || h.Controllers[0].Ports[0].Link != "none" {
			t.Errorf("unplugged: %+v %v", h.Links, fs)
		}
	})
	t.Run("facts of the host", func(t *testing.T) {
		b.Set("proc/version", "Linux version 6.12.107+deb13-amd64 (debian) #1 SMP Debian 6.12.107-1 (2026-09-20)")
		b.Set("proc/interrupts", "           CPU0       CPU1\n  71:        10          5   PCI-MSI 1-edge      thunderbolt\n  72: 3 4 PCI-MSI xhci")
		b.Set("sys/devices/pci0000:00/0000:00:08.3/0000:c7:00.5/msi_irqs/71", "msix")
		b.Set("proc/irq/71/effective_affinity_list", "1")
		b.Set("proc/net/snmp", "Ip: Forwarding FragFails\nIp: 1 7")
		b.Set("proc/net/route", "Iface\tDestination\tGateway\nthunderbolt0\t0000FEA9\t00000000")
		b.Set("proc/17/comm", "NetworkManager")
		b.Set("proc/18/comm", "bash")
		b.Set("sys/devices/system/cpu/cpu0/cpuidle/state0/name", "C3")
		b.Set("sys/devices/system/cpu/cpu0/cpuidle/state0/latency", "350")
		b.Set("etc/udev/rules.d/99-tb.rules", "# ATTR{authorized}=\"1\"\nACTION==\"add\", SUBSYSTEM==\"thunderbolt\", ATTR{authorized}==\"0\", ATTR{authorized}=\"1\"")
		b.Set("usb4mesh/log", "[ 1.0] thunderbolt 0-2: new host found\n[ 1.1] usb something")
		h, fs := hw.Scan(b.FS)
		for _, f := range fs {
			t.Errorf("finding: %s", f.Message)
		}
		want := mesh.HostFacts{
			IdleStates: []mesh.IdleState{{Name: "C3", Latency: 350}}, Counters: map[string]uint64{"Ip.FragFails": 7},
			Managers: []string{"NetworkManager"}, LinkLocal: []string{"thunderbolt0"},
			UdevRules: []mesh.UdevRule{{File: "etc/udev/rules.d/99-tb.rules", Line: 2, Text: `ACTION=="add", SUBSYSTEM=="thunderbolt", ATTR{authorized}=="0", ATTR{authorized}="1"`}},
			Log:       []string{"[ 1.0] thunderbolt 0-2: new host found"},
		}
		if diff := cmp.Diff(want, h.Host); diff != "" {
			t.Errorf("facts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]mesh.Interrupt{{Number: 71, Count: 15, CPUs: "1"}}, h.Controllers[0].Interrupts); diff != "" {
			t.Errorf("interrupts (-want +got):\n%s", diff)
		}
	})
}
