package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// TestFormatIsRead writes every example and every kind of setting, and reads it back.
func TestFormatIsRead(t *testing.T) {
	clusters := map[string]mesh.Cluster{"everything": {
		Name: "all", Identity: []netip.Prefix{netip.MustParsePrefix("10.7.1.0/24"), netip.MustParsePrefix("fd00::/64")}, MTU: 9000,
		Nodes: []mesh.Node{
			{Name: "01", Ports: []mesh.Port{{Name: "left", Path: "pci-0000:00:0d.2", Adapter: 1}, {Name: "right", Path: "pci-0000:00:0d.2", Adapter: 3}}, Format: "nixos",
				Settings: mesh.Settings{Link: []mesh.Setting{{Section: "Link", Key: "RxBufferSize", Value: "4096"}},
					Network: []mesh.Setting{{Section: "Network", Key: "DNS", Value: "10.0.0.1"}, {Section: "Network", Key: "DNS", Value: "10.0.0.2"}, {Section: "Network", Key: "LLMNR", Value: "no"}},
					Sysctl:  map[string]string{"net.core.rmem_max": "67108864"}}},
			{Name: "on", Machine: "um790-pro", Identity: []netip.Addr{netip.MustParseAddr("10.7.1.9")}},
		},
		Cables: []mesh.Cable{{Name: "blue", Ends: [2]mesh.Endpoint{{Node: "01", Port: "left"}, {Node: "on"}}, Speed: 40,
			Addresses: []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")}}},
	}}
	files, err := filepath.Glob("../../examples/*/mesh.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples")
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		c, fs := Parse(name, src)
		if len(fs) > 0 {
			t.Fatalf("%s: %v", name, fs)
		}
		clusters[name] = c
	}
	for name, c := range clusters {
		text := Format(c, "a comment", "of two \x1b lines")
		got, fs := Parse(name, text)
		if len(fs) > 0 {
			t.Errorf("%s: %v in\n%s", name, fs, text)
			continue
		}
		if diff := cmp.Diff(c, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(mesh.Cluster{}, "Source"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s (-written +read):\n%s\n%s", name, diff, text)
		}
	}
}
