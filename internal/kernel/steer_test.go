package kernel_test

import (
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// nft runs nft inside the namespace and returns what it prints.
func (n *namespace) nft(t *testing.T, args ...string) string {
	t.Helper()
	type result struct {
		out []byte
		err error
	}
	c := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		if err := unix.Setns(int(n.near.Fd()), unix.CLONE_NEWNET); err != nil {
			c <- result{nil, err}
			return
		}
		out, err := exec.Command("nft", args...).CombinedOutput()
		c <- result{out, err}
	}()
	r := <-c
	if r.err != nil {
		t.Fatalf("nft %q: %v\n%s", args, r.err, r.out)
	}
	return string(r.out)
}

func steers() []mesh.Steer {
	to := func(in, dest, port string, k int) mesh.Steer {
		return mesh.Steer{Incoming: in, Destination: netip.MustParseAddr(dest), Port: port, Mark: mesh.SteerMark(k)}
	}
	return []mesh.Steer{
		to("", "10.7.1.3", "tbt-b", 0), to("", "fd75::3", "tbt-b", 0), to("tbt-c", "10.7.1.3", "tbt-b", 0),
		to("tbt-c", "fd75::3", "tbt-b", 0), to("tbt-b", "10.7.1.9", "tbt-c", 1), to("tbt-b", "10.7.1.9", "tbt-b", 0),
	}
}

func TestSteerWritesOneTable(t *testing.T) {
	n := ready(t)
	n.nft(t, "add table inet theirs; add chain inet theirs c; add rule inet theirs c counter")
	before := n.nft(t, "list", "ruleset")
	if err := n.Steer(t.Context(), steers()); err != nil {
		t.Fatal(err)
	}
	t.Log(n.nft(t, "list", "ruleset"))
	_ = strings.TrimSpace
	if err := n.Unsteer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := n.nft(t, "list", "ruleset"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func BenchmarkSteer(b *testing.B) {
	n, err := openNamespace()
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	for b.Loop() {
		if err := n.Steer(b.Context(), steers()); err != nil {
			b.Fatal(err)
		}
	}
}
