package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/liveness"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/remote"
)

// realParts are those of this machine. Kernel and hardware are opened by start.
func realParts(o Options) parts {
	return parts{
		openKernel:   func() (Kernel, error) { return kernel.Open() },
		openHardware: func() (Hardware, error) { return openMachine(o.Root) },
		openLiveness: func(ctx context.Context, c liveness.Config) (Liveness, error) { return liveness.Open(ctx, c) },
		openGossip:   func(c gossip.Config) (Gossip, error) { return gossip.Open(c) },
		loadKeys:     LoadKeys,
		openMeasuring: func(c remote.Config) (Measurer, error) {
			m, err := remote.Listen(c)
			if err != nil {
				return nil, err // not a Measurer that is nil
			}
			return m, nil
		},
		openTuner: func() (Tuner, error) { return openTuner(o) },
		notify:    sdNotify,
	}
}

// machine is the hardware below a root.
type machine struct {
	*hw.Root
	root string
}

func openMachine(root string) (*machine, error) {
	r, err := hw.Open(root)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	return &machine{r, root}, nil
}

// Scan implements Hardware.
func (m *machine) Scan() (mesh.Hardware, []finding.Finding) { return hw.Scan(m.Root) }

// Watch implements Hardware.
func (m *machine) Watch(ctx context.Context) (<-chan struct{}, error) {
	events, err := hw.Watch(ctx)
	if err != nil {
		return nil, err
	}
	wake := make(chan struct{}, 1)
	go func() {
		defer close(wake)
		for range events {
			select {
			case wake <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	return wake, nil
}

// driver is where thunderbolt_net lists its services (drivers/net/thunderbolt/main.c,
// tbnet_driver).
const driver = "sys/bus/thunderbolt/drivers/thunderbolt-net"

// Rebind implements Hardware. The interface goes, and a new one comes.
func (m *machine) Rebind(service string) error {
	if service == "" || strings.Trim(service, "0123456789abcdef.-") != "" {
		return fmt.Errorf("%q is no service of the thunderbolt bus", service)
	}
	err := m.tell("unbind", service)
	return errors.Join(err, m.tell("bind", service))
}

// tell writes to a file of the driver, which must exist.
func (m *machine) tell(file, text string) error {
	f, err := os.OpenFile(filepath.Join(m.root, driver, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}
