package drivertest

import (
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/fabric"
	"github.com/usb4mesh/usb4mesh/emulator/scenario"
)

// TestPlan applies a plan to three machines and leaves them alone: what follows is done by
// the drivers and the routing tables.
func TestPlan(t *testing.T) {
	long(t)
	w := start(t, scenario.Spec{Cables: ring})
	w.Step("apply", func() {
		w.appear(ring...)
		w.once("n1", "n2", "n3")
		w.Report("all pairs answer %.1f s after the plan was applied", w.works().Seconds())
		w.named(ring...)
		w.PingAll()
	})
	w.Step("ports that answer", func() {
		for _, c := range some() {
			w.cut("answering port, cut of "+c, c, 5*time.Second)
		}
	})
	w.Step("ports that stay silent", func() {
		// Nothing sees a silent port before the driver has given up its logout, after ten
		// seconds (drivers/net/thunderbolt/main.c, TBNET_LOGOUT_RETRIES). This is why there
		// is an agent.
		w.Fault(ring[0], "", fabric.Fault{Silent: true})
		w.cut("silent port, cut of "+ring[0], ring[0], 20*time.Second)
		w.Fault(ring[0], "", fabric.Fault{})
	})
	w.PingAll()
}

// cut pulls a cable while probes cross it, and puts it back.
func (w *world) cut(what, cable string, limit time.Duration) {
	w.T.Helper()
	stop := w.Probe(scenario.Spacing, across(cable)...)
	time.Sleep(500 * time.Millisecond)
	w.Unplug(cable)
	e := ends(cable)
	for _, host := range e {
		w.Gone(cable, host)
	}
	time.Sleep(500 * time.Millisecond)
	w.judge(what, stop(), limit)

	stop = w.Probe(scenario.Spacing, across(cable)...)
	w.Plug(cable)
	w.appear(cable)
	w.once(e[:]...)
	for _, host := range e {
		w.Carrier(cable, host, true)
	}
	time.Sleep(time.Second)
	w.judge("back in, "+what, stop(), limit)
	w.named(cable)
}
