package kerneltest

import (
	"context"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Guard works as that of kernel.Kernel does, of a kernel in which no packet flows.
func (f *Fake) Guard(ctx context.Context, g mesh.Guard) (mesh.Refused, error) {
	if err := ctx.Err(); err != nil {
		return mesh.Refused{}, err
	}
	if f.NoSteering {
		return mesh.Refused{}, fmt.Errorf("%w (%w)", kernel.ErrNoSteering, unix.EOPNOTSUPP)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.guard = &g
	refused := f.refused
	f.refused = mesh.Refused{}
	return refused, nil
}

// Unguard works as that of kernel.Kernel does.
func (f *Fake) Unguard(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.guard = nil
	return nil
}

// Guarded returns the guard that stands, nil without one.
func (f *Fake) Guarded() *mesh.Guard {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.guard
}

// Refuse makes the next Guard report packets.
func (f *Fake) Refuse(r mesh.Refused) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = f.refused.Plus(r)
}

// guarding is the part of the suite that needs no packets; what is stopped is tried on
// the real kernel.
func guarding(b *bench) {
	plain := mesh.Guard{Ports: []string{portB, portC}, Addresses: []netip.Addr{netip.MustParseAddr("10.7.1.2"), netip.MustParseAddr("fd75::2")}}
	stranger := plain
	stranger.Strangers, stranger.Outside = []string{"thunderbolt0"}, []string{"usb0"}
	for _, g := range []mesh.Guard{{}, plain, plain, stranger, plain} {
		if r, err := b.Guard(b.ctx, g); err != nil || r != (mesh.Refused{}) {
			b.Errorf("refused %+v, %v", r, err)
		}
	}
	b.must(b.Steer(b.ctx, nil)) // one does not take the other away
	b.must(b.Unsteer(b.ctx))
	for range 2 {
		b.must(b.Unguard(b.ctx))
	}
}
