package agent

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/remote"
)

func (n *worldNode) openMeasuring(c remote.Config) (Measurer, error) {
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	if n.noPort != nil {
		return nil, n.noPort
	}
	n.asks, n.asking = append(n.asks, c), n.asking+1
	return worldMeasurer{n}, nil
}

// worldMeasurer is what lets others ask for measurements.
type worldMeasurer struct{ *worldNode }

func (m worldMeasurer) Stop() {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	m.asking--
}

func (m worldMeasurer) Close() { m.Stop() }

// The agent listens for who wants measurements once its addresses stand, for the plan
// that it keeps, and no longer than it runs.
func TestMeasuringIsOffered(t *testing.T) {
	inWorld(t, 2, "chain", func(w *world) {
		n := w.nodes["n1"]
		if len(n.asks) != 1 || n.asking != 1 {
			t.Fatalf("opened %d times, %d are open", len(n.asks), n.asking)
		}
		c := n.asks[0]
		want := []netip.Addr{netip.MustParseAddr("10.7.1.1"), netip.MustParseAddr("fd75::1")}
		if c.Mesh != "test" || c.Node != "n1" || c.Digest != w.status("n1").PlanDigest || len(c.Keys) != 1 || !slices.Equal(c.Listen, want) || len(c.Members) != 2 {
			t.Errorf("%+v", c)
		}
		w.write(clusterFile(2, "chain", "mtu: 9000\nagent: {ports: {bench: 9000}}\n"))
		n.agent.Reload()
		w.run(time.Second)
		if len(n.asks) != 2 || n.asking != 1 || n.asks[1].Digest == c.Digest || n.asks[1].Port != 9000 {
			t.Errorf("with a new plan: opened %d times, %d are open, %+v", len(n.asks), n.asking, n.asks[len(n.asks)-1])
		}
		w.end("n1")
		if n.asking != 0 {
			t.Errorf("%d are left", n.asking)
		}
	})
}

// A port that is taken is a finding, and the agent tries again.
func TestMeasuringHasNoPort(t *testing.T) {
	inWorld(t, 2, "chain", func(w *world) {
		w.end("n1")
		n := w.nodes["n1"]
		n.noPort = errors.New("address already in use")
		w.start("n1")
		w.run(3 * time.Second)
		w.expect("n1", "bench-off", "address already in use")
		if s := w.status("n1"); s.State != mesh.StateConverged {
			t.Errorf("%s: %s", s.State, s.Why)
		}
		w.mu.Lock()
		n.noPort = nil
		w.mu.Unlock()
		w.run(20 * time.Second)
		if f := w.finds("n1", "bench-off"); len(f) > 0 || n.asking != 1 {
			t.Errorf("%v, %d are open", f, n.asking)
		}
	})
}

// Where it is turned off, or the mesh has no key, nobody is listened to.
func TestMeasuringIsOff(t *testing.T) {
	for _, tt := range []struct {
		settings mesh.AgentSettings
		flag     string
		want     string
	}{
		{mesh.AgentSettings{}, "", DefaultKey},
		{mesh.AgentSettings{Key: "/k"}, "", "/k"},
		{mesh.AgentSettings{Key: "/k"}, "/flag", "/flag"},
		{mesh.AgentSettings{Gossip: mesh.GossipPlain}, "", ""},
		{mesh.AgentSettings{Gossip: mesh.GossipOff}, "", ""},
		{mesh.AgentSettings{Gossip: mesh.GossipPlain}, "/flag", "/flag"},
	} {
		if got := KeyFile(tt.settings, tt.flag); got != tt.want {
			t.Errorf("%+v with --key %q: %q, want %q", tt.settings, tt.flag, got, tt.want)
		}
	}
	inWorld(t, 2, "chain", func(w *world) {
		w.end("n1")
		n := w.nodes["n1"]
		n.asks = nil
		w.write(clusterFile(2, "chain", "agent: {bench: none}\n"))
		w.start("n1")
		w.run(3 * time.Second)
		if len(n.asks) > 0 {
			t.Errorf("opened with %+v", n.asks)
		}
	})
}
