package kerneltest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Steer works as that of kernel.Kernel does.
func (f *Fake) Steer(ctx context.Context, entries []mesh.Steer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.NoSteering {
		return fmt.Errorf("%w (%w)", kernel.ErrNoSteering, unix.EOPNOTSUPP)
	}
	for _, e := range entries {
		if e.Mark&mesh.MarkMask == 0 || e.Mark&^mesh.MarkMask != 0 {
			return fmt.Errorf("mark %#x is outside of %#x", e.Mark, mesh.MarkMask)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steered = slices.Clone(entries)
	return nil
}

// Unsteer works as that of kernel.Kernel does.
func (f *Fake) Unsteer(ctx context.Context) error { return f.Steer(ctx, nil) }

// WatchFilters works as that of kernel.Kernel does.
func (f *Fake) WatchFilters(ctx context.Context) (<-chan struct{}, error) {
	if f.NoSteering {
		return nil, fmt.Errorf("%w (%w)", kernel.ErrNoSteering, unix.EOPNOTSUPP)
	}
	return f.filters.join(ctx, &f.mu), nil
}

// FlushFilters makes the fake a Fixture.
func (f *Fake) FlushFilters() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steered, f.guard = nil, nil
	f.filters.signal()
	return nil
}

// Steered returns what is steered now.
func (f *Fake) Steered() []mesh.Steer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.steered)
}

// steeringWatched tells changes by others from our own.
func steeringWatched(b *bench) {
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	wake, err := b.WatchFilters(ctx)
	b.must(err)
	quiet := func(what string) {
		b.Helper()
		select {
		case <-wake:
			b.Errorf("woken %s", what)
		case <-time.After(300 * time.Millisecond):
		}
	}
	<-wake
	entry := mesh.Steer{Destination: netip.MustParseAddr("10.7.1.2"), Port: portB, Mark: mesh.SteerMark(0)}
	for range 2 {
		b.must(b.Steer(b.ctx, []mesh.Steer{entry}))
		quiet("by steering")
		b.must(b.FlushFilters())
		select {
		case <-wake:
		case <-time.After(5 * time.Second):
			b.Fatal("somebody flushed the table, and nobody is woken")
		}
		for len(wake) > 0 { // what else came with it
			<-wake
		}
	}
	stop()
	for range wake { // until it is closed
	}
}

// steering is the part of the suite that needs no packets; where they go is tried
// on the real kernel.
func steering(b *bench) {
	entry := mesh.Steer{Destination: netip.MustParseAddr("10.7.1.2"), Port: portB, Mark: mesh.SteerMark(0)}
	transit := entry
	transit.Incoming = portC
	for _, set := range [][]mesh.Steer{nil, {entry}, {entry, transit}, {transit, transit}, nil} {
		b.must(b.Steer(b.ctx, set))
	}
	foreign := entry
	foreign.Mark = 0x4007
	if err := b.Steer(b.ctx, []mesh.Steer{foreign}); err == nil || !strings.Contains(err.Error(), "0x4007 is outside") {
		b.Errorf("a mark that is not ours: %v", err)
	}
	b.must(b.Steer(b.ctx, []mesh.Steer{entry}))
	b.must(b.Unsteer(b.ctx))
	b.must(b.Unsteer(b.ctx))
	if s := b.state(); slices.ContainsFunc(s.Rules, func(r mesh.Rule) bool { return r.Mark != 0 }) {
		b.Errorf("steering made rules: %v", s.Rules)
	}
}
