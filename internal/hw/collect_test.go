package hw_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// full is a machine with something of everything, and with secrets.
func full() *hwtest.Machine {
	a, b := hwtest.New("a"), hwtest.New("b")
	d := a.AddDomain("0000:c7:00.5", hwtest.AMD)
	hwtest.Plug(d.Port(2), b.AddDomain("0000:c7:00.5", hwtest.AMD).Port(2))
	nhi := "sys/devices/pci0000:00/0000:00:08.3/0000:c7:00.5/"
	for name, value := range map[string]string{
		nhi + "msi_irqs/71":                               "msix",
		nhi + "domain0/boot_acl":                          "c6030000-0062-641e-03f8-fed920149008",
		nhi + "domain0/0-0/usb4_port2/0-0:2.1/device":     "0x15ee",
		"proc/interrupts":                                 "      CPU0\n 71: 5 PCI-MSI thunderbolt\n 72: 5 PCI-MSI nvme0q0",
		"proc/irq/71/smp_affinity_list":                   "0-3",
		"proc/17/comm":                                    "NetworkManager",
		"proc/18/comm":                                    "my-private-program",
		"proc/net/route":                                  "Iface\tDestination\nthunderbolt0\t0000FEA9\nppp0\t01020304",
		"proc/net/arp":                                    "IP address HW type Flags HW address Mask Device\n10.7.1.2 0x1 0x2 02:11:22:33:44:55 * thunderbolt0\n198.51.100.9 0x1 0x2 66:66:66:66:66:66 * eth0",
		"proc/modules":                                    "nf_tables 1 9 - Live\nwireguard 1 1 - Live",
		"sys/bus/pci/devices/0000:01:00.0/class":          "0x010802",
		"sys/bus/pci/devices/0000:01:00.0/vendor":         "0x144d",
		"etc/udev/rules.d/9.rules":                        "# my secret comment\nSUBSYSTEM==\"thunderbolt\", ATTR{authorized}=\"1\"",
		"usb4mesh/log":                                    "thunderbolt 0-2: new host found\nthunderbolt from 192.0.2.7 and 2001:db8::7, aa:bb:cc:dd:ee:ff, serial: ABC123 password=hunter2",
		"sys/devices/system/cpu/cpu0/cpuidle/state0/name": "C3",
		"usb4mesh/offloads/thunderbolt0":                  "tcp-segmentation-offload: on\ngeneric-receive-offload: off",
	} {
		a.Set(name, value)
	}
	return a
}

// TestCollectPutsProcStraight: /proc/net leads through /proc/self, whose number is of
// no use elsewhere.
func TestCollectPutsProcStraight(t *testing.T) {
	m := full()
	for name, target := range map[string]string{"proc/net": "self/net", "proc/self": "4711"} {
		m.FS[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink}
	}
	delete(m.FS, "proc/net/route")
	m.Set("proc/4711/net/snmp", "Ip: Forwarding FragFails\nIp: 1 7")
	files, h, _ := hw.Collect(m.FS, false)
	again, _ := hw.Scan(hwtest.Load(hw.Fixture(files, ""))[""])
	if h.Host.Counters["Ip.FragFails"] != 7 || again.Host.Counters["Ip.FragFails"] != 7 {
		t.Errorf("counters %v, of the copy %v", h.Host.Counters, again.Host.Counters)
	}
	if text := hw.Contents(files); strings.Contains(text, "4711") || !strings.Contains(text, "proc/net/snmp") {
		t.Errorf("contents:\n%s", text)
	}
}

