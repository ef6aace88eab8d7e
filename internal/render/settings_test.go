package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func TestMerge(t *testing.T) {
	ours := func() unit {
		return unit{sections: []section{
			sec("Match", set("Name", "tbt-02")),
			sec("Network", set("DHCP", "no"), set("LLDP", "yes")),
			sec("Route", set("Destination", "10.0.0.1/32")),
		}}
	}
	for _, tc := range []struct {
		name string
		user []mesh.Setting
		want string
	}{
		{"nothing", nil, `
[Match]
Name=tbt-02

[Network]
DHCP=no
LLDP=yes

[Route]
Destination=10.0.0.1/32
`},
		{"replaced, added, listed", []mesh.Setting{{Section: "Network", Key: "DHCP", Value: "yes"}, {Section: "Network", Key: "DNS", Value: "10.0.0.53"}, {Section: "Network", Key: "DNS", Value: "10.0.0.54"}, {Section: "CAN", Key: "BitRate", Value: "1K"}}, `
[Match]
Name=tbt-02

[Network]
# from the cluster file, in place of DHCP=no
DHCP=yes
LLDP=yes
# from the cluster file
DNS=10.0.0.53
# from the cluster file
DNS=10.0.0.54

[Route]
Destination=10.0.0.1/32

[CAN]
# from the cluster file
BitRate=1K
`},
		{"ours replaced by a list", []mesh.Setting{{Section: "Network", Key: "LLDP", Value: "a"}, {Section: "Network", Key: "LLDP", Value: "b"}}, `
[Match]
Name=tbt-02

[Network]
DHCP=no
# from the cluster file, in place of LLDP=yes
LLDP=a
# from the cluster file
LLDP=b

[Route]
Destination=10.0.0.1/32
`},
		{"more routes", []mesh.Setting{{Section: "Route", Key: "Destination", Value: "192.0.2.0/24"}, {Section: "Route", Key: "Metric", Value: "5"}, {Section: "Route", Key: "Destination", Value: "198.51.100.0/24"}}, `
[Match]
Name=tbt-02

[Network]
DHCP=no
LLDP=yes

[Route]
Destination=10.0.0.1/32

# from the cluster file
[Route]
Destination=192.0.2.0/24
Metric=5

# from the cluster file
[Route]
Destination=198.51.100.0/24
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, merge(ours(), tc.user).ini()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestMergeSysctls(t *testing.T) {
	ours := []mesh.Sysctl{{Path: "net/ipv4/conf/tbt-a.b/rp_filter", Value: "2"}, {Path: "net/ipv6/conf/all/forwarding", Value: "1"}}
	got := mergeSysctls(ours, map[string]string{
		"net.ipv6.conf.all.forwarding":    "0",     // dots
		"net/ipv4/conf/tbt-a.b/rp_filter": "1",     // slashes
		"net.ipv4.conf.tbt-c/d.rp_filter": "0",     // a dot in a name, in dot notation
		"net.core.rmem_max":               "65536", // new
	})
	want := []mesh.Sysctl{
		{Path: "net/ipv4/conf/tbt-a.b/rp_filter", Value: "1"},
		{Path: "net/ipv6/conf/all/forwarding", Value: "0"},
		{Path: "net/core/rmem_max", Value: "65536"},
		{Path: "net/ipv4/conf/tbt-c.d/rp_filter", Value: "0"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if ours[0].Value != "2" {
		t.Error("the plan's own slice was changed")
	}
}

// FuzzSettings: whatever the checks let pass is one line of the file and changes
// no other.
func FuzzSettings(f *testing.F) {
	f.Add("Network", "DNS", "10.0.0.53")
	f.Add("Route", "Gateway", "10.0.0.1\\")
	f.Add("Network", "LLDP", "no\n[Route]\nGateway=10.0.0.1")
	f.Add("Net]\n[Route", "Gateway", " # ; = [x] ")
	plain := trianglePlan()
	before := map[string]int{}
	files, _ := Files(plain, "03", Networkd)
	for _, file := range files {
		before[file.Path] = strings.Count(string(file.Data), "\n")
	}
	f.Fuzz(func(t *testing.T, section, key, value string) {
		p := trianglePlan()
		n := p.Node("03")
		n.Settings = mesh.Settings{
			Link: []mesh.Setting{{Section: section, Key: key, Value: value}}, Network: []mesh.Setting{{Section: section, Key: key, Value: value}},
			Sysctl: map[string]string{key: value},
		}
		for _, format := range Formats() {
			files, fs := Files(p, "03", format)
			if len(fs) > 0 && len(files) > 0 {
				t.Fatalf("%d files and findings %v", len(files), fs)
			}
			if format != Networkd {
				continue
			}
			for _, file := range files {
				if !strings.Contains(file.Path, "/50-") {
					continue
				}
				text := string(file.Data)
				if !strings.Contains(text, "\n"+key+"="+value+"\n") {
					t.Fatalf("%s has no line %q", file.Path, key+"="+value)
				}
				// At most the line, its comment, a section and an empty line are new.
				if more := strings.Count(text, "\n") - before[file.Path]; more < 1 || more > 4 {
					t.Fatalf("%s has %d lines more", file.Path, more)
				}
			}
		}
	})
}
