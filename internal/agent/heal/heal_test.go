package heal

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func always(string, time.Duration) (bool, string) { return true, "" }

// run turns the ladder every second and returns what was done, with the second.
func run(l *Ladder, from, to int, link func(second int) Link, may func(string, time.Duration) (bool, string)) []string {
	var out []string
	for i := from; i < to; i++ {
		actions, _ := l.Turn(start.Add(time.Duration(i)*time.Second), []Link{link(i)}, may)
		for _, a := range actions {
			out = append(out, fmt.Sprintf("%d %s", i, a.Step))
		}
	}
	return out
}

func sick(int) Link {
	return Link{Name: "tbt-b", Cable: "1", Sick: true, Reason: "no carrier", Since: start}
}

func TestLadder(t *testing.T) {
	var l Ladder
	got := run(&l, 0, 700, sick, always)
	// Fifteen seconds of patience and one for the announcement; then the pauses; the next round after ten minutes.
	want := []string{"16 set-down-up", "36 rebind", "66 replug", "667 set-down-up", "687 rebind"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestRoundsBecomeRare(t *testing.T) {
	var l Ladder
	got := run(&l, 0, 24*3600, sick, always)
	if len(got) > 3*16 || len(got) < 3*8 {
		t.Errorf("%d steps in a day", len(got))
	}
}

// A link that works is left alone, and one that fails again soon goes on where it was.
func TestShortRecoveryDoesNotStartAfresh(t *testing.T) {
	var l Ladder
	link := func(i int) Link {
		switch {
		case i < 20:
			return sick(i)
		case i < 60:
			return Link{Name: "tbt-b", Cable: "1", Since: start.Add(20 * time.Second)}
		}
		return Link{Name: "tbt-b", Cable: "1", Sick: true, Reason: "no carrier", Since: start.Add(60 * time.Second)}
	}
	want := []string{"16 set-down-up", "76 rebind", "106 replug"}
	if diff := cmp.Diff(want, run(&l, 0, 150, link, always)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"tbt-b"}, l.Waiting()); diff != "" {
		t.Error(diff)
	}
	healthy := func(int) Link { return Link{Name: "tbt-b", Cable: "1", Since: start.Add(150 * time.Second)} }
	run(&l, 150, 800, healthy, always)
	again := func(int) Link {
		return Link{Name: "tbt-b", Cable: "1", Sick: true, Since: start.Add(800 * time.Second)}
	}
	if diff := cmp.Diff([]string{"816 set-down-up"}, run(&l, 800, 830, again, always)); diff != "" {
		t.Errorf("after a long time (-want +got):\n%s", diff)
	}
}

// While the other end works on the cable this one only waits.
func TestNotOurTurn(t *testing.T) {
	var l Ladder
	asked := 0
	no := func(cable string, down time.Duration) (bool, string) {
		asked++
		return down > 100*time.Second, "a works on it"
	}
	got := run(&l, 0, 130, sick, no)
	if len(got) == 0 || slices.Contains(got, "16 set-down-up") {
		t.Errorf("steps %v", got)
	}
	if asked > 12 {
		t.Errorf("asked %d times", asked)
	}
	if _, _, why := l.State("tbt-b"); why != "a works on it" {
		t.Errorf("why: %q", why)
	}
}

// It is Announced for a second before anything is done.
func TestAnnounceFirst(t *testing.T) {
	var l Ladder
	l.Turn(start.Add(patience), []Link{sick(0)}, always)
	if acting, _, _ := l.State("tbt-b"); !acting {
		t.Error("nothing is Announced")
	}
	_, wake := l.Turn(start.Add(patience+time.Millisecond), []Link{sick(0)}, always)
	if want := start.Add(patience + Announced); !wake.Equal(want) {
		t.Errorf("wake at %s, want %s", wake, want)
	}
}
