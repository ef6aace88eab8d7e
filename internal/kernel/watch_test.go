package kernel

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// alone returns a Kernel in a namespace of its own.
func alone(t *testing.T) *Kernel {
	t.Helper()
	type result struct {
		k   *Kernel
		err error
	}
	c := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			c <- result{nil, err}
			return
		}
		k, err := Open()
		c <- result{k, err}
	}()
	r := <-c
	if errors.Is(r.err, unix.EPERM) {
		t.Skipf("needs root or user namespaces: %v", r.err)
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() {
		if err := r.k.Close(); err != nil {
			t.Error(err)
		}
	})
	return r.k
}

// stir changes the namespace n times.
func stir(t *testing.T, k *Kernel, n int) {
	t.Helper()
	for range n {
		a := mesh.Address{Interface: "lo", Local: netip.MustParsePrefix("10.7.1.1/32")}
		if err := k.Apply(t.Context(), []mesh.Change{{Op: mesh.Add, Address: &a}, {Op: mesh.Remove, Address: &a}}); err != nil {
			t.Fatal(err)
		}
	}
}

func awake(t *testing.T, wake <-chan struct{}, what string) {
	t.Helper()
	select {
	case _, open := <-wake:
		if !open {
			t.Fatalf("%s: closed", what)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("%s: nobody was woken", what)
	}
}

// settle takes values until there are none for a while.
func settle(wake <-chan struct{}) {
	for {
		select {
		case <-wake:
		case <-time.After(200 * time.Millisecond):
			return
		}
	}
}

func TestWatchSurvivesOverflow(t *testing.T) {
	k := alone(t)
	s, err := k.subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetReceiveBufferSize(1, false); err != nil { // the kernel takes its minimum
		t.Fatal(err)
	}
	stir(t, k, 100)
	overflown := false
	for range 50 { // the error comes before or after what still fitted
		if _, _, err := s.Receive(); errors.Is(err, unix.ENOBUFS) {
			overflown = true
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !overflown {
		t.Fatal("the socket did not overflow, so this test proves nothing")
	}
	stir(t, k, 100)
	ctx, stop := context.WithCancel(t.Context())
	wake, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		k.listen(ctx, s, wake, anything)
	}()
	awake(t, wake, "overflow")
	settle(wake)
	select {
	case <-ended:
		t.Fatal("the overflow ended the socket")
	default:
	}
	stir(t, k, 1)
	awake(t, wake, "a change after the overflow")
	stop()
	<-ended
}

func TestWatchReopensADeadSocket(t *testing.T) {
	k := alone(t)
	sockets := make(chan *nl.NetlinkSocket, 10)
	tries := 0
	wake, err := k.watch(t.Context(), func(ctx context.Context) (*nl.NetlinkSocket, error) {
		if tries++; tries == 2 {
			return nil, unix.EMFILE
		}
		s, err := k.subscribe(ctx)
		sockets <- s
		return s, err
	}, anything)
	if err != nil {
		t.Fatal(err)
	}
	settle(wake)
	(<-sockets).Close()
	awake(t, wake, "after the death of the socket")
	settle(wake)
	if len(sockets) != 1 {
		t.Fatalf("%d sockets opened instead, want 1", len(sockets))
	}
	stir(t, k, 1)
	awake(t, wake, "a change on the new socket")
}
