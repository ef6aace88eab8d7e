package hw

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// sample returns a published text without its first line, which names the source.
func sample(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/samples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), "\n")
	return text
}

// TestSampleLogs picks the lines about USB4 out of published kernel logs.
func TestSampleLogs(t *testing.T) {
	for _, tt := range []struct {
		file  string
		lines int
		has   []string
	}{
		{"nuc8-dmesg.txt", 34, []string{"using firmware connection manager", "local UUID d1030000-0090-8f18-23c5-b11c6cd30923", "current link speed 10.0 Gb/s"}},
		{"talos-dmesg.txt", 7, []string{"new retimer found", "Intel Corp. talos-node-3"}},
		{"peers-dmesg.txt", 6, []string{"Apple Inc. Mac14,3", "Windows USB4(TM) Connection Manager"}},
		{"failures-dmesg.txt", 7, []string{"failed request link state change", "error -110", "IO_PAGE_FAULT", "timeout resetting host router", "login timed out", "does not support setting the MAC address"}},
	} {
		lines := logLines(sample(t, tt.file))
		if len(lines) != tt.lines {
			t.Errorf("%s: %d lines, want %d:\n%s", tt.file, len(lines), tt.lines, strings.Join(lines, "\n"))
		}
		for _, s := range tt.has {
			if !strings.Contains(strings.Join(lines, "\n"), s) {
				t.Errorf("%s: no line with %q", tt.file, s)
			}
		}
	}
}

// TestSampleInterfaces holds the names and addresses that real interfaces had against
// what is computed: service names in ethtool's bus-info, MACs from router UUIDs.
func TestSampleInterfaces(t *testing.T) {
	text := sample(t, "nuc8-ethtool-ip.txt")
	var services, macs []string
	for line := range strings.Lines(text) {
		if s, ok := strings.CutPrefix(strings.TrimSpace(line), "bus-info: "); ok {
			n, ok := parseName(s)
			if !ok || n.service != 0 {
				t.Errorf("bus-info %q is no service: %+v", s, n)
			}
			services = append(services, s)
		}
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "link/ether" {
			macs = append(macs, fields[1])
		}
	}
	want := []string{MAC("d7030000-0070-6d18-232c-531042752121", 1), MAC("d1030000-0090-8f18-23c5-b11c6cd30923", 1)}
	if diff := cmp.Diff(want, macs); diff != "" || len(services) != 1 {
		t.Errorf("services %v, MACs (-computed +published):\n%s", services, diff)
	}
	if mac := "02:a1:59:56:2c:c2"; !strings.Contains(sample(t, "framework-ip.txt"), mac) || mac[:2] != MAC("e7c83804-4039-5f22-ffff-ffffffffffff", 2)[:2] {
		t.Error("the first port of a router has an address that begins with 02")
	}
}

// TestSampleUevents reads the events of a published udevadm monitor.
func TestSampleUevents(t *testing.T) {
	var got []string
	for line := range strings.Lines(sample(t, "gtr7-udevadm-monitor.txt")) {
		fields := strings.Fields(line)
		if len(fields) != 4 || !strings.HasPrefix(fields[2], "/") {
			continue // shortened by the publisher, or empty
		}
		subsystem := strings.Trim(fields[3], "()")
		e, err := ParseUevent([]byte(fields[1] + "@" + fields[2] + "\x00ACTION=" + fields[1] + "\x00SUBSYSTEM=" + subsystem + "\x00"))
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if e.About() {
			got = append(got, e.Action+" "+e.Device[strings.LastIndex(e.Device, "/")+1:])
		}
	}
	want := []string{"change 0-2", "add 0-2", "add 0-2.0", "add thunderbolt0", "bind 0-2.0", "change 1-2", "add 1-2", "add 1-2.0", "add thunderbolt0", "bind 1-2.0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestSampleValues reads published values of attributes.
func TestSampleValues(t *testing.T) {
	for _, uuid := range []string{"d1030000-0090-8f18-23c5-b11c6cd30923", "306e8780-c0a8-b4ef-ffff-ffffffffffff", "e7c83804-4039-5f22-ffff-ffffffffffff"} {
		if !isUUID(uuid) {
			t.Errorf("%s is a UUID", uuid)
		}
	}
	for value, want := range map[string]int{"10.0 Gb/s": 10, "20.0 Gb/s": 20, "40.0 Gb/s": 40, "20 Gb/s": 0, "0.0 Gb/s": 0, "20.5 Gb/s": 0, "fast": 0} {
		tr := newTree(fstest.MapFS{"d/rx_speed": {Data: []byte(value + "\n")}})
		if got := tr.dir("d").speed("rx_speed"); got != want || (want == 0) != (len(tr.findings) == 1) {
			t.Errorf("%q: %d, %d findings; want %d", value, got, len(tr.findings), want)
		}
	}
	for _, value := range []string{"Y", "N"} { // module parameters
		fsys := fstest.MapFS{"sys/module/thunderbolt_net/parameters/e2e": {Data: []byte(value + "\n")}}
		if h, _ := Scan(fsys); h.Parameter("thunderbolt_net", "e2e") != value {
			t.Errorf("e2e=%s: %+v", value, h.Modules)
		}
	}
	if got := kmsgText("6,339,5140900,-;thunderbolt 0-1: new host found\n SUBSYSTEM=thunderbolt\n"); got != "[    5.140900] thunderbolt 0-1: new host found" {
		t.Errorf("kmsg record: %q", got)
	}
}

func TestParseUevent(t *testing.T) {
	good := "add@/devices/x/0-2\x00ACTION=add\x00DEVTYPE=thunderbolt_xdomain\x00SUBSYSTEM=thunderbolt\x00"
	e, err := ParseUevent([]byte(good))
	want := Uevent{"add", "/devices/x/0-2", map[string]string{"ACTION": "add", "DEVTYPE": "thunderbolt_xdomain", "SUBSYSTEM": "thunderbolt"}}
	if diff := cmp.Diff(want, e); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"", "libudev\x00\xfe\xed", "add", "@/x", "Add@/x", "add@x", strings.Repeat("a", ueventLimit+1)} {
		if e, err := ParseUevent([]byte(bad)); err == nil {
			t.Errorf("%.20q was taken for %+v", bad, e)
		}
	}
}

func FuzzUevent(f *testing.F) {
	f.Add([]byte("add@/devices/x/0-2\x00ACTION=add\x00DEVTYPE=thunderbolt_xdomain\x00SUBSYSTEM=thunderbolt\x00"))
	f.Add([]byte("change@/0-2\x00TUNNEL_DETAILS=0:1 <-> 0:2 (DMA)\x00=\x00=x\x00"))
	f.Add([]byte("libudev\x00\xfe\xed\xca\xfe"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseUevent(b)
		if err != nil {
			return
		}
		if e.Action == "" || len(e.Device) == 0 || len(e.Env) > len(b) {
			t.Errorf("%q became %+v", b, e)
		}
		if s := fmt.Sprint(e.Device, e.Env); strings.ContainsAny(s, "\x00\x1b\n") {
			t.Errorf("control characters in %q", s)
		}
	})
}
