// Package kerneltest holds a kernel in memory and the conformance suite that it
// and the real one pass alike. Code that drives a kernel is tested on the fake,
// and the suite is the reason to believe such a test.
package kerneltest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Fake is a network namespace in memory. It behaves as Linux does where that
// matters to usb4mesh: routes and addresses go with their interface, routes also
// when it is set down, rules stay; what exists is not added twice.
//
// The exported fields inject faults; set them before use.
type Fake struct {
	// NoDummy makes a kernel without dummy interfaces.
	NoDummy bool
	// NoSteering makes a kernel without nf_tables.
	NoSteering bool
	// Fail is asked before each change is carried out; its error, if any, is
	// what the kernel refuses the change with.
	Fail func(mesh.Change) error
	// Ignore is asked likewise; a change it says true to is taken and dropped.
	Ignore func(mesh.Change) bool

	mu      sync.Mutex
	links   []mesh.Link
	cables  map[string]bool // carrier that the far end of a port offers
	addrs   []mesh.Address
	routes  []mesh.Route
	rules   []mesh.Rule
	sysctls map[string]string
	index   int
	steered []mesh.Steer
	guard   *mesh.Guard
	refused mesh.Refused
	wakes   wakes // of Watch
	filters wakes // of WatchFilters
}

var _ Fixture = (*Fake)(nil)

// NewFake returns a namespace with nothing but lo.
func NewFake() *Fake {
	f := &Fake{cables: map[string]bool{}, sysctls: map[string]string{}, wakes: wakes{}, filters: wakes{}}
	f.makeSysctls("all")
	f.makeSysctls("default")
	f.addLink(mesh.Link{Name: "lo", MTU: 65536})
	return f
}

// Close does nothing; it makes the fake a Fixture.
func (f *Fake) Close() error { return nil }

// Plug makes the interface of a port, as its driver does when a cable is
// plugged: down, without alias, with an index never seen before.
func (f *Fake) Plug(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.wake()
	if f.link(name) != nil {
		return unix.EEXIST
	}
	f.cables[name] = true
	f.addLink(mesh.Link{Name: name, MTU: 1500})
	return nil
}

// Unplug removes the interface of a port.
func (f *Fake) Unplug(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.wake()
	if f.link(name) == nil {
		return unix.ENODEV
	}
	delete(f.cables, name)
	f.removeLink(name)
	return nil
}

// Carrier takes the carrier of a port away or gives it back.
func (f *Fake) Carrier(name string, on bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.wake()
	l := f.link(name)
	if l == nil {
		return unix.ENODEV
	}
	f.cables[name] = on
	l.Carrier = l.Up && on
	return nil
}

// Snapshot implements kernel.Door.
func (f *Fake) Snapshot(ctx context.Context) (mesh.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := mesh.State{
		Links:     slices.Clone(f.links),
		Addresses: slices.Clone(f.addrs),
		Routes:    slices.Clone(f.routes),
		Rules:     slices.Clone(f.rules),
	}
	for path, value := range f.sysctls {
		s.Sysctls = append(s.Sysctls, mesh.Sysctl{Path: path, Value: value})
	}
	slices.SortFunc(s.Sysctls, func(a, b mesh.Sysctl) int { return strings.Compare(a.Path, b.Path) })
	return s, ctx.Err()
}

// Apply implements kernel.Door.
func (f *Fake) Apply(ctx context.Context, changes []mesh.Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.wake()
	return kernel.ApplyEach(changes, func(c mesh.Change) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.Fail != nil {
			if err := f.Fail(c); err != nil {
				return err
			}
		}
		if f.Ignore != nil && f.Ignore(c) {
			return nil
		}
		return f.apply(c)
	})
}

// Watch works as that of kernel.Kernel does.
func (f *Fake) Watch(ctx context.Context) (<-chan struct{}, error) {
	return f.wakes.join(ctx, &f.mu), nil
}

func (f *Fake) wake() { f.wakes.signal() }

// wakes are channels that get a value together; the fake's lock guards them.
type wakes map[chan struct{}]bool

func (w wakes) join(ctx context.Context, mu *sync.Mutex) <-chan struct{} {
	wake := make(chan struct{}, 1)
	wake <- struct{}{}
	mu.Lock()
	defer mu.Unlock()
	w[wake] = true
	context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		delete(w, wake)
		close(wake)
	})
	return wake
}

