package kernel_test

import (
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// TestSteerWhileRTNLIsHeld: the very Kernel whose own thread waits for RTNL takes
// the traffic off a silent cable.
func TestSteerWhileRTNLIsHeld(t *testing.T) {
	m := ringOf(t, 4)
	cable := m.plan.Cables[0]
	a, b := cable.Ends[0].Node, cable.Ends[1].Node
	whole := plan.Without(&m.plan, nil)
	streams := []*stream{m.stream(t, a, b, 0, socketOptions{}), m.stream(t, b, a, 1, socketOptions{})}
	for _, end := range []string{a, b} {
		if err := m.nodes[end].Steer(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	allFlow(t, "at first", streams)
	m.silence(t, cable)
	release := kerneltest.HoldRTNL(t, m.nodes[a].ns)
	begin := time.Now()

	// What an agent without steering would do: change routes.
	change := mesh.Change{Op: mesh.Remove, Route: &m.nodes[a].plan.Routes[0]}
	applied := make(chan error, 1)
	go func() { applied <- m.nodes[a].Apply(t.Context(), []mesh.Change{change}) }()
	noneFlows(t, "RTNL held", streams)

	silence := time.Since(begin)
	urgent := time.Now()
	for _, end := range []string{a, b} {
		if err := m.nodes[end].Steer(t.Context(), whole.Around(end, map[string]bool{cable.Name: true})); err != nil {
			t.Error(err)
		}
	}
	took := time.Since(urgent)
	allFlow(t, "steered while RTNL is held", streams)
	select {
	case err := <-applied:
		t.Fatalf("RTNL was not held: the routes changed (%v) within %v, of which %v were to see that nothing flows, and %v to steer", err, time.Since(begin), silence, took)
	default:
	}
	t.Logf("both ends steer after %v; RTNL held for %v", took, time.Since(begin))
	release()
	if err := <-applied; err != nil {
		t.Error(err)
	}
}
