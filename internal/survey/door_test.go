package survey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/bench"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/remote"
)

// fakeDoor plays nodes: what a client measures comes from rate.
type fakeDoor struct {
	rate    func(from, to string, attempt int) (float64, error)
	starts  error
	absent  string        // node on which nothing is run
	lose    chan struct{} // closed: the server of n0 ends
	mu      sync.Mutex
	running map[string]int // servers
	calls   map[string]int // clients, by pair
	most    int            // clients at once
	now     int
}

func (d *fakeDoor) Run(ctx context.Context, node string, job remote.Job, in io.Reader, out io.Writer) error {
	args := job.Args()
	if node == d.absent {
		return errors.New("no route to host")
	}
	flag := func(name string) string {
		if i := slices.Index(args, name); i >= 0 {
			return args[i+1]
		}
		return ""
	}
	switch args[1] {
	case "server":
		if d.starts != nil {
			return d.starts
		}
		if !slices.Contains(args, "--until-eof") || flag("--from") == "" || flag("--limit") == "" {
			return errors.New("a server that anybody may use, or that may stay for ever")
		}
		d.count(node, 1)
		defer d.count(node, -1)
		fmt.Fprintf(out, `{"listening":["%s:7%s"]}`+"\n", flag("--bind"), strings.TrimPrefix(node, "n"))
		ended := make(chan struct{})
		go func() { defer close(ended); _, _ = io.Copy(io.Discard, in) }()
		lose := d.lose
		if node != "n0" {
			lose = nil
		}
		select {
		case <-ended:
			return nil
		case <-lose:
			return errors.New("the agent was killed")
		}
	case "evidence":
		return json.NewEncoder(out).Encode(bench.Evidence{Counters: map[string]int64{"IpFragFails": 0}, IdleExitMicros: -1})
	case "client":
		to := "n" + strings.TrimPrefix(flag("--port"), "7")
		d.mu.Lock()
		d.now++
		d.most = max(d.most, d.now)
		d.calls[node+" "+to]++
		attempt := d.calls[node+" "+to]
		d.mu.Unlock()
		defer func() { d.mu.Lock(); d.now--; d.mu.Unlock() }()
		time.Sleep(5 * time.Millisecond)
		g, err := d.rate(node, to, attempt)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(bench.Result{Gbps: g, Streams: []bench.Flow{}, Intervals: []bench.Interval{}})
	}
	return fmt.Errorf("what is %q?", args)
}

func (d *fakeDoor) count(node string, by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running[node] += by
}

func newFakeDoor(rate func(from, to string, attempt int) (float64, error)) *fakeDoor {
	return &fakeDoor{rate: rate, running: map[string]int{}, calls: map[string]int{}}
}

func addressed(n int) (*mesh.Plan, []Path) {
	paths := ringPaths(n)
	for i := range paths {
		paths[i].Source, paths[i].Destination = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	}
	return ring(n), paths
}

