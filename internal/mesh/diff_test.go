package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// The tests of Diff carry its changes out on the fake kernel, which passes the
// same suite as the real one: a model made up here could share Diff's mistakes.

var byValue = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

// A small world, so that random states meet: same keys, same interfaces.
var (
	ports    = []string{"tbt-b", "tbt-c", "eth9"}
	devices  = append([]string{mesh.IdentityInterface}, ports...)
	hosts    = []string{"10.7.1.1", "10.7.1.2", "10.7.1.3", "fd75::1", "fd75::2", "fd75::3"}
	prefixes = []string{"10.7.1.1/32", "10.7.1.2/32", "10.7.1.9/24", "fd75::1/128", "fd75::2/128", "fd75::9/64", "fe80::1/128"}
	aliases  = []string{"", "usb4mesh:m:1", "usb4mesh:m:2", "mine"}
)

func subset[T any](t *rapid.T, g *rapid.Generator[T], n int, label string) []T {
	return rapid.SliceOfN(g, 0, n).Draw(t, label)
}

var links = rapid.Custom(func(t *rapid.T) mesh.Link {
	name := rapid.SampledFrom(devices).Draw(t, "name")
	l := mesh.Link{Name: name, Alias: rapid.SampledFrom(aliases).Draw(t, "alias"), MTU: rapid.SampledFrom([]int{1500, 9000}).Draw(t, "mtu"), Up: true}
	if name == mesh.IdentityInterface {
		l.Kind = rapid.SampledFrom([]mesh.LinkKind{mesh.KindDummy, mesh.KindBridge}).Draw(t, "kind")
	}
	return l
})

var addresses = rapid.Custom(func(t *rapid.T) mesh.Address {
	a := mesh.Address{
		Interface: rapid.SampledFrom(devices).Draw(t, "device"),
		Local:     netip.MustParsePrefix(rapid.SampledFrom(prefixes).Draw(t, "local")),
	}
	if a.Local.IsSingleIP() && rapid.IntRange(0, 3).Draw(t, "peer") == 0 {
		peer := "10.7.9.9/32"
		if a.Local.Addr().Is6() {
			peer = "fd75::99/128"
		}
		a.Peer = netip.MustParsePrefix(peer)
	}
	return a
})

func routes(protocols ...int) *rapid.Generator[mesh.Route] {
	return rapid.Custom(func(t *rapid.T) mesh.Route {
		d := netip.MustParseAddr(rapid.SampledFrom(hosts).Draw(t, "destination"))
		r := mesh.Route{
			Destination: mesh.HostPrefix(d),
			Interface:   rapid.SampledFrom(devices).Draw(t, "device"),
			Metric:      rapid.SampledFrom([]int{10, 20}).Draw(t, "metric"),
			Table:       rapid.SampledFrom([]mesh.Table{mesh.MainTable, 7501}).Draw(t, "table"),
			Protocol:    rapid.SampledFrom(protocols).Draw(t, "protocol"),
		}
		if rapid.Bool().Draw(t, "via") {
			r.Via = netip.MustParseAddr("10.7.1.2")
			if d.Is6() {
				r.Via = netip.MustParseAddr("fd75::2")
			}
		}
		return r
	})
}

func rules(priorities ...int) *rapid.Generator[mesh.Rule] {
	return rapid.Custom(func(t *rapid.T) mesh.Rule {
		return mesh.Rule{
			Incoming: rapid.SampledFrom(ports).Draw(t, "incoming"),
			Table:    rapid.SampledFrom([]mesh.Table{7501, 7502}).Draw(t, "table"),
			Priority: rapid.SampledFrom(priorities).Draw(t, "priority"),
			IPv6:     rapid.Bool().Draw(t, "ipv6"),
		}
	})
}

