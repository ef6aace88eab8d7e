package lab

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

var update = flag.Bool("update", false, "write golden files")

func TestPhases(t *testing.T) {
	for _, c := range []struct {
		name  string
		sent  []int64
		lost  string // x is lost, . arrived
		marks []int64
		want  []Phase
	}{
		{"nothing", nil, "", nil, []Phase{{}}},
		{"all well", []int64{1, 2, 3}, "...", nil, []Phase{{Sent: 3}}},
		{"tail lost", []int64{1, 2, 3}, ".xx", nil, []Phase{{3, 2, 2}}},
		{"runs", []int64{1, 2, 3, 4, 5, 6}, "x.xx.x", nil, []Phase{{6, 4, 2}}},
		{"a mark belongs to the phase after", []int64{1, 2, 3}, "x.x", []int64{3}, []Phase{{2, 1, 1}, {1, 1, 1}}},
		{"a run over a mark counts in full", []int64{1, 2, 3, 4}, ".xx.", []int64{3}, []Phase{{2, 1, 1}, {2, 1, 2}}},
		{"empty phases", []int64{5}, ".", []int64{1, 2, 9}, []Phase{{}, {}, {Sent: 1}, {}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []bool
			for _, l := range strings.TrimRight(c.lost, "x") { // what never arrived is not even in the list
				got = append(got, l == '.')
			}
			if diff := cmp.Diff(c.want, phases(c.sent, got, c.marks)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// However a run is marked, each probe is in one phase.
func TestPhasesCountEachProbeOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.SliceOf(rapid.Int64Range(0, 100)).Draw(t, "sent")
		slices.Sort(sent)
		marks := rapid.SliceOfN(rapid.Int64Range(0, 100), 0, 4).Draw(t, "marks")
		slices.Sort(marks)
		got := rapid.SliceOfN(rapid.Bool(), 0, len(sent)).Draw(t, "got")
		lost := len(sent)
		for _, g := range got {
			if g {
				lost--
			}
		}
		var sum Phase
		for _, p := range phases(sent, got, marks) {
			sum.Sent, sum.Lost = sum.Sent+p.Sent, sum.Lost+p.Lost
		}
		if sum.Sent != len(sent) || sum.Lost != lost {
			t.Fatalf("phases hold %d sent and %d lost of %d and %d", sum.Sent, sum.Lost, len(sent), lost)
		}
	})
}

func TestPaths(t *testing.T) {
	p := ring(t, 5)
	paths := Paths(&p)
	if len(paths) != 40 {
		t.Fatalf("%d paths, want 20 pairs in 2 families", len(paths))
	}
	hops := map[int]int{}
	for _, path := range paths {
		hops[path.Hops()]++
		if path.Interface == "" || path.Source.Is4() != (path.Family == IPv4) {
			t.Errorf("%+v", path)
		}
	}
	if want := map[int]int{1: 20, 2: 20}; !cmp.Equal(hops, want) {
		t.Errorf("paths by hops %v, want %v", hops, want)
	}
	apart := connected(&p, "")
	if !apart("01", "04") {
		t.Error("a whole ring is in parts")
	}
	chain := shape(t, "chain", 3, 2)
	if still := connected(&chain, "2"); still("01", "03") || !still("01", "02") {
		t.Error("the second cable of a chain separates 03 and nobody else")
	}
}

// Without identities neighbours know each other by the addresses of their cable.
func TestPathsWithoutIdentities(t *testing.T) {
	a, b := netip.MustParsePrefix("10.7.0.1/32"), netip.MustParsePrefix("10.7.0.2/32")
	link := func(peer string, local, far netip.Prefix) []mesh.LinkPlan {
		return []mesh.LinkPlan{{Interface: "tbt-" + peer, Peer: peer, Cable: "1",
			Addresses: []mesh.Address{{Interface: "tbt-" + peer, Local: local, Peer: far}}}}
	}
	p := mesh.Plan{Nodes: []mesh.NodePlan{
		{Name: "01", Links: link("02", a, b)}, {Name: "02", Links: link("01", b, a)}, {Name: "03"},
	}}
	want := []Path{
		{Pair{"01", "02", IPv4}, a.Addr(), b.Addr(), "tbt-02", []string{"1"}},
		{Pair{"02", "01", IPv4}, b.Addr(), a.Addr(), "tbt-01", []string{"1"}},
	}
	got := Paths(&p)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	if protected(got[0], &p, "1") || !protected(got[0], &p, "2") {
		t.Error("a point to point address lives and dies with its cable")
	}
}

// The rate of probes stays bounded however large the mesh is, and pairs whose
// path is cut get the densest probes.
func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var paths []Path
		for i := range rapid.IntRange(0, 60).Draw(t, "crossing") {
			paths = append(paths, Path{Pair: Pair{From: "c", To: string(rune(i))}, Cables: []string{"1"}})
		}
		for i := range rapid.IntRange(0, 2000).Draw(t, "others") {
			paths = append(paths, Path{Pair: Pair{From: "o", To: string(rune(i))}, Cables: []string{"2"}})
		}
		flows := spread(paths, "1")
		if len(flows) != len(paths) {
			t.Fatalf("%d flows for %d paths", len(flows), len(paths))
		}
		var rate, near, far float64
		for _, f := range flows {
			rate += 1 / f.Spacing.Seconds()
			if f.From == "c" {
				near = f.Spacing.Seconds()
			} else {
				far = f.Spacing.Seconds()
			}
		}
		if rate > mostRate+leastRate+1 { // a sum of floats
			t.Errorf("%.0f probes per second", rate)
		}
		if near > 0 && far > 0 && far < near {
			t.Errorf("others every %g s, the cut pairs only every %g s", far, near)
		}
	})
	p := ring(t, 3)
	for _, f := range spread(Paths(&p), "1") {
		if f.Spacing != time.Millisecond {
			t.Errorf("%v every %s: a triangle fits into 1 ms", f.Pair, f.Spacing)
		}
	}
}

