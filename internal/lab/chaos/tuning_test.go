package chaos

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// The agents of a lab tune their model machines, and a mesh at rest has nothing to
// complain of.
func TestAgentsTuneTheirMachines(t *testing.T) {
	l := startLab(t, program(t), ringFile(3, "agent: {latency: 50}\n"))
	ctx := t.Context()
	out, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// The agent tunes once it had nothing else to do for as long as its timer takes.
	until(t, 40*time.Second, "a latency of 50 µs is asked for", func() bool {
		if _, err := l.Exec(ctx, lab.Command{Node: "n2", Argv: []string{"cat", "/run/usb4mesh-lab/machine/dev/cpu_dma_latency"}}, [3]*os.File{out, out, out}, nil); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(out.Name())
		return err == nil && len(b) >= 4 && slices.Contains(b, 50)
	})
	infos, err := l.Agents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		if i.Status.State != mesh.StateConverged {
			t.Errorf("node %s is %s: %s", i.Node, i.Status.State, i.Status.Why)
		}
		for _, f := range i.Status.Findings {
			t.Errorf("node %s: %s: %s", i.Node, f.Code, f.Message)
		}
	}
}
