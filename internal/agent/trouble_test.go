package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/tune"
)

// holds reports whether a node's kernel has a setting.
func (w *world) holds(name string, s mesh.Sysctl) bool {
	have, err := w.nodes[name].kernel.Fake.Snapshot(w.t.Context())
	w.must(err)
	return slices.Contains(have.Sysctls, s)
}

// A machine that is not the planned peer gets no address and no route, and nothing
// of it is forwarded, until it is who it should be.
func TestStranger(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		c := w.cables["1"] // n1 - n2
		w.unplug("1")
		w.run(time.Second)
		w.plug("1")
		w.mu.Lock()
		c.model.SetEnd(0, "device_name", "eve")
		c.model.SetEnd(0, "unique_id", "11111111-2222-3333-ffff-ffffffffffff")
		w.mu.Unlock()
		w.run(2 * time.Second)
		w.expect("n1", "stranger-at-port", "eve")
		l, _ := w.interfaceAt(c, 0)
		have, err := w.nodes["n1"].kernel.Fake.Snapshot(t.Context())
		w.must(err)
		for _, a := range have.Addresses {
			if a.Interface == l.Name {
				t.Errorf("the stranger's port has %s", a)
			}
		}
		for _, r := range have.Routes {
			if r.Interface == l.Name {
				t.Errorf("a route leads to the stranger: %s", r)
			}
		}
		if strings.HasPrefix(l.Name, "tbt-") || l.Alias != "" {
			t.Errorf("the stranger's interface is %+v", l)
		}
		for _, s := range keptFromMesh(l.Name) {
			if !w.holds("n1", s) {
				t.Errorf("not set: %s", s)
			}
		}
		g := w.nodes["n1"].kernel.Guarded()
		if g == nil || !slices.Equal(g.Strangers, []string{l.Name}) || len(g.Addresses) != 6 || len(g.Ports) != 2 {
			t.Errorf("guarded is %+v, with %s as stranger", g, l.Name)
		}
		w.reaches()

		w.mu.Lock()
		c.model.SetEnd(0, "device_name", "n2")
		c.model.SetEnd(0, "unique_id", w.portOf(c.plan.Ends[1]).UUID)
		w.mu.Unlock()
		w.run(8 * time.Second)
		w.states(mesh.StateConverged)
		if !w.holds("n1", mesh.Sysctl{Path: "net/ipv6/conf/tbt-n2/disable_ipv6", Value: "0"}) || !w.holds("n1", mesh.Sysctl{Path: "net/ipv4/conf/tbt-n2/forwarding", Value: "1"}) {
			t.Error("the port is kept from the mesh still")
		}
		if g := w.nodes["n1"].kernel.Guarded(); g == nil || len(g.Strangers) > 0 {
			t.Errorf("guarded is %+v", g)
		}
	})
}

// A machine with the planned peer's name and UUID is not the peer when the peer says that
// nothing is plugged there; and it is again, when the peer says so.
func TestPeerDeniesACable(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		c := w.cables["1"]
		strangers := func() []string { return w.nodes["n1"].kernel.Guarded().Strangers }
		far, _ := w.interfaceAt(c, 1)
		w.mu.Lock()
		c.model.RemoveService(1)
		c.plugged, c.index[1] = false, 0
		w.mu.Unlock()
		w.must(w.nodes["n2"].kernel.Unplug(far.Name))
		w.run(2 * time.Second)
		if s := strangers(); len(s) > 0 {
			t.Errorf("after two seconds %v are strangers: the ends may not have heard of each other", s)
		}
		w.run(8 * time.Second)
		w.expect("n1", "peer-denies-cable", "tbt-n2")
		if s := strangers(); !slices.Equal(s, []string{"tbt-n2"}) {
			t.Errorf("strangers are %v", s)
		}
		if f := append(w.finds("n2", "peer-denies-cable"), w.finds("n3", "peer-denies-cable")...); len(f) > 0 {
			t.Errorf("others say so, too: %v", f)
		}
		w.reaches()
		near, _ := w.interfaceAt(c, 0)
		w.must(w.nodes["n1"].kernel.Unplug(near.Name))
		w.mu.Lock()
		c.model.Unplug()
		c.index[0] = 0
		w.mu.Unlock()
		w.plug("1")
		w.run(8 * time.Second)
		w.states(mesh.StateConverged)
		if s := strangers(); len(s)+len(w.finds("n1", "peer-denies-cable")) > 0 {
			t.Errorf("strangers are %v, findings %+v", s, w.status("n1").Findings)
		}
	})
}

