package scenario_test

import (
	"fmt"
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
	w.Step("answering ports", func() { delivered(w.T, w.Cut(ring[0])) })
	w.Step("silent ports", func() {
		w.Fault(ring[1], "", fabric.Fault{Silent: true})
		delivered(w.T, w.Cut(ring[1]))
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
	delivered(t, w.Cut(ring[0]))
}

// TestTwoCables has two cables between the same two hosts, and what happens to a host interface as a whole.
func TestTwoCables(t *testing.T) {
	level(t, "drivers")
	t.Parallel()
	cables := []string{"a:1-b:1", "a:2-b:2"}
	w := scenario.Start(t, scenario.Spec{Cables: cables})
	w.Up()
	w.Step("cut", func() {
		delivered(w.T, w.Cut(cables[0]))
		w.PingAll()
	})
	w.Step("driver removed", func() {
		a := w.Host("a")
		if err := a.Unload(w.T.Context(), "thunderbolt_net"); err != nil {
			w.T.Fatal(err)
		}
		w.Gone(cables[0], "a")
		w.Carrier(cables[0], "b", false)
		if err := a.Load(w.T.Context(), "thunderbolt_net"); err != nil {
			w.T.Fatal(err)
		}
		w.Up()
		w.PingAll()
	})
	// Without a cable the driver puts the host interface to sleep after 15 s (TB_AUTOSUSPEND_DELAY); a plug must wake it.
	w.Step("asleep", func() {
		for _, c := range cables {
			w.Unplug(c)
		}
		w.Until("host interfaces asleep", 2*time.Minute, func() error {
			for _, h := range w.Fabric.Stats().Hosts {
				for i, n := range h.NHIs {
					if !n.Asleep {
						return fmt.Errorf("host interface %d of %s is awake", i, h.Name)
					}
				}
			}
			return nil
		})
		for _, c := range cables {
			w.Plug(c)
		}
		w.Up()
		w.PingAll()
	})
}

// TestRough has cables that can't make up their mind, and lose what is said over them.
func TestRough(t *testing.T) {
	level(t, "nightly")
	t.Parallel()
	w := scenario.Start(t, scenario.Spec{Cables: ring})
	w.Up()
	w.Step("flapping", func() {
		w.Fault(ring[0], "", fabric.Fault{FlapUp: 2 * time.Second, FlapDown: 300 * time.Millisecond})
		time.Sleep(20 * time.Second)
		w.Ping("a", "c")
		w.Fault(ring[0], "", fabric.Fault{})
		w.Up()
		w.PingAll()
	})
	w.Step("lost requests", func() {
		w.Fault(ring[0], "a", fabric.Fault{DropRequests: 3})
		w.Unplug(ring[0])
		w.Gone(ring[0], "a")
		w.Gone(ring[0], "b")
		w.Plug(ring[0])
		w.UpCable(ring[0])
		w.Fault(ring[0], "", fabric.Fault{})
		w.PingAll()
	})
	w.Step("dead port", func() {
		w.Fault(ring[1], "b", fabric.Fault{Dead: true})
		w.Gone(ring[1], "b")
		w.Gone(ring[1], "c")
		time.Sleep(5 * time.Second)
		if l, err := w.Host("b").Interface(1); err == nil {
			w.T.Errorf("%s is there although its port is dead", l.Name)
		}
		w.Fault(ring[1], "", fabric.Fault{})
		w.Up()
		w.PingAll()
	})
}
