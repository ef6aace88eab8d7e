package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func TestStart(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		w.reaches()
		w.states(mesh.StateConverged)
		s := w.status("n1")
		if s.PlanDigest == "" || s.PlanDigest != w.status("n2").PlanDigest {
			t.Errorf("digests %q and %q", s.PlanDigest, w.status("n2").PlanDigest)
		}
		if !s.Reboot.OK {
			t.Errorf("may not reboot: %s", s.Reboot.Reason)
		}
		for _, l := range s.Links {
			if !l.Usable || !l.Carrier || l.Gbps != 40 || l.Kernel != l.Interface || l.Liveness.Verdict != "alive" || l.Parent == "" {
				t.Errorf("%+v", l)
			}
		}
		for _, r := range s.Routes {
			if r.Detour || r.Hops != 1 || r.InUse != "tbt-"+r.Node {
				t.Errorf("%+v", r)
			}
		}
		if len(s.Members) != 3 || !s.Members[1].Alive || !s.Members[1].Reachable || len(s.Findings) > 0 {
			t.Errorf("members %+v, findings %+v", s.Members, s.Findings)
		}
		notes := strings.Join(w.nodes["n1"].notes, "\n")
		if !strings.Contains(notes, "READY=1") || !strings.Contains(notes, "STATUS=converged") || !strings.Contains(notes, "WATCHDOG=1") {
			t.Errorf("systemd was told %q", notes)
		}
	})
}

// A silent cable is left at once, then the tables follow, then nothing is steered any
// more; when it answers again everything is as planned.
func TestSilentCable(t *testing.T) {
	inWorld(t, 5, "ring", func(w *world) {
		planned, _ := w.way("n1", "n2", 0)
		if diff := cmp.Diff([]string{"1"}, planned); diff != "" {
			t.Fatal(diff)
		}
		w.cables["1"].silent = true
		w.run(100 * time.Millisecond)
		w.reaches()
		w.run(3 * time.Second)
		w.reaches()
		w.states(mesh.StateDegraded)
		if n := len(w.nodes["n1"].kernel.Steered()); n > 0 {
			t.Errorf("%d ways are steered still", n)
		}
		w.expect("n1", "link-dead", "tbt-n2")
		if s := w.status("n4"); !strings.Contains(s.Why, "cable 1") || s.Reboot.OK || !strings.Contains(s.Reboot.Reason, "no way") {
			t.Errorf("n4: %s; reboot %+v", s.Why, s.Reboot)
		}
		w.cables["1"].silent = false
		w.run(3 * time.Second)
		w.reaches()
		w.states(mesh.StateConverged)
		if way, _ := w.way("n1", "n2", 1); len(way) != 1 {
			t.Errorf("n1 takes %v to n2", way)
		}
	})
}

// How long a cable that dies again and again must have been good is for liveness to
// judge. When that calls it alive it is used, however often it has died; and one that is
// unplugged and plugged just as often is, too.
func TestDyingCable(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		for range 6 {
			w.cables["1"].silent = true
			w.run(500 * time.Millisecond)
			w.states(mesh.StateDegraded)
			w.cables["1"].silent = false
			w.run(500 * time.Millisecond)
			w.states(mesh.StateConverged)
		}
		for range 6 {
			w.unplug("1")
			w.run(500 * time.Millisecond)
			w.plug("1")
			w.run(time.Second)
			w.states(mesh.StateConverged)
		}
		if way, _ := w.way("n1", "n2", 1); len(way) != 1 {
			t.Errorf("n1 takes %v to n2", way)
		}
	})
}

// While a driver holds the kernel's lock nothing can be changed, and traffic flows
// all the same.
func TestBusyKernel(t *testing.T) {
	inWorld(t, 4, "ring", func(w *world) {
		n := w.nodes["n1"]
		n.kernel.hold(true)
		w.cables["1"].silent = true
		w.run(150 * time.Millisecond)
		w.reaches()
		w.run(6 * time.Second)
		w.reaches()
		s := w.status("n1")
		if !s.KernelBusy || n.agent.Healthy() != nil {
			t.Errorf("busy %t, healthy %v", s.KernelBusy, n.agent.Healthy())
		}
		w.expect("n1", "kernel-busy", "not answered")
		if l := s.Links[0]; l.Usable && s.Links[1].Usable {
			t.Errorf("status does not follow: %+v", s.Links)
		}
		n.kernel.hold(false)
		w.run(2 * time.Second)
		w.reaches()
		if s := w.status("n1"); s.KernelBusy || s.State != mesh.StateDegraded {
			t.Errorf("busy %t, %s: %s", s.KernelBusy, s.State, s.Why)
		}
		n.kernel.hold(true)
		w.run(stuckInKernel + 10*time.Second)
		if n.agent.Healthy() == nil {
			t.Error("a loop that waits for minutes is healthy")
		}
		n.kernel.hold(false)
	})
}

