package kerneltest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Fixture is a kernel under test and hands that plug cables into it.
type Fixture interface {
	kernel.Door
	kernel.Steerer
	kernel.Guarder
	// Watch tells of changes, see kernel.Kernel.
	Watch(ctx context.Context) (<-chan struct{}, error)
	// WatchFilters tells when others have changed what Steer or Guard made, see kernel.Kernel.
	WatchFilters(ctx context.Context) (<-chan struct{}, error)
	// FlushFilters removes what Steer and Guard made, as another program does.
	FlushFilters() error
	// Plug makes a port's interface, with a peer that offers carrier.
	Plug(name string) error
	// Unplug removes it, as the driver does when the cable is pulled.
	Unplug(name string) error
	// Carrier takes away what the far end offers, or gives it back.
	Carrier(name string, on bool) error
	// Close frees what the fixture holds.
	Close() error
}

// Suite checks that a kernel behaves as mesh.Diff and its callers rely on. Each
// subtest gets a namespace of its own from the given function.
func Suite(t *testing.T, open func() Fixture) {
	for _, c := range []struct {
		name string
		run  func(*bench)
	}{
		{"everything wanted stands after one convergence", everything},
		{"a port that is absent is left out and follows later", partialPlug},
		{"a replugged port gets back all it had", replug},
		{"a port without carrier gets its routes too", replugWithoutCarrier},
		{"carrier loss changes nothing", carrierLoss},
		{"setting a port down is repaired", adminDown},
		{"two cables to one neighbour", parallelCables},
		{"a changed next hop is replaced", changedHop},
		{"a changed identity moves", changedIdentity},
		{"a point to point address", pointToPoint},
		{"foreign objects survive, ours are cleaned up", foreignObjects},
		{"what somebody deletes comes back", deletedByOthers},
		{"routes, rules and addresses of others stay", strangersTables},
		{"a foreign route in the way is reported and stays", foreignConflict},
		{"a foreign alias is respected", foreignAlias},
		{"ports are neither made nor removed", portsAreKept},
		{"a port gets its name while it is up", renaming},
		{"two ports swap names", swapping},
		{"a name that is taken stays with its owner", nameTaken},
		{"rules by mark", markedRules},
		{"steering", steering},
		{"guarding", guarding},
		{"packet filters that others take away are noticed", steeringWatched},
		{"cleaning up gives back what was", cleaningUp},
		{"cleaning up knows interfaces by their index", cleaningUpAfterReplug},
		{"cleaning up without a memory", cleaningUpWithoutMemory},
		{"what is true already can be applied again", applyTwice},
		{"a change that can't be is told apart from those that stand", partialFailure},
		{"watchers are woken and stopped", watching},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open()
			defer func() {
				if err := f.Close(); err != nil {
					t.Errorf("close the fixture: %v", err)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			c.run(&bench{T: t, Fixture: f, ctx: ctx})
		})
	}
}

// bench is one subtest with its kernel.
type bench struct {
	*testing.T
	Fixture
	ctx context.Context
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) plug(names ...string) {
	b.Helper()
	for _, name := range names {
		b.must(b.Plug(name))
	}
}

func (b *bench) state() mesh.State {
	b.Helper()
	s, err := b.Snapshot(b.ctx)
	b.must(err)
	return s
}

// converge brings the kernel to want and checks that want stands there. Where
// the kernel has no dummy interfaces it takes a bridge, as every caller has to.
func (b *bench) converge(want *mesh.State) []mesh.Change {
	b.Helper()
	changes, err := kernel.Converge(b.ctx, b.Fixture, *want)
	if errors.Is(err, kernel.ErrNoDummy) {
		for i := range want.Links {
			if want.Links[i].Kind == mesh.KindDummy {
				want.Links[i].Kind = mesh.KindBridge
			}
		}
		var more []mesh.Change
		more, err = kernel.Converge(b.ctx, b.Fixture, *want)
		changes = append(changes, more...)
	}
	b.must(err)
	if again, err := kernel.Converge(b.ctx, b.Fixture, *want); err != nil || len(again) != 0 {
		b.Fatalf("a second convergence changes %v, error %v", again, err)
	}
	return changes
}