func (w wakes) signal() {
	for wake := range w {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

func (f *Fake) apply(c mesh.Change) error {
	switch {
	case c.Link != nil:
		return f.applyLink(c.Op, *c.Link)
	case c.Address != nil:
		return f.applyAddress(c.Op, *c.Address)
	case c.Route != nil:
		return f.applyRoute(c.Op, *c.Route)
	case c.Rule != nil:
		return f.applyRule(c.Op, *c.Rule)
	case c.Sysctl != nil && c.Op == mesh.Set:
		return f.setSysctl(*c.Sysctl)
	}
	return unix.EINVAL
}

func (f *Fake) link(name string) *mesh.Link {
	i := slices.IndexFunc(f.links, func(l mesh.Link) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &f.links[i]
}

func (f *Fake) addLink(l mesh.Link) {
	f.index++
	l.Index = f.index
	f.links = append(f.links, l)
	f.makeSysctls(l.Name)
}

func (f *Fake) removeLink(name string) {
	f.links = slices.DeleteFunc(f.links, func(l mesh.Link) bool { return l.Name == name })
	f.addrs = slices.DeleteFunc(f.addrs, func(a mesh.Address) bool { return a.Interface == name })
	f.flushRoutes(name)
	f.orphanSources()
	for path := range f.sysctls {
		if (mesh.Sysctl{Path: path}).Interface() == name {
			delete(f.sysctls, path)
		}
	}
}

func (f *Fake) flushRoutes(name string) {
	f.routes = slices.DeleteFunc(f.routes, func(r mesh.Route) bool { return r.Interface == name })
}

// orphanSources removes the IPv4 routes whose source address is gone
// (net/ipv4/fib_semantics.c, fib_sync_down_addr).
func (f *Fake) orphanSources() {
	f.routes = slices.DeleteFunc(f.routes, func(r mesh.Route) bool {
		return r.Source.Is4() && !f.local(r)
	})
}

// local reports whether the source of a route is an address of ours.
func (f *Fake) local(r mesh.Route) bool {
	return slices.ContainsFunc(f.addrs, func(a mesh.Address) bool { return a.Local.Addr() == r.Source })
}

func (f *Fake) applyLink(op mesh.Op, w mesh.Link) error {
	if op == mesh.Rename {
		return f.rename(w.Index, w.Name)
	}
	l := f.link(w.Name)
	switch {
	case op == mesh.Remove && l == nil:
		return nil
	case op == mesh.Remove && (l.Kind == mesh.KindPort || !strings.HasPrefix(l.Alias, mesh.AliasPrefix)):
		return kernel.ErrForeign
	case op == mesh.Remove:
		f.removeLink(w.Name)
		return nil
	case l == nil && (op == mesh.Set || w.Kind == mesh.KindPort):
		return kernel.ErrAbsent
	case l == nil && w.Kind == mesh.KindDummy && f.NoDummy:
		return fmt.Errorf("%w (%w)", kernel.ErrNoDummy, unix.EOPNOTSUPP)
	case l == nil:
		f.addLink(mesh.Link{Name: w.Name, Kind: w.Kind, MTU: 1500})
		l = f.link(w.Name)
	case l.Alias != "" && !strings.HasPrefix(l.Alias, mesh.AliasPrefix):
		return kernel.ErrForeign
	case op == mesh.Add && l.Kind != w.Kind:
		return kernel.ErrForeign
	}
	wentDown := l.Up && !w.Up
	l.Alias, l.MTU, l.Up = w.Alias, w.MTU, w.Up
	l.Carrier = l.Up && (l.Kind == mesh.KindDummy || f.cables[l.Name])
	if wentDown {
		f.flushRoutes(w.Name)
		// IPv6 also loses its addresses (net/ipv6/addrconf.c, addrconf_ifdown).
		f.addrs = slices.DeleteFunc(f.addrs, func(a mesh.Address) bool {
			return a.Interface == w.Name && a.Local.Addr().Is6()
		})
	}
	return nil
}

// rename gives an interface another name. Rules keep theirs; all else belongs to
// the interface, not to its name.
func (f *Fake) rename(index int, name string) error {
	i := slices.IndexFunc(f.links, func(l mesh.Link) bool { return l.Index == index })
	if i < 0 {
		return kernel.ErrAbsent
	}
	old := f.links[i].Name
	switch {
	case old == name:
		return nil
	case f.link(name) != nil:
		return fmt.Errorf("%w (%w)", kernel.ErrForeign, unix.EEXIST)
	}
	f.links[i].Name = name
	for i := range f.addrs {
		if f.addrs[i].Interface == old {
			f.addrs[i].Interface = name
		}
	}
	for i := range f.routes {
		if f.routes[i].Interface == old {
			f.routes[i].Interface = name
		}
	}
	f.cables[name] = f.cables[old]
	delete(f.cables, old)
	for path, value := range f.sysctls {
		if (mesh.Sysctl{Path: path}).Interface() == old {
			delete(f.sysctls, path)
			f.sysctls[strings.Replace(path, "/"+old+"/", "/"+name+"/", 1)] = value
		}
	}
	return nil
}