// A second cut elsewhere while a driver holds the kernel's lock: the tables that are
// needed can't be made, and packets go as these would have it.
func TestSecondCutWhileTheKernelIsBusy(t *testing.T) {
	inWorld(t, 6, "ring", func(w *world) {
		w.unplug("1") // n1 - n2: the tables are those of a chain
		w.run(2 * time.Second)
		n := w.nodes["n4"]
		n.kernel.hold(true)
		w.plug("1")
		w.run(2 * time.Second)
		w.reaches()
		w.cables["5"].silent = true // n5 - n6: n4 has to turn round for n6
		w.run(time.Second)
		w.reaches()
		if len(n.kernel.Steered()) == 0 {
			t.Error("nothing is steered, so this test proves nothing")
		}
		w.unplug("2") // n2 - n3: n3, n4 and n5 are alone
		w.run(time.Second)
		w.reaches("n3", "n4", "n5")
		w.plug("2")
		w.run(2 * time.Second)
		w.reaches()
		n.kernel.hold(false)
		w.run(3 * time.Second)
		w.reaches()
		w.states(mesh.StateDegraded)
		w.cables["5"].silent = false
		w.run(3 * time.Second)
		w.reaches()
		w.states(mesh.StateConverged)
		if s := n.kernel.Steered(); len(s) > 0 {
			t.Errorf("%d ways are steered still", len(s))
		}
	})
}

// The other nodes tell of a second cut, and what can be reached is reached.
func TestSecondCutAndParting(t *testing.T) {
	inWorld(t, 6, "ring", func(w *world) {
		w.unplug("1") // n1 - n2
		w.run(2 * time.Second)
		w.reaches()
		w.cables["4"].silent = true // n4 - n5: two parts now
		w.run(2 * time.Second)
		w.reaches("n2", "n3", "n4")
		w.reaches("n5", "n6", "n1")
		if s := w.status("n2"); s.Reboot.OK {
			t.Errorf("may reboot: %s", s.Reboot.Reason)
		}
		w.plug("1")
		w.cables["4"].silent = false
		w.run(3 * time.Second)
		w.reaches()
		w.states(mesh.StateConverged)
	})
}

// What a node said last counts when its agent is dead: its kernel forwards, and only it
// knew that nothing arrives over a cable.
func TestLastWords(t *testing.T) {
	inWorld(t, 5, "ring", func(w *world) {
		w.cables["1"].deaf[1] = true // n1 - n2: n2 hears nothing
		w.run(2 * time.Second)
		w.reaches()
		w.end("n2")
		w.run(10 * time.Second)
		w.reaches()
		if s := w.status("n4"); !strings.Contains(s.Why, "cable 1") || !strings.Contains(s.Why, "n2: dead") {
			t.Errorf("n4 is %s: %s", s.State, s.Why)
		}
		w.cables["1"].deaf[1] = false
		w.start("n2")
		w.run(10 * time.Second)
		w.reaches()
		w.states(mesh.StateConverged)
	})
}

// A node that was cut off comes back by the cable of which it said last that it is out:
// nobody heard it say anything else, and nobody will unless that cable is used.
func TestLastWordsDoNotKeepANodeOut(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		own := w.plan.Node("n2").Links
		silent, back := own[0].Cable, own[1].Cable
		w.unplug(back)
		w.cables[silent].silent = true
		w.run(2 * time.Second)
		w.talk.Part([]string{"n2"})
		w.run(5 * time.Second)
		w.plug(back)
		w.run(3 * time.Second)
		w.reaches("n1", "n3", "n2")
		w.talk.Part()
		w.cables[silent].silent = false
		w.run(5 * time.Second)
		w.reaches()
		w.states(mesh.StateConverged)
	})
}

