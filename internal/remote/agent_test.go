package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/bench"
)

// The limits of jobs are those of the program that does them; packages of one floor
// can't say so to each other, a test can.
func TestLimitsAreThoseOfBench(t *testing.T) {
	if maxStreams != bench.MaxStreams || maxDuration != bench.MaxDuration {
		t.Errorf("streams %d, bench has %d; duration %s, bench has %s", maxStreams, bench.MaxStreams, maxDuration, bench.MaxDuration)
	}
}

var (
	keyA = bytes.Repeat([]byte{1, 2, 3, 4}, 8)
	keyB = bytes.Repeat([]byte{5, 6, 7, 8}, 8)
)

// town is a mesh on addresses of the loopback interface, with programs that tests play.
type town struct {
	t      *testing.T
	config Config
	agents map[string]*Agent

	mu      sync.Mutex
	running map[string]int // jobs, by node
	args    []string       // of the last
}

// newTown starts agents on the nodes n1, n2, ...
func newTown(t *testing.T, nodes int, keys ...[]byte) *town {
	t.Helper()
	w := &town{t: t, agents: map[string]*Agent{}, running: map[string]int{}}
	w.config = Config{Mesh: "town", Node: "me", Digest: "abc", Version: "v1", Members: map[string][]netip.Addr{}, Keys: keys}
	for i := range nodes {
		w.config.Members[fmt.Sprintf("n%d", i+1)] = []netip.Addr{netip.AddrFrom4([4]byte{127, 7, 94, byte(i + 1)})}
	}
	for try := 0; ; try++ {
		w.config.Port = freePort(t)
		err := w.start()
		if err == nil {
			break
		}
		if try == 10 {
			t.Fatal(err)
		}
	}
	t.Cleanup(w.stop)
	return w
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.7.94.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (w *town) start() error {
	for name, ids := range w.config.Members {
		c := w.config
		c.Node, c.Listen = name, ids
		a, err := Listen(c)
		if err != nil {
			w.stop()
			return err
		}
		a.run = func(ctx context.Context, args []string, in *os.File, out io.Writer) error {
			return w.play(ctx, name, args, in, out)
		}
		w.agents[name] = a
	}
	return nil
}

func (w *town) stop() {
	for name, a := range w.agents {
		a.Close()
		delete(w.agents, name)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, n := range w.running {
		if n != 0 {
			w.t.Errorf("%d jobs are left on %s", n, name)
		}
	}
}

// play is the program: counters are an answer, hardware is too much of one, a server
// ends with its input, a client never.
func (w *town) play(ctx context.Context, node string, args []string, in *os.File, out io.Writer) error {
	w.count(node, 1)
	defer w.count(node, -1)
	w.mu.Lock()
	w.args = args
	w.mu.Unlock()
	switch args[1] {
	case "evidence":
		_, err := fmt.Fprintf(out, "counters of %s", node)
		return err
	case "--json":
		_, err := out.Write(make([]byte, 3*maxChunk+1))
		return err
	case "server":
		fmt.Fprintln(out, "listening")
		ended := make(chan struct{})
		go func() { defer close(ended); _, _ = io.Copy(io.Discard, in) }()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			<-ended
			return ctx.Err()
		}
	}
	<-ctx.Done()
	return errors.New("bad\x1b[31m luck")
}

func (w *town) count(node string, by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[node] += by
}

// await waits until so many jobs run on a node.
func (w *town) await(node string, n int) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		now := w.running[node]
		w.mu.Unlock()
		if now == n {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("%d jobs on %s, want %d", now, node, n)
		}
	}
}

func (w *town) nodes() (all []string) {
	for i := range len(w.config.Members) {
		all = append(all, fmt.Sprintf("n%d", i+1))
	}
	return all
}

func (w *town) hold(change func(*Config)) (*Coordinator, error) {
	c := w.config
	if change != nil {
		change(&c)
	}
	return Hold(w.t.Context(), c, w.nodes(), time.Minute)
}

func (w *town) mustHold(change func(*Config)) *Coordinator {
	w.t.Helper()
	k, err := w.hold(change)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(k.Close)
	return k
}

func (w *town) serve(node string) Job {
	var from []netip.Addr
	for n, ids := range w.config.Members {
		if n != node {
			from = append(from, ids...)
		}
	}
	return Job{Do: Serve, Server: &Server{At: w.config.Members[node], From: from, Limit: time.Minute}}
}

func (w *town) measure(from, to string) Job {
	return Job{Do: Measure, Client: &Client{
		From: w.config.Members[from][0], To: w.config.Members[to][0], Port: 5000, Streams: 1, Duration: time.Second, Interval: time.Second,
	}}
}

