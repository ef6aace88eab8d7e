package drivertest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/fabric"
	"github.com/usb4mesh/usb4mesh/emulator/scenario"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// spacing of the probes that judge the agent.
const spacing = 10 * time.Millisecond

// What may be lost in a row. A guest without KVM stands still whenever the machine below has
// something else to do, so these limits only tell an agent that works from one that does not,
// as they are far below the ten seconds of a silent port; the figures are in the report, and
// those of a quiet machine in docs/benchmarks.md.
const (
	soon   = 2 * time.Second
	inTime = 5 * time.Second
)

// some are the cables that are tried: all of them at night.
func some() []string {
	if os.Getenv("USB4EMU_LEVEL") == "nightly" {
		return ring
	}
	return ring[:1]
}

// TestAgent lets three agents keep the mesh, through all that the drivers can do to it.
func TestAgent(t *testing.T) {
	long(t)
	w := start(t, scenario.Spec{Cables: ring})
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range w.Hosts() {
				w.keep(h.Name, "/agent.log")
			}
		}
	})
	w.Step("start", func() {
		for _, h := range w.Hosts() {
			w.agent(h.Name)
		}
		w.Report("three agents have converged after %.1f s", w.converged().Seconds())
		w.named(ring...)
		w.PingAll()
	})
	w.Step("ports that answer", func() {
		for _, c := range some() {
			w.pull("port that answers, cut of "+c, c, soon)
		}
	})
	w.Step("ports that stay silent", func() {
		for _, c := range some() {
			w.Fault(c, "", fabric.Fault{Silent: true})
			w.pull("port that stays silent, cut of "+c, c, inTime)
			w.Fault(c, "", fabric.Fault{})
		}
	})
	w.Step("one-way links", func() {
		for i, c := range some() {
			host := ends(c)[i%2]
			stop := w.Probe(spacing, across(c)...)
			time.Sleep(500 * time.Millisecond)
			w.Fault(c, host, fabric.Fault{MuteData: true})
			w.detours(c)
			w.judge("nothing leaves "+host+" over "+c, stop(), inTime)
			w.Fault(c, host, fabric.Fault{})
			w.converged()
		}
	})
	w.Step("power loss and return", func() {
		stop := w.Probe(spacing, across(ring[0])...)
		time.Sleep(500 * time.Millisecond)
		w.PowerOff("n3")
		w.Gone(ring[1], "n2")
		w.Gone(ring[2], "n1")
		w.judge("power loss of n3, between the others", stop(), soon)
		w.PowerOn("n3")
		w.address()
		w.agent("n3")
		w.Report("converged %.1f s after the agent of n3 came back", w.converged().Seconds())
		w.PingAll()
	})
}

// agent starts an agent, as the init system of a machine would.
func (w *world) agent(host string) {
	w.T.Helper()
	_, err := w.Host(host).Spawn(w.T.Context(), "/agent.log", program, "agent", "--config", there, "--node", host, "--key", keyFile)
	if err != nil {
		w.T.Fatal(err)
	}
}

// status asks a node's agent.
func (w *world) status(host string) (s mesh.Status, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", host, err)
		}
	}()
	r, err := w.Host(host).Machine.Run(w.T.Context(), program, "status", "--json")
	if err != nil && r.Code != 4 {
		return s, err
	}
	return s, decode(r.Stdout, &s)
}

// converged waits until all agents are content, and returns how long that took.
func (w *world) converged() time.Duration {
	w.T.Helper()
	return w.Until("agents converge", 2*time.Minute, func() error {
		for _, h := range w.Hosts() {
			s, err := w.status(h.Name)
			if err == nil && s.State != mesh.StateConverged {
				err = fmt.Errorf("%s is %s: %s", h.Name, s.State, s.Why)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// detours waits until both ends of a cable send round by the third node.
func (w *world) detours(cable string) {
	w.T.Helper()
	e := ends(cable)
	for i, host := range e {
		w.Until(host+" leaves "+cable, time.Minute, func() error {
			s, err := w.status(host)
			if err != nil {
				return err
			}
			for _, r := range s.Routes {
				if r.Node == e[1-i] && r.InUse == r.Planned {
					return fmt.Errorf("%s still sends to %s over %s", host, r.Node, r.InUse)
				}
			}
			return nil
		})
	}
}

// pull takes a cable out while probes cross it, and puts it back; the agents do the rest.
func (w *world) pull(what, cable string, limit time.Duration) {
	w.T.Helper()
	stop := w.Probe(spacing, across(cable)...)
	time.Sleep(500 * time.Millisecond)
	w.Unplug(cable)
	for _, host := range ends(cable) {
		w.Gone(cable, host)
	}
	time.Sleep(time.Second)
	w.judge(what, stop(), limit)

	stop = w.Probe(spacing, across(cable)...)
	w.Plug(cable)
	w.appear(cable)
	back := w.converged()
	time.Sleep(time.Second)
	w.judge(fmt.Sprintf("plug of %s, converged after %.1f s", cable, back.Seconds()), stop(), soon)
	w.named(cable)
}
