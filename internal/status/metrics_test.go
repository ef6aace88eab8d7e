package status

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// TestMetrics compares what Prometheus reads with testdata/metrics, and lets
// Prometheus' own linter look at it.
func TestMetrics(t *testing.T) {
	for _, name := range []string{"dead-link", "starting", "healthy"} {
		f := newFakeAgent(situation(name))
		f.status.Findings = append(f.status.Findings, f.status.Findings...) // two of a kind are one series
		_, url := serve(t, f)
		code, got := get(t, url+"/metrics")
		if code != 200 {
			t.Fatalf("%s: %d\n%s", name, code, got)
		}
		// Go and process metrics differ from run to run, the time of turns is of its own test.
		got = regexp.MustCompile(`(?m)^(# (HELP|TYPE) )?(go|process|usb4mesh_turn_duration)_.*\n`).ReplaceAllString(got, "")
		got = regexp.MustCompile(`goversion="[^"]*"`).ReplaceAllString(got, `goversion="go"`)
		file := filepath.Join("testdata", "metrics", name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		r := newCollector(f).registry()
		problems, err := testutil.GatherAndLint(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", name, p.Metric, p.Text)
		}
	}
}

// Labels come from the plan: neither what a stranger calls itself nor how often
// something happened makes new series.
func TestCardinality(t *testing.T) {
	f := newFakeAgent(situation("stranger"))
	r := newCollector(f).registry()
	series := func() (n int) {
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if strings.HasPrefix(family.GetName(), "usb4mesh_") {
				n += len(family.GetMetric())
				if strings.Contains(family.String(), "macbook") {
					t.Errorf("%s: the stranger's own name is a label", family.GetName())
				}
			}
		}
		return n
	}
	first := series()
	f.set(func(s *mesh.Status) {
		s.Links = slices.Clone(s.Links)
		s.Mesh = "not UTF-8: \xff"
		s.Links[1].Stranger = "another"
		s.Links[1].Why, s.Why = "other words", "other words"
		s.Turn++
	})
	if again := series(); again != first {
		t.Errorf("%d series became %d", first, again)
	}
}

// Turns that are told apart are counted with their time.
func TestTurnDuration(t *testing.T) {
	f := newFakeAgent(healthy())
	f.status.LastTurn.Millis = 30
	_, url := serve(t, f)
	deadline := time.Now().Add(10 * time.Second)
	for turn := uint64(1); turn <= 3; turn++ {
		f.set(func(s *mesh.Status) { s.Turn = 100 + turn })
		want := `usb4mesh_turn_duration_seconds_bucket{le="0.05"} ` // 30 ms, and nothing faster
		for {
			_, text := get(t, url+"/metrics")
			if strings.Contains(text, want) && strings.Contains(text, `usb4mesh_turn_duration_seconds_bucket{le="0.025"} 0`) &&
				!strings.Contains(text, want+"0\n") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("turn %d was not observed:\n%s", turn, text)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

var _ prometheus.Collector = (*collector)(nil)