// What was refused is a finding for a while, and a kernel without the filter is one.
func TestGuardFindings(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		k := w.nodes["n1"].kernel
		k.Refuse(mesh.Refused{Stranger: 9})
		w.run(10 * time.Second)
		if f := w.finds("n1", "outside-refused"); len(f) > 0 {
			t.Errorf("what a stranger's kernel says by itself is a finding: %v", f)
		}
		k.Refuse(mesh.Refused{Forged: 3, Crossing: 4})
		w.run(10 * time.Second)
		w.expect("n1", "outside-refused", "3 packets with an address of the mesh were refused, and 4 on")
		w.states(mesh.StateConverged)
		w.run(11 * time.Minute)
		if f := w.finds("n1", "outside-refused"); len(f) > 0 {
			t.Errorf("it is a finding for ever: %v", f)
		}
		k.NoSteering = true
		w.run(10 * time.Second)
		w.expect("n1", "no-guard", "nf_tables")
	})
}

// Whoever calls himself as a node that is there itself, is a stranger.
func TestFalseName(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		w.unplug("1")
		w.plug("1")
		w.mu.Lock()
		w.cables["1"].model.SetEnd(0, "unique_id", "11111111-2222-3333-ffff-ffffffffffff")
		w.mu.Unlock()
		w.run(2 * time.Second)
		w.expect("n1", "stranger-at-port", "n2")
	})
}

// What another program takes away comes back, ever less often, and it is named.
func TestForeignManager(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		k := w.nodes["n1"].kernel
		taken := 0
		for range 600 {
			have, err := k.Fake.Snapshot(t.Context())
			w.must(err)
			i := slices.IndexFunc(have.Routes, func(r mesh.Route) bool { return r.Interface == "tbt-n2" && r.Metric == 10 && r.Table == mesh.MainTable })
			if i >= 0 {
				taken++
				w.must(k.Fake.Apply(t.Context(), []mesh.Change{{Op: mesh.Remove, Route: &have.Routes[i]}}))
			}
			w.run(100 * time.Millisecond)
		}
		if taken < 5 || taken > 30 {
			t.Errorf("the route came back %d times within a minute", taken)
		}
		w.expect("n1", "foreign-changes", "takes")
		w.run(3 * time.Minute)
		w.states(mesh.StateConverged)
	})
}

func TestHealing(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		w.cables["1"].silent = true // n1 - n2: n1 goes first
		w.run(100 * time.Second)
		steps := func(name string) []string {
			var out []string
			for _, h := range w.status(name).Healing {
				out = append(out, h.Link+" "+h.Step)
			}
			return out
		}
		if diff := cmp.Diff([]string{"tbt-n2 set-down-up", "tbt-n2 rebind", "tbt-n2 replug"}, steps("n1")); diff != "" {
			t.Errorf("n1 (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"0-2.0"}, w.nodes["n1"].rebinds); diff != "" {
			t.Errorf("rebound (-want +got):\n%s", diff)
		}
		w.expect("n1", "replug-needed", "tbt-n2")
		first, second := w.status("n1").Healing, w.status("n2").Healing
		if len(second) == 0 || second[0].Time.Before(first[1].Time) {
			t.Errorf("n2 does not wait for n1: %+v", second)
		}
		w.reaches()
		w.cables["1"].silent = false
		w.run(15 * time.Second)
		w.states(mesh.StateConverged)
		if len(w.finds("n1", "replug-needed")) > 0 {
			t.Error("a link that works is to be replugged")
		}
		h := w.status("n1").Healing
		if !h[len(h)-1].Healed {
			t.Errorf("the last step has healed nothing: %+v", h)
		}
	})
}

// A cable that was away for long and is plugged again gets the time that a driver takes
// before anything is tried: setting a fresh interface down races with the driver.
func TestReplugIsNotHealed(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		w.unplug("1")
		w.run(30 * time.Second)
		w.cables["1"].silent = true
		w.plug("1")
		w.run(12 * time.Second)
		if h := w.status("n1").Healing; len(h) > 0 {
			t.Errorf("12 s after the plug: %+v", h)
		}
		w.run(10 * time.Second)
		if len(w.status("n1").Healing) == 0 {
			t.Error("nothing is tried 22 s after the plug")
		}
	})
}

// A link that is in use for want of another is not touched.
func TestLastLinkIsNotHealed(t *testing.T) {
	inWorld(t, 2, "chain", func(w *world) {
		w.cables["1"].silent = true
		w.run(2 * time.Minute)
		if h := w.status("n1").Healing; len(h) > 0 {
			t.Errorf("%+v", h)
		}
	})
}

