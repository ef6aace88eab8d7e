package lab

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// TestMain makes the test binary a keeper, or the stub of an agent, when the package
// under test starts it as one.
func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], KeeperArgs()) {
		os.Exit(KeeperMain())
	}
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		os.Exit(stubMain(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

// ring returns the plan of n nodes "01".. in a ring; of three, the triangle.
func ring(t testing.TB, n int) mesh.Plan {
	t.Helper()
	return shape(t, "ring", n, 2)
}

// shape makes a plan with the real planner: one made by hand could promise what
// no plan does.
func shape(t testing.TB, shape string, nodes, ports int) mesh.Plan {
	t.Helper()
	c := mesh.Cluster{
		Name: t.Name(), Source: "test", MTU: mesh.DefaultMTU, Topology: mesh.Topology{Shape: shape},
		Identity: []netip.Prefix{netip.MustParsePrefix("10.7.1.0/24"), netip.MustParsePrefix("fd75:7362:3400::/64")},
	}
	for i := range nodes {
		n := mesh.Node{Name: "0" + strconv.Itoa(i+1)}
		for p := range ports {
			n.Ports = append(n.Ports, mesh.Port{Name: string(rune('a' + p)), Path: "pci-0000:0" + strconv.Itoa(p) + ":00.0"})
		}
		c.Nodes = append(c.Nodes, n)
	}
	p, fs := plan.Make(c)
	if finding.HasErrors(fs) {
		t.Fatalf("plan: %v", fs)
	}
	return p
}

// needLab skips where the kernel refuses what a lab needs.
func needLab(t testing.TB) {
	t.Helper()
	k, err := startKeeper(attached, nil)
	if err == nil {
		l := &Lab{dial: k.dial, close: k.stop}
		if err = l.call(t.Context(), opDown, nil, nil); err != nil {
			err = k.explain(err)
		}
		_ = l.Close()
	}
	if err != nil {
		t.Skip(err)
	}
}

// start starts a lab that ends with the test.
func start(t testing.TB, p mesh.Plan, o Options) *Lab {
	t.Helper()
	needLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := New(ctx, p, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

// flowsOf probes all pairs of a plan every millisecond.
func flowsOf(p *mesh.Plan) []Flow {
	var flows []Flow
	for _, path := range Paths(p) {
		flows = append(flows, Flow{path.Pair, time.Millisecond})
	}
	return flows
}

// Without a cut nothing may get lost: else what a cut loses means nothing.
func TestControlLosesNothing(t *testing.T) {
	l := start(t, ring(t, 3), Options{})
	ctx := t.Context()
	checked, err := l.OnPlannedPath(ctx, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checked {
		if !c.Good {
			t.Errorf("%v: %s", c.Pair, c.Why)
		}
	}
	p, err := l.Probe(ctx, flowsOf(&l.Plan))
	if err != nil {
		t.Fatal(err)
	}
	const d = time.Second
	time.Sleep(d)
	r, err := p.Stop(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Flows) != 12 {
		t.Fatalf("%d flows, want 6 pairs in 2 families", len(r.Flows))
	}
	for _, f := range r.Flows {
		if got := f.Phases[0]; got.Lost != 0 || got.Sent < int(d/time.Millisecond)*9/10 {
			t.Errorf("%v: %+v, want about %d sent and none lost", f.Pair, got, d/time.Millisecond)
		}
	}
}

// The promise of the plan: each cable may go, and no pair notices.
func TestDeleteCuts(t *testing.T) {
	for _, nodes := range []int{3, 5} {
		t.Run(strconv.Itoa(nodes), func(t *testing.T) {
			l := start(t, ring(t, nodes), Options{})
			r, err := Run(t.Context(), l, RunOptions{NoThroughput: true})
			if err != nil {
				t.Fatal(err)
			}
			r = again(t, l, r)
			wantGood(t, r, 2*nodes*(nodes-1), nodes)
			for _, c := range r.Cuts {
				if c.Probes < 2000 {
					t.Errorf("cable %s: %d probes are too few to tell", c.Cable, c.Probes)
				}
			}
		})
	}
}

// again repeats the cuts that lost too much, once: between the moment that a
// dying interface stops to send and the moment that its routes are gone, the
// kernel may be kept from running on a machine with other work. What the plan or
// the tables do wrong is wrong in the second cut as well.
func again(t *testing.T, l *Lab, r Report) Report {
	t.Helper()
	var failed []string
	for _, c := range r.Cuts {
		if len(c.Failed) > 0 && c.Restored {
			t.Logf("cable %s is cut again, it lost: %v", c.Cable, c.Failed)
			failed = append(failed, c.Cable)
		}
	}
	if len(failed) == 0 {
		return r
	}
	second, err := Run(t.Context(), l, RunOptions{NoThroughput: true, Cables: failed})
	if err != nil {
		t.Fatal(err)
	}
	good := slices.DeleteFunc(r.Cuts, func(c CutResult) bool { return slices.Contains(failed, c.Cable) })
	second.Cuts = append(good, second.Cuts...)
	return second
}

// wantGood checks a report for all pairs reached and all cuts survived.
func wantGood(t *testing.T, r Report, pairs, cuts int) {
	t.Helper()
	if !r.OK {
		t.Errorf("problems: %q", r.Problems)
	}
	if len(r.Pairs) != pairs || len(r.Cuts) != cuts {
		t.Errorf("%d pairs and %d cuts, want %d and %d", len(r.Pairs), len(r.Cuts), pairs, cuts)
	}
	for _, p := range r.Pairs {
		if !p.Reachable {
			t.Errorf("%v is not reached: %s", p.Pair, p.Why)
		}
	}
	for _, c := range r.Cuts {
		if !c.Restored || len(c.Failed) > 0 {
			t.Errorf("cable %s: restored %v (%s), failed %v", c.Cable, c.Restored, c.Missing, c.Failed)
		}
	}
}

func TestCarrierCutAtBothEnds(t *testing.T) {
	l := start(t, ring(t, 3), Options{})
	r, err := Run(t.Context(), l, RunOptions{NoThroughput: true, How: []string{Carrier}, Cables: []string{"1"}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK {
		t.Errorf("problems: %q", r.Problems)
	}
	ends := map[string]bool{}
	for _, c := range r.Cuts {
		ends[c.End] = true
		if c.NoticedMillis == nil {
			t.Errorf("cut at %s: when the other end noticed is unknown", c.End)
		}
	}
	if len(ends) != 2 {
		t.Errorf("cut at %v, want both ends", ends)
	}
	if last := r.HeldBack[len(r.HeldBack)-1]; !last.Provoked {
		t.Errorf("the last cut apart is %+v, want one that the kernel was made to hold back", last)
	}
}

// A silent cut must lose what crosses the cable, else it is none, and only that.
func TestSilentCutLosesEverythingOnTheCable(t *testing.T) {
	l := start(t, ring(t, 3), Options{})
	r, err := Run(t.Context(), l, RunOptions{NoThroughput: true, How: []string{Silent}, Cables: []string{"2"}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK || len(r.Cuts) != 1 {
		t.Fatalf("ok %v, %d cuts, problems %q", r.OK, len(r.Cuts), r.Problems)
	}
	c := r.Cuts[0]
	if len(c.Failed) != 4 { // two directions, two families
		t.Errorf("%d pairs lost probes, want the 4 of the cable: %v", len(c.Failed), c.Failed)
	}
	if c.LongestGap < 900 {
		t.Errorf("longest gap %.0f ms, want the length of the cut", c.LongestGap)
	}
}

// A chain's cuts separate pairs; that is in the report and no failure.
func TestChainNamesSeparatedPairs(t *testing.T) {
	l := start(t, shape(t, "chain", 3, 2), Options{})
	r, err := Run(t.Context(), l, RunOptions{NoThroughput: true, Cables: []string{"1"}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK || len(r.Cuts) != 1 {
		t.Fatalf("ok %v, cuts %v, problems %q", r.OK, r.Cuts, r.Problems)
	}
	if got := len(r.Cuts[0].Separated); got != 8 {
		t.Errorf("%d separated pairs, want 8: 01 from 02 and 03, both ways, both families", got)
	}
	if len(r.Unprotected) != 6 {
		t.Errorf("unprotected pairs %v, want all 6", r.Unprotected)
	}
}

func TestThroughput(t *testing.T) {
	l := start(t, ring(t, 3), Options{})
	for _, tool := range []string{Stream, ""} {
		for _, family := range []string{IPv4, IPv6} {
			r, err := l.Throughput(t.Context(), Pair{"01", "03", family}, 200*time.Millisecond, tool)
			if err != nil {
				t.Fatal(err)
			}
			if r.Gbps < 0.1 || tool != "" && r.Tool != tool {
				t.Errorf("%s over %s: %+v", tool, family, r)
			}
		}
	}
	r, err := l.Bare(t.Context(), mesh.DefaultMTU, 200*time.Millisecond, Stream)
	if err != nil || r.Gbps < 0.1 {
		t.Errorf("bare veth pair: %+v, %v", r, err)
	}
}

func TestNetworkd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: systemd-networkd drops to a user of its own")
	}
	if _, err := os.Stat(networkdPath); err != nil {
		t.Skip(err)
	}
	l := start(t, ring(t, 4), Options{Engine: "networkd"})
	r, err := Run(t.Context(), l, RunOptions{NoThroughput: true})
	if err != nil {
		t.Fatal(err)
	}
	wantGood(t, again(t, l, r), 24, 4)
}

func TestMistakesAreNamed(t *testing.T) {
	l := start(t, ring(t, 3), Options{})
	ctx := t.Context()
	for name, c := range map[string]struct {
		do   func() error
		want string
	}{
		"cable": {func() error { _, err := l.Cut(ctx, "9", Delete, 0); return err }, `no cable is called "9"; there are 1, 2, 3`},
		"kind":  {func() error { _, err := l.Cut(ctx, "1", "axe", 0); return err }, `no kind of cut is called "axe": use one of delete, carrier, silent, one-way`},
		"end":   {func() error { _, err := l.Cut(ctx, "1", Carrier, 2); return err }, "cable 1 has ends 0 and 1, not 2"},
		"plug":  {func() error { _, err := l.Plug(ctx, "1"); return err }, "cable 1 is plugged already"},
		"pair": {func() error { _, err := l.Check(ctx, 0, Pair{"01", "04", IPv4}); return err },
			"nodes 01 and 04 have no ipv4 addresses for each other in this plan"},
		"tool": {func() error { _, err := l.Throughput(ctx, Pair{"01", "02", IPv4}, 1, "netperf"); return err },
			`no throughput tool is called "netperf": use iperf3 or stream`},
		"spacing": {func() error { _, err := l.Probe(ctx, []Flow{{Pair{"01", "02", IPv4}, 1}}); return err }, "probe spacing 1ns is below 0.1 ms"},
		"twice":   {func() error { return l.build(ctx, Options{}) }, "the lab is built already"},
		"run":     {func() error { _, err := Run(ctx, l, RunOptions{Cables: []string{"9"}}); return err }, `no cable is called "9"; there are 1, 2, 3`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.do(); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if _, err := New(ctx, ring(t, 3), Options{Engine: "none"}); err == nil {
		t.Error("an unknown engine started")
	}
}

// A request ends when its client goes away.
func TestCancel(t *testing.T) {
	l := start(t, ring(t, 3), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := l.Throughput(ctx, Pair{"01", "02", IPv4}, 20*time.Second, Stream); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("it took %s", d)
	}
	if _, err := l.Status(t.Context()); err != nil {
		t.Errorf("the lab does not answer any more: %v", err)
	}
}
