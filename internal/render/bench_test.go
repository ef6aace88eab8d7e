package render

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// BenchmarkFullMesh renders all nodes of a full mesh of 64 in each format, and
// for comparison plans it.
func BenchmarkFullMesh(b *testing.B) {
	const size = 64
	c := mesh.Cluster{Name: "full", Source: "mesh.yaml", MTU: mesh.DefaultMTU, Topology: mesh.Topology{Shape: "full-mesh"},
		Identity: []netip.Prefix{netip.MustParsePrefix("10.7.0.0/16"), netip.MustParsePrefix("fd75:7362:3400::/64")}}
	for i := range size {
		n := mesh.Node{Name: fmt.Sprintf("n%02d", i)}
		for k := range size - 1 {
			n.Ports = append(n.Ports, mesh.Port{Name: fmt.Sprint("p", k), Path: fmt.Sprintf("pci-0000:%02x:00.5", k)})
		}
		c.Nodes = append(c.Nodes, n)
	}
	var p mesh.Plan
	b.Run("plan", func(b *testing.B) {
		for b.Loop() {
			var fs []finding.Finding
			if p, fs = plan.Make(c); finding.HasErrors(fs) {
				b.Fatal(fs)
			}
		}
	})
	for _, format := range Formats() {
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				for _, n := range p.Nodes {
					if files, fs := Files(p, n.Name, format); len(files) == 0 {
						b.Fatal(fs)
					}
				}
			}
		})
	}
}