func TestRun(t *testing.T) {
	// n1 to n2 fails, n2 to n3 is slow only at first, n3 to n4 always.
	d := newFakeDoor(func(from, to string, attempt int) (float64, error) {
		switch {
		case from == "n1" && to == "n2":
			return 0, errors.New("no route to host")
		case from == "n2" && to == "n3" && attempt == 1, from == "n3" && to == "n4":
			return 3, nil
		}
		return 20, nil
	})
	plan, paths := addressed(6)
	var seen []Progress
	r, err := Run(t.Context(), plan, paths, d, Options{
		Where: "lab", Parallel: true, Load: true, Now: time.Now(), Progress: func(p Progress) { seen = append(seen, p) },
		Task: Task{Duration: time.Millisecond, Interval: time.Millisecond, Streams: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"bench-failed n1 to n2: not measured: no route to host",
		"bench-slow-cable cable 3: 3 Gbit/s from n3 to n4; at least 10 is expected (half of the median of all neighbours)",
		"bench-failed n1 to n2: not measured under load: no route to host",
	}
	if got := messages(&r); !slices.Equal(got, want) {
		t.Errorf("findings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if p := r.pair("n2", "n3"); p.Verdict != good || p.Attempts != 2 || p.Result.Gbps != 20 {
		t.Errorf("a pair that was slow once: %+v", p)
	}
	if p := r.pair("n3", "n4"); p.Verdict != low || p.Attempts != 1+confirmations {
		t.Errorf("a slow pair: %+v", p)
	}
	if r.Load == nil || len(r.Load.Pairs) != len(paths) || r.Load.TotalGbps < 20*float64(len(paths)-4) {
		t.Errorf("load: %+v", r.Load)
	}
	if d.most < 2 || len(seen) < 5 {
		t.Errorf("at most %d tests at once, progress %v", d.most, seen)
	}
	for node, n := range d.running {
		if n != 0 {
			t.Errorf("%d servers are left on %s", n, node)
		}
	}
}

func TestRunWithoutServers(t *testing.T) {
	d := newFakeDoor(nil)
	d.starts = errors.New("usb4mesh: command not found")
	plan, paths := addressed(3)
	_, err := Run(t.Context(), plan, paths, d, Options{Task: Task{Duration: time.Millisecond}})
	if err == nil || !strings.Contains(err.Error(), "node n0: the server does not start: usb4mesh: command not found") {
		t.Errorf("%v", err)
	}
}

func TestRunIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := newFakeDoor(func(string, string, int) (float64, error) { cancel(); return 1, nil })
	plan, paths := addressed(4)
	if _, err := Run(ctx, plan, paths, d, Options{Task: Task{Duration: time.Millisecond}}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for node, n := range d.running {
		if n != 0 {
			t.Errorf("%d servers are left on %s", n, node)
		}
	}
}

// A node that takes no part costs its pairs, and no more.
func TestRunWithoutANode(t *testing.T) {
	d := newFakeDoor(func(string, string, int) (float64, error) { return 20, nil })
	d.absent = "n2"
	plan, paths := addressed(4)
	r, err := Run(t.Context(), plan, paths, d, Options{
		Where: "agents", Load: true, Now: time.Now(), Task: Task{Duration: time.Millisecond, Interval: time.Millisecond, Streams: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Pairs {
		with := p.From == "n2" || p.To == "n2"
		if with != (p.Verdict == failed) || with != (p.Result == nil) || with && p.Error != "node n2: the server does not start: no route to host" {
			t.Errorf("%s to %s: %s, %q", p.From, p.To, p.Verdict, p.Error)
		}
	}
	for _, p := range r.Load.Pairs {
		if with := p.From == "n2" || p.To == "n2"; with != (p.Error == "node n2: the server does not start: no route to host") {
			t.Errorf("under load %s to %s: %q", p.From, p.To, p.Error)
		}
	}
	if r.OK {
		t.Error("all is well")
	}
	if d.calls["n2 n0"]+d.calls["n0 n2"] > 0 {
		t.Error("clients were run that have no server")
	}
}

// Where a server ends in the middle, its end is the reason, not what the client says of it.
func TestRunLosesAServer(t *testing.T) {
	d := newFakeDoor(nil)
	d.lose = make(chan struct{})
	d.rate = func(from, to string, _ int) (float64, error) {
		if from == "n1" && to == "n0" {
			close(d.lose)
		}
		if to == "n0" && (from == "n1" || from == "n2") {
			return 0, errors.New("connection reset by peer")
		}
		return 20, nil
	}
	plan, paths := addressed(3)
	r, err := Run(t.Context(), plan, paths, d, Options{Where: "agents", Now: time.Now(), Task: Task{Duration: time.Millisecond, Interval: time.Millisecond, Streams: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"n1", "n2"} {
		if p := r.pair(from, "n0"); p.Error != "node n0: the server ended early: the agent was killed" {
			t.Errorf("%s to n0: %q", from, p.Error)
		}
	}
	if d.calls["n2 n0"] != 0 {
		t.Error("a client was run that has no server any more")
	}
}