// missing returns what want lists and the kernel does not hold.
func (b *bench) missing(want mesh.State) []string {
	b.Helper()
	have := b.state()
	var out []string
	for _, w := range want.Links {
		if !slices.ContainsFunc(have.Links, func(h mesh.Link) bool {
			h.Index, h.Carrier, h.MAC = 0, false, ""
			return h == w
		}) {
			out = append(out, w.String())
		}
	}
	out = append(out, lacking(want.Addresses, have.Addresses)...)
	out = append(out, lacking(want.Routes, have.Routes)...)
	out = append(out, lacking(want.Rules, have.Rules)...)
	return append(out, lacking(want.Sysctls, have.Sysctls)...)
}

func lacking[T interface {
	comparable
	String() string
}](want, have []T) []string {
	var out []string
	for _, w := range want {
		if !slices.Contains(have, w) {
			out = append(out, w.String())
		}
	}
	return out
}

func (b *bench) stands(want mesh.State) {
	b.Helper()
	if m := b.missing(want); m != nil {
		b.Fatalf("missing: %q", m)
	}
}

// ours counts our routes and rules, and host addresses on mesh interfaces.
func ours(s mesh.State) (routes, rules, addresses int) {
	for _, r := range s.Routes {
		if r.Protocol == mesh.RouteProtocol {
			routes++
		}
	}
	for _, r := range s.Rules {
		if r.Priority >= mesh.RulePriorityFirst && r.Priority <= mesh.RulePriorityLast {
			rules++
		}
	}
	for _, a := range s.Addresses {
		if a.Local.IsSingleIP() && (a.Interface == mesh.IdentityInterface || a.Interface == portB || a.Interface == portC) {
			addresses++
		}
	}
	return
}

// The mesh of the suite is a triangle of a (the node under test), b and c.
const portB, portC = "tbt-b", "tbt-c"

var (
	identityA = []netip.Addr{netip.MustParseAddr("10.7.1.1"), netip.MustParseAddr("fd75::1")}
	identityB = []netip.Addr{netip.MustParseAddr("10.7.1.2"), netip.MustParseAddr("fd75::2")}
	identityC = []netip.Addr{netip.MustParseAddr("10.7.1.3"), netip.MustParseAddr("fd75::3")}
)

// triangle is what node a wants: direct routes, detours through the other
// neighbour, and per port a table for packets that come back the way they would go.
func triangle() *mesh.State {
	node := mesh.NodePlan{Name: "a", Identity: identityA}
	for i, port := range []string{portB, portC} {
		table := mesh.Table(mesh.RulePriorityFirst + i + 1)
		node.Links = append(node.Links, mesh.LinkPlan{
			Interface: port, Cable: port[4:], MTU: 9000,
			Addresses: []mesh.Address{
				{Interface: port, Local: mesh.HostPrefix(identityA[0])},
				{Interface: port, Local: mesh.HostPrefix(identityA[1])},
			},
		})
		other, here, there := []string{portC, portB}[i], [][]netip.Addr{identityB, identityC}[i], [][]netip.Addr{identityC, identityB}[i]
		for f := range identityA {
			direct := mesh.Route{
				Destination: mesh.HostPrefix(here[f]), Interface: port, Metric: 10,
				Table: mesh.MainTable, Source: identityA[f], Protocol: mesh.RouteProtocol,
			}
			detour := direct
			detour.Interface, detour.Via, detour.Metric = other, there[f], 20
			back := detour
			back.Metric, back.Table = 10, table
			node.Routes = append(node.Routes, detour, direct, back)
			node.Rules = append(node.Rules, mesh.Rule{Incoming: port, Table: table, Priority: int(table), IPv6: f == 1})
		}
		for _, kv := range [][2]string{
			{"ipv4/conf/%/forwarding", "1"}, {"ipv4/conf/%/accept_local", "1"}, {"ipv4/conf/%/rp_filter", "2"},
			{"ipv4/conf/%/ignore_routes_with_linkdown", "1"}, {"ipv4/conf/%/send_redirects", "0"},
			{"ipv6/conf/%/ignore_routes_with_linkdown", "1"}, {"ipv6/conf/%/accept_ra", "0"}, {"ipv6/conf/%/accept_dad", "0"},
		} {
			node.Sysctls = append(node.Sysctls, mesh.Sysctl{Path: "net/" + replace(kv[0], port), Value: kv[1]})
		}
	}
	node.Sysctls = append(node.Sysctls,
		mesh.Sysctl{Path: "net/ipv4/conf/all/send_redirects", Value: "0"},
		mesh.Sysctl{Path: "net/ipv6/conf/all/forwarding", Value: "1"})
	want := node.Want("test", 9000)
	return &want
}
