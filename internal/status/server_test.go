package status

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// TestMain wants every server gone with its goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeAgent is a Source that says what a test tells it.
type fakeAgent struct {
	mu      sync.Mutex
	status  mesh.Status
	ill     error
	waiting map[chan struct{}]bool
}

func newFakeAgent(s mesh.Status) *fakeAgent {
	return &fakeAgent{status: s, waiting: map[chan struct{}]bool{}}
}

func (f *fakeAgent) Status() mesh.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fakeAgent) Healthy() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ill
}

func (f *fakeAgent) Subscribe(ctx context.Context) <-chan struct{} {
	wake := make(chan struct{}, 1)
	wake <- struct{}{}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting[wake] = true
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.waiting, wake)
		close(wake)
	})
	return wake
}

func (f *fakeAgent) set(change func(*mesh.Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.status)
	for wake := range f.waiting {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// serve opens a server with a socket and an address for the time of a test.
func serve(t *testing.T, f *fakeAgent, change ...func(*Options)) (socket, url string) {
	t.Helper()
	o := Options{Source: f, Socket: filepath.Join(t.TempDir(), "run", "a.sock"), Listen: "127.0.0.1:0"}
	for _, c := range change {
		c(&o)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return o.Socket, "http://" + s.Address().String()
}

// get asks over TCP and returns code and text.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// What an agent knows arrives at both doors as it is.
func TestStatusArrives(t *testing.T) {
	want := situation("dead-link")
	socket, url := serve(t, newFakeAgent(want))
	got, raw, err := Client{socket}.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("over the socket (-sent +read):\n%s", diff)
	}
	code, text := get(t, url+"/status.json")
	if code != http.StatusOK || text != string(raw) {
		t.Errorf("over TCP: %d\n%s\nwant\n%s", code, text, raw)
	}
}

func TestHealth(t *testing.T) {
	for _, tt := range []struct {
		name string
		turn uint64
		age  time.Duration
		ill  error
		code int
		text string
	}{
		{"turning", 7, time.Second, nil, 200, "ok: converged; last turn began 1"},
		{"first turn to come", 0, time.Second, nil, 200, "ok: converged; no turn is done yet; the agent began 1"},
		{"stands still", 7, time.Minute, nil, 503, "; that is more than 30s"},
		{"never turned", 0, time.Minute, nil, 503, "no turn is done yet; the agent began 1m"},
		{"says so itself", 7, time.Second, errors.New("the loop waits for the hardware"), 503, "the loop waits for the hardware"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeAgent(healthy())
			f.ill = tt.ill
			f.status.Turn = tt.turn
			f.status.Since = time.Now().Add(-tt.age)
			f.status.LastTurn.Started = f.status.Since
			_, url := serve(t, f)
			code, text := get(t, url+"/healthz")
			if code != tt.code || !strings.Contains(text, tt.text) {
				t.Errorf("%d %q, want %d and %q", code, text, tt.code, tt.text)
			}
		})
	}
}

// Nothing but reading is offered, and no door to the inside of the program.
func TestOnlyReading(t *testing.T) {
	_, url := serve(t, newFakeAgent(healthy()))
	for _, page := range []string{"/debug/pprof/", "/events", "/status", "/../etc/passwd"} {
		if code, _ := get(t, url+page); code != http.StatusNotFound {
			t.Errorf("GET %s over TCP: %d, want 404", page, code)
		}
	}
	for _, page := range []string{"/", "/status.json", "/healthz", "/metrics"} {
		answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Post(url+page, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d, want 405", page, answer.StatusCode)
		}
	}
}

func TestWatch(t *testing.T) {
	f := newFakeAgent(healthy())
	socket, _ := serve(t, f, func(o *Options) {
		o.bounds = usual
		o.bounds.patience, o.bounds.heartbeat, o.bounds.gap = 200*time.Millisecond, 100*time.Millisecond, time.Millisecond
	})
	enough := errors.New("enough")
	seen := 0
	began := time.Now()
	err := Client{socket}.Watch(t.Context(), func(s mesh.Status, _ []byte) error {
		seen++
		switch {
		case seen == 1:
			f.set(func(s *mesh.Status) { s.State = mesh.StateFailed })
		case seen == 2 && s.State != mesh.StateFailed:
			t.Errorf("the second status is %s", s.State)
		case time.Since(began) > time.Second: // five times the patience with a request, by heartbeats
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen < 3 {
		t.Errorf("after %d statuses: %v", seen, err)
	}
}

// Who watches learns that the agent has gone.
func TestWatchEnds(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "a.sock")
	s, err := Open(Options{Source: newFakeAgent(healthy()), Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	err = Client{socket}.Watch(t.Context(), func(mesh.Status, []byte) error { return s.Close() })
	var gone *Unavailable
	if !errors.As(err, &gone) {
		t.Errorf("the watch ended with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (Client{socket}).Watch(ctx, nil); err == nil {
		t.Error("a watch began after its end")
	}
}

func TestSocketIsForOneGroup(t *testing.T) {
	dir := t.TempDir()
	mode := func(path string) (os.FileMode, uint32) {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode(), info.Sys().(*syscall.Stat_t).Gid
	}
	socket, _ := serve(t, newFakeAgent(healthy()))
	if m, _ := mode(socket); m != os.ModeSocket|0o660 {
		t.Errorf("mode %s, want 0660", m)
	}
	if left, err := os.ReadDir(filepath.Dir(socket)); err != nil || len(left) != 1 {
		t.Errorf("beside the socket: %v %v", left, err)
	}
	if os.Geteuid() == 0 {
		g, err := user.LookupGroup("daemon")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "b.sock")
		l, err := listenUnix(path, "daemon", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, gid := mode(path); strconv.Itoa(int(gid)) != g.Gid {
			t.Errorf("the socket belongs to group %d, want %s", gid, g.Gid)
		}
	}
	if _, err := listenUnix(filepath.Join(dir, "c.sock"), "no-such-group", nil); err == nil || !strings.Contains(err.Error(), "no-such-group") {
		t.Errorf("a group that does not exist: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "c.sock")); err == nil {
		t.Error("a socket was left although its group is wrong")
	}
}

func TestSocketOfOthers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.sock")
	open := func() (*Server, error) { return Open(Options{Source: newFakeAgent(healthy()), Socket: path}) }

	// A killed agent leaves its socket.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	first, err := open()
	if err != nil {
		t.Fatalf("a dead socket is in the way: %v", err)
	}

	// One that lives stays.
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "another agent answers") {
		t.Errorf("a second agent: %v", err)
	}
	if _, _, err := (Client{path}).Get(t.Context()); err != nil {
		t.Errorf("the first one does not answer any more: %v", err)
	}

	// What came in its place is not removed with it.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := (Client{path}).Get(t.Context()); err != nil {
		t.Errorf("the second one lost its socket: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}

	// Files are not replaced, impossible names are explained.
	if err := os.WriteFile(path, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "a file of another kind") {
		t.Errorf("a file is in the way: %v", err)
	}
	path = filepath.Join(dir, strings.Repeat("x", 200))
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a long name: %v", err)
	}
	if _, err := Open(Options{Source: newFakeAgent(healthy())}); err == nil {
		t.Error("a server without a door")
	}
}

// An address that is taken leaves no socket behind.
func TestAddressTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	socket := filepath.Join(t.TempDir(), "a.sock")
	if _, err := Open(Options{Source: newFakeAgent(healthy()), Socket: socket, Listen: taken.Addr().String()}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("address taken: %v", err)
	}
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket is left")
	}
}

// Who connects and says nothing, or too much, does not keep others out.
func TestBounds(t *testing.T) {
	socket, url := serve(t, newFakeAgent(healthy()), func(o *Options) {
		o.bounds = usual
		o.bounds.connections, o.bounds.patience, o.bounds.idle = 3, 300*time.Millisecond, 300*time.Millisecond
	})
	for range 3 {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /status.json HT") // and no more
	}
	if _, _, err := (Client{socket}).Get(t.Context()); err == nil {
		t.Error("a fourth connection was served")
	}
	if code, _ := get(t, url+"/healthz"); code != http.StatusOK && code != http.StatusServiceUnavailable {
		t.Errorf("the other door is closed, too: %d", code)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, _, err := Client{socket}.Get(t.Context())
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the silent ones are never thrown out: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("y", 64<<10))
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.Contains(answer, "431") {
		t.Errorf("a huge header: %q", answer)
	}
	_, _ = io.Copy(io.Discard, c) // net/http takes half a second to part
}

// Errors of the client say what to do.
func TestUnavailable(t *testing.T) {
	dir := t.TempDir()
	ask := func(socket string) string {
		_, _, err := Client{filepath.Join(dir, socket)}.Get(t.Context())
		if err == nil {
			t.Fatalf("%s answers", socket)
		}
		return err.Error()
	}
	if got := ask("none"); !strings.Contains(got, "no agent runs here") || !strings.Contains(got, "systemctl start usb4mesh") {
		t.Error(got)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "dead"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if got := ask("dead"); !strings.Contains(got, "the agent has ended") {
		t.Error(got)
	}
	refused := Unavailable{Socket: filepath.Join(dir, "dead"), Err: syscall.EACCES}
	if got := refused.Error(); !strings.Contains(got, "you may not ask the agent") || !strings.Contains(got, "ask as root") {
		t.Error(got)
	}
	if os.Geteuid() == 0 {
		g, err := user.LookupGroup("daemon")
		if err != nil {
			t.Fatal(err)
		}
		gid, _ := strconv.Atoi(g.Gid)
		if err := errors.Join(os.Chmod(refused.Socket, 0o660), os.Chown(refused.Socket, -1, gid)); err != nil {
			t.Fatal(err)
		}
		if got := refused.Error(); !strings.Contains(got, "usermod -aG daemon USER") {
			t.Error(got)
		}
	}
}

// Other servers are told from agents, and a newer agent's words survive.
func TestForeignServer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "x.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	text := `{"node":"01","temperature":42}`
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/status.json" {
			fmt.Fprint(w, text)
			return
		}
		http.NotFound(w, r)
	})}
	go server.Serve(l) //nolint:errcheck // ends with the test
	defer server.Close()
	c := Client{socket}
	s, raw, err := c.Get(t.Context())
	if err != nil || s.Node != "01" || string(raw) != text {
		t.Errorf("%+v %s %v", s, raw, err)
	}
	if err := c.Watch(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "not an agent") {
		t.Errorf("watching something else: %v", err)
	}
	text = "<html>"
	var syntax *json.SyntaxError
	if _, _, err := c.Get(t.Context()); !errors.As(err, &syntax) {
		t.Errorf("HTML was taken for a status: %v", err)
	}
}
