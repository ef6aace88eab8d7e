package kerneltest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func replace(path, name string) string { return strings.Replace(path, "%", name, 1) }

func everything(b *bench) {
	b.plug(portB, portC)
	want := triangle()
	if changes := b.converge(want); len(changes) == 0 {
		b.Fatal("an empty kernel needed no change")
	}
	b.stands(*want)
}

func partialPlug(b *bench) {
	b.plug(portB)
	want := triangle()
	b.converge(want)
	have := b.state()
	for _, r := range want.Routes {
		if got := slices.Contains(have.Routes, r); got != (r.Interface == portB) {
			b.Errorf("%s: present %v", r, got)
		}
	}
	b.plug(portC)
	b.converge(want)
	b.stands(*want)
}

func (b *bench) index(name string) int {
	for _, l := range b.state().Links {
		if l.Name == name {
			return l.Index
		}
	}
	return 0
}

func replug(b *bench) {
	b.plug(portB, portC)
	want := triangle()
	b.converge(want)
	before := b.index(portB)
	b.must(b.Unplug(portB))
	for _, r := range b.state().Routes {
		if r.Interface == portB {
			b.Errorf("%s outlived its interface", r)
		}
	}
	if m := b.missing(mesh.State{Rules: want.Rules}); m != nil {
		b.Errorf("gone with the interface: %q", m)
	}
	b.converge(want)
	b.plug(portB)
	if after := b.index(portB); after == before || after == 0 {
		b.Fatalf("index %d after %d: not a new interface", after, before)
	}
	b.converge(want)
	b.stands(*want)
}

func replugWithoutCarrier(b *bench) {
	b.plug(portB, portC)
	want := triangle()
	b.converge(want)
	b.must(b.Unplug(portB))
	b.converge(want)
	b.plug(portB)
	b.must(b.Carrier(portB, false))
	b.converge(want)
	b.stands(*want) // the sysctls as well: nothing stays switched over
}

func carrierLoss(b *bench) {
	b.plug(portB, portC)
	want := triangle()
	b.converge(want)
	b.must(b.Carrier(portB, false))
	carrier := func() bool {
		links := b.state().Links
		return links[slices.IndexFunc(links, func(l mesh.Link) bool { return l.Name == portB })].Carrier
	}
	if carrier() {
		b.Error("carrier is still shown")
	}
	if changes := b.converge(want); len(changes) != 0 {
		b.Errorf("carrier loss leads to %v", changes)
	}
	b.stands(*want)
	b.must(b.Carrier(portB, true))
	if !carrier() {
		b.Error("carrier is not shown again")
	}
	b.stands(*want)
}

func adminDown(b *bench) {
	b.plug(portB, portC)
	want := triangle()
	b.converge(want)
	down := want.Links[slices.IndexFunc(want.Links, func(l mesh.Link) bool { return l.Name == portB })]
	down.Up = false
	b.must(b.Apply(b.ctx, []mesh.Change{{Op: mesh.Set, Link: &down}}))
	have := b.state()
	if slices.ContainsFunc(have.Routes, func(r mesh.Route) bool { return r.Interface == portB }) {
		b.Error("routes outlived the link being set down")
	}
	v6 := mesh.Address{Interface: portB, Local: mesh.HostPrefix(identityA[1])}
	if slices.Contains(have.Addresses, v6) {
		b.Error("the IPv6 address outlived the link being set down")
	}
	b.converge(want)
	b.stands(*want)
}

func parallelCables(b *bench) {
	const second = "tbt-b-2"
	b.plug(portB, portC, second)
	want := triangle()
	link := mesh.Link{Name: second, Alias: "usb4mesh:test:second", MTU: 9000, Up: true}
	want.Links = append(want.Links, link)
	for f, id := range identityA {
		want.Addresses = append(want.Addresses, mesh.Address{Interface: second, Local: mesh.HostPrefix(id)})
		// to b over the second cable, and to c through b over the second cable
		direct := mesh.Route{
			Destination: mesh.HostPrefix(identityB[f]), Interface: second, Metric: 15,
			Table: mesh.MainTable, Source: id, Protocol: mesh.RouteProtocol,
		}
		through := direct
		through.Destination, through.Via, through.Metric = mesh.HostPrefix(identityC[f]), identityB[f], 30
		want.Routes = append(want.Routes, direct, through)
	}
	b.converge(want)
	b.stands(*want)
}

