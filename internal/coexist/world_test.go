package coexist

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// TestMain makes the test binary the keeper of a lab when lab starts it as one.
func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], lab.KeeperArgs()) {
		os.Exit(lab.KeeperMain())
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil { // they wait more than they compute
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built != "" {
			os.RemoveAll(built)
		}
		os.Exit(code)
	}))
}

// built is the folder of the program that build has built.
var built string

const (
	clusterFile = "testdata/mesh.yaml"
	// here is the node on which the other program runs, and whose cables are replugged.
	here = "ost"
	// unpacked is where scripts/install-deps puts programs that must not be installed.
	unpacked = "/var/cache/usb4mesh/unpacked"
)

// world is three nodes with an agent each.
type world struct {
	*testing.T
	*lab.Lab
	logs string
}

// build builds usb4mesh once for all tests.
var build = sync.OnceValues(func() (string, error) {
	var err error
	if built, err = os.MkdirTemp("", "coexist"); err != nil {
		return "", err
	}
	file := filepath.Join(built, "usb4mesh")
	cmd := exec.Command("go", "build", "-o", file, "github.com/usb4mesh/usb4mesh/cmd/usb4mesh")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build usb4mesh: %w\n%s", err, out)
	}
	return file, nil
})

// start starts the nodes; change edits the cluster file, nil leaves it.
func start(t *testing.T, change func(string) string) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("other managers change to users of their own and mount file systems: run as root")
	}
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(clusterFile)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		src = []byte(change(string(src)))
	}
	cluster, fs := config.Parse(clusterFile, src)
	p, more := plan.Make(cluster)
	if fs = append(fs, more...); len(fs) > 0 {
		t.Fatal(fs)
	}
	w := &world{T: t, logs: t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if w.Lab, err = lab.New(ctx, p, lab.Options{Engine: lab.AgentEngine, Cluster: src, Program: program, Logs: w.logs}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if t.Failed() {
			for _, name := range []string{here + ".log", "program.log"} {
				b, _ := os.ReadFile(filepath.Join(w.logs, name)) // none, nothing to show
				t.Logf("%s:\n%s", name, b[max(0, len(b)-6000):])
			}
		}
	})
	return w
}

// script names a file of testdata as nodes see it.
func script(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// sh runs shell commands in a node and returns what they print.
func (w *world) sh(node, commands string) (string, error) {
	w.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		w.Fatal(err)
	}
	defer null.Close()
	out, err := os.CreateTemp(w.logs, "sh-")
	if err != nil {
		w.Fatal(err)
	}
	defer out.Close()
	defer os.Remove(out.Name())
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	code, err := w.Exec(ctx, lab.Command{Node: node, Argv: []string{"/bin/sh", "-ec", commands}}, [3]*os.File{null, out, out}, nil)
	b, readErr := os.ReadFile(out.Name())
	if code != 0 && err == nil {
		err = fmt.Errorf("node %s: %q ended with %d: %s", node, commands, code, b)
	}
	return string(b), errors.Join(err, readErr)
}

// must is sh for commands that can't fail.
func (w *world) must(node, commands string) string {
	w.Helper()
	out, err := w.sh(node, commands)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// running is another program in a node.
type running struct {
	w       *world
	signals chan os.Signal
	done    chan struct{}
	code    int
	err     error
}

// run starts a script of testdata in a node, with a mount namespace of its own.
func (w *world) run(node, file, config string) *running {
	w.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		w.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(w.logs, "program.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		w.Fatal(err)
	}
	r := &running{w: w, signals: make(chan os.Signal, 1), done: make(chan struct{})}
	c := lab.Command{Node: node, Env: []string{"CONFIG=" + config}, Argv: []string{"unshare", "--mount", "--propagation", "private", "/bin/sh", script(w.T, file)}}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(r.done)
		defer null.Close()
		defer log.Close()
		r.code, r.err = w.Exec(ctx, c, [3]*os.File{null, log, log}, r.signals)
	}()
	w.T.Cleanup(func() { cancel(); <-r.done })
	return r
}

// stop asks the program to end, and waits.
func (r *running) stop() {
	r.w.Helper()
	select {
	case <-r.done:
		r.w.Fatalf("the program ended by itself (%d, %v)", r.code, r.err)
	case r.signals <- unix.SIGTERM:
	}
	select {
	case <-r.done:
	case <-time.After(15 * time.Second):
		r.w.Fatal("the program did not end within 15 s of SIGTERM")
	}
}

