package render

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func TestFormats(t *testing.T) {
	if d := cmp.Diff([]string{"networkd", "nixos"}, Formats()); d != "" {
		t.Error(d)
	}
}

// TestFormatChoice: the caller decides, then the plan, then the default.
func TestFormatChoice(t *testing.T) {
	for _, tc := range []struct{ asked, planned, first string }{
		{"", "", "etc/modules-load.d/usb4mesh.conf"},
		{"", "nixos", "usb4mesh-03.nix"},
		{"networkd", "nixos", "etc/modules-load.d/usb4mesh.conf"},
		{"nixos", "", "usb4mesh-03.nix"},
	} {
		p := seedPlan()
		p.Nodes[0].Format = tc.planned
		files, fs := Files(p, "03", tc.asked)
		if len(fs) > 0 || len(files) == 0 || files[0].Path != tc.first {
			t.Errorf("asked %q, planned %q: %v, findings %v", tc.asked, tc.planned, paths(files), fs)
		}
	}
}

func TestFindings(t *testing.T) {
	with := func(change func(*mesh.NodePlan)) mesh.Plan {
		p := trianglePlan()
		change(&p.Nodes[2])
		return p
	}
	setting := func(s mesh.Setting) mesh.Plan {
		return with(func(n *mesh.NodePlan) { n.Settings.Network = []mesh.Setting{s} })
	}
	for _, tc := range []struct {
		name, node, format, code, says string
		plan                           mesh.Plan
	}{
		{"node", "3", "", "render-unknown-node", `no node "3"`, trianglePlan()},
		{"format", "03", "netplan", "render-unknown-format", `no format "netplan"`, trianglePlan()},
		{"line end in a value", "03", "", "unwritable-setting", "line end", setting(mesh.Setting{Section: "Network", Key: "DNS", Value: "1.1.1.1\n[Route]"})},
		{"carriage return", "03", "", "unwritable-setting", "line end", setting(mesh.Setting{Section: "Network", Key: "DNS", Value: "a\rb"})},
		{"backslash at the end", "03", "", "unwritable-setting", "backslash", setting(mesh.Setting{Section: "Network", Key: "DNS", Value: "a\\ "})},
		{"not UTF-8", "03", "", "unwritable-setting", "UTF-8", setting(mesh.Setting{Section: "Network", Key: "DNS", Value: "\xff"})},
		{"too long", "03", "", "unwritable-setting", "64 KiB", setting(mesh.Setting{Section: "Network", Key: "DNS", Value: strings.Repeat("a", maxValue+1)})},
		{"section", "03", "", "unwritable-setting", "letters", setting(mesh.Setting{Section: "Net]work", Key: "DNS", Value: "a"})},
		{"empty key", "03", "", "unwritable-setting", "letters", setting(mesh.Setting{Section: "Network", Value: "a"})},
		{"key with =", "03", "", "unwritable-setting", "letters", setting(mesh.Setting{Section: "Network", Key: "A=B", Value: "a"})},
		{"link setting", "03", "", "unwritable-setting", "line end", with(func(n *mesh.NodePlan) {
			n.Settings.Link = []mesh.Setting{{Section: "Link", Key: "Description", Value: "a\x00b"}}
		})},
		{"sysctl that climbs", "03", "", "unwritable-setting", "kernel setting", with(func(n *mesh.NodePlan) {
			n.Settings.Sysctl = map[string]string{"net/../../etc/passwd": "1"}
		})},
		{"sysctl value", "03", "", "unwritable-setting", "line end", with(func(n *mesh.NodePlan) {
			n.Settings.Sysctl = map[string]string{"net.core.rmem_max": "1\n2"}
		})},
		{"node name", "../03", "", "unwritable-name", `"../03"`, with(func(n *mesh.NodePlan) { n.Name = "../03" })},
		{"interface name", "03", "", "unwritable-name", `"tbt/01"`, with(func(n *mesh.NodePlan) { n.Links[0].Interface = "tbt/01" })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files, fs := Files(tc.plan, tc.node, tc.format)
			if len(files) != 0 {
				t.Errorf("files in spite of an error: %v", paths(files))
			}
			if len(fs) == 0 || fs[0].Code() != tc.code || !strings.Contains(fs[0].Message, tc.says) {
				t.Errorf("findings %v, want %s that says %s", fs, tc.code, tc.says)
			}
		})
	}
}

// TestPortFindings: what can't be matched for certain is said, and rendered as far as possible.
func TestPortFindings(t *testing.T) {
	for _, tc := range []struct {
		name         string
		first, other mesh.Port
		code         string
		link         bool // whether the first port gets a .link file
	}{
		{"own controllers", mesh.Port{Path: "pci-0000:c7:00.5"}, mesh.Port{Path: "pci-0000:c7:00.6"}, "", true},
		{"adapters", mesh.Port{Path: "pci-0000:00:0d.2", Adapter: 1}, mesh.Port{Path: "pci-0000:00:0d.2", Adapter: 3}, "", true},
		{"no adapters", mesh.Port{Path: "pci-0000:00:0d.2"}, mesh.Port{Path: "pci-0000:00:0d.2"}, "ambiguous-port", true},
		{"one adapter", mesh.Port{Path: "pci-0000:00:0d.2"}, mesh.Port{Path: "pci-0000:00:0d.2", Adapter: 3}, "ambiguous-port", true},
		{"same adapter", mesh.Port{Path: "pci-0000:00:0d.2", Adapter: 3}, mesh.Port{Path: "pci-0000:00:0d.2", Adapter: 3}, "ambiguous-port", true},
		{"no path", mesh.Port{}, mesh.Port{Path: "pci-0000:c7:00.6"}, "port-without-path", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := trianglePlan()
			n := p.Node("03")
			n.Links[0].Port, n.Links[1].Port = tc.first, tc.other
			files, fs := Files(p, "03", "")
			code := ""
			if len(fs) > 0 {
				code = fs[0].Code()
			}
			if code != tc.code || len(fs) > 1 {
				t.Errorf("findings %v, want code %q", fs, tc.code)
			}
			if got := slices.Contains(paths(files), "etc/systemd/network/50-tbt-01.link"); got != tc.link {
				t.Errorf(".link file: %v, want %v", got, tc.link)
			}
		})
	}
}

// TestHeader: a name can't end the comment it stands in.
func TestHeader(t *testing.T) {
	p := trianglePlan()
	p.Source = "a\nb\\\u2028c\xff.yaml"
	for _, format := range Formats() {
		for _, f := range mustRender(t, p, "03", format, Options{}) {
			want := "# Written by usb4mesh for node 03 of mesh homelab from a?b??c?.yaml.\n# Do not edit;"
			if !strings.HasPrefix(string(f.Data), want) {
				t.Errorf("%s begins with %.100q", f.Path, f.Data)
			}
		}
	}
}

func paths(files []File) []string {
	var all []string
	for _, f := range files {
		all = append(all, f.Path)
	}
	return all
}