func TestReload(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		before := w.status("n1").PlanDigest
		w.write("mesh: [")
		for _, n := range w.nodes {
			n.agent.Reload()
		}
		w.run(time.Second)
		w.expect("n1", "config-rejected", "kept")
		if s := w.status("n1"); s.PlanDigest != before || s.State != mesh.StateConverged {
			t.Errorf("%s, digest %s, was %s", s.State, s.PlanDigest, before)
		}
		w.write(clusterFile(3, "full-mesh", "mtu: 9000\n"))
		w.nodes["n1"].agent.Reload()
		w.run(time.Second)
		w.expect("n2", "plan-differs", "n1")
		if s := w.status("n2"); s.Reboot.OK || !strings.Contains(s.Reboot.Reason, "n1 runs another plan") {
			t.Errorf("reboot: %+v", s.Reboot)
		}
		w.nodes["n2"].agent.Reload()
		w.nodes["n3"].agent.Reload()
		w.run(6 * time.Second)
		w.states(mesh.StateConverged)
		w.reaches()
		l, _ := w.interfaceAt(w.cables["1"], 0)
		if s := w.status("n1"); l.MTU != 9000 || s.PlanDigest == before || len(w.finds("n1", "config-rejected"))+len(w.finds("n1", "plan-differs")) > 0 {
			t.Errorf("mtu %d, digest %s, findings %+v", l.MTU, s.PlanDigest, s.Findings)
		}
		if log := w.nodes["n1"].log.String(); !strings.Contains(log, "the MTU was 65520 and is 9000") {
			t.Errorf("the difference is not logged:\n%s", log)
		}
	})
}

func TestGossipStrangersAreFindings(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		n := w.nodes["n1"]
		g := n.agent.shared.gossip.(interface{ SetStrangers(...gossip.Stranger) })
		g.SetStrangers(gossip.Stranger{Cause: gossip.WrongKey, Detail: "message", Count: 3})
		n.agent.wake.up(causeGossip)
		synctest.Wait()
		w.run(time.Second)
		w.expect("n1", "gossip-stranger", "")
	})
}

// A kernel that refuses something does not stop the rest, and is asked again.
func TestRefusal(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		k := w.nodes["n1"].kernel
		w.end("n1")
		refuse := true
		k.Fail = func(c mesh.Change) error {
			if refuse && c.Route != nil && c.Route.Interface == "tbt-n2" && c.Route.Table == mesh.MainTable && c.Route.Metric == 10 {
				return os.ErrPermission
			}
			return nil
		}
		w.unplug("1")
		w.plug("1")
		w.start("n1")
		w.run(3 * time.Second)
		if s := w.status("n1"); s.State != mesh.StateFailed || s.LastTurn.Error == "" {
			t.Errorf("%s: %s; %+v", s.State, s.Why, s.LastTurn)
		}
		w.expect("n1", "kernel-refuses", "10.7.1.2/32")
		refuse = false
		w.run(10 * time.Second)
		w.states(mesh.StateConverged)
	})
}

// An interface that goes while it is set up teaches nothing about the kernel.
func TestInterfaceGoesMeanwhile(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		const path = "net/ipv4/conf/tbt-n2/rp_filter"
		k := w.nodes["n1"].kernel
		w.unplug("1")
		gone := true
		k.Fail = func(c mesh.Change) error {
			if gone && c.Sysctl != nil && c.Sysctl.Path == path {
				return os.ErrNotExist
			}
			return nil
		}
		w.plug("1")
		w.run(time.Second)
		gone = false
		w.unplug("1")
		w.run(time.Second)
		w.plug("1")
		w.run(10 * time.Second)
		w.states(mesh.StateConverged)
		s, err := k.Snapshot(t.Context())
		if err != nil || !slices.Contains(s.Sysctls, mesh.Sysctl{Path: path, Value: "2"}) {
			t.Errorf("%s is not set: %v", path, err)
		}
	})
}

// What is tuned is what the machine and the cluster file ask for, said once.
func TestTuning(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		n := w.nodes["n1"]
		w.run(20 * time.Second)
		if diff := cmp.Diff([]tune.Wanted{{Latency: tune.NoLatency}}, n.tuner.wanted); diff != "" {
			t.Errorf("wanted (-want +got):\n%s", diff)
		}
		w.write(clusterFile(3, "full-mesh", "agent: {latency: 50}\n"))
		n.agent.Reload()
		w.run(20 * time.Second)
		if got := n.tuner.wanted[len(n.tuner.wanted)-1]; got.Latency != 50 || len(n.tuner.wanted) != 2 {
			t.Errorf("wanted %+v", n.tuner.wanted)
		}
	})
}

func TestBadFileAtStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mesh.yaml")
	_, err := New(Options{Config: file, Node: "n1"})
	if err == nil || !strings.Contains(err.Error(), "can't be read") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(file, []byte(clusterFile(3, "ring", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Config: file, Node: "n9"}); err == nil || !strings.Contains(err.Error(), "n9 is not in the cluster file") {
		t.Errorf("another node: %v", err)
	}
}