var sysctls = rapid.Custom(func(t *rapid.T) mesh.Sysctl {
	path := rapid.SampledFrom([]string{"ipv4/conf/tbt-b/rp_filter", "ipv4/conf/tbt-c/rp_filter", "ipv6/conf/all/forwarding", "ipv6/conf/tbt-b/accept_ra"}).Draw(t, "path")
	return mesh.Sysctl{Path: "net/" + path, Value: rapid.SampledFrom([]string{"0", "1"}).Draw(t, "value")}
})

// anything draws a state that need not make sense; wanted or observed.
func anything(t *rapid.T, label string) mesh.State {
	return mesh.State{
		Links:     rapid.SliceOfNDistinct(links, 0, 4, func(l mesh.Link) string { return l.Name }).Draw(t, label+" links"),
		Addresses: subset(t, addresses, 6, label+" addresses"),
		Routes:    subset(t, routes(mesh.RouteProtocol, mesh.RouteProtocol, 4), 8, label+" routes"),
		Rules:     subset(t, rules(7501, 7502, 1000), 4, label+" rules"),
		Sysctls:   subset(t, sysctls, 4, label+" sysctls"),
	}
}

// wanted draws what a plan could ask for: only marked objects, one route per
// key, one interface for each name.
func wanted(t *rapid.T) mesh.State {
	s := anything(t, "want")
	s.Links = slices.DeleteFunc(s.Links, func(l mesh.Link) bool { return l.Name == "eth9" })
	for i := range s.Links {
		s.Links[i].Alias = "usb4mesh:m:1"
	}
	s.Addresses = slices.DeleteFunc(s.Addresses, func(a mesh.Address) bool {
		return !a.Local.IsSingleIP() || a.Local.Addr().IsLinkLocalUnicast()
	})
	s.Addresses = distinct(s.Addresses, func(a mesh.Address) string { return a.Interface + a.Local.String() })
	for i := range s.Routes {
		s.Routes[i].Protocol = mesh.RouteProtocol
	}
	s.Routes = distinct(s.Routes, key)
	s.Rules = slices.DeleteFunc(s.Rules, func(r mesh.Rule) bool { return r.Priority == 1000 })
	return s
}

func key(r mesh.Route) string { return fmt.Sprint(r.Destination, r.Table, r.Metric) }

func distinct[T any](in []T, key func(T) string) []T {
	seen := map[string]bool{}
	return slices.DeleteFunc(in, func(v T) bool {
		k := key(v)
		defer func() { seen[k] = true }()
		return seen[k]
	})
}

// reached returns a kernel in which some of a random state came about.
func reached(t *rapid.T) *kerneltest.Fake {
	f := kerneltest.NewFake()
	for _, p := range ports {
		if rapid.IntRange(0, 3).Draw(t, "unplugged") != 0 {
			_ = f.Plug(p)
		}
	}
	_ = f.Apply(context.Background(), additions(anything(t, "have"))) // refusals are part of it
	return f
}

func additions(s mesh.State) []mesh.Change {
	var out []mesh.Change
	for _, l := range s.Links {
		out = append(out, mesh.Change{Op: mesh.Add, Link: &l})
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
	for _, s := range s.Sysctls {
		out = append(out, mesh.Change{Op: mesh.Set, Sysctl: &s})
	}
	return out
}

func snapshot(t *rapid.T, f *kerneltest.Fake) mesh.State {
	s, err := f.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDiffOfEqualStatesIsEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if x := snapshot(t, reached(t)); len(mesh.Diff(x, x)) != 0 {
			t.Fatalf("Diff(x, x) = %v", mesh.Diff(x, x))
		}
		// Also of states that no kernel could be in.
		x := anything(t, "x")
		x.Sysctls = distinct(x.Sysctls, func(s mesh.Sysctl) string { return s.Path })
		if changes := mesh.Diff(x, x); len(changes) != 0 {
			t.Fatalf("Diff(x, x) = %v", changes)
		}
	})
}

func TestDiffIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have, want := anything(t, "have"), anything(t, "want")
		if d := cmp.Diff(mesh.Diff(have, want), mesh.Diff(have, want), byValue); d != "" {
			t.Fatal(d)
		}
	})
}

