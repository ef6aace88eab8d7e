package hw

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWatch makes the kernel send an event: writing an action into a device's uevent
// file repeats it. Interfaces that are no USB4 links do not come through Watch, so
// the filter is opened.
func TestWatch(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making the kernel send a device event needs root")
	}
	const lo = "/devices/virtual/net/lo"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all, err := watch(ctx, func(e Uevent) bool { return e.Device == lo })
	if err != nil {
		t.Fatal(err)
	}
	filtered, err := Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/sys"+lo+"/uevent", []byte("change"), 0o200); errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) {
		t.Skip("/sys is read-only here, as in most containers: no device event can be provoked")
	} else if err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-all:
		if e.Action != "change" || e.Env["INTERFACE"] != "lo" || e.Env["SUBSYSTEM"] != "net" {
			t.Errorf("event %+v", e)
		}
	case <-time.After(5 * time.Second):
		t.Error("no event came")
	}
	select {
	case e := <-filtered:
		t.Errorf("%+v is not about USB4", e)
	default:
	}
	cancel()
	for _, c := range []<-chan Uevent{all, filtered} {
		select {
		case _, open := <-c:
			for open {
				_, open = <-c
			}
		case <-time.After(5 * time.Second):
			t.Error("the channel stays open after the context ended")
		}
	}
}
