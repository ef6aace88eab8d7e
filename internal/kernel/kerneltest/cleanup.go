package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// What stood before comes back, whatever happened in between.

// remember is a door that fills a memory.
func (b *bench) remember(m *mesh.Memory) *bench {
	door := kernel.Remembering(b.Fixture, func(have mesh.State, changes []mesh.Change) error {
		m.Remember(have, changes)
		return nil
	})
	with := *b
	with.Fixture = careful{b.Fixture, door}
	return &with
}

// careful is a fixture that changes through another door.
type careful struct {
	Fixture
	kernel.Door
}

func (c careful) Snapshot(ctx context.Context) (mesh.State, error) { return c.Door.Snapshot(ctx) }
func (c careful) Apply(ctx context.Context, changes []mesh.Change) error {
	return c.Door.Apply(ctx, changes)
}

// same compares states; the order in which a kernel lists things is its own.
func (b *bench) same(was, is mesh.State) {
	b.Helper()
	if diff := cmp.Diff(lines(was), lines(is)); diff != "" {
		b.Errorf("before and after differ (-before +after):\n%s", diff)
	}
}

// lines returns everything in a state, a line each.
func lines(s mesh.State) []string {
	var out []string
	for _, l := range s.Links {
		out = append(out, fmt.Sprintf("%s index %d kind %q alias %q up %t carrier %t", l, l.Index, l.Kind, l.Alias, l.Up, l.Carrier))
	}
	for _, a := range s.Addresses {
		out = append(out, a.String())
	}
	for _, r := range s.Routes {
		out = append(out, fmt.Sprintf("%s src %s proto %d", r, r.Source, r.Protocol))
	}
	for _, r := range s.Rules {
		out = append(out, r.String())
	}
	for _, y := range s.Sysctls {
		out = append(out, y.String())
	}
	slices.Sort(out)
	return out
}

func cleaningUp(b *bench) {
	b.plug(fresh, portC, "eth9")
	// What others have made: of every kind one that looks like ours.
	port := mesh.Link{Name: portC, MTU: 2000, Up: true}
	lan := mesh.Link{Name: "eth9", MTU: 1500, Up: true}
	foreign := mesh.Address{Interface: portC, Local: mesh.HostPrefix(identityB[0])}
	foreign6 := mesh.Address{Interface: portC, Local: mesh.HostPrefix(identityB[1])}
	subnet := mesh.Address{Interface: "eth9", Local: netip.MustParsePrefix("192.0.2.1/32")}
	theirs := mesh.Route{Destination: netip.MustParsePrefix("198.51.100.7/32"), Interface: portC, Metric: 10, Table: mesh.MainTable, Protocol: 4}
	rendered := theirs
	rendered.Destination, rendered.Protocol = netip.MustParsePrefix("198.51.100.8/32"), mesh.RouteProtocol
	rule := mesh.Rule{Incoming: portC, Table: 100, Priority: 1000}
	oldRule := mesh.Rule{Incoming: portC, Table: 7599, Priority: 7599}
	forward := mesh.Sysctl{Path: "net/ipv6/conf/eth9/forwarding", Value: "1"}
	b.must(b.Apply(b.ctx, []mesh.Change{
		{Op: mesh.Set, Link: &port}, {Op: mesh.Set, Link: &lan},
		{Op: mesh.Add, Address: &foreign}, {Op: mesh.Add, Address: &foreign6}, {Op: mesh.Add, Address: &subnet},
		{Op: mesh.Add, Route: &theirs}, {Op: mesh.Add, Route: &rendered}, {Op: mesh.Add, Rule: &rule}, {Op: mesh.Add, Rule: &oldRule},
		{Op: mesh.Set, Sysctl: &forward},
	}))
	before := b.state()

	var m mesh.Memory
	with := b.remember(&m)
	b.must(with.Apply(b.ctx, mesh.Renames(with.state().Links, map[int]string{b.index(fresh): portB})))
	want := triangle()
	for _, port := range []string{portB, portC} { // the one is set down again, the other stays up
		want.Addresses = append(want.Addresses, mesh.Address{Interface: port, Local: netip.MustParsePrefix("fe80::7562:1/64")})
	}
	with.converge(want)
	// Another plan, and a second life of the program.
	want.Routes, want.Sysctls = want.Routes[2:], append(want.Sysctls, mesh.Sysctl{Path: "net/ipv4/conf/tbt-b/rp_filter", Value: "1"})
	with.converge(want)
	b.must(b.Steer(b.ctx, []mesh.Steer{{Destination: identityB[0], Mark: mesh.SteerMark(0)}}))
	if slices.Contains(b.state().Addresses, foreign) || slices.Contains(b.state().Routes, rendered) {
		b.Error("nothing of what stood was taken away, so nothing comes back")
	}

	changes, err := kernel.Cleanup(b.ctx, b.Fixture, &m)
	b.must(err)
	if len(changes) == 0 {
		b.Error("cleaning up changed nothing")
	}
	b.same(before, b.state())
	if changes, err := kernel.Cleanup(b.ctx, b.Fixture, &m); err != nil || len(changes) != 0 {
		b.Errorf("cleaning up again: %v, %v", changes, err)
	}
}

func cleaningUpAfterReplug(b *bench) {
	b.plug(portB, portC)
	alone := b.state()
	alone.Links = slices.DeleteFunc(alone.Links, func(l mesh.Link) bool { return l.Name == portB })
	alone.Sysctls = slices.DeleteFunc(alone.Sysctls, func(s mesh.Sysctl) bool { return s.Interface() == portB })
	var m mesh.Memory
	with := b.remember(&m)
	want := triangle()
	with.converge(want)
	b.must(b.Unplug(portB))
	with.converge(want)
	b.plug(portB)
	index := b.index(portB)
	with.converge(want)
	// The one that is there now was plugged under the mesh's settings.
	if _, err := kernel.Cleanup(b.ctx, b.Fixture, &m); err != nil {
		b.Fatal(err)
	}
	have := b.state()
	at := slices.IndexFunc(have.Links, func(l mesh.Link) bool { return l.Name == portB })
	if l := have.Links[at]; l.Index != index || l.Alias != "" || l.Up || l.MTU != 1500 {
		b.Errorf("the new %s is %+v", portB, l)
	}
	have.Links = slices.Delete(have.Links, at, at+1)
	have.Sysctls = slices.DeleteFunc(have.Sysctls, func(s mesh.Sysctl) bool { return s.Interface() == portB })
	b.same(alone, have)
}

func cleaningUpWithoutMemory(b *bench) {
	b.plug(portB, portC)
	b.converge(triangle())
	_, err := kernel.Cleanup(b.ctx, b.Fixture, &mesh.Memory{})
	b.must(err)
	have := b.state()
	if routes, rules, addresses := ours(have); routes+rules+addresses != 0 {
		b.Errorf("%d routes, %d rules, %d addresses are left", routes, rules, addresses)
	}
	for _, l := range have.Links {
		if l.Alias != "" || l.Name == mesh.IdentityInterface {
			b.Errorf("%+v is left", l)
		}
	}
	// A memory that can't be kept keeps everything as it is.
	full := errors.New("disk full")
	door := kernel.Remembering(b.Fixture, func(mesh.State, []mesh.Change) error { return full })
	if _, err := kernel.Converge(b.ctx, door, *triangle()); !errors.Is(err, full) {
		b.Errorf("error %v, want that of the memory", err)
	}
	b.same(have, b.state())
}