// TestFixtureScansAlike: a scan of what was collected sees what the first scan saw,
// but for what was masked.
func TestFixtureScansAlike(t *testing.T) {
	all := trees(t)
	all["full"] = full().FS
	for name, fsys := range all {
		want, _ := hw.Scan(fsys)
		files, same, found := hw.Collect(fsys, false)
		if diff := cmp.Diff(want, same); diff != "" || len(found) > 0 {
			t.Errorf("%s: collecting scans otherwise than scanning: %v\n%s", name, found, diff)
		}
		loaded := hwtest.Load(hw.Fixture(files, "from a test"))
		if len(loaded) != 1 {
			t.Fatalf("%s: the fixture holds %d trees", name, len(loaded))
		}
		got, found := hw.Scan(loaded[""])
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(mesh.HostFacts{}, "Log")); diff != "" || len(found) > 0 {
			t.Errorf("%s: %v (-machine +fixture):\n%s", name, found, diff)
		}
		if len(got.Host.Log) != len(want.Host.Log) {
			t.Errorf("%s: %d lines of the log, want %d", name, len(got.Host.Log), len(want.Host.Log))
		}
	}
}

// TestCollectKeepsSecrets looks for what must not leave the machine.
func TestCollectKeepsSecrets(t *testing.T) {
	files, _, _ := hw.Collect(full().FS, false)
	text := string(hw.Fixture(files, ""))
	for _, secret := range []string{"my-private-program", "ppp0", "198.51.100.9", "66:66:66", "10.7.1.2", "nvme", "wireguard", "my secret comment", "192.0.2.7", "2001:db8", "aa:bb:cc:dd:ee:ff", "ABC123", "hunter2", "c6030000-0062", "0x144d"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the bundle", secret)
		}
	}
	for _, needed := range []string{"NetworkManager", "thunderbolt0\t0000FEA9", "02:11:22:33:44:55", "authorized", "new host found", "02:"} {
		if !strings.Contains(text, needed) {
			t.Errorf("%q is not in the bundle", needed)
		}
	}
}

func TestMask(t *testing.T) {
	h := mesh.Hardware{Links: []mesh.USB4Link{{MAC: "02:e2:1e:08:57:bc"}}}
	for text, want := range map[string]string{
		"[12:30:45] thunderbolt 0000:c7:00.5: 0:3: disabled": "[12:30:45] thunderbolt 0000:c7:00.5: 0:3: disabled",
		"local UUID d1030000-0090-8f18-23c5-b11c6cd30923":    "local UUID d1030000-0090-8f18-23c5-b11c6cd30923",
		"from 2001:db8::1: and fe80::1%eth0, ::1.":           "from (address): and (address)%eth0, (address).",
		"02:e2:1e:08:57:bc is ours, 02:e2:1e:08:57:bd not":   "02:e2:1e:08:57:bc is ours, (address) not",
		"10.0.0.1:443 Serial No: X77-1 token=abc":            "(address):443 Serial No: (serial) token=(secret)",
		"Linux 6.12.107, NVM version 33.0":                   "Linux 6.12.107, NVM version 33.0",
	} {
		if got := hw.Mask(text, &h); got != want {
			t.Errorf("%q masked: %q, want %q", text, got, want)
		}
	}
}

// TestWriteTar: the archive is the same every time, lists its contents first, and
// holds every file.
func TestWriteTar(t *testing.T) {
	files, _, _ := hw.Collect(full().FS, false)
	var a, b bytes.Buffer
	if err := errors.Join(hw.WriteTar(&a, "bundle", files), hw.WriteTar(&b, "bundle", files)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two archives of the same files differ")
	}
	zip, err := gzip.NewReader(&a)
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(zip)
	var names []string
	contents := ""
	for {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !head.ModTime.IsZero() && head.ModTime.Unix() != 0 {
			t.Errorf("%s has the time %v", head.Name, head.ModTime)
		}
		names = append(names, strings.TrimPrefix(head.Name, "bundle/"))
		if head.Name == "bundle/CONTENTS.txt" {
			text, _ := io.ReadAll(r)
			contents = string(text)
		}
	}
	if len(names) != len(files)+1 || names[0] != "CONTENTS.txt" {
		t.Errorf("%d entries, first %s; want %d", len(names), names[0], len(files)+1)
	}
	for _, name := range names[1:] {
		if !strings.Contains(contents, name) {
			t.Errorf("CONTENTS.txt does not list %s", name)
		}
	}
	if !strings.Contains(contents, "proc/interrupts  38 bytes (only lines of thunderbolt)") {
		t.Errorf("no word of what was left out in\n%s", contents)
	}
}
