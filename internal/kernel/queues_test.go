package kernel_test

import (
	"os/exec"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
)

func TestQueues(t *testing.T) {
	if noKernel != "" {
		t.Skip(noKernel)
	}
	if _, err := exec.LookPath("tc"); err != nil {
		t.Skip("tc is not installed (Debian: iproute2)")
	}
	done := make(chan struct{})
	go func() { // on a thread of its own, which ends with its namespace
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		for _, c := range [][]string{
			{"ip", "link", "add", "tbt-a", "type", "veth", "peer", "name", "tbt-b"},
			{"tc", "qdisc", "add", "dev", "tbt-a", "root", "tbf", "rate", "2gbit", "burst", "512kb", "limit", "4mb"},
		} {
			if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%v: %v %s", c, err, out)
				return
			}
		}
		got, err := kernel.Queues()
		if err != nil {
			t.Error(err)
			return
		}
		if diff := cmp.Diff([]kernel.Queue{{Interface: "tbt-a", Kind: "tbf", Rate: 2e9}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}()
	<-done
}