// TestDiffLeadsToWant lets changes make the wanted state out of any other, and
// looks at what became of the objects of others.
func TestDiffLeadsToWant(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		f := reached(t)
		before, want := snapshot(t, f), wanted(t)
		changes, err := kernel.Converge(ctx, f, want)
		refused := (*kernel.ApplyError)(nil)
		if errors.As(err, &refused) {
			for _, failure := range refused.Failed {
				if !errors.Is(failure, kernel.ErrForeign) {
					t.Fatalf("%s after %v", failure, changes)
				}
			}
		} else if err != nil {
			t.Fatal(err)
		}
		after := snapshot(t, f)
		if refused == nil {
			lacking(t, want, after)
		}
		survives(t, before, after, changes)
	})
}

// lacking fails unless everything wanted stands whose interface does, and
// nothing else that is ours.
func lacking(t *rapid.T, want, after mesh.State) {
	up := map[string]bool{}
	alias := map[string]string{}
	for _, l := range after.Links {
		up[l.Name], alias[l.Name] = l.Up, l.Alias
	}
	present := func(name string) bool { _, ok := alias[name]; return ok }
	for _, w := range want.Links {
		stands := slices.ContainsFunc(after.Links, func(h mesh.Link) bool {
			h.Index, h.Carrier = 0, false
			return h == w
		})
		if (w.Kind != mesh.KindPort || present(w.Name)) && !stands {
			t.Fatalf("missing %s", w)
		}
	}
	for _, a := range want.Addresses {
		if present(a.Interface) && (up[a.Interface] || a.Local.Addr().Is4()) && !slices.Contains(after.Addresses, a) {
			t.Fatalf("missing %s", a)
		}
	}
	for _, r := range want.Routes {
		if up[r.Interface] && !slices.Contains(after.Routes, r) {
			t.Fatalf("missing %s", r)
		}
	}
	for _, r := range want.Rules {
		if present(r.Incoming) && !slices.Contains(after.Rules, r) {
			t.Fatalf("missing %s", r)
		}
	}
	for _, r := range after.Routes {
		if r.Protocol == mesh.RouteProtocol && !slices.Contains(want.Routes, r) {
			t.Fatalf("left over: %s", r)
		}
	}
	for _, r := range after.Rules {
		if r.Priority != 1000 && !slices.Contains(want.Rules, r) {
			t.Fatalf("left over: %s", r)
		}
	}
	for _, a := range after.Addresses {
		if a.Local.IsSingleIP() && !a.Local.Addr().IsLinkLocalUnicast() && strings.HasPrefix(alias[a.Interface], mesh.AliasPrefix) && !slices.Contains(want.Addresses, a) {
			t.Fatalf("left over: %s", a)
		}
	}
}

// survives fails if a foreign object is gone that no kernel had to take along
// with one of ours.
func survives(t *rapid.T, before, after mesh.State, changes []mesh.Change) {
	disturbed := map[string]bool{} // links removed, or with an address removed
	for _, c := range changes {
		if c.Op == mesh.Remove && c.Link != nil {
			disturbed[c.Link.Name] = true
		}
		if c.Op == mesh.Remove && c.Address != nil {
			disturbed[c.Address.Interface] = true
		}
	}
	for _, r := range before.Routes {
		if r.Protocol != mesh.RouteProtocol && !disturbed[r.Interface] && !slices.Contains(after.Routes, r) {
			t.Fatalf("lost: %s after %v", r, changes)
		}
	}
	for _, r := range before.Rules {
		if r.Priority == 1000 && !slices.Contains(after.Rules, r) {
			t.Fatalf("lost: %s", r)
		}
	}
	for _, a := range before.Addresses {
		if foreign := !a.Local.IsSingleIP() || a.Local.Addr().IsLinkLocalUnicast() || a.Interface == "eth9"; foreign && !slices.Contains(after.Addresses, a) && !gone(a.Interface, changes) && !ourAlias(a.Interface, before) {
			t.Fatalf("lost: %s", a)
		}
	}
	for _, l := range before.Links {
		i := slices.IndexFunc(after.Links, func(o mesh.Link) bool { return o.Name == l.Name })
		if foreign := l.Alias == "mine" || l.Name == "lo"; foreign && (i < 0 || after.Links[i] != l) {
			t.Fatalf("changed: %s", l)
		}
	}
}

