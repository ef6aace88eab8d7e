package scenario_test

import (
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/fabric"
	"github.com/usb4mesh/usb4mesh/emulator/scenario"
)

// TestIntel has both ports of each machine on one host interface: one domain, two peers, and a PCI address that
// tells nothing about the port.
func TestIntel(t *testing.T) {
	level(t, "drivers")
	t.Parallel()
	w := scenario.Start(t, scenario.Spec{Cables: ring, Model: "intel"})
	w.Step("up", func() { w.Up() })
	w.Step("one function", func() {
		one, two := w.InterfaceOf(ring[0], "a"), w.InterfaceOf(ring[2], "a")
		if one.Parent != "0-1.0" || two.Parent != "0-3.0" {
			w.T.Errorf("the interfaces hang at %s and %s, want 0-1.0 and 0-3.0", one.Parent, two.Parent)
		}
		if one.MAC == two.MAC {
			w.T.Errorf("both have the address %s", one.MAC)
		}
	})
	w.Step("ping", w.PingAll)
	w.Step("file", func() { w.Transfer("a", "c", 16<<20) })
	w.Step("answering ports", func() { delivered(w.T.(*testing.T), w.Cut(ring[0]), 5*time.Second) })
	w.Step("silent ports", func() {
		w.Fault(ring[1], "", fabric.Fault{Silent: true})
		delivered(w.T.(*testing.T), w.Cut(ring[1]), 30*time.Second)
	})
	w.Step("power", func() {
		w.PowerOff("b")
		w.Gone(ring[0], "a")
		w.PowerOn("b")
		w.Up()
		w.PingAll()
	})
}

// TestMixed joins all models, among them one with the host interface of USB4 v2, which the driver resets.
func TestMixed(t *testing.T) {
	level(t, "drivers")
	t.Parallel()
	w := scenario.Start(t, scenario.Spec{Cables: ring, Models: map[string]string{"a": "intel-v2", "b": "amd", "c": "amd-strix-halo"}})
	w.Up()
	w.PingAll()
	delivered(t, w.Cut(ring[0]), 5*time.Second)
}

// TestTwoCables has two cables between the same two hosts, of which one is pulled.
func TestTwoCables(t *testing.T) {
	level(t, "drivers")
	t.Parallel()
	cables := []string{"a:1-b:1", "a:2-b:2"}
	w := scenario.Start(t, scenario.Spec{Cables: cables})
	w.Up()
	delivered(t, w.Cut(cables[0]), 5*time.Second)
	w.PingAll()
}
