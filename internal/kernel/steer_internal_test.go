package kernel

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A kernel without nf_tables refuses the socket, or the first transaction.
func TestNoSteering(t *testing.T) {
	s := steering{failed: os.NewSyscallError("socket", unix.EPROTONOSUPPORT)}
	if err := s.transact(t.Context(), nil); !errors.Is(err, ErrNoSteering) || !errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Errorf("error %v, want ErrNoSteering and its cause", err)
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{unix.EOPNOTSUPP, true}, {unix.EAFNOSUPPORT, true}, {unix.ENOENT, true}, {unix.EPERM, true},
		{unix.ENOBUFS, false}, {unix.EINVAL, false}, {unix.EEXIST, false}, {os.ErrDeadlineExceeded, false},
	} {
		if got := unsupported(fmt.Errorf("conn.Receive: %w", errors.Join(c.err, unix.EBUSY))); got != c.want {
			t.Errorf("%v: unsupported %t, want %t", c.err, got, c.want)
		}
	}
}
