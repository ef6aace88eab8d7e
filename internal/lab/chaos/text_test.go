package chaos

import (
	"strings"
	"testing"
)

func TestWriteText(t *testing.T) {
	r := Report{
		Mesh: "cube", Nodes: 8, Cables: 12, Kernel: "6.18", Seed: 42, Seconds: 61, OK: true, StandIns: []string{"a bridge for a dummy"},
		Steps: []StepResult{
			{Step: Step{Number: 1, Kind: Unplug, Cable: "3"}, Out: []string{"3"}, SettledMillis: 310},
			{Step: Step{Number: 2, Kind: Foreign, Node: "n1", What: "route", Pick: 7}, Out: []string{"3"}, SettledMillis: 25, Done: "remove route 10.7.8.1/32"},
			{Step: Step{Number: 3, Kind: Unplug, Cable: "4"}, Out: []string{"3", "4"}, SettledMillis: 610},
		},
		Agents: []AgentUsage{{Node: "n0", Starts: 2, Files: [2]int{20, 21}, Goroutines: [2]int{30, 31}, Threads: [2]int{9, 9}, RSS: [2]int64{20 << 20, 22 << 20}}},
	}
	write := func() string {
		var b strings.Builder
		if err := r.WriteText(&b, false); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, want := range []string{
		"seed 42, 3 steps", "unplug   2      610 ms           610 ms", "foreign  1      25 ms", "n0    2       20, 21      30, 31      9, 9     20.0, 22.0 MiB",
		"a bridge for a dummy", "OK: after each of 3 steps", "nothing leaked (61 s, seed 42)",
	} {
		if text := write(); !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	r.OK, r.Problems, r.Steps[2].Wrong = false, []string{"step 3 unplug cable 4: a thing"}, []string{"a thing", "another"}
	for _, want := range []string{
		"FAILED after 61 s; --seed 42 --steps 3 does the same steps again:", "  - step 3 unplug cable 4: a thing",
		"  2 foreign node n1 route #7, it was remove route 10.7.8.1/32; out: 3; settled in 25 ms", "    another\n",
	} {
		if text := write(); !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}
