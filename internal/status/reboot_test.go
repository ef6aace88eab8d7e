package status

import (
	"context"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// rebooter is an agent that grants every reservation.
type rebooter struct {
	*fakeAgent
	held time.Duration
}

func (r *rebooter) Reserve(_ context.Context, hold time.Duration) mesh.RebootVerdict {
	r.held = hold
	return mesh.RebootVerdict{OK: true, Reason: "granted"}
}

func (r *rebooter) Release() mesh.RebootVerdict {
	r.held = 0
	return mesh.RebootVerdict{Reason: "released"}
}

func TestReserve(t *testing.T) {
	r := &rebooter{fakeAgent: newFakeAgent(mesh.Status{State: mesh.StateConverged})}
	socket, url := serve(t, r.fakeAgent, func(o *Options) { o.Source = r })
	c := Client{Socket: socket}
	v, err := c.Reserve(t.Context(), 10*time.Minute)
	if err != nil || !v.OK || v.Reason != "granted" || r.held != 10*time.Minute {
		t.Errorf("reserve: %+v, %v; held for %s", v, err, r.held)
	}
	v, err = c.Release(t.Context())
	if err != nil || v.OK || !strings.Contains(v.Reason, "released") || r.held != 0 {
		t.Errorf("release: %+v, %v; held for %s", v, err, r.held)
	}
	for _, bad := range []string{"?hold=", "?hold=-1m", "?hold=soon", ""} {
		if _, err := c.reboot(t.Context(), http.MethodPost, rebootPage+bad); err == nil || !strings.Contains(err.Error(), "400") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// Not over the address, whoever asks.
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		req, err := http.NewRequestWithContext(t.Context(), method, url+rebootPage+"?hold=1m", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode < 400 || r.held != 0 {
			t.Errorf("%s over the address: %s, held for %s", method, answer.Status, r.held)
		}
	}
}

// Who may only read the socket has no effect.
func TestReserveIsForRootAndTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	r := &rebooter{fakeAgent: newFakeAgent(mesh.Status{State: mesh.StateConverged})}
	socket, _ := serve(t, r.fakeAgent, func(o *Options) { o.Source = r })
	for dir := socket; dir != "/tmp" && dir != "/"; dir = dir[:max(1, strings.LastIndex(dir, "/"))] {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	status := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends as who it became
		const nobody = 65534
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), nobody, ^uintptr(0)); errno != 0 {
			status <- errno
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket})
		}
		if err == nil {
			_, err = unix.Write(fd, []byte("POST /reboot?hold=1m HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n"))
		}
		if err != nil {
			status <- err
			return
		}
		defer unix.Close(fd)
		var b [256]byte
		n, err := unix.Read(fd, b[:])
		if err == nil && !strings.HasPrefix(string(b[:n]), "HTTP/1.1 403 ") {
			t.Errorf("nobody gets %q", b[:n])
		}
		status <- err
	}()
	if err := <-status; err != nil {
		t.Fatal(err)
	}
	if r.held != 0 {
		t.Errorf("nobody has reserved %s", r.held)
	}
}