func TestJobs(t *testing.T) {
	w := newTown(t, 2, keyA)
	k := w.mustHold(nil)
	if len(k.Missing()) > 0 {
		t.Fatal(k.Missing())
	}
	var out bytes.Buffer
	if err := k.Run(t.Context(), "n2", Job{Do: Evidence}, nil, &out); err != nil || out.String() != "counters of n2" {
		t.Errorf("%v, %q", err, &out)
	}
	out.Reset()
	if err := k.Run(t.Context(), "n1", Job{Do: Hardware}, nil, &out); err != nil || out.Len() != 3*maxChunk+1 {
		t.Errorf("%v, %d bytes", err, out.Len())
	}
	// A server ends with its input.
	in, hold := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- k.Run(t.Context(), "n1", w.serve("n1"), in, io.Discard) }()
	w.await("n1", 1)
	hold.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// A client ends with the context of who asked for it.
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- k.Run(ctx, "n1", w.measure("n1", "n2"), nil, io.Discard) }()
	w.await("n1", 1)
	if got, want := strings.Join(w.args, " "), "bench client 127.7.94.2 --bind 127.7.94.1 --port 5000 --json --duration 1s --streams 1 --interval 1s"; got != want {
		t.Errorf("it was run as %q, want %q", got, want)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.await("n1", 0)
	// All end with the hold.
	go func() { ended <- k.Run(t.Context(), "n2", w.measure("n2", "n1"), nil, io.Discard) }()
	w.await("n2", 1)
	k.Close()
	if err := <-ended; err == nil {
		t.Error("a job outlives the hold")
	}
	w.await("n2", 0)
	if err := k.Run(t.Context(), "n2", Job{Do: Evidence}, nil, io.Discard); err == nil {
		t.Error("a job without a hold is done")
	}
}

// A job whose hold is lost ends, whether its own connection shows it or not.
func TestJobEndsWithItsHold(t *testing.T) {
	w := newTown(t, 2, keyA)
	k := w.mustHold(nil)
	ended := make(chan error, 1)
	go func() { ended <- k.Run(t.Context(), "n1", w.measure("n1", "n2"), nil, io.Discard) }()
	w.await("n1", 1)
	lost := errors.New("the other machine is gone")
	k.nodes["n1"].lose(lost)
	if err := <-ended; !errors.Is(err, lost) {
		t.Error(err)
	}
	w.await("n1", 0)
}