func TestJudge(t *testing.T) {
	bad := PairLoss{Pair{"01", "02", IPv6}, 17, 17, 17}
	for _, c := range []struct {
		name     string
		change   func(*Report)
		problems []string
		notes    int
	}{
		{"all well", func(*Report) {}, []string{}, 0},
		{"not reached", func(r *Report) { r.Pairs[0].Reachable = false; r.Pairs[0].Why = "no answer" },
			[]string{"01 does not reach 02 over ipv6: no answer"}, 0},
		{"not reached, as planned", func(r *Report) { r.Pairs[0].Reachable, r.Pairs[0].Hops = false, 0 }, []string{}, 0},
		{"lost", func(r *Report) { r.Cuts[0].Failed = []PairLoss{bad} },
			[]string{"cable 1 (delete): 01 to 02 over ipv6 lost 17 probes, 17 ms; at most 5 ms are allowed"}, 0},
		{"lost in silence", func(r *Report) { r.Cuts[0].How, r.Cuts[0].Failed = Silent, []PairLoss{bad} }, []string{}, 1},
		{"many lost", func(r *Report) { r.Cuts[0].Failed = []PairLoss{bad, bad, bad, bad, bad} },
			[]string{
				"cable 1 (delete): 01 to 02 over ipv6 lost 17 probes, 17 ms; at most 5 ms are allowed",
				"cable 1 (delete): 01 to 02 over ipv6 lost 17 probes, 17 ms; at most 5 ms are allowed",
				"cable 1 (delete): 01 to 02 over ipv6 lost 17 probes, 17 ms; at most 5 ms are allowed",
				"cable 1 (delete): and 2 more pairs",
			}, 0},
		{"not back", func(r *Report) { r.Cuts[0].Restored, r.Cuts[0].Missing = false, "a route" },
			[]string{"cable 1 (delete): planned paths are not back after the plug: a route"}, 0},
		{"busy machine", func(r *Report) { r.Cuts[0].LostBefore = 2 }, []string{}, 1},
		{"no addresses", func(r *Report) { r.Pairs = nil },
			[]string{"no two nodes have addresses for each other: give the cluster file identity pools"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Report{Nodes: 2, Problems: []string{}, Pairs: []PairResult{{Pair: bad.Pair, Reachable: true, Hops: 1}},
				Cuts: []CutResult{{Cable: "1", How: Delete, Restored: true, AllowedMillis: 5}}}
			c.change(&r)
			r.judge()
			if diff := cmp.Diff(c.problems, r.Problems); diff != "" || r.OK != (len(c.problems) == 0) || len(r.Notes) != c.notes {
				t.Errorf("ok %v, notes %q, problems:\n%s", r.OK, r.Notes, diff)
			}
		})
	}
}

