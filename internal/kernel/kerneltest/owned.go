package kerneltest

import (
	"net/netip"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// What is ours comes back, what is not is left alone, whoever it belongs to.

// protocols are those of others who make routes beside us: the kernel, people
// (boot, static), systemd-networkd (static, dhcp, ra), FRR and BIRD
// (include/uapi/linux/rtnetlink.h; FRR's zebra/rt_netlink.h).
var protocols = map[string]int{
	"redirect": 1, "kernel": 2, "boot": 3, "static": 4, "ra": 9, "zebra": 11, "bird": 12, "dhcp": 16, "babel": 42,
	"bgp": 186, "isis": 187, "ospf": 188, "rip": 189, "eigrp": 192, "nhrp": 191, "openfabric": 197, "next to ours": mesh.RouteProtocol + 1,
}

func deletedByOthers(b *bench) {
	b.plug(portB, portC)
	want := triangle()
	want.Addresses = append(want.Addresses, mesh.Address{Interface: portB, Local: netip.MustParsePrefix("fe80::7562:1/64")})
	b.converge(want)
	var one [][]mesh.Change
	var all []mesh.Change
	for _, r := range want.Rules {
		one = append(one, []mesh.Change{{Op: mesh.Remove, Rule: &r}})
	}
	for _, r := range want.Routes {
		one = append(one, []mesh.Change{{Op: mesh.Remove, Route: &r}})
	}
	for _, a := range want.Addresses {
		one = append(one, []mesh.Change{{Op: mesh.Remove, Address: &a}})
	}
	for _, l := range want.Links {
		bare, down := l, l
		bare.Alias, bare.MTU, down.Up = "", 1500, false
		one = append(one, []mesh.Change{{Op: mesh.Set, Link: &bare}}, []mesh.Change{{Op: mesh.Set, Link: &down}})
	}
	for _, c := range one {
		all = append(all, c...)
	}
	for _, c := range append(one, all) { // systemd-networkd takes all at once when it starts
		b.must(b.Apply(b.ctx, c))
		if m := b.missing(*want); m == nil {
			b.Fatalf("%v took nothing away", c)
		}
		b.converge(want)
		b.stands(*want)
	}
}

func strangersTables(b *bench) {
	b.plug(portB, portC)
	up := mesh.Link{Name: portB, MTU: 1500, Up: true}
	b.must(b.Apply(b.ctx, []mesh.Change{{Op: mesh.Set, Link: &up}}))
	var theirs mesh.State
	n := byte(0)
	for _, protocol := range protocols {
		for _, table := range []mesh.Table{mesh.MainTable, 7501, 7900, 8000, 100} {
			n++
			for _, d := range []netip.Prefix{
				netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, n}), 32), netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x98, 15: n}), 128),
			} {
				theirs.Routes = append(theirs.Routes, mesh.Route{Destination: d, Interface: portB, Metric: 10, Table: table, Protocol: protocol})
			}
		}
	}
	for _, priority := range []int{1, mesh.RulePriorityFirst - 1, mesh.RulePriorityLast + 1, 32000} {
		for _, v6 := range []bool{false, true} {
			theirs.Rules = append(theirs.Rules, mesh.Rule{Incoming: portB, Table: 7501, Priority: priority, IPv6: v6})
		}
	}
	theirs.Addresses = []mesh.Address{
		{Interface: portB, Local: netip.MustParsePrefix("169.254.7.1/16")}, {Interface: portB, Local: netip.MustParsePrefix("fe80::99/64")},
		{Interface: portB, Local: netip.MustParsePrefix("fe80::98/128")}, {Interface: portB, Local: netip.MustParsePrefix("203.0.113.1/24")},
	}
	b.must(b.Apply(b.ctx, additions(theirs)))
	b.stands(theirs)
	want := triangle()
	b.converge(want)
	b.stands(theirs)
	want.Routes, want.Rules = slices.DeleteFunc(want.Routes, func(r mesh.Route) bool { return r.Table != mesh.MainTable }), nil
	b.converge(want)
	b.stands(theirs)
	b.converge(&mesh.State{})
	b.stands(theirs)
}
