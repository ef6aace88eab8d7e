package render

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// The plans below are written by hand, so that these tests stand or fall with
// this package alone. Other tests render what package plan makes of examples.

// seedPlan is the published setup: point to point addresses, no routes.
func seedPlan() mesh.Plan {
	link := func(name, port, path, peer, cable, local, remote string) mesh.LinkPlan {
		return mesh.LinkPlan{Interface: name, Port: mesh.Port{Name: port, Path: path}, Peer: peer, Cable: cable, MTU: mesh.DefaultMTU,
			Addresses: []mesh.Address{{Interface: name, Local: host(local), Peer: host(remote)}}}
	}
	const left, right = "pci-0000:c7:00.5", "pci-0000:c7:00.6"
	return mesh.Plan{Mesh: "seed", Source: "examples/seed/mesh.yaml", MTU: mesh.DefaultMTU, Nodes: []mesh.NodePlan{
		{Name: "03", Links: []mesh.LinkPlan{
			link("tbt-02", "left", left, "02", "1", "10.7.0.101", "10.7.0.106"),
			link("tbt-01", "right", right, "01", "2", "10.7.0.102", "10.7.0.103"),
		}},
	}}
}

// trianglePlan is three nodes, three cables, identities of both families.
func trianglePlan() mesh.Plan {
	p := mesh.Plan{Mesh: "homelab", Source: "examples/seed-identity/mesh.yaml", MTU: mesh.DefaultMTU}
	for me := 1; me <= 3; me++ {
		n := mesh.NodePlan{Name: fmt.Sprintf("%02d", me), Identity: identity(me)}
		for k, to := range []int{me%3 + 1, (me+1)%3 + 1} {
			cable := fmt.Sprint(min(me, to) + max(me, to) - 2) // 1-2: 1, 1-3: 2, 2-3: 3
			n.Links = append(n.Links, identityLink(&n, port(k), to, cable, ""))
		}
		for k, to := range []int{me%3 + 1, (me+1)%3 + 1} {
			other := 0
			for o := 1; o <= 3; o++ {
				if o != me && o != to {
					other = o
				}
			}
			direct, detour := n.Links[k].Interface, n.Links[1-k].Interface
			n.Routes = append(n.Routes, routes(me, to, direct, 0, 10, mesh.MainTable)...)
			n.Routes = append(n.Routes, routes(me, to, detour, other, 20, mesh.MainTable)...)
			n.Routes = append(n.Routes, routes(me, to, detour, other, 10, mesh.Table(7501+k))...)
			n.Rules = append(n.Rules, rules(direct, 7501+k)...)
		}
		n.Sysctls = sysctls(n.Links)
		p.Nodes = append(p.Nodes, n)
	}
	return p
}

// intelPlan is one node with both ports behind one host controller, two cables
// to the same peer, and settings of the user's.
func intelPlan() mesh.Plan {
	n := mesh.NodePlan{Name: "nuc", Identity: identity(1), Settings: mesh.Settings{
		Link: []mesh.Setting{{Section: "Link", Key: "MACAddressPolicy", Value: "random"}, {Section: "Link", Key: "RxChannels", Value: "4"}},
		Network: []mesh.Setting{
			{Section: "Network", Key: "LLDP", Value: "no"},
			{Section: "Network", Key: "Domains", Value: "mesh.example"},
			{Section: "DHCPv4", Key: "UseDNS", Value: "no"},
			{Section: "Route", Key: "Destination", Value: "192.0.2.0/24"},
			{Section: "Route", Key: "Type", Value: "blackhole"},
			{Section: "Route", Key: "Destination", Value: "198.51.100.0/24"},
		},
		Sysctl: map[string]string{
			"net.ipv4.tcp_mtu_probing":        "1",
			"net/ipv4/conf/tbt-02a/rp_filter": "0",
		},
	}}
	for k, suffix := range []string{"a", "b"} {
		l := identityLink(&n, mesh.Port{Name: "tb" + suffix, Path: "pci-0000:00:0d.2", Adapter: 1 + 2*k}, 2, fmt.Sprint(k+1), suffix)
		n.Links = append(n.Links, l)
	}
	a, b := n.Links[0].Interface, n.Links[1].Interface
	n.Routes = append(n.Routes, routes(1, 2, a, 0, 10, mesh.MainTable)...)
	n.Routes = append(n.Routes, routes(1, 2, b, 0, 20, mesh.MainTable)...)
	n.Routes = append(n.Routes, routes(1, 2, b, 0, 10, 7501)...)
	// A node behind the peer: its detour goes to the same gateway over another cable.
	n.Routes = append(n.Routes, routes(1, 3, a, 2, 10, mesh.MainTable)...)
	n.Routes = append(n.Routes, routes(1, 3, b, 2, 20, mesh.MainTable)...)
	n.Routes = append(n.Routes, routes(1, 3, b, 2, 10, 7501)...)
	n.Rules = rules(a, 7501)
	n.Sysctls = sysctls(n.Links)
	return mesh.Plan{Mesh: "pair", Source: "mesh.yaml", MTU: mesh.DefaultMTU, Nodes: []mesh.NodePlan{n}}
}