// What was lost before the kernel noticed is not judged in a cut that it held
// back; what was lost after is.
func TestHeldBackCut(t *testing.T) {
	flow := FlowResult{Flow: Flow{Pair{"01", "02", IPv4}, time.Millisecond}, Phases: []Phase{{300, 0, 0}, {400, 400, 400}, {600, 2, 402}, {200, 3, 3}}}
	for _, held := range []bool{true, false} {
		c := CutResult{HeldBack: held, AllowedMillis: 5}
		c.count(Probes{Flows: []FlowResult{flow}}, func(Pair) bool { return true })
		if c.Probes != 1000 || c.Lost != 402 || c.LongestGap != 402 || c.LostReplug != 3 || c.Worst == nil {
			t.Errorf("%+v", c)
		}
		if got := len(c.Failed) == 0; got != held {
			t.Errorf("held back %v: failed %v", held, c.Failed)
		}
	}
}

func TestReportText(t *testing.T) {
	gbps := 21.456
	noticed := 345.0
	r := Report{
		Mesh: "homelab", Nodes: 3, Cables: 3, Apply: "netlink", Kernel: "6.18.1", ReadyMillis: 18.2, ThroughputTool: Iperf3, Seconds: 17.8,
		StandIns: []string{"veth pairs stand for cables"},
		Cuts: []CutResult{
			{Cable: "1", Ends: [2]string{"01:left", "02:right"}, How: Delete, End: "01:left", AllowedMillis: 5, Probes: 12000, Restored: true, RestoredMillis: 68,
				Spacing: []SpacingGroup{{1, 12}}},
		},
		HeldBack: []CutResult{
			{Cable: "2", Ends: [2]string{"02:left", "03:right"}, How: Carrier, End: "03:right", Probes: 12000, Lost: 690, LongestGap: 345, HeldBack: true,
				NoticedMillis: &noticed, Worst: &PairLoss{Pair{"02", "03", IPv4}, 345, 345, 345}, Restored: true, RestoredMillis: 70, LostReplug: 12,
				Spacing: []SpacingGroup{{1, 4}, {6, 8}}, LoadGbps: &gbps},
		},
	}
	for _, from := range []string{"01", "02", "03"} {
		for _, to := range []string{"01", "02", "03"} {
			for _, family := range []string{IPv4, IPv6} {
				if from != to {
					r.Pairs = append(r.Pairs, PairResult{Pair: Pair{from, to, family}, Reachable: true, Gbps: &gbps, Hops: 1})
				}
			}
		}
	}
	r.judge()
	golden(t, "report.txt", &r)
	r.Cuts[0].Failed = []PairLoss{{Pair{"01", "02", IPv4}, 9, 9, 9}}
	r.Cuts[0].Separated = []Pair{{"01", "02", IPv4}}
	r.Pairs[3].Reachable, r.Pairs[3].Why, r.Pairs[3].Gbps = false, "no answer", nil
	r.ThroughputTool, r.Notes = Stream, nil
	r.judge()
	golden(t, "report-failed.txt", &r)
}

