package mesh_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func TestDiff(t *testing.T) {
	id := netip.MustParsePrefix("10.7.1.1/32")
	port := mesh.Link{Name: "tbt-b", Alias: "usb4mesh:m:1", MTU: 9000, Up: true}
	fresh := mesh.Link{Name: "tbt-b", MTU: 1500}
	dummy := mesh.Link{Name: mesh.IdentityInterface, Kind: mesh.KindDummy, Alias: "usb4mesh:m", MTU: 9000, Up: true}
	bridge := dummy
	bridge.Kind = mesh.KindBridge
	address := mesh.Address{Interface: "tbt-b", Local: id}
	identity := mesh.Address{Interface: mesh.IdentityInterface, Local: id}
	pointed := mesh.Address{Interface: "tbt-b", Local: netip.MustParsePrefix("fd76::1/128"), Peer: netip.MustParsePrefix("fd76::2/128")}
	repointed := pointed
	repointed.Peer = netip.MustParsePrefix("fd76::3/128")
	direct := mesh.Route{Destination: netip.MustParsePrefix("10.7.1.2/32"), Interface: "tbt-b", Metric: 10, Table: mesh.MainTable, Protocol: mesh.RouteProtocol}
	through := direct
	through.Destination, through.Via = netip.MustParsePrefix("10.7.1.3/32"), netip.MustParseAddr("10.7.1.2")
	rule := mesh.Rule{Incoming: "tbt-b", Table: 7501, Priority: 7501}
	key := mesh.Sysctl{Path: "net/ipv4/conf/tbt-b/rp_filter", Value: "2"}
	global := mesh.Sysctl{Path: "net/ipv6/conf/all/forwarding", Value: "1"}
	all := mesh.State{
		Links: []mesh.Link{dummy, port}, Addresses: []mesh.Address{identity, address}, Routes: []mesh.Route{through, direct},
		Rules: []mesh.Rule{rule}, Sysctls: []mesh.Sysctl{key, global},
	}
	taken := direct
	taken.Interface, taken.Protocol = "eth9", 4
	old := direct
	old.Via = netip.MustParseAddr("10.7.1.77")
	down, drifted, alien := port, port, port
	down.Up = false
	drifted.MTU = 1500
	alien.Alias = "somebody's"
	only := func(l mesh.Link, rs ...mesh.Route) mesh.State { return mesh.State{Links: []mesh.Link{l}, Routes: rs} }
	onIdentity := direct
	onIdentity.Interface = mesh.IdentityInterface
	identityKey := mesh.Sysctl{Path: "net/ipv4/conf/umesh0/rp_filter", Value: "2"}
	home := func(l mesh.Link) mesh.State {
		return mesh.State{
			Links: []mesh.Link{l}, Addresses: []mesh.Address{identity}, Routes: []mesh.Route{onIdentity}, Sysctls: []mesh.Sysctl{identityKey},
		}
	}
	for _, c := range []struct {
		name       string
		have, want mesh.State
		changes    []string
	}{
		{"from nothing, port absent", mesh.State{}, all, []string{
			"add link umesh0 mtu 9000", "set sysctl net/ipv6/conf/all/forwarding = 1",
			"add address 10.7.1.1/32 dev umesh0",
		}},
		{"a fresh port", mesh.State{Links: []mesh.Link{fresh}}, all, []string{
			"add link umesh0 mtu 9000", "set link tbt-b mtu 9000",
			"set sysctl net/ipv6/conf/all/forwarding = 1", "set sysctl net/ipv4/conf/tbt-b/rp_filter = 2",
			"add address 10.7.1.1/32 dev umesh0", "add address 10.7.1.1/32 dev tbt-b",
			"add route 10.7.1.2/32 dev tbt-b metric 10 table main",
			"add route 10.7.1.3/32 via 10.7.1.2 dev tbt-b metric 10 table main",
			"add rule 7501: ipv4 iif tbt-b lookup 7501",
		}},
		{"to nothing", all, mesh.State{}, []string{
			"remove rule 7501: ipv4 iif tbt-b lookup 7501",
			"remove route 10.7.1.3/32 via 10.7.1.2 dev tbt-b metric 10 table main",
			"remove route 10.7.1.2/32 dev tbt-b metric 10 table main",
			"remove address 10.7.1.1/32 dev tbt-b",
			"remove link umesh0 mtu 9000", "set link tbt-b mtu 9000",
		}},
		{"unplugged: the rule waits for the port", mesh.State{Links: []mesh.Link{dummy}, Addresses: all.Addresses[:1], Rules: all.Rules, Sysctls: all.Sysctls[1:]}, all, nil},
		{"another kind of identity interface takes all along", home(bridge), home(dummy), []string{
			"remove link umesh0 mtu 9000", "add link umesh0 mtu 9000", "set sysctl net/ipv4/conf/umesh0/rp_filter = 2",
			"add address 10.7.1.1/32 dev umesh0", "add route 10.7.1.2/32 dev umesh0 metric 10 table main",
		}},
		{"another MTU", only(drifted), only(port), []string{"set link tbt-b mtu 9000"}},
		{"a link set down is set up, then gets its routes", only(down), only(port, direct),
			[]string{"set link tbt-b mtu 9000", "add route 10.7.1.2/32 dev tbt-b metric 10 table main"}},
		{"no routes over a link wanted down", only(port), only(down, direct), []string{"set link tbt-b mtu 9000"}},
		{"no IPv6 addresses on a link wanted down", only(down),
			mesh.State{Links: []mesh.Link{down}, Addresses: []mesh.Address{address, pointed}}, []string{"add address 10.7.1.1/32 dev tbt-b"}},
		{"a foreign alias", only(alien), only(port, direct), []string{"add link tbt-b mtu 9000"}},
		{"a next hop is replaced", only(port, old), only(port, direct), []string{"set route 10.7.1.2/32 dev tbt-b metric 10 table main"}},
		{"not beside a foreign sibling", only(port, old, taken), only(port, direct), []string{
			"remove route 10.7.1.2/32 via 10.7.1.77 dev tbt-b metric 10 table main", "add route 10.7.1.2/32 dev tbt-b metric 10 table main",
		}},
		{"nor where two are wanted", only(port, old), only(port, direct, func() mesh.Route { r := direct; r.Source = id.Addr(); return r }()), []string{
			"remove route 10.7.1.2/32 via 10.7.1.77 dev tbt-b metric 10 table main",
			"add route 10.7.1.2/32 dev tbt-b metric 10 table main", "add route 10.7.1.2/32 dev tbt-b metric 10 table main",
		}},
		{"an IPv6 address makes room for itself with another peer",
			mesh.State{Links: []mesh.Link{port}, Addresses: []mesh.Address{pointed}}, mesh.State{Links: []mesh.Link{port}, Addresses: []mesh.Address{repointed}},
			[]string{"remove address fd76::1/128 peer fd76::2/128 dev tbt-b", "add address fd76::1/128 peer fd76::3/128 dev tbt-b"}},
		{"a bridge that was asked for", mesh.State{Links: []mesh.Link{bridge}}, mesh.State{Links: []mesh.Link{bridge}}, nil},
		{"a foreign route in the way", mesh.State{Links: []mesh.Link{port}, Routes: []mesh.Route{taken}},
			mesh.State{Links: []mesh.Link{port}, Routes: []mesh.Route{direct}},
			[]string{"add route 10.7.1.2/32 dev tbt-b metric 10 table main"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, change := range mesh.Diff(c.have, c.want) {
				got = append(got, change.String())
			}
			if d := cmp.Diff(c.changes, got); d != "" {
				t.Error(d)
			}
		})
	}
}
