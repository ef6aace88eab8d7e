package status

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestScreen compares what a person sees with testdata/screen.
func TestScreen(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(situations)) {
		t.Run(name, func(t *testing.T) {
			got := Screen(situation(name), Look{})
			file := filepath.Join("testdata", "screen", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("screen (-want +got):\n%s", diff)
			}
		})
	}
}

var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Every screen fits, keeps hostile names harmless, and says the same without colours.
func TestScreenFits(t *testing.T) {
	for name := range situations {
		for _, width := range []int{40, 57, 80, 132} {
			plain := Screen(situation(name), Look{Width: width})
			fits(t, plain, width)
			coloured := Screen(situation(name), Look{Width: width, Colour: true})
			if coloured == plain {
				t.Errorf("%s: no colours", name)
			}
			if diff := cmp.Diff(plain, ansi.ReplaceAllString(coloured, "")); diff != "" {
				t.Errorf("%s, %d columns: without colours (-plain +stripped):\n%s", name, width, diff)
			}
		}
	}
}

func fits(t interface{ Errorf(string, ...any) }, screen string, width int) {
	for i, line := range strings.Split(screen, "\n") {
		if n := utf8.RuneCountInString(line); n > width {
			t.Errorf("line %d has %d characters, more than %d: %q", i+1, n, width, line)
		}
		if strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("line %d drives the terminal: %q", i+1, line)
		}
		if line != strings.TrimRight(line, " ") {
			t.Errorf("line %d ends in spaces: %q", i+1, line)
		}
	}
}

// Whatever an agent may send fits, too.
func TestScreenOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 40, -1)
		s := situation(rapid.SampledFrom(slices.Sorted(maps.Keys(situations))).Draw(t, "situation"))
		for _, p := range []*string{&s.Mesh, &s.Node, &s.Version, &s.Why, &s.PlanDigest, &s.LastTurn.Cause, &s.LastTurn.Error, &s.Reboot.Reason} {
			if rapid.Bool().Draw(t, "change") {
				*p = text.Draw(t, "text")
			}
		}
		for i := range s.Links {
			l := &s.Links[i]
			l.Interface, l.Peer, l.Why, l.Stranger = text.Draw(t, "interface"), text.Draw(t, "peer"), text.Draw(t, "why"), text.Draw(t, "stranger")
			l.Liveness.State, l.Liveness.Verdict = text.Draw(t, "state"), text.Draw(t, "verdict")
		}
		for i := range s.Routes {
			s.Routes[i].Node, s.Routes[i].InUse = text.Draw(t, "node"), text.Draw(t, "in use")
		}
		for i := range s.Findings {
			s.Findings[i].Message, s.Findings[i].Hint = text.Draw(t, "message"), text.Draw(t, "hint")
		}
		width := rapid.IntRange(40, 200).Draw(t, "width")
		fits(t, Screen(s, Look{Width: width}), width)
	})
}

func TestAgo(t *testing.T) {
	w := &screen{now: noon}
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 999 * time.Millisecond: "0 s", 59 * time.Second: "59 s", time.Minute: "1 min", 61 * time.Minute: "1 h 1 min",
		24 * time.Hour: "1 d 0 h", 100 * 24 * time.Hour: "100 d 0 h",
	} {
		if got := w.ago(before(d)); got != want {
			t.Errorf("%s ago: %q, want %q", d, got, want)
		}
	}
	if got := w.ago(time.Time{}); got != "-" {
		t.Errorf("never: %q", got)
	}
}

// The clock of who looks goes on between two statuses.
func TestScreenAges(t *testing.T) {
	late := Screen(healthy(), Look{Now: noon.Add(time.Hour)})
	if !strings.Contains(late, "agent up 1 d 4 h; last turn 1 h 0 min ago") {
		t.Errorf("an hour later:\n%s", late)
	}
}

// Words that no status of today has are shown, not hidden.
func TestLinkWord(t *testing.T) {
	for want, l := range map[string]mesh.LinkStatus{
		"unplugged":    {},
		"no interface": {Plugged: true},
		"no carrier":   {Plugged: true, Kernel: "x"},
		"not used":     {Plugged: true, Kernel: "x", Carrier: true},
		"dead":         {Plugged: true, Kernel: "x", Carrier: true, Liveness: mesh.LivenessStatus{Verdict: "dead"}},
		"last resort":  {Plugged: true, Kernel: "x", Carrier: true, Usable: true, Liveness: mesh.LivenessStatus{Verdict: "dead"}},
		"in use":       {Plugged: true, Kernel: "x", Carrier: true, Usable: true, Liveness: mesh.LivenessStatus{Verdict: "absent"}},
		"stranger":     {Plugged: true, Kernel: "x", Carrier: true, Stranger: "x"},
	} {
		if got, _ := linkWord(&l); got != want {
			t.Errorf("%+v: %q, want %q", l, got, want)
		}
	}
}