func gone(name string, changes []mesh.Change) bool {
	return slices.ContainsFunc(changes, func(c mesh.Change) bool {
		return c.Op == mesh.Remove && c.Link != nil && c.Link.Name == name
	})
}

// ourAlias says that eth9 was ours before, so that its host addresses were too.
func ourAlias(name string, s mesh.State) bool {
	return name == "eth9" && slices.ContainsFunc(s.Links, func(l mesh.Link) bool {
		return l.Name == name && strings.HasPrefix(l.Alias, mesh.AliasPrefix)
	})
}

// TestDiffNeverRemovesForeign looks at the changes alone, for states no kernel
// could be in as well.
func TestDiffNeverRemovesForeign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have, want := anything(t, "have"), anything(t, "want")
		alias := map[string]string{}
		for _, l := range append(slices.Clone(want.Links), have.Links...) {
			if alias[l.Name] == "" || l.Alias != "" {
				alias[l.Name] = l.Alias
			}
		}
		for _, c := range mesh.Diff(have, want) {
			if c.Reason == "" {
				t.Fatalf("%s has no reason", c)
			}
			if c.Op != mesh.Remove {
				continue
			}
			ok := false
			switch {
			case c.Link != nil:
				ok = c.Link.Kind != mesh.KindPort && strings.HasPrefix(c.Link.Alias, mesh.AliasPrefix)
			case c.Address != nil:
				ok = c.Address.Local.IsSingleIP() && !c.Address.Local.Addr().IsLinkLocalUnicast() && alias[c.Address.Interface] != ""
			case c.Route != nil:
				ok = c.Route.Protocol == mesh.RouteProtocol
			case c.Rule != nil:
				ok = c.Rule.Priority >= mesh.RulePriorityFirst && c.Rule.Priority <= mesh.RulePriorityLast
			}
			if !ok {
				t.Fatalf("not ours: %s", c)
			}
		}
	})
}

// TestDiffKeepsAWay goes from one plan to another change by change: whoever has
// a route in both has one all the time.
func TestDiffKeepsAWay(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		f := kerneltest.NewFake()
		base := mesh.State{}
		for _, p := range []string{"tbt-b", "tbt-c"} {
			if err := f.Plug(p); err != nil {
				t.Fatal(err)
			}
			base.Links = append(base.Links, mesh.Link{Name: p, Alias: "usb4mesh:m:1", MTU: 9000, Up: true})
			base.Addresses = append(base.Addresses, mesh.Address{Interface: p, Local: netip.MustParsePrefix("10.7.1.200/32")})
		}
		plan := func(label string) mesh.State {
			s := base
			s.Routes = distinct(subset(t, routes(mesh.RouteProtocol), 8, label), key)
			s.Routes = slices.DeleteFunc(s.Routes, func(r mesh.Route) bool { return !strings.HasPrefix(r.Interface, "tbt-") })
			return s
		}
		first, second := plan("first"), plan("second")
		if _, err := kernel.Converge(ctx, f, first); err != nil {
			t.Fatal(err)
		}
		leads := func(s mesh.State, d netip.Prefix) bool {
			return slices.ContainsFunc(s.Routes, func(r mesh.Route) bool { return r.Destination == d && r.Table == mesh.MainTable })
		}
		for _, c := range mesh.Diff(snapshot(t, f), second) {
			if err := f.Apply(ctx, []mesh.Change{c}); err != nil {
				t.Fatal(err)
			}
			for _, r := range first.Routes {
				if d := r.Destination; leads(first, d) && leads(second, d) && !leads(snapshot(t, f), d) {
					t.Fatalf("no way to %s after %s", d, c)
				}
			}
		}
	})
}
