package agent

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// An address whose route was flushed counts as missing, where the kernel is known to
// make such routes and the link has carrier.
func TestUnrouted(t *testing.T) {
	address := func(port string) mesh.Address {
		return mesh.Address{Interface: port, Local: netip.MustParsePrefix("fe80::1/64")}
	}
	route := func(port string) mesh.Route {
		return mesh.Route{Destination: linkLocalNet, Interface: port, Table: mesh.MainTable, Metric: 256, Protocol: 2}
	}
	state := func(routes ...mesh.Route) mesh.State {
		return mesh.State{
			Links:     []mesh.Link{{Name: "tbt-a", Up: true, Carrier: true}, {Name: "tbt-b", Up: true, Carrier: true}, {Name: "tbt-c", Up: true}},
			Addresses: []mesh.Address{address("tbt-a"), address("tbt-b"), address("tbt-c")},
			Routes:    routes,
		}
	}
	a := &Agent{}
	for _, c := range []struct {
		name   string
		routes []mesh.Route
		lost   []mesh.Address
	}{
		{"never seen", nil, nil},
		{"one is lost", []mesh.Route{route("tbt-a")}, []mesh.Address{address("tbt-b")}},
		{"none is lost", []mesh.Route{route("tbt-a"), route("tbt-b")}, nil},
		{"all are lost", nil, []mesh.Address{address("tbt-a"), address("tbt-b")}},
	} {
		have := state(c.routes...)
		got := a.unrouted(have, state())
		for _, k := range have.Addresses {
			if gone, lost := !slices.Contains(got.Addresses, k), slices.Contains(c.lost, k); gone != lost {
				t.Errorf("%s: %s is lost: %t, want %t", c.name, k, gone, lost)
			}
		}
		if len(have.Addresses) != 3 {
			t.Errorf("%s: the state that was given has changed: %v", c.name, have.Addresses)
		}
	}
}

func TestRenewing(t *testing.T) {
	stands := mesh.Address{Interface: "tbt-a", Local: netip.MustParsePrefix("fe80::1/64")}
	fresh := mesh.Address{Interface: "tbt-b", Local: netip.MustParsePrefix("fe80::1/64")}
	got := renewing(mesh.State{Addresses: []mesh.Address{stands}}, []mesh.Change{{Op: mesh.Add, Address: &stands}, {Op: mesh.Add, Address: &fresh}})
	if len(got) != 3 || got[0].Op != mesh.Remove || *got[0].Address != stands || *got[1].Address != stands || *got[2].Address != fresh {
		t.Errorf("%v", got)
	}
}