// sparePlan is a node that reaches a neighbour better over another one, but uses
// it as a gateway: main then has no direct route to the gateway.
func sparePlan() mesh.Plan {
	n := mesh.NodePlan{Name: "01", Identity: identity(1)}
	n.Links = append(n.Links, identityLink(&n, port(0), 2, "1", ""), identityLink(&n, port(1), 3, "2", ""))
	a, b := n.Links[0].Interface, n.Links[1].Interface
	n.Routes = append(n.Routes, routes(1, 2, a, 0, 10, mesh.MainTable)...)
	n.Routes = append(n.Routes, routes(1, 3, a, 2, 10, mesh.MainTable)...)
	n.Routes = append(n.Routes, routes(1, 4, b, 3, 10, mesh.MainTable)...)
	n.Routes = append(n.Routes, routes(1, 3, b, 0, 10, 7501)...)
	n.Rules = rules(a, 7501)
	return mesh.Plan{Mesh: "spare", Source: "mesh.yaml", MTU: 9000, Nodes: []mesh.NodePlan{n}}
}

func host(s string) netip.Prefix { return mesh.HostPrefix(netip.MustParseAddr(s)) }

func identity(n int) []netip.Addr {
	return []netip.Addr{
		netip.AddrFrom4([4]byte{10, 7, 1, byte(n)}),
		netip.MustParseAddr(fmt.Sprintf("fd75:7362:3400::%x", n)),
	}
}

func port(k int) mesh.Port {
	return []mesh.Port{{Name: "left", Path: "pci-0000:c7:00.5"}, {Name: "right", Path: "pci-0000:c7:00.6"}}[k]
}

func identityLink(n *mesh.NodePlan, p mesh.Port, to int, cable, suffix string) mesh.LinkPlan {
	l := mesh.LinkPlan{Interface: fmt.Sprintf("tbt-%02d%s", to, suffix), Port: p, Peer: fmt.Sprintf("%02d", to), Cable: cable, MTU: mesh.DefaultMTU}
	for _, a := range n.Identity {
		l.Addresses = append(l.Addresses, mesh.Address{Interface: l.Interface, Local: mesh.HostPrefix(a)})
	}
	return l
}

// routes returns the routes of both families from me to a node; via 0 is direct.
func routes(me, to int, dev string, via, metric int, table mesh.Table) []mesh.Route {
	var rs []mesh.Route
	for f, dest := range identity(to) {
		r := mesh.Route{Destination: mesh.HostPrefix(dest), Interface: dev, Metric: metric, Table: table, Source: identity(me)[f], Protocol: mesh.RouteProtocol}
		if via != 0 {
			r.Via = identity(via)[f]
		}
		rs = append(rs, r)
	}
	return rs
}

func rules(in string, table int) []mesh.Rule {
	return []mesh.Rule{
		{Incoming: in, Table: mesh.Table(table), Priority: table},
		{Incoming: in, Table: mesh.Table(table), Priority: table, IPv6: true},
	}
}

func sysctls(links []mesh.LinkPlan) []mesh.Sysctl {
	all := []mesh.Sysctl{{Path: "net/ipv4/conf/all/send_redirects", Value: "0"}, {Path: "net/ipv6/conf/all/forwarding", Value: "1"}}
	for _, l := range links {
		for _, kv := range strings.Fields("ipv4/forwarding=1 ipv4/accept_local=1 ipv4/rp_filter=2 ipv4/ignore_routes_with_linkdown=1 ipv4/send_redirects=0 ipv4/accept_redirects=0 " +
			"ipv6/ignore_routes_with_linkdown=1 ipv6/accept_ra=0 ipv6/accept_dad=0 ipv6/dad_transmits=0") {
			key, value, _ := strings.Cut(kv, "=")
			family, name, _ := strings.Cut(key, "/")
			all = append(all, mesh.Sysctl{Path: "net/" + family + "/conf/" + l.Interface + "/" + name, Value: value})
		}
	}
	return all
}
