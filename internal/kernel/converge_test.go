package kernel_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// twoPeers is a small wanted state: one port, two routes over it.
func twoPeers() mesh.State {
	self := netip.MustParseAddr("10.7.1.1")
	route := func(d string) mesh.Route {
		return mesh.Route{
			Destination: mesh.HostPrefix(netip.MustParseAddr(d)), Interface: "tbt-b", Metric: 10,
			Table: mesh.MainTable, Source: self, Protocol: mesh.RouteProtocol,
		}
	}
	return mesh.State{
		Links:     []mesh.Link{{Name: "tbt-b", Alias: "usb4mesh:test:1", MTU: 9000, Up: true}},
		Addresses: []mesh.Address{{Interface: "tbt-b", Local: mesh.HostPrefix(self)}},
		Routes:    []mesh.Route{route("10.7.1.2"), route("10.7.1.3")},
	}
}

func plugged(t *testing.T) *kerneltest.Fake {
	t.Helper()
	f := kerneltest.NewFake()
	if err := f.Plug("tbt-b"); err != nil {
		t.Fatal(err)
	}
	return f
}

func toFirstRoute(c mesh.Change) bool { return c.Route != nil && *c.Route == twoPeers().Routes[0] }

func TestConvergeKeepsWhatStandsAndNamesTheRest(t *testing.T) {
	f := plugged(t)
	f.Fail = func(c mesh.Change) error {
		if toFirstRoute(c) {
			return unix.ENOBUFS
		}
		return nil
	}
	stand, err := kernel.Converge(t.Context(), f, twoPeers())
	if !errors.Is(err, unix.ENOBUFS) || !strings.Contains(err.Error(), "10.7.1.2/32") || strings.Contains(err.Error(), "10.7.1.3/32") {
		t.Errorf("error %q names not exactly what failed", err)
	}
	if slices.ContainsFunc(stand, toFirstRoute) || len(stand) != 3 {
		t.Errorf("stand: %v", stand)
	}
	have, err := f.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(have.Routes, twoPeers().Routes[1:]) {
		t.Errorf("routes %v, want the second one alone", have.Routes)
	}
	f.Fail = nil
	stand, err = kernel.Converge(t.Context(), f, twoPeers())
	if err != nil || len(stand) != 1 || !toFirstRoute(stand[0]) {
		t.Errorf("the next turn: %v, %v", stand, err)
	}
}

func TestConvergeDoesNotBelieveApply(t *testing.T) {
	f := plugged(t)
	f.Ignore = toFirstRoute
	_, err := kernel.Converge(t.Context(), f, twoPeers())
	var drift *kernel.DriftError
	if !errors.As(err, &drift) {
		t.Fatalf("error %v, want a DriftError", err)
	}
	if len(drift.Missing) != 1 || !toFirstRoute(drift.Missing[0]) || !strings.Contains(err.Error(), "10.7.1.2/32") {
		t.Errorf("missing %v, error %q", drift.Missing, err)
	}
}

// A cable that is plugged while changes are applied is configured as well.
func TestConvergeFollowsHotplug(t *testing.T) {
	f := plugged(t)
	want := twoPeers()
	late := mesh.Link{Name: "tbt-c", Alias: "usb4mesh:test:2", MTU: 9000, Up: true}
	want.Links = append(want.Links, late)
	door := &hooked{Door: f, before: func() error { return f.Plug("tbt-c") }}
	if _, err := kernel.Converge(t.Context(), door, want); err != nil {
		t.Fatal(err)
	}
	have, err := f.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(have.Links, func(l mesh.Link) bool { return l.Name == "tbt-c" && l.Alias == late.Alias && l.Up }) {
		t.Errorf("links %+v", have.Links)
	}
}

// hooked runs before ahead of the first Apply.
type hooked struct {
	kernel.Door
	before func() error
}

func (h *hooked) Apply(ctx context.Context, changes []mesh.Change) error {
	if h.before != nil {
		if err := h.before(); err != nil {
			return err
		}
		h.before = nil
	}
	return h.Door.Apply(ctx, changes)
}

func TestConvergeStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := plugged(t)
	n := 0
	f.Fail = func(mesh.Change) error {
		if n++; n == 2 {
			cancel()
		}
		return nil
	}
	stand, err := kernel.Converge(ctx, f, twoPeers())
	if !errors.Is(err, context.Canceled) || len(stand) != 2 {
		t.Errorf("stand %v, error %v; want two changes and a cancelled context", stand, err)
	}
}

// A cable that is pulled between Snapshot and Apply makes changes fail that are
// not wanted any more when Converge looks again.
func TestConvergeFollowsUnplug(t *testing.T) {
	f := plugged(t)
	door := &hooked{Door: f, before: func() error { return f.Unplug("tbt-b") }}
	stand, err := kernel.Converge(t.Context(), door, twoPeers())
	if err != nil || len(stand) != 0 {
		t.Errorf("stand %v, error %v; nothing can stand and nothing is wrong", stand, err)
	}
}
