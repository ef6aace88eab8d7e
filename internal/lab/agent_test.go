package lab

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// clusterFile is a ring of four; amsel has both ports on one Intel controller.
const clusterFile = `mesh: quartett
identity: [10.7.9.0/24, "fd75:7362:3409::/64"]
topology: ring
nodes:
  - name: amsel
    ports:
      a: {path: "pci-0000:00:0d.2", adapter: 1}
      b: {path: "pci-0000:00:0d.2", adapter: 3}
  - name: drossel
    ports: {a: {path: "pci-0000:c7:00.5"}, b: {path: "pci-0000:c7:00.6"}}
  - name: fink
    ports: {a: {path: "pci-0000:c7:00.5"}, b: {path: "pci-0000:c7:00.6"}}
  - name: meise
    ports: {a: {path: "pci-0000:c7:00.5"}, b: {path: "pci-0000:c7:00.6"}}
`

// startAgents starts a lab in which stubs play the agents.
func startAgents(t *testing.T) *Lab {
	t.Helper()
	c, fs := config.Parse("test.yaml", []byte(clusterFile))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	p, _ := plan.Make(c)
	return start(t, p, Options{Engine: AgentEngine, Cluster: []byte(clusterFile)})
}

// settles waits until Verify finds nothing wrong.
func settles(t *testing.T, l *Lab) Verdict {
	t.Helper()
	var v Verdict
	err := poll(t.Context(), 20*time.Millisecond, 10*time.Second, func() (err error) {
		if v, err = l.Verify(t.Context()); err == nil && len(v.Wrong) > 0 {
			err = errTimeout
		}
		return err
	})
	if err != nil {
		t.Fatalf("does not settle: %v: %v", err, v.Wrong)
	}
	return v
}

func TestAgentsFindTheirHardware(t *testing.T) {
	l := startAgents(t)
	ctx := t.Context()
	v := settles(t, l)
	if v.Tables != 4 || v.Walked != 24 || v.Reached != 24 || v.Separated != 0 {
		t.Errorf("verdict %+v, want 4 tables and 24 pairs", v)
	}
	infos, err := l.Agents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		if !i.Running || i.Starts != 1 || i.Files < 5 || i.Threads < 2 || i.Goroutines != 7 || i.RSS < 1<<20 || i.Status.Node != i.Node || i.Error != "" {
			t.Errorf("agent %+v", i)
		}
	}

	// A plug makes a new interface, and the agent names it.
	cable := l.Plan.Cables[1].Name
	if _, err := l.Cut(ctx, cable, Delete, 0); err != nil {
		t.Fatal(err)
	}
	if v, err = l.Verify(ctx); err != nil || len(v.Wrong) == 0 {
		t.Errorf("the stubs know nothing of the cable that is gone, and yet nothing is wrong: %+v, %v", v, err)
	}
	if _, err := l.Plug(ctx, cable); err != nil {
		t.Fatal(err)
	}
	settles(t, l)

	// The power of a node goes and comes.
	if _, err := l.Power(ctx, "fink", false); err != nil {
		t.Fatal(err)
	}
	if v, err = l.Verify(ctx); err != nil || v.Separated != 12 {
		t.Errorf("%d pairs are separated by a node without power, want 12: %v", v.Separated, err)
	}
	if _, err := l.Plug(ctx, cable); err == nil {
		t.Error("a cable was plugged into a node without power")
	}
	if _, err := l.Power(ctx, "fink", true); err != nil {
		t.Fatal(err)
	}
	settles(t, l)
}

