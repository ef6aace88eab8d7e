package lab

import (
	"context"
	"math"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// TestFRRSurvivesCut: real OSPF daemons converge on the triangle, survive the loss
// of a cable and take it back, and nothing of them is left behind.
func TestFRRSurvivesCut(t *testing.T) {
	profile := frrProfile{frrOSPF, true}
	if err := frrUsable(profile); err != nil {
		t.Skip(err)
	}
	before := listing(t, frrRun) + listing(t, "/etc/frr")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	l, err := New(ctx, examplePlan(t, "seed-identity"), Options{Engine: "frr-ospf"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if after := listing(t, frrRun) + listing(t, "/etc/frr"); after != before {
			t.Errorf("FRR's folders held %q before and hold %q now", before, after)
		}
	}()
	answer := func(when string) {
		t.Helper()
		checked, err := l.Check(ctx, 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range checked {
			if !c.Good {
				t.Fatalf("%s: %s to %s (%s): %s", when, c.From, c.To, c.Family, c.Why)
			}
		}
	}
	answer("after the start")
	u, err := l.Usage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range u.Nodes {
		if len(n.Processes) != len(profile.daemons()) || n.RSS() < n.PSS() || n.PSS() < 1<<20 || n.CPU() <= 0 {
			t.Errorf("node %s: implausible: %+v", n.Node, n)
		}
	}
	cable := l.Plan.Cables[0]
	if _, err := l.Cut(ctx, cable.Name, Delete, 0); err != nil {
		t.Fatal(err)
	}
	answer("after the cut")
	detours, err := l.Detours(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(detours) != 4 { // two directions, two families
		t.Errorf("without a cable %d pairs take a detour, want 4: %v", len(detours), detours)
	}
	if _, err := l.Plug(ctx, cable.Name); err != nil {
		t.Fatal(err)
	}
	c := &comparer{l: l}
	if _, err := c.calm(ctx); err != nil {
		t.Errorf("after the plug: %v", err)
	}
}

// listing names what is in a folder.
func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return names(entries, os.DirEntry.Name)
}

// TestDisturb: after a carrier event elsewhere, the news of a carrier cut comes late.
func TestDisturb(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := New(ctx, examplePlan(t, "seed-identity"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// How long is left of the kernel's second is chance, and other programs' events
	// start it anew: one of a few attempts has to be clearly late.
	var late time.Duration
	for range 6 {
		if late = disturbedCut(ctx, t, l); late >= 200*time.Millisecond {
			return
		}
	}
	t.Errorf("the other end noticed after %s at last, want most of a second once", late)
}

// disturbedCut cuts a cable after another carrier event and returns how late the
// other end took notice, 0 if it did not.
func disturbedCut(ctx context.Context, t *testing.T, l *Lab) time.Duration {
	t.Helper()
	done, err := l.Disturb(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	cable := l.Plan.Cables[0].Name
	cut, err := l.Cut(ctx, cable, Carrier, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond)
	plug, err := l.Plug(ctx, cable)
	if err != nil {
		t.Fatal(err)
	}
	if plug.Noticed == 0 {
		return 0
	}
	return time.Duration(plug.Noticed - cut.Begin)
}

// TestFloatingRoutes: on a triangle the recipe of the guides is what the plan has
// in its main tables; in a ring of four it differs, or it would be as good.
func TestFloatingRoutes(t *testing.T) {
	sorted := cmpopts.SortSlices(func(a, b mesh.Route) bool { return a.String() < b.String() })
	comparable := cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
	triangle := examplePlan(t, "seed-identity")
	for i := range triangle.Nodes {
		n := &triangle.Nodes[i]
		var main []mesh.Route
		for _, r := range n.Routes {
			if r.Table == mesh.MainTable {
				main = append(main, r)
			}
		}
		if diff := cmp.Diff(main, floatingRoutes(&triangle, n), sorted, comparable); diff != "" {
			t.Errorf("node %s (-plan +floating):\n%s", n.Name, diff)
		}
	}
	ring := examplePlan(t, "ring5")
	routes := floatingRoutes(&ring, &ring.Nodes[0])
	if want := 2 * 4 * 2; len(routes) != want { // families, destinations, ways
		t.Errorf("%d routes in a ring of five, want %d: %v", len(routes), want, routes)
	}
}

func TestStaticRing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := New(ctx, examplePlan(t, "ring5"), Options{Engine: "static"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lost := 0
	for _, cable := range l.Plan.Cables {
		if _, err := l.Cut(ctx, cable.Name, Delete, 0); err != nil {
			t.Fatal(err)
		}
		checked, err := l.Check(ctx, 300*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range checked {
			if !c.Good {
				lost++
			}
		}
		if _, err := l.Plug(ctx, cable.Name); err != nil {
			t.Fatal(err)
		}
	}
	if lost == 0 {
		t.Error("floating routes save every pair of a ring: then nothing else is needed, or this engine installs more than it says")
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("17 (a) b (c)) S 1 17 17 0 -1 4194560 900 0 0 0 120 30 0 0 20 0 3 0 100 1 1")
	if want := (ProcessUsage{Name: "a) b (c)", CPU: 1500 * time.Millisecond}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "17 (x) S 1", "17 (x) S 1 17 17 0 -1 4194560 900 0 0 0 many 30 0"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if got := kilobytes([]byte("Rss:      12 kB\nPss:       7 kB\n"), "Pss:"); got != 7<<10 {
		t.Errorf("Pss is %d bytes, want %d", got, 7<<10)
	}
}

// comparison is made up; it has every sort of cut.
func comparison() Comparison {
	prompt, late := 0.5, 740.0
	cut := func(how string, ms float64, healed bool, noticed *float64) CompareCut {
		return CompareCut{How: how, WorstMS: ms, Healed: healed, NoticedMS: noticed}
	}
	return Comparison{
		Mesh: "made-up", Nodes: 3, Cables: 3, Pairs: 12, SpacingMS: 1, Kernel: "6.1", Seconds: 60,
		Engines: []EngineResult{
			{Engine: Compiled, ColdStartMS: 71, Usage: []IdleUsage{{Node: "01"}}, Cuts: []CompareCut{
				cut(Delete, 0, true, nil), cut(Delete, 2, true, nil), cut(Delete, 1, true, nil),
				cut(Carrier, 0, true, &prompt), cut(Carrier, 730, true, &late), cut(Held, 810, true, &late),
			}},
			{Engine: "static", ColdStartMS: 80, Usage: []IdleUsage{{Node: "01"}}, Cuts: []CompareCut{
				cut(Delete, 1900, false, nil), cut(Delete, 0, true, nil), cut(Silent, 1950, false, nil),
			}},
			{Engine: "frr-ospf", Version: "FRR 8.4.4", ColdStartMS: 1830, Usage: []IdleUsage{
				{Node: "01", Processes: []string{"zebra", "ospfd"}, RSS: 40 << 20, PSS: 20 << 20, CPU: 2},
				{Node: "02", Processes: []string{"zebra", "ospfd"}, RSS: 42 << 20, PSS: 22 << 20, CPU: 3},
			}, Cuts: []CompareCut{{How: Delete, WorstMS: 1250, Healed: true, BackMS: Never, LateMS: 150, Repeated: 2}}},
			{Engine: "frr-bgp", Error: "no such thing"},
			{Engine: AgentEngine, Usage: []IdleUsage{{Node: "01", Processes: []string{"usb4mesh"}, RSS: 20 << 20, PSS: 14 << 20, CPU: 1}}},
		},
		Throughput: []RateRatio{{Pair: Pair{"01", "02", IPv4}, Hops: 1, Gbps: []float64{19, 20}, Bare: []float64{20, 20}, Ratio: 0.975}},
	}
}

func TestCompareRows(t *testing.T) {
	want := []CompareRow{
		{Engine: Compiled, How: Delete, Cuts: 3, MedianMS: 1, WorstMS: 2},
		{Engine: Compiled, How: Carrier, Cuts: 1},
		{Engine: Compiled, How: Held, Cuts: 2, MedianMS: 730, WorstMS: 810},
		{Engine: "static", How: Delete, Cuts: 2, MedianMS: 0, WorstMS: Never, Unhealed: 1},
		{Engine: "static", How: Silent, Cuts: 1, MedianMS: Never, WorstMS: Never, Unhealed: 1},
		{Engine: "frr-ospf", How: Delete, Cuts: 1, MedianMS: 1250, WorstMS: 1250, NotBack: 1},
	}
	if diff := cmp.Diff(want, comparison().Rows()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCompareWrites(t *testing.T) {
	for name, write := range map[string]func(Comparison, *strings.Builder) error{
		"text":     func(c Comparison, w *strings.Builder) error { return c.WriteText(w) },
		"markdown": func(c Comparison, w *strings.Builder) error { return c.WriteMarkdown(w) },
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			c := comparison()
			c.UsageRatios = c.usageRatios()
			if err := write(c, &b); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{
				"until replugged", "OSPF (FRR 8.4.4)", "1.25 s", "41.0 MiB", "21.0 MiB", "2.5 %", "0.975", "BGP unnumbered: no such thing",
				"takes 0.49 of the memory (RSS; 0.67 of PSS) and 0.40 of the idle CPU of one with OSPF (FRR 8.4.4)", "2 cuts were repeated", "1 cuts count although probes were late",
			} {
				if !strings.Contains(b.String(), want) {
					t.Errorf("%q is missing in:\n%s", want, b.String())
				}
			}
		})
	}
}

func TestMiddle(t *testing.T) {
	for _, tt := range []struct {
		all  []float64
		want float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}, {[]float64{1, math.Inf(1), 1}, 1},
	} {
		if got := middle(tt.all); got != tt.want {
			t.Errorf("middle(%v) = %v, want %v", tt.all, got, tt.want)
		}
	}
}

func TestCompareRefuses(t *testing.T) {
	for _, o := range []CompareOptions{{Engines: []string{"rip"}}, {How: []string{"axe"}}} {
		if _, err := Compare(t.Context(), mesh.Plan{}, o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
