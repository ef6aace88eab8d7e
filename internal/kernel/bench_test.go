package kernel_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// BenchmarkConvergedTurn is what a turn costs when nothing is to be done: four
// ports, the routes of a mesh of 64 nodes in main and in a table per port.
func BenchmarkConvergedTurn(b *testing.B) {
	n, err := openNamespace()
	if err != nil {
		b.Skip(err)
	}
	defer n.Close()
	want := mesh.State{}
	for p := range 4 {
		name := fmt.Sprintf("tbt-%02d", p)
		if err := n.Plug(name); err != nil {
			b.Fatal(err)
		}
		want.Links = append(want.Links, mesh.Link{Name: name, Alias: "usb4mesh:bench:" + name, MTU: 9000, Up: true})
		for _, table := range []mesh.Table{mesh.MainTable, mesh.Table(7501 + p)} {
			for d := range 64 {
				r := twoPeers().Routes[0]
				r.Destination = mesh.HostPrefix(netip.AddrFrom4([4]byte{10, 8, byte(p), byte(d)}))
				r.Interface, r.Table, r.Source = name, table, netip.Addr{}
				want.Routes = append(want.Routes, r)
			}
		}
	}
	if _, err := kernel.Converge(b.Context(), n, want); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if changes, err := kernel.Converge(b.Context(), n, want); err != nil || len(changes) != 0 {
			b.Fatal(changes, err)
		}
	}
}
