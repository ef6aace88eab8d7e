package liveness

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
)

func TestOpenRefuses(t *testing.T) {
	for _, c := range []Config{{Interval: time.Millisecond}, {Interval: time.Hour}, {Multiplier: 256}, {Multiplier: -1}} {
		if e, err := Open(t.Context(), c); err == nil {
			e.Close()
			t.Errorf("%+v: opened", c)
		}
	}
}

// Close ends the events, twice is once, and what comes after does nothing.
func TestClose(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	for _, end := range []func(*Engine){func(e *Engine) { e.Close() }, func(*Engine) { cancel() }} {
		e, err := Open(ctx, Config{})
		if err != nil {
			t.Fatal(err)
		}
		end(e)
		select {
		case _, ok := <-e.Events():
			if ok {
				t.Error("an event of nothing")
			}
		case <-time.After(patience):
			t.Fatal("events do not end")
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		e.Set([]Link{{Name: "tbt-1", Index: 1, Local: address(0, 1, false), Remote: address(1, 1, false)}})
		e.Hold("tbt-1", true)
		if s := e.Sessions(); len(s) != 0 {
			t.Errorf("a closed engine has sessions: %+v", s)
		}
	}
}

// Engines and links come and go without leaving descriptors behind. Goroutines are
// counted at the end of all tests.
func TestDescriptors(t *testing.T) {
	w := newWorld(t)
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	links := w.plug(1, false)
	runtime.GC()
	before := count()
	for range 20 {
		e := w.nodes[0].engine(Config{}, links[0])
		links = func() [2]Link { w.unplug(1); return w.plug(1, false) }()
		e.Set(links[:1])
		e.Set(nil)
		e.Set(links[:1])
		e.Close()
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// A reader that was away gets the changes of a link joined, in order, and none twice.
func TestSlowReader(t *testing.T) {
	w := newWorld(t)
	links := w.plug(1, false)
	a := w.nodes[0].engine(realTimeConfig, links[0])
	b := w.nodes[1].engine(realTimeConfig, links[1])
	until(t, a, Alive)
	until(t, b, Alive)
	held := func(hold bool, want Verdict) {
		t.Helper()
		b.Hold(cableName(1), hold)
		for end := time.Now().Add(patience); only(t, a).Verdict != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not %s: %+v", want, only(t, a))
			}
		}
	}
	for range 3 {
		held(true, Absent)
		held(false, Alive)
	}
	held(true, Absent)
	var got []Event
	for done := false; !done; {
		select {
		case ev := <-a.Events():
			got = append(got, ev)
		case <-time.After(300 * time.Millisecond):
			done = true
		}
	}
	// One may have been on its way before the reader went.
	if len(got) < 1 || len(got) > 2 {
		t.Errorf("%d events: %+v", len(got), got)
	}
	known := Alive
	for _, ev := range got {
		if ev.Previous != known {
			t.Errorf("was %s, but the reader knows %s", ev.Previous, known)
		}
		known = ev.Session.Verdict
	}
	if known != Absent {
		t.Errorf("the last the reader hears is %s", known)
	}
}

// A link that can't be watched says why, and is watched when it can be.
func TestProblems(t *testing.T) {
	w := newWorld(t)
	links := w.plug(1, false)
	// Somebody has the port.
	var fd int
	if err := w.nodes[0].in(func() (err error) { fd, err = openReceiver(links[0], Port); return err }); err != nil {
		t.Fatal(err)
	}
	b := w.nodes[1].engine(realTimeConfig, links[1])
	a := w.nodes[0].engine(realTimeConfig, links[0])
	s := only(t, a)
	if len(s.Problems) == 0 || !strings.Contains(s.Problems[0], "3784") {
		t.Errorf("problems: %q", s.Problems)
	}
	until(t, a, Absent)
	unix.Close(fd)
	until(t, a, Alive)
	until(t, b, Alive, Absent)
	if s := only(t, a); (len(s.Problems) != 0) == s.RealTime {
		t.Errorf("problems: %q", s.Problems)
	}

	var text lockedBuffer
	e := w.nodes[0].engine(Config{Port: 3785, Log: slog.New(slog.NewTextHandler(&text, nil))}, links[0],
		links[0], Link{Name: "x", Local: links[0].Local, Remote: links[0].Remote},
		Link{Name: "y", Index: 1, Local: links[0].Local, Remote: address(1, 1, true)},
		Link{Name: "z", Index: 1, Local: links[0].Local.WithZone("z"), Remote: links[0].Remote})
	only(t, e)
	if n := strings.Count(text.String(), "can't be watched"); n != 4 {
		t.Errorf("%d warnings, want 4: %s", n, text.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Without any capability BFD runs on; what does not is said.
func TestUnprivileged(t *testing.T) {
	if kerneltest.Borrowed() {
		t.Skip("root alone can start a process with fewer rights")
	}
	w := newWorld(t)
	links := w.plug(1, false)
	a := w.nodes[0].engine(realTimeConfig, links[0])
	p := w.nodes[1].startAs(&syscall.Credential{Uid: 65534, Gid: 65534}, Config{RealTime: true}, links[1])
	until(t, a, Alive)
	var sessions []Session
	if err := json.Unmarshal(p.line(), &sessions); err != nil || len(sessions) != 1 {
		t.Fatalf("%v: %+v", err, sessions)
	}
	s := sessions[0]
	all := strings.Join(s.Problems, "\n")
	if s.State != Up || s.RealTime || !strings.Contains(all, "CAP_NET_RAW") || !strings.Contains(all, "LimitRTPRIO") {
		t.Errorf("%+v", s)
	}
}

// A driver that waits for a dead port holds the RTNL lock for seconds. Sessions go on
// meanwhile, end when the link does, and new ones begin.
func TestWhileRTNLIsHeld(t *testing.T) {
	w := newWorld(t)
	links, second := w.plug(1, false), w.plug(2, false)
	a := w.nodes[0].engine(realTimeConfig, links[0])
	b := w.nodes[1].engine(realTimeConfig, links[1])
	// The kernel itself needs the lock before a new address can be used.
	c := w.nodes[0].engine(realTimeConfig, second[0])
	d := w.nodes[1].engine(realTimeConfig, second[1])
	for _, e := range []*Engine{a, b, c, d} {
		until(t, e, Alive)
	}
	c.Set(nil)
	d.Set(nil)
	time.Sleep(500 * time.Millisecond)

	release := kerneltest.HoldRTNL(t, w.nodes[0].ns)
	began := time.Now()
	quiet(t, 300*time.Millisecond, a, b)
	c.Set(second[:1])
	d.Set(second[1:])
	until(t, c, Alive)
	until(t, d, Alive)
	cut := w.nodes[0].silence(1, true)
	_, at := until(t, a, Dead)
	t.Logf("RTNL held for %s; dead %s after the cut", time.Since(began).Round(time.Millisecond), at.Sub(cut).Round(time.Millisecond))
	release()
	until(t, b, Dead)
}