// until waits for something that comes by itself, and returns how long it took.
func (w *world) until(what string, limit time.Duration, f func() error) time.Duration {
	w.Helper()
	began := time.Now()
	for {
		err := f()
		took := time.Since(began)
		if err == nil {
			return took
		}
		if took > limit {
			w.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// whole waits until the mesh is as planned: kernels, agents, and a packet for each pair.
func (w *world) whole(what string, limit time.Duration) time.Duration {
	w.Helper()
	return w.until(what, limit, func() error {
		v, err := w.Verify(w.Context())
		if err == nil && len(v.Wrong) > 0 {
			err = errors.New(v.Wrong[0])
		}
		return err
	})
}

// spacing is that of the probes of each pair.
const spacing = 10 * time.Millisecond

// probe sends packets between all nodes, and returns what tells how many were lost since.
func (w *world) probe() (stop func() loss) {
	w.Helper()
	var flows []lab.Flow
	for _, p := range lab.Paths(&w.Plan) {
		flows = append(flows, lab.Flow{Pair: p.Pair, Spacing: spacing})
	}
	p, err := w.Probe(w.Context(), flows)
	if err != nil {
		w.Fatal(err)
	}
	return func() loss {
		w.Helper()
		r, err := p.Stop(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		var l loss
		for _, f := range r.Flows {
			l.sent += f.Phases[0].Sent
			l.lost += f.Phases[0].Lost
			l.gap = max(l.gap, f.Gap(0))
		}
		if l.sent < len(flows) {
			w.Fatalf("%d probes were sent by %d pairs", l.sent, len(flows))
		}
		return l
	}
}

// loss is what became of probes; gap is the longest of a pair.
type loss struct {
	sent, lost int
	gap        time.Duration
}

func (l loss) String() string {
	return fmt.Sprintf("%d of %d probes lost, at most %d ms in a row", l.lost, l.sent, l.gap.Milliseconds())
}

// agent looks at the agent of the node here.
func (w *world) agent() lab.AgentInfo {
	w.Helper()
	all, err := w.Agents(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return all[slices.IndexFunc(all, func(i lab.AgentInfo) bool { return i.Node == here })]
}

// finding returns what the agent says under a code, "" if nothing.
func (w *world) finding(code string) string {
	w.Helper()
	for _, f := range w.agent().Status.Findings {
		if f.Code == code {
			return f.Message
		}
	}
	return ""
}

// changed counts what the agent of the node here has changed in its kernel so far, and
// how often it set about it.
func (w *world) changed() (changes, times int) {
	w.Helper()
	b, err := os.ReadFile(filepath.Join(w.logs, here+".log"))
	if err != nil {
		w.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"the kernel was changed".* changes=(\d+)`).FindAllSubmatch(b, -1) {
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			w.Fatal(err)
		}
		changes += n
		times++
	}
	return changes, times
}

// computed is what the agent of the node here has computed so far.
func (w *world) computed() (sum time.Duration) {
	w.Helper()
	var u lab.Usage
	w.until("a look at all processes", 5*time.Second, func() (err error) { // one may end meanwhile
		u, err = w.Usage(w.Context())
		return err
	})
	for _, n := range u.Nodes {
		for _, p := range n.Processes {
			if n.Node == here && strings.HasPrefix(p.Name, "usb4mesh") {
				sum += p.CPU
			}
		}
	}
	return sum
}

// replug takes all cables of the node here out and in again: its interfaces are new,
// and bear no name of ours until the agent gives them one.
func (w *world) replug() {
	w.Helper()
	var mine []mesh.CablePlan
	for _, c := range w.Plan.Cables {
		if c.Ends[0].Node == here || c.Ends[1].Node == here {
			mine = append(mine, c)
		}
	}
	for _, c := range mine {
		if _, err := w.Cut(w.Context(), c.Name, lab.Delete, 0); err != nil {
			w.Fatal(err)
		}
	}
	for _, c := range mine {
		if _, err := w.Plug(w.Context(), c.Name); err != nil {
			w.Fatal(err)
		}
	}
}