func golden(t *testing.T, name string, r *Report) {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Error(diff)
	}
}

// Lists in the JSON are never null: the form is a promise.
func TestReportJSON(t *testing.T) {
	r := newReport(mesh.Plan{Mesh: "m"}, Setup{StandIns: []string{"x"}})
	c := CutResult{}
	c.count(Probes{}, nil)
	r.Cuts = append(r.Cuts, c)
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	cut := got["cuts"].([]any)[0].(map[string]any)
	for _, list := range []any{got["pairs"], got["unprotected"], got["problems"], got["notes"], cut["failed"], cut["separated"]} {
		if _, ok := list.([]any); !ok {
			t.Errorf("a list is null in %s", b)
		}
	}
	for _, field := range []string{"cable", "how", "probes", "lost", "longest_gap_ms", "restored"} {
		if _, ok := cut[field]; !ok {
			t.Errorf("no %s in %s", field, b)
		}
	}
}

// The plan reaches the keeper as it was.
func TestPlanSurvivesTheProtocol(t *testing.T) {
	p := shape(t, "grid", 9, 4)
	b, err := json.Marshal(buildArgs{Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	var got buildArgs
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got.Plan, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.IgnoreFields(mesh.Plan{}, "Proof")); diff != "" {
		t.Error(diff)
	}
}

func TestConnPassesFiles(t *testing.T) {
	a, far, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	b, err := unixConn(far)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	send, receive := newConn(a), newConn(b)
	big := strings.Repeat("x", 1<<20)
	out, text := pipeTo(t)
	done := make(chan error, 1)
	go func() {
		err := send.send(request{Op: "one", Args: json.RawMessage(`"` + big + `"`)}, out, out, out)
		a.Close()
		done <- err
	}()
	var r request
	if err := receive.dec.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r.Op != "one" || len(r.Args) != len(big)+2 || len(receive.files) != 3 {
		t.Fatalf("op %q, %d bytes, %d files", r.Op, len(r.Args), len(receive.files))
	}
	for i, f := range receive.files {
		if _, err := f.WriteString(string(rune('a' + i))); err != nil {
			t.Error(err)
		}
	}
	closeFiles(receive.files)
	if got := text(); got != "abc" {
		t.Errorf("through the files came %q", got)
	}
	if err := receive.dec.Decode(&r); err == nil {
		t.Error("a closed connection gave a message")
	}
}

func TestFilesOf(t *testing.T) {
	for _, name := range []string{"homelab", "a.b-c_1"} {
		if got := filesOf("/run", name).socket; got != "/run/lab-"+name+".sock" {
			t.Error(got)
		}
	}
	for _, name := range []string{"", "../../etc/passwd", strings.Repeat("n", 300), "a b", ".x"} {
		got := filesOf("/run", name).socket
		if filepath.Dir(got) != "/run" || len(got) > 60 || strings.ContainsAny(got, " \n") {
			t.Errorf("%q gives %s", name, got)
		}
	}
	if filesOf("/run", "a b") == filesOf("/run", "a  b") {
		t.Error("two meshes share files")
	}
}

func TestStoreDirIsPrivate(t *testing.T) {
	dir := ownStore(t)
	if got, err := storeDir(); err != nil || got != dir {
		t.Fatalf("%s, %v; want %s", got, err, dir)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := storeDir(); err == nil || !strings.Contains(err.Error(), "open to others") {
		t.Errorf("a directory open to others: %v", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/tmp", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := storeDir(); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a link to elsewhere: %v", err)
	}
}

func TestPickAsksWhichLab(t *testing.T) {
	dir := ownStore(t)
	if _, err := storeDir(); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"b", "a"} {
		if err := filesOf(dir, m).writeRecord(record{Mesh: m}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pick(""); err == nil || !strings.HasSuffix(err.Error(), "--mesh: a, b") {
		t.Error(err)
	}
	if m, err := pick("b"); m != "b" || err != nil {
		t.Error(m, err)
	}
}
