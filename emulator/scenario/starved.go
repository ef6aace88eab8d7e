package scenario

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

// A machine with far too much to do may leave the emulator without processor for so long that a driver gives up: it asks its
// host router four times, 100 ms apart (drivers/thunderbolt/tb.c, TB_TIMEOUT), and a real one always answers in time.
// So a guest whose driver did not come up is booted again if, and only if, the emulator was seen to stand still that long.
const (
	standstill = 300 * time.Millisecond
	boots      = 3
)

// watch measures the longest time for which this process did not run although it wanted to.
type watch struct{ worst atomic.Int64 }

// run looks at the clock every few milliseconds until ctx ends.
func (s *watch) run(ctx context.Context) {
	const step = 20 * time.Millisecond
	last := time.Now()
	for ctx.Err() == nil {
		time.Sleep(step)
		now := time.Now()
		if late := int64(now.Sub(last) - step); late > s.worst.Load() {
			s.worst.Store(late)
		}
		last = now
	}
}

// take returns the longest standstill since it was asked the last time.
func (s *watch) take() time.Duration { return time.Duration(s.worst.Swap(0)) }

// bound says whether the driver has taken all host interfaces. Guests with systemd load it when they like.
func (h *Host) bound() (bool, error) {
	if h.world.spec.Systemd || h.world.spec.Modules != nil {
		return true, nil
	}
	found, err := h.Tree(h.world.T.Context(), wire.Tree{Roots: []string{"/sys/bus/pci/drivers/thunderbolt/*:*"}, Max: 16})
	return len(found) == len(h.nhis), err
}