func changedHop(b *bench) {
	b.plug(portB, portC)
	want := triangle()
	b.converge(want)
	for i, r := range want.Routes {
		if r.Metric == 20 && r.Interface == portC {
			want.Routes[i].Via, want.Routes[i].Interface = netip.Addr{}, portB
		}
	}
	changes := b.converge(want)
	b.stands(*want)
	for _, c := range changes {
		if c.Op != mesh.Set || c.Route == nil {
			b.Errorf("a next hop is changed by %q", c)
		}
	}
	if len(changes) != 2 { // one per family
		b.Errorf("%d changes: %v", len(changes), changes)
	}
}

func changedIdentity(b *bench) {
	b.plug(portB, portC)
	want := triangle()
	b.converge(want)
	moved := []netip.Addr{netip.MustParseAddr("10.7.1.9"), netip.MustParseAddr("fd75::9")}
	for i, a := range want.Addresses {
		for f := range moved {
			if a.Local.Addr() == identityA[f] {
				want.Addresses[i].Local = mesh.HostPrefix(moved[f])
			}
		}
	}
	for i, r := range want.Routes {
		for f := range moved {
			if r.Source == identityA[f] {
				want.Routes[i].Source = moved[f]
			}
		}
	}
	b.converge(want)
	b.stands(*want)
	for _, a := range b.state().Addresses {
		if a.Local.Addr() == identityA[0] || a.Local.Addr() == identityA[1] {
			b.Errorf("%s is still there", a)
		}
	}
}

func pointToPoint(b *bench) {
	b.plug(portB)
	want := mesh.State{
		Links: []mesh.Link{{Name: portB, Alias: "usb4mesh:test:b", MTU: 9000, Up: true}},
		Addresses: []mesh.Address{
			{Interface: portB, Local: netip.MustParsePrefix("10.7.0.101/32"), Peer: netip.MustParsePrefix("10.7.0.106/32")},
			{Interface: portB, Local: netip.MustParsePrefix("fd76::1/128"), Peer: netip.MustParsePrefix("fd76::2/128")},
		},
	}
	b.converge(&want)
	b.stands(want)
	for i, p := range []string{"10.7.0.107/32", "fd76::3/128"} {
		want.Addresses[i].Peer = netip.MustParsePrefix(p)
	}
	b.converge(&want)
	b.stands(want)
	if n := len(slices.DeleteFunc(b.state().Addresses, func(a mesh.Address) bool { return !a.Peer.IsValid() })); n != 2 {
		b.Errorf("%d addresses with a peer, want 2", n)
	}
}

func foreignObjects(b *bench) {
	b.plug(portB, portC, "eth9")
	alien := mesh.State{
		Links: []mesh.Link{{Name: "eth9", MTU: 1400, Up: true}},
		Addresses: []mesh.Address{
			{Interface: "eth9", Local: netip.MustParsePrefix("192.0.2.1/32")},
			{Interface: portB, Local: netip.MustParsePrefix("192.0.2.130/25")},
			{Interface: portB, Local: netip.MustParsePrefix("fd99::1/64")},
		},
		Routes: []mesh.Route{
			{Destination: mesh.HostPrefix(identityB[0]), Interface: "eth9", Metric: 11, Table: mesh.MainTable, Protocol: 4},
			{Destination: netip.MustParsePrefix("fd98::/64"), Interface: portC, Metric: 10, Table: mesh.MainTable, Protocol: 4},
			{Destination: netip.MustParsePrefix("198.51.100.0/24"), Interface: "eth9", Metric: 10, Table: 7501, Protocol: 4},
		},
		Rules: []mesh.Rule{{Incoming: "eth9", Table: 7501, Priority: 1000}, {Incoming: portB, Table: 7501, Priority: 9000, IPv6: true}},
	}
	up := mesh.Link{Name: portC, MTU: 1500, Up: true}
	b.must(b.Apply(b.ctx, append([]mesh.Change{{Op: mesh.Set, Link: &up}}, additions(alien)...)))
	b.stands(alien)

	want := triangle()
	b.converge(want)
	b.stands(*want)
	b.stands(alien)

	b.converge(&mesh.State{})
	b.stands(alien)
	have := b.state()
	if routes, rules, addresses := ours(have); routes+rules+addresses != 0 {
		b.Errorf("left behind: %d routes, %d rules, %d addresses", routes, rules, addresses)
	}
	for _, l := range have.Links {
		if strings.HasPrefix(l.Alias, mesh.AliasPrefix) || l.Name == mesh.IdentityInterface {
			b.Errorf("left behind: %s alias %q", l, l.Alias)
		}
	}
}