// Without an agent nothing is restored, and Verify says what is missing.
func TestVerifySeesDamage(t *testing.T) {
	l := startAgents(t)
	ctx := t.Context()
	settles(t, l)
	for i, what := range Vandals() {
		t.Run(what, func(t *testing.T) {
			do := func(a AgentAction) {
				t.Helper()
				if err := l.Agent(ctx, "amsel", a); err != nil {
					t.Fatal(err)
				}
			}
			do([]AgentAction{AgentKill, AgentStop}[i%2])
			if v, err := l.Verify(ctx); err != nil || len(v.Wrong) > 0 {
				t.Errorf("a dead agent leaves the forwarding as it was; wrong: %v, %v", v.Wrong, err)
			}
			taken, err := l.Vandalize(ctx, "amsel", what, i)
			if err != nil || taken == "" {
				t.Fatalf("taken %q: %v", taken, err)
			}
			v, err := l.Verify(ctx)
			if err != nil || len(v.Wrong) == 0 {
				t.Errorf("%s, and Verify saw nothing: %v", taken, err)
			}
			do(AgentStart)
			settles(t, l)
		})
	}
}

// One way, and then the other, is enough for a cable to be of no use.
func TestOneWayCut(t *testing.T) {
	l := start(t, ring(t, 3), Options{})
	ctx := t.Context()
	if _, err := l.Check(ctx, 5*time.Second); err != nil { // neighbours know each other from then on
		t.Fatal(err)
	}
	cable := l.Plan.Cables[0]
	for end := range 2 {
		if _, err := l.Cut(ctx, cable.Name, OneWay, end); err != nil {
			t.Fatal(err)
		}
		deaf := Pair{cable.Ends[end].Node, cable.Ends[1-end].Node, IPv4}
		hears := Pair{deaf.To, deaf.From, IPv4}
		p, err := l.Probe(ctx, []Flow{{deaf, time.Millisecond}, {hears, time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		r, err := p.Stop(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i, lost := range []bool{true, false} {
			f := r.Flows[i].Phases[0]
			if (f.Lost == f.Sent) != lost || f.Sent < 20 {
				t.Errorf("end %d is no longer heard: %v lost %d of %d probes", end, r.Flows[i].Pair, f.Lost, f.Sent)
			}
		}
		if _, err := l.Plug(ctx, cable.Name); err != nil {
			t.Fatal(err)
		}
	}
}

// Cleanup compares with what was before the first agent: the stub leaves names and
// settings behind, and that is found.
func TestCleanupIsCompared(t *testing.T) {
	l := startAgents(t)
	ctx := t.Context()
	settles(t, l)
	diff, err := l.Cleanup(ctx)
	if err != nil {
		t.Fatal(err)
	}
	has := func(text string) bool {
		return slices.ContainsFunc(diff, func(line string) bool { return strings.Contains(line, text) })
	}
	if !has("+ sysctl net/ipv4/conf/cable-1/forwarding = 1") || !has("+ link tbt-amsel of cable-") {
		t.Errorf("what the stub left behind was not found:\n%s", strings.Join(diff, "\n"))
	}
	if has("10.7.9.") || has("rule ") || has(mesh.IdentityInterface) {
		t.Errorf("what the stub removed is in the difference:\n%s", strings.Join(diff, "\n"))
	}
}

// The whole programme, with stubs that can't see silence: all that is asked of agents
// is judged, and what the stubs can't do is named.
func TestRunJudgesAgents(t *testing.T) {
	l := startAgents(t)
	r, err := Run(t.Context(), l, RunOptions{NoThroughput: true, How: []string{Delete, Silent}, Cables: []string{"2"}})
	if err != nil {
		t.Fatal(err)
	}
	hows := map[string]int{}
	for _, c := range r.Cuts {
		hows[c.How]++
		if c.How == Silent != (len(c.Failed) > 0) {
			t.Errorf("%s: failed %v", c.name(), c.Failed)
		}
	}
	if want := map[string]int{Delete: 1, Silent: 1, PowerLoss: 2, AgentDies: 2, AgentEnds: 1, AllDie: 1}; !maps.Equal(hows, want) {
		t.Errorf("cuts %v, want %v", hows, want)
	}
	var text strings.Builder
	if err := r.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cable 2 (silent): ", "agent --cleanup leaves a difference: node amsel: ", "kill -9"} {
		if r.OK || !strings.Contains(text.String(), want) {
			t.Errorf("ok %t; the report does not say %q:\n%s", r.OK, want, text.String())
		}
	}
}
