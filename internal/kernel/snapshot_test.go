package kernel

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func TestSettledReadsAgain(t *testing.T) {
	for _, c := range []struct {
		name        string
		interrupted int // how many reads in a row
		reads       int
		err         error
	}{
		{"quiet", 0, 1, nil},
		{"busy", 3, 4, nil},
		{"never quiet", 1000, snapshotTries, errUnsettled},
	} {
		t.Run(c.name, func(t *testing.T) {
			reads := 0
			_, err := settled(t.Context(), func() (mesh.State, error) {
				if reads++; reads <= c.interrupted {
					return mesh.State{}, errUnsettled
				}
				return mesh.State{}, nil
			})
			if reads != c.reads || !errors.Is(err, c.err) {
				t.Errorf("%d reads, error %v; want %d, %v", reads, err, c.reads, c.err)
			}
		})
	}
}

// The kernel flags a long dump as interrupted when the table changes meanwhile,
// and dump has to notice.
func TestDumpNoticesInterruption(t *testing.T) {
	k := alone(t)
	var many []mesh.Change
	for i := range 3000 {
		a := mesh.Address{Interface: "lo", Local: mesh.HostPrefix(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}))}
		many = append(many, mesh.Change{Op: mesh.Add, Address: &a})
	}
	if err := k.Apply(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	other := beside(t, k)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	churned := make(chan struct{})
	defer func() { stop(); <-churned }()
	go func() {
		defer close(churned)
		a := mesh.Address{Interface: "lo", Local: netip.MustParsePrefix("10.7.1.1/32")}
		for ctx.Err() == nil {
			_ = other.Apply(ctx, []mesh.Change{{Op: mesh.Add, Address: &a}, {Op: mesh.Remove, Address: &a}}) // ends with the context
		}
	}()
	for dumps := 0; ; dumps++ {
		err := k.do(ctx, func() error {
			_, err := k.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC))
			return err
		})
		switch {
		case errors.Is(err, errUnsettled):
			return
		case err != nil:
			t.Fatalf("after %d dumps: %v", dumps, err)
		}
	}
}

// beside returns a second Kernel in the namespace of k.
func beside(t *testing.T, k *Kernel) *Kernel {
	t.Helper()
	var other *Kernel
	err := k.do(t.Context(), func() (err error) {
		other, err = Open()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	return other
}