// Whoever holds the agents has them alone, and says so to others.
func TestBusy(t *testing.T) {
	w := newTown(t, 3, keyA)
	k := w.mustHold(func(c *Config) { c.Node = "the first\x07" })
	_, err := w.hold(nil)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.Node != "n1" || !strings.Contains(err.Error(), `busy with a survey of "the first\a" at 127.0.0.1 since `) {
		t.Fatalf("%v", err)
	}
	// With its key alone nobody takes part in another's survey.
	other := *k
	other.session = strings.Repeat("0", sessionID)
	if err := other.Run(t.Context(), "n1", Job{Do: Evidence}, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "does not hold") {
		t.Errorf("%v", err)
	}
	k.Close()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // it hears of the end a moment later
		next, err := w.hold(nil)
		if err == nil {
			next.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// Of coordinators that begin at the same time, one gets all nodes.
func TestOneOfManyHolds(t *testing.T) {
	w := newTown(t, 3, keyA)
	var all sync.WaitGroup
	got := make([]*Coordinator, 6)
	for i := range got {
		all.Go(func() {
			k, err := w.hold(nil)
			if busy := new(BusyError); err != nil && !errors.As(err, &busy) {
				t.Error(err)
			}
			got[i] = k
		})
	}
	all.Wait()
	n := 0
	for _, k := range got {
		if k != nil {
			n++
			if len(k.Missing()) > 0 {
				t.Error(k.Missing())
			}
			k.Close()
		}
	}
	if n != 1 {
		t.Errorf("%d hold the nodes", n)
	}
}

// An agent that ends, or a hold whose time is over, is told from a failure of the job.
func TestHoldIsLost(t *testing.T) {
	w := newTown(t, 2, keyA)
	k := w.mustHold(nil)
	ended := make(chan error, 1)
	go func() { ended <- k.Run(t.Context(), "n1", w.measure("n1", "n2"), nil, io.Discard) }()
	w.await("n1", 1)
	w.agents["n1"].Close()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "node n1: the agent ends, or uses another plan now") {
		t.Errorf("%v", err)
	}
	<-k.nodes["n1"].ctx.Done() // the news of it comes on a connection of its own
	if err := k.Missing()["n1"]; err == nil || k.Missing()["n2"] != nil {
		t.Errorf("missing are %v", k.Missing())
	}
	if err := k.Run(t.Context(), "n2", Job{Do: Evidence}, nil, io.Discard); err != nil {
		t.Errorf("the other node: %v", err)
	}
	short, err := Hold(t.Context(), w.config, []string{"n1"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	if err := short.Missing()["n1"]; err == nil || !strings.Contains(err.Error(), "no agent takes measurements there") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
}

func TestHoldEndsInTime(t *testing.T) {
	w := newTown(t, 1, keyA)
	k, err := Hold(t.Context(), w.config, []string{"n1"}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	select {
	case <-k.nodes["n1"].ctx.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the hold lasts for ever")
	}
	if err := k.Missing()["n1"]; err == nil || !strings.Contains(err.Error(), "the time of the survey is over") {
		t.Errorf("%v", err)
	}
}

// What is not the same is said, node by node.
func TestOthers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		keys   [][]byte
		change func(*Config)
		want   string // "" if it is held
	}{
		{"another key", [][]byte{keyA}, func(c *Config) { c.Keys = [][]byte{keyB} }, "has another key"},
		{"another mesh", [][]byte{keyA}, func(c *Config) { c.Mesh = "village" }, "has another key, or the mesh another name"},
		{"another plan", [][]byte{keyA}, func(c *Config) { c.Digest = "def" }, "node n1 runs another plan (abc, and this file makes def)"},
		{"a new key, known there", [][]byte{keyA, keyB}, func(c *Config) { c.Keys = [][]byte{keyB, keyA} }, ""},
		{"a new key, not used yet", [][]byte{keyA}, func(c *Config) { c.Keys = [][]byte{keyA, keyB} }, ""},
		{"a new key, used too early", [][]byte{keyA}, func(c *Config) { c.Keys = [][]byte{keyB, keyA} }, "has another key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTown(t, 1, tt.keys...)
			k := w.mustHold(tt.change)
			err := k.Missing()["n1"]
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// A job that has to do with others than the nodes of the mesh is refused, as is one
// beyond the limits, before anything is run.
func TestJobsThatAreRefused(t *testing.T) {
	w := newTown(t, 2, keyA)
	k := w.mustHold(nil)
	outside := netip.MustParseAddr("192.0.2.1")
	job := func(base Job, change func(*Job)) Job {
		if base.Server != nil {
			s := *base.Server
			base.Server = &s
		}
		change(&base)
		return base
	}
	for _, tt := range []struct {
		job  Job
		want string
	}{
		{Job{Do: "sh"}, "no job is called"},
		{Job{Do: Evidence, Client: w.measure("n1", "n2").Client}, "with the settings of another"},
		{Job{Do: Measure}, "with the settings of another"},
		{w.measure("n2", "n1"), "127.7.94.2 is no identity of node n1"},
		{job(w.measure("n1", "n2"), func(j *Job) { j.Client.To = outside }), "192.0.2.1 is no identity of another node"},
		{w.measure("n1", "n1"), "127.7.94.1 is no identity of another node"},
		{job(w.measure("n1", "n2"), func(j *Job) { j.Client.Port = 22 }), "port must be"},
		{job(w.measure("n1", "n2"), func(j *Job) { j.Client.Streams = 129 }), "streams must be"},
		{job(w.measure("n1", "n2"), func(j *Job) { j.Client.Duration = 2 * time.Hour }), "duration must be"},
		{job(w.measure("n1", "n2"), func(j *Job) { j.Client.Interval = 0 }), "interval must be"},
		{job(w.measure("n1", "n2"), func(j *Job) { j.Client.Latency = -1 }), "latency must be"},
		{job(w.measure("n1", "n2"), func(j *Job) { j.Client.MTU = 1 << 20 }), "MTU must be"},
		{job(w.measure("n1", "n2"), func(j *Job) { j.Client.To = netip.MustParseAddr("fe80::1%lo") }), "two plain addresses of one family"},
		{w.serve("n2"), "127.7.94.2 is no identity of node n1"},
		{job(w.serve("n1"), func(j *Job) { j.Server.From = []netip.Addr{outside} }), "192.0.2.1 is no identity of another node"},
		{job(w.serve("n1"), func(j *Job) { j.Server.From = nil }), "1 to 512 plain addresses"},
		{job(w.serve("n1"), func(j *Job) { j.Server.At = make([]netip.Addr, 1) }), "1 to 512 plain addresses"},
		{job(w.serve("n1"), func(j *Job) { j.Server.Limit = 2 * MaxSurvey }), "limit must be"},
	} {
		w.args = nil
		err := k.Run(t.Context(), "n1", tt.job, strings.NewReader(""), io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) || w.args != nil {
			t.Errorf("%+v: %v, ran %q; want %q", tt.job, err, w.args, tt.want)
		}
	}
}

// A session can't take more than its share of processes.
func TestManyJobs(t *testing.T) {
	w := newTown(t, 2, keyA)
	k := w.mustHold(nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, maxJobs)
	for range maxJobs {
		time.Sleep(time.Second / helloRate) // else they come too fast
		go func() { ended <- k.Run(ctx, "n1", w.measure("n1", "n2"), nil, io.Discard) }()
	}
	w.await("n1", maxJobs)
	if err := k.Run(ctx, "n1", Job{Do: Evidence}, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "64 jobs run already") {
		t.Errorf("%v", err)
	}
	cancel()
	for range maxJobs {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	w.await("n1", 0)
}
