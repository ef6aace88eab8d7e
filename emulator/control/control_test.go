package control_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usb4mesh/usb4mesh/emulator/control"
	"github.com/usb4mesh/usb4mesh/emulator/fabric"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a fabric with a control socket.
func start(t *testing.T) (path string, f *fabric.Fabric) {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	topology, err := fabric.ParseTopology([]byte(`{hosts: [{name: a}, {name: b}], cables: [{name: c, a: "a:1", b: "b:1"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	f, err = fabric.New(topology, fabric.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "control.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ctx, l, f) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return path, f
}

func TestRequests(t *testing.T) {
	path, f := start(t)
	state := func() fabric.CableStats { return f.Stats().Cables[0] }
	for _, x := range []struct {
		request string
		fails   string
		check   func() bool
	}{
		{"unplug c", "", func() bool { return !state().Plugged }},
		{"plug c", "", func() bool { return state().Plugged }},
		{"replug c 1ms", "", func() bool { time.Sleep(50 * time.Millisecond); return state().Plugged }},
		{"fault c a:1 silent lanes=1", "", func() bool { return state().Ends[0].Fault == (fabric.Fault{Silent: true, Lanes: 1}) }},
		{"fault c both dead", "", func() bool {
			return state().Ends[0].Fault.Dead && state().Ends[1].Fault.Dead && !state().Ends[0].Fault.Silent
		}},
		{"clear", "", func() bool { return state().Ends[0].Fault == fabric.Fault{} }},
		{"power a off", "", func() bool { return !f.Stats().Hosts[0].Powered }},
		{"power a on", "", func() bool { return f.Stats().Hosts[0].Powered }},
		{"plug", "usage: plug CABLE", nil},
		{"plug z", `no cable "z"`, nil},
		{"replug c", "usage", nil},
		{"replug c x", "invalid duration", nil},
		{"fault c a broken", "broken", nil},
		{"fault c z dead", "not \"z\"", nil},
		{"power a maybe", "on or off", nil},
		{"power a", "usage", nil},
		{"sockets z", `no host "z"`, nil},
		{"dance", `no verb "dance"`, nil},
	} {
		_, err := control.Ask(t.Context(), path, strings.Fields(x.request)...)
		switch {
		case x.fails == "" && (err != nil || !x.check()):
			t.Errorf("%s: %v; or it was not done: %+v", x.request, err, f.Stats())
		case x.fails != "" && (err == nil || !strings.Contains(err.Error(), x.fails)):
			t.Errorf("%s: %v, expected %q", x.request, err, x.fails)
		}
	}
	if _, err := control.Ask(t.Context(), path, "plug c"); err == nil {
		t.Error("a word with a space: no error")
	}
	raw, err := control.Ask(t.Context(), path, "stats")
	if err != nil {
		t.Fatal(err)
	}
	var stats fabric.Stats
	if err := json.Unmarshal(raw, &stats); err != nil || len(stats.Hosts) != 2 || stats.Cables[0].Ends[1].Port != "b:1" {
		t.Errorf("stats: %v, %s", err, raw)
	}
	raw, err = control.Ask(t.Context(), path, "sockets", "b")
	if err != nil || !strings.Contains(string(raw), "b-1.sock") {
		t.Errorf("sockets: %v, %s", err, raw)
	}
}

// TestBadLines: empty and endless lines do no harm, and the next connection is served.
func TestBadLines(t *testing.T) {
	path, _ := start(t)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	var a control.Answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil || a.Error == "" {
		t.Errorf("an empty line: %+v, %v", a, err)
	}
	_, _ = conn.Write([]byte(strings.Repeat("x", 1<<16)))
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("after an endless line: %v, expected the connection to end", err)
	}
	_ = conn.Close()
	if _, err := control.Ask(t.Context(), path, "stats"); err != nil {
		t.Error(err)
	}
}