// additions are the changes that make a state out of nothing.
func additions(s mesh.State) []mesh.Change {
	var out []mesh.Change
	for _, l := range s.Links {
		out = append(out, mesh.Change{Op: mesh.Set, Link: &l})
	}
	for _, a := range s.Addresses {
		out = append(out, mesh.Change{Op: mesh.Add, Address: &a})
	}
	for _, r := range s.Routes {
		out = append(out, mesh.Change{Op: mesh.Add, Route: &r})
	}
	for _, r := range s.Rules {
		out = append(out, mesh.Change{Op: mesh.Add, Rule: &r})
	}
	return out
}

func foreignConflict(b *bench) {
	b.plug(portB, portC, "eth9")
	want := triangle()
	alien := mesh.State{Links: []mesh.Link{{Name: "eth9", MTU: 1400, Up: true}}}
	for f := range identityB {
		alien.Routes = append(alien.Routes, mesh.Route{
			Destination: mesh.HostPrefix(identityB[f]), Interface: "eth9", Metric: 10, Table: mesh.MainTable, Protocol: 4,
		})
	}
	b.must(b.Apply(b.ctx, additions(alien)))
	_, err := kernel.Converge(b.ctx, b.Fixture, *want)
	if errors.Is(err, kernel.ErrNoDummy) {
		want.Links[0].Kind = mesh.KindBridge
		_, err = kernel.Converge(b.ctx, b.Fixture, *want)
	}
	if !errors.Is(err, kernel.ErrForeign) {
		b.Fatalf("error %v, want ErrForeign", err)
	}
	b.stands(alien)
	missing := b.missing(*want)
	if len(missing) != 2 {
		b.Errorf("missing %q, want only the two routes whose place is taken", missing)
	}
}

func foreignAlias(b *bench) {
	b.plug(portB, portC)
	mine := mesh.Link{Name: portB, Alias: "left cable, do not touch", MTU: 1400}
	b.must(b.Apply(b.ctx, []mesh.Change{{Op: mesh.Set, Link: &mine}}))
	want := triangle()
	want.Links[0].Kind = mesh.KindBridge
	if _, err := kernel.Converge(b.ctx, b.Fixture, *want); !errors.Is(err, kernel.ErrForeign) {
		b.Fatalf("error %v, want ErrForeign", err)
	}
	set := want.Links[slices.IndexFunc(want.Links, func(l mesh.Link) bool { return l.Name == portB })]
	if err := b.Apply(b.ctx, []mesh.Change{{Op: mesh.Set, Link: &set}}); !errors.Is(err, kernel.ErrForeign) {
		b.Errorf("set: error %v, want ErrForeign", err)
	}
	b.stands(mesh.State{Links: []mesh.Link{mine}})
	for _, r := range want.Routes {
		if got := slices.Contains(b.state().Routes, r); got != (r.Interface == portC) {
			b.Errorf("%s: present %v", r, got)
		}
	}
}

// Whatever a change says: ports belong to their drivers, and other links to
// whoever made them.
func portsAreKept(b *bench) {
	b.plug(portB, portC)
	want := triangle()
	b.converge(want)
	bare := mesh.Link{Name: portC, MTU: 9000, Up: true}
	b.must(b.Apply(b.ctx, []mesh.Change{{Op: mesh.Set, Link: &bare}}))
	for _, name := range []string{portB, portC} {
		err := b.Apply(b.ctx, []mesh.Change{{Op: mesh.Remove, Link: &mesh.Link{Name: name, Kind: mesh.KindBridge}}})
		if !errors.Is(err, kernel.ErrForeign) || b.index(name) == 0 {
			b.Errorf("remove %s: error %v, index %d", name, err, b.index(name))
		}
	}
	absent := mesh.Link{Name: "tbt-z", MTU: 9000, Up: true}
	for _, op := range []mesh.Op{mesh.Add, mesh.Set} {
		if err := b.Apply(b.ctx, []mesh.Change{{Op: op, Link: &absent}}); !errors.Is(err, kernel.ErrAbsent) {
			b.Errorf("%s a port without a cable: error %v, want ErrAbsent", op, err)
		}
	}
}

