package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/gossip/gossiptest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Settings count from the reload on, and no link goes down for it.
func TestReloadSettings(t *testing.T) {
	inWorld(t, 4, "ring", func(w *world) {
		n := w.nodes["n1"]
		var told []mesh.AgentSettings
		n.agent.options.Reloaded = func(s mesh.AgentSettings) { told = append(told, s) }
		w.cables["1"].silent = true
		w.run(2 * time.Second)
		if w.mu.Lock(); n.watch.Interval != 50*time.Millisecond {
			t.Errorf("liveness is opened with %+v", n.watch)
		}
		w.mu.Unlock()
		flaps := func() (sum int) {
			for _, l := range w.status("n1").Links {
				sum += l.Flaps
			}
			return sum
		}
		before, first := flaps(), n.agent.shared.gossip
		w.write(clusterFile(4, "ring", "agent: {liveness: fast, metrics: \"127.0.0.1:9999\", ports: {bfd: 4784}}\n"))
		n.agent.Reload()
		w.run(3 * time.Second)
		w.reaches()
		if w.mu.Lock(); n.watch.Interval != 20*time.Millisecond || n.watch.Port != 4784 {
			t.Errorf("after the reload it is opened with %+v", n.watch)
		}
		w.mu.Unlock()
		if len(told) != 1 || told[0].Metrics != "127.0.0.1:9999" {
			t.Errorf("told %+v", told)
		}
		if flaps() != before || w.status("n1").Links[0].Usable {
			t.Errorf("%d flaps, were %d; %+v", flaps(), before, w.status("n1").Links)
		}
		if n.agent.shared.gossip == first {
			t.Error("gossip goes on with the timers from before")
		}
		for _, want := range []string{"liveness was the default and is fast", "ports.bfd was the default and is 4784", "metrics was the default and is 127.0.0.1:9999"} {
			if !strings.Contains(n.log.String(), want) {
				t.Errorf("the log does not say %q", want)
			}
		}
		w.cables["1"].silent = false
		w.run(5 * time.Second)
		w.states(mesh.StateConverged)

		w.write(clusterFile(4, "ring", "agent: {liveness: none, gossip: none}\n"))
		n.agent.Reload()
		w.run(3 * time.Second)
		if s := n.agent.shared; s.gossip != nil || s.liveness != nil {
			t.Error("gossip or liveness goes on")
		}
	})
}

// The key file is read again, whatever else has changed, and one that is no good is not
// used.
func TestReloadKeys(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		n := w.nodes["n1"]
		g := n.agent.shared.gossip.(*gossiptest.Fake)
		reload := func(key string, bad error) string {
			w.mu.Lock()
			n.keys, n.bad = [][]byte{[]byte(key)}, bad
			w.mu.Unlock()
			n.agent.Reload()
			w.run(time.Second)
			if n.agent.shared.gossip != g {
				t.Error("gossip was opened anew")
			}
			return string(g.Keys()[0])
		}
		if got := reload("new", nil); got != "new" {
			t.Errorf("the key is %q", got)
		}
		if got := reload("newer", errors.New("it is for all to read")); got != "new" {
			t.Errorf("after a bad file the key is %q", got)
		}
		w.expect("n1", "config-rejected", "it is for all to read")
		if got := reload("newest", nil); got != "newest" || len(w.finds("n1", "config-rejected")) > 0 {
			t.Errorf("the key is %q, findings %+v", got, w.status("n1").Findings)
		}
		w.states(mesh.StateConverged)
	})
}
