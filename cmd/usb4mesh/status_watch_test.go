package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/status"
)

// terminal is a pseudo-terminal and what was written to it.
type terminal struct {
	*os.File
	mu      sync.Mutex
	written strings.Builder
}

func newTerminal(t *testing.T, rows, columns uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	term := &terminal{File: slave}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			if err != nil {
				return
			}
			term.mu.Lock()
			term.written.Write(b[:n])
			term.mu.Unlock()
		}
	}()
	return term
}

// await waits until text was written, and returns all that was.
func (x *terminal) await(t *testing.T, text string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		x.mu.Lock()
		all := x.written.String()
		x.mu.Unlock()
		if strings.Contains(all, text) {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q was never written; this was:\n%q", text, all)
		}
	}
}

// On a terminal the screen is drawn in place, outlives the agent, and is gone in
// the end as if nothing had been.
func TestWatchOnTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	term := newTerminal(t, 12, 60)
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "s.json"), filepath.Join(dir, "a.sock")
	say := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	links := strings.Repeat(`{"interface":"tbt-02","port":"left","peer":"02"},`, 20)
	say(`{"mesh":"m","node":"01","state":"converged","links":[` + strings.TrimSuffix(links, ",") + `]}`)
	server, err := status.Open(status.Options{Source: &statusFile{name: file}, Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- watchStatus(ctx, status.Client{Socket: socket}, term.File, false) }()

	term.await(t, "\x1b[1;32mconverged\x1b[0m")
	term.await(t, "more lines")
	say(`{"mesh":"m","node":"01","state":"failed","why":"no reason"}`)
	term.await(t, "no reason")
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	term.await(t, "The agent does not answer")
	server, err = status.Open(status.Options{Source: &statusFile{name: file}, Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	say(`{"mesh":"m","node":"01","state":"starting","why":"it is back"}`)
	term.await(t, "it is back")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
	all := term.await(t, leaveScreen)
	if !strings.HasPrefix(all, enterScreen) || !strings.HasSuffix(all, leaveScreen) {
		t.Errorf("the terminal is not as it was: %q", all)
	}
	if strings.Contains(strings.TrimPrefix(all, enterScreen), "\x1b[2J") {
		t.Error("the screen is cleared between two drawings: it flickers")
	}
}

func TestFrame(t *testing.T) {
	if got, want := frame("a\nb\n", 3), home+"a"+clearLine+"\r\nb"+clearLine+clearBelow; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := frame("a\nb\nc\nd\n", 3), home+"a"+clearLine+"\r\nb"+clearLine+"\r\n... 2 more lines; `usb4mesh status` shows all"+clearLine+clearBelow; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Clocks and counters are no news.
func TestEssence(t *testing.T) {
	s := mesh.Status{Turn: 1, Links: []mesh.LinkStatus{{RxBytes: 1}}}
	first, err := essence(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Turn, s.Now, s.LastTurn.Started, s.Links[0].RxBytes, s.Links[0].Liveness.Sent = 2, time.Now(), time.Now(), 2, 2
	if again, _ := essence(s); again != first {
		t.Errorf("%s is news after %s", again, first)
	}
	s.Links[0].Usable = true
	if again, _ := essence(s); again == first {
		t.Error("a link that came up is no news")
	}
}
