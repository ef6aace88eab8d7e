package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pipeTo returns a file to pass to a command, and a function that closes it and
// returns what was written.
func pipeTo(t *testing.T) (*os.File, func() string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		var b bytes.Buffer
		_, _ = b.ReadFrom(r)
		r.Close()
		said <- b.String()
	}()
	return w, func() string { w.Close(); return <-said }
}

func fileWith(t *testing.T, text string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestExec(t *testing.T) {
	l := start(t, ring(t, 3), Options{})
	for _, c := range []struct {
		name         string
		argv         []string
		in, out, err string
		code         int
	}{
		{name: "streams", argv: []string{"sh", "-c", "cat; echo bad >&2; exit 7"}, in: "in\n", out: "in\n", err: "bad\n", code: 7},
		{name: "host name", argv: []string{"uname", "-n"}, out: "02\n"},
		{name: "environment", argv: []string{"sh", "-c", "echo $USB4MESH_NODE $WORD"}, out: "02 word\n"},
		{name: "directory", argv: []string{"pwd"}, out: "/usr\n"},
		{name: "its own interfaces", argv: []string{"ls", "/sys/class/net"}, out: "lo\ntbt-01\ntbt-03\numesh0\n"},
		{name: "killed", argv: []string{"sh", "-c", "kill -9 $$"}, code: 137},
		{name: "unknown", argv: []string{"no-such-command"}, code: 127, err: "node 02: exec: \"no-such-command\": executable file not found in $PATH\n"},
		{name: "big output", argv: []string{"sh", "-c", "head -c 300000 /dev/zero | wc -c"}, out: "300000\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, outText := pipeTo(t)
			errs, errText := pipeTo(t)
			code, err := l.Exec(t.Context(), Command{Node: "02", Argv: c.argv, Env: append(os.Environ(), "WORD=word"), Dir: "/usr"},
				[3]*os.File{fileWith(t, c.in), out, errs}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if o, e := outText(), errText(); code != c.code || o != c.out || e != c.err {
				t.Errorf("code %d, out %q, err %q; want %d, %q, %q", code, o, e, c.code, c.out, c.err)
			}
		})
	}
}

func TestExecPassesSignals(t *testing.T) {
	l := start(t, ring(t, 3), Options{})
	out, outText := pipeTo(t)
	signals := make(chan os.Signal, 1)
	time.AfterFunc(300*time.Millisecond, func() { signals <- syscall.SIGINT })
	code, err := l.Exec(t.Context(), Command{Node: "01", Argv: []string{"sh", "-c", "trap 'echo caught; exit 3' INT; sleep 60 >/dev/null 2>&1 & wait"}, Env: os.Environ()},
		[3]*os.File{fileWith(t, ""), out, out}, signals)
	if err != nil || code != 3 {
		t.Errorf("code %d, %v; want 3", code, err)
	}
	if got := outText(); got != "caught\n" {
		t.Errorf("output %q", got)
	}
}

// processesWith returns the processes that have an argument, as seen from here.
func processesWith(t *testing.T, arg string) []string {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range found {
		b, err := os.ReadFile(name)
		if err == nil && bytes.Contains(b, []byte(arg)) {
			out = append(out, strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return out
}

// sleeper starts a process in a node that is easy to find, and a grandchild that
// has left its process group.
func sleeper(t *testing.T, l *Lab) string {
	t.Helper()
	mark := fmt.Sprintf("600.%d", time.Now().UnixNano())
	out, _ := pipeTo(t)
	t.Cleanup(func() { out.Close() })
	code, err := l.Exec(t.Context(), Command{Node: "01", Argv: []string{"sh", "-c", "setsid sleep " + mark + " >/dev/null 2>&1 </dev/null &"}, Env: os.Environ()},
		[3]*os.File{fileWith(t, ""), out, out}, nil)
	if err != nil || code != 0 {
		t.Fatal(code, err)
	}
	for range 100 {
		if len(processesWith(t, mark)) > 0 {
			return mark
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the sleeper does not run")
	return ""
}

// wantGone waits until no process has mark among its arguments.
func wantGone(t *testing.T, mark string) {
	t.Helper()
	var left []string
	for range 200 {
		if left = processesWith(t, mark); len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("left behind: %q", left)
}

func TestCloseLeavesNothing(t *testing.T) {
	l := start(t, ring(t, 3), Options{})
	mark := sleeper(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wantGone(t, mark)
}

// ownStore gives the test a directory for running labs of its own.
func ownStore(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab") // short: a socket's path is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	store := filepath.Join(dir, "usb4mesh")
	t.Cleanup(func() { killKeepers(store) }) // of a test that failed half-way
	return store
}

// killKeepers kills what the records of a store prove to be its keepers.
func killKeepers(store string) {
	records, err := filepath.Glob(filepath.Join(store, "lab-*.json"))
	if err != nil {
		return
	}
	for _, name := range records {
		if r, err := (files{record: name}).readRecord(); err == nil && r.alive() {
			_ = syscall.Kill(r.Pid, syscall.SIGKILL)
		}
	}
}

func TestUpAndDown(t *testing.T) {
	needLab(t)
	dir := ownStore(t)
	ctx := t.Context()
	if _, err := Down(ctx, ""); !errors.Is(err, ErrNoLab) {
		t.Errorf("down without a lab: %v", err)
	}
	p := ring(t, 3)
	l, err := Up(ctx, p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	mark := sleeper(t, l)
	if err := l.Close(); err != nil { // as the end of the command that made it
		t.Fatal(err)
	}
	if _, err := Up(ctx, p, Options{}); err == nil || !strings.Contains(err.Error(), "is running already") {
		t.Errorf("second lab of the same mesh: %v", err)
	}
	if l, err = Attach(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Cut(ctx, "2", Delete, 0); err != nil {
		t.Fatal(err)
	}
	s, err := l.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Cables[1]; got.State != "cut (delete)" || got.Ends[0].Carrier || s.Cables[0].State != "plugged" || !s.Cables[0].Ends[1].Carrier {
		t.Errorf("cables: %+v", s.Cables)
	}
	if _, err := l.Plug(ctx, "2"); err != nil {
		t.Fatal(err)
	}
	if checked, err := l.OnPlannedPath(ctx, 5*time.Second); err != nil {
		t.Error(err)
	} else {
		for _, c := range checked {
			if !c.Good {
				t.Errorf("%v: %s", c.Pair, c.Why)
			}
		}
	}
	if name, err := Down(ctx, ""); err != nil || name != p.Mesh {
		t.Errorf("down: %s, %v", name, err)
	}
	wantGone(t, mark)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in %s: %v, %v", dir, left, err)
	}
}

// What kill -9 leaves are files, and Down removes them.
func TestKilledKeeper(t *testing.T) {
	needLab(t)
	dir := ownStore(t)
	ctx := t.Context()
	p := ring(t, 3)
	l, err := Up(ctx, p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	mark := sleeper(t, l)
	r, err := filesOf(dir, p.Mesh).readRecord()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(r.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantGone(t, mark)
	if _, err := Attach(ctx, p.Mesh); err == nil || !strings.Contains(err.Error(), "lab down "+p.Mesh) {
		t.Errorf("attach to the dead: %v", err)
	}
	if _, err := Down(ctx, ""); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in %s: %v, %v", dir, left, err)
	}
	if _, err := Up(ctx, p, Options{}); err != nil {
		t.Fatalf("a new lab after that: %v", err)
	}
	if _, err := Down(ctx, p.Mesh); err != nil {
		t.Error(err)
	}
}

// A keeper that is stopped does not answer; Down proves that it is the lab's and
// kills it.
func TestStoppedKeeper(t *testing.T) {
	needLab(t)
	dir := ownStore(t)
	p := ring(t, 3)
	if _, err := Up(t.Context(), p, Options{}); err != nil {
		t.Fatal(err)
	}
	f := filesOf(dir, p.Mesh)
	r, err := f.readRecord()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(r.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	other := r
	other.Started = "1"
	if other.alive() || !r.alive() {
		t.Error("the process is not told from another one with its number")
	}
	if _, err := Down(t.Context(), p.Mesh); err != nil {
		t.Fatal(err)
	}
	if r.alive() {
		t.Error("the keeper lives")
	}
}

// The default engine needs no root: the same test binary, run as nobody, makes a
// lab and cuts a cable.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests run as an ordinary user already")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "lab.test")
	if err := os.WriteFile(copied, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, "-test.v", "-test.timeout=60s", "-test.run=^(TestControlLosesNothing|TestChainNamesSeparatedPairs|TestSilentCutLosesEverythingOnTheCable|TestExec)$")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "TMPDIR=/tmp"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("--- SKIP")) {
		t.Skipf("as nobody:\n%s", out)
	}
	if n := bytes.Count(out, []byte("\n--- PASS")) + bytes.Count(out[:min(9, len(out))], []byte("--- PASS")); n != 4 {
		t.Errorf("%d tests passed, want 4\n%s", n, out)
	}
}
