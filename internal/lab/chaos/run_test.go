package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// TestMain makes the test binary the keeper of a lab when lab starts it as one, or what
// a test runs in a node.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == wireArg {
		os.Exit(wireMain(os.Args[2:]))
	}
	if slices.Equal(os.Args[1:], lab.KeeperArgs()) {
		os.Exit(lab.KeeperMain())
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built.folder != "" {
			_ = os.RemoveAll(built.folder)
		}
		os.Exit(code)
	}))
}

// built is usb4mesh, once one test has needed it.
var built struct {
	once   sync.Once
	folder string
	err    error
}

// program builds usb4mesh, whose agent is what the faults are thrown at.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "usb4mesh-chaos"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", built.folder, "github.com/usb4mesh/usb4mesh/cmd/usb4mesh")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatalf("build usb4mesh: %v", built.err)
	}
	return filepath.Join(built.folder, "usb4mesh")
}

// start starts a lab of agents on the cube.
func start(t *testing.T, program string) *lab.Lab {
	t.Helper()
	src, err := os.ReadFile(cubeFile)
	if err != nil {
		t.Fatal(err)
	}
	return startLab(t, program, src)
}

// startLab starts a lab of agents. Their last words are shown if the test fails.
func startLab(t *testing.T, program string, src []byte) *lab.Lab {
	t.Helper()
	logs := t.TempDir()
	t.Cleanup(func() {
		names, _ := filepath.Glob(logs + "/*.log")
		for _, name := range names {
			if b, err := os.ReadFile(name); err == nil && t.Failed() {
				t.Logf("%s:\n%s", filepath.Base(name), b[max(0, len(b)-3000):])
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, fs := config.Parse("test.yaml", src)
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	p, fs := plan.Make(c)
	if finding.HasErrors(fs) {
		t.Fatal(fs)
	}
	l, err := lab.New(ctx, p, lab.Options{Engine: lab.AgentEngine, Cluster: src, Program: program, Logs: logs})
	if err != nil {
		if strings.Contains(err.Error(), "the kernel refuses") {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

// run makes steps and prints the report if it is not as wanted.
func run(t *testing.T, l *lab.Lab, o Options, ok bool) Report {
	t.Helper()
	r, err := Run(t.Context(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.OK != ok {
		var text strings.Builder
		if err := r.WriteText(&text, false); err != nil {
			t.Fatal(err)
		}
		t.Errorf("OK is %t, want %t:\n%s", r.OK, ok, text.String())
	}
	return r
}

// A short run; make chaos does a long one.
func TestChaos(t *testing.T) {
	const steps = 40
	r := run(t, start(t, program(t)), Options{Seed: 8, Steps: steps}, true)
	if len(r.Steps) != steps || len(r.Agents) != 8 {
		t.Errorf("%d steps and %d agents, want %d and 8", len(r.Steps), len(r.Agents), steps)
	}
	pairs := 0
	for _, s := range r.Steps {
		pairs += s.Pairs
		if s.Pairs+s.Separated > 112 || s.Pairs+s.Separated == 0 {
			t.Errorf("step %s: %d pairs reached and %d separated, of 112", s.Step, s.Pairs, s.Separated)
		}
	}
	if pairs < steps*112/2 {
		t.Errorf("%d pairs were looked at in %d steps: most were separated", pairs, steps)
	}
	t.Logf("seed %d, %.0f s", r.Seed, r.Seconds)
}

// An agent that never starts again is found at its first step, and the report says which
// seed finds it again.
func TestChaosFindsAnAgentThatStaysAway(t *testing.T) {
	file := program(t)
	once := filepath.Join(t.TempDir(), "once")
	mark := filepath.Join(t.TempDir(), "started")
	script := "#!/bin/sh\n[ -e " + mark + " ] && exec sleep 100\nexec " + file + " \"$@\"\n"
	if err := os.WriteFile(once, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	l := start(t, once)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := cube(t)
	seed := uint64(0)
	for Steps(&p, seed, 1)[0].Kind != Kill {
		seed++
	}
	r := run(t, l, Options{Seed: seed, Steps: 3, Settle: 2 * time.Second}, false)
	if len(r.Steps) != 1 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "step 1 kill -9 node n") || !strings.Contains(r.Problems[0], "its agent does not answer") {
		t.Errorf("%d steps, problems %q; want the first step to fail for want of an agent", len(r.Steps), r.Problems)
	}
}