// A node never gives up its last link for silence alone.
func TestLastLink(t *testing.T) {
	inWorld(t, 3, "chain", func(w *world) {
		w.cables["1"].silent = true
		w.run(3 * time.Second)
		w.expect("n1", "last-link-kept", "tbt-n2")
		if port := w.out("n1", "", w.plan.Node("n3").Identity[0]); port != "tbt-n2" {
			t.Errorf("n1 sends to n3 over %q", port)
		}
		w.states(mesh.StateDegraded)
		if l := w.status("n1").Links[0]; !l.Usable || !strings.Contains(l.Why, "for want of another") {
			t.Errorf("%+v", l)
		}
	})
}

// Cables that are plugged at once get their names whatever the kernel calls them, and
// every replug is a new interface.
func TestReplug(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		for round := range 3 {
			w.unplug("1")
			w.unplug("2")
			w.unplug("3")
			w.run(time.Second)
			w.expect("n1", "link-down", "unplugged")
			for _, c := range [][]string{{"3", "1", "2"}, {"2", "3", "1"}, {"1", "2", "3"}}[round] {
				w.plug(c)
			}
			w.run(3 * time.Second)
			w.reaches()
			w.states(mesh.StateConverged)
		}
		if s := w.status("n1"); s.Links[0].Flaps != 3 {
			t.Errorf("%d flaps, want 3", s.Links[0].Flaps)
		}
	})
}

// An agent that is started again takes over what stands, and changes nothing.
func TestRestart(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		w.end("n1")
		w.run(12 * time.Second)
		w.reaches()
		w.expect("n2", "peer-agent-absent", "n1")
		w.expect("n2", "node-gone", "n1")
		if s := w.status("n2"); s.Reboot.OK {
			t.Error("may reboot while n1 is not heard of")
		}
		changed := false
		w.nodes["n1"].kernel.Fail = func(c mesh.Change) error {
			changed = true
			t.Errorf("a restart changes the kernel: %s: %s", c, c.Reason)
			return nil
		}
		w.start("n1")
		w.run(2 * time.Second)
		w.reaches()
		w.states(mesh.StateConverged)
		if changed {
			t.Error("the kernel was changed")
		}
		w.nodes["n1"].kernel.Fail = nil
	})
}

// One turn brings the kernel to the plan, without liveness and gossip.
func TestOnce(t *testing.T) {
	inWorld(t, 3, "full-mesh", func(w *world) {
		w.end("n1")
		w.unplug("1")
		w.plug("1")
		w.run(time.Second)
		n := w.nodes["n1"]
		n.once = true
		w.start("n1")
		if err := <-n.ended; err != nil {
			t.Error(err)
		}
		s := n.agent.Status()
		if s.Turn != 1 || len(s.Findings) == 0 || s.LastTurn.Changes == 0 {
			t.Errorf("%+v", s)
		}
		if l, _ := w.interfaceAt(w.cables["1"], 0); l.Name != "tbt-n2" || !l.Up {
			t.Errorf("the interface is %+v", l)
		}
		if port := w.out("n1", "", w.plan.Node("n2").Identity[0]); port != "tbt-n2" {
			t.Errorf("n1 sends to n2 over %q", port)
		}
		n.agent = nil
	})
}

// While a node returns, cable by cable, and while a cable dies and comes back, the
// others reach each other at every moment.
func TestNothingIsLostOnTheWay(t *testing.T) {
	inWorld(t, 6, "ring", func(w *world) {
		watch := func(what string, nodes ...string) {
			for range 40 {
				w.run(50 * time.Millisecond)
				w.reaches(nodes...)
				if t.Failed() {
					t.Fatal(what)
				}
			}
		}
		others := []string{"n2", "n3", "n4", "n5", "n6"}
		w.unplug("1")
		w.unplug("6")
		watch("n1 goes", others...)
		w.plug("1")
		w.run(50 * time.Millisecond)
		w.plug("6")
		watch("n1 returns", others...)
		watch("n1 is back")
		w.states(mesh.StateConverged)
		w.cables["3"].silent = true
		w.run(100 * time.Millisecond)
		watch("a silent cable")
		w.cables["3"].silent = false
		watch("it answers again")
	})
}
