package agent

import (
	"context"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/liveness"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/remote"
)

// parts are what the agent works with: the real ones, or fakes of a test.
type parts struct {
	kernel   Kernel      // while Run runs
	door     kernel.Door // to the kernel: it remembers what was there before
	hardware Hardware

	openKernel   func() (Kernel, error)
	openHardware func() (Hardware, error)
	openLiveness func(context.Context, liveness.Config) (Liveness, error)
	openGossip   func(gossip.Config) (Gossip, error)
	loadKeys     func(path string) ([][]byte, error)

	openMeasuring func(remote.Config) (Measurer, error)

	openTuner func() (Tuner, error)
	notify    func(state string) // tells systemd
}

// Kernel is what the agent needs of kernel.Kernel.
type Kernel interface {
	kernel.Door
	Watch(ctx context.Context) (<-chan struct{}, error)
	// Steer never waits for the kernel's RTNL lock.
	Steer(ctx context.Context, entries []mesh.Steer) error
	// Unsteer takes away all that Steer has made.
	Unsteer(ctx context.Context) error
	// Guard keeps strangers out, and counts what was refused since the last call.
	Guard(ctx context.Context, g mesh.Guard) (mesh.Refused, error)
	// WatchFilters tells when somebody else has changed what Steer or Guard has made.
	WatchFilters(ctx context.Context) (<-chan struct{}, error)
	Close() error
}

// Hardware is what the agent needs of package hw, and the one thing that it writes
// below /sys.
type Hardware interface {
	Scan() (mesh.Hardware, []finding.Finding)
	// Watch returns a channel that gets a value when USB4 devices may have changed.
	Watch(ctx context.Context) (<-chan struct{}, error)
	// Rebind unbinds the network driver from a service (0-2.0) and binds it again.
	Rebind(service string) error
	Close() error
}

// Liveness is what the agent needs of liveness.Engine.
type Liveness interface {
	Set(links []liveness.Link)
	Events() <-chan liveness.Event
	Sessions() []liveness.Session
	Close() error
}

// Gossip is what the agent needs of gossip.Gossip.
type Gossip interface {
	Announce(links []gossip.LinkState)
	States() []gossip.LinkState
	Changed() <-chan struct{}
	Members() []gossip.Member
	Strangers() []gossip.Stranger
	Note(key, value string)
	Kick()
	SetKeys(keys [][]byte) error
	MayHeal(cable string, down time.Duration) (bool, string)
	Close() error
}

var (
	_ Liveness = (*liveness.Engine)(nil)
	_ Gossip   = (*gossip.Gossip)(nil)
	_ Measurer = (*remote.Agent)(nil)
)