func applyTwice(b *bench) {
	b.plug(portB, portC)
	want := triangle()
	want.Links[0].Kind = mesh.KindBridge
	make := mesh.Diff(b.state(), *want)
	b.must(b.Apply(b.ctx, make))
	b.must(b.Apply(b.ctx, make))
	b.stands(*want)
	clean := mesh.Diff(b.state(), mesh.State{})
	b.must(b.Apply(b.ctx, clean))
	b.must(b.Apply(b.ctx, clean[:len(clean)-2])) // all but the links that were let go
	if routes, rules, addresses := ours(b.state()); routes+rules+addresses != 0 {
		b.Errorf("left behind: %d routes, %d rules, %d addresses", routes, rules, addresses)
	}
}

func partialFailure(b *bench) {
	b.plug(portB)
	good := mesh.Address{Interface: portB, Local: mesh.HostPrefix(identityA[0])}
	bad := mesh.Address{Interface: portC, Local: mesh.HostPrefix(identityA[0])}
	route := mesh.Route{ // the link is down
		Destination: mesh.HostPrefix(identityB[0]), Interface: portB, Metric: 10, Table: mesh.MainTable, Protocol: mesh.RouteProtocol,
	}
	rule := mesh.Rule{Incoming: portB, Table: 7501, Priority: 7501}
	err := b.Apply(b.ctx, []mesh.Change{
		{Op: mesh.Add, Address: &bad}, {Op: mesh.Add, Address: &good}, {Op: mesh.Add, Route: &route}, {Op: mesh.Add, Rule: &rule},
	})
	var refused *kernel.ApplyError
	if !errors.As(err, &refused) {
		b.Fatalf("error %v, want an ApplyError", err)
	}
	if len(refused.Failed) != 2 || refused.Failed[0].Change.Address != &bad || refused.Failed[1].Change.Route != &route {
		b.Errorf("failed: %v", refused.Failed)
	}
	if len(refused.Stand) != 2 || refused.Stand[0].Address != &good || refused.Stand[1].Rule != &rule {
		b.Errorf("stand: %v", refused.Stand)
	}
	if !errors.Is(err, kernel.ErrAbsent) {
		b.Errorf("%v does not say that the interface is absent", err)
	}
	b.stands(mesh.State{Addresses: []mesh.Address{good}, Rules: []mesh.Rule{rule}})
}

func watching(b *bench) {
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	wake, err := b.Watch(ctx)
	b.must(err)
	await := func(what string) {
		b.Helper()
		select {
		case _, open := <-wake:
			if !open {
				b.Fatalf("%s: the channel is closed", what)
			}
		case <-time.After(5 * time.Second):
			b.Fatalf("%s: nobody was woken", what)
		}
	}
	// quiet waits until one event's echoes are over.
	quiet := func() {
		for {
			select {
			case <-wake:
			case <-time.After(100 * time.Millisecond):
				return
			}
		}
	}
	await("at first")
	quiet()
	b.plug(portB)
	await("plug")
	quiet()
	up := mesh.Link{Name: portB, MTU: 1500, Up: true}
	route := mesh.Route{Destination: mesh.HostPrefix(identityB[1]), Interface: portB, Metric: 10, Table: 7501, Protocol: mesh.RouteProtocol}
	rule := mesh.Rule{Incoming: portB, Table: 7501, Priority: 7501, IPv6: true}
	address := mesh.Address{Interface: portB, Local: mesh.HostPrefix(identityA[0])}
	for _, c := range []mesh.Change{
		{Op: mesh.Set, Link: &up}, {Op: mesh.Add, Address: &address}, {Op: mesh.Add, Route: &route}, {Op: mesh.Add, Rule: &rule},
		{Op: mesh.Remove, Rule: &rule}, {Op: mesh.Remove, Route: &route}, {Op: mesh.Remove, Address: &address},
	} {
		b.must(b.Apply(b.ctx, []mesh.Change{c}))
		await(c.String())
		quiet()
	}
	b.must(b.Unplug(portB))
	await("unplug")
	stop()
	for range 2 { // one value may be waiting
		select {
		case _, open := <-wake:
			if !open {
				return
			}
		case <-time.After(5 * time.Second):
			b.Fatal("the channel stays open after the end of the context")
		}
	}
	if _, open := <-wake; open {
		b.Fatal("values after the end of the context")
	}
}
