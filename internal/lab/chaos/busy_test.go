package chaos

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/forwarding"
	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// twoCuts returns the two cables of the lab, without a node in common, without which the
// tables of the whole cabling lose the most pairs, although ways are left.
func twoCuts(t *testing.T, l *lab.Lab) []string {
	t.Helper()
	g := plan.Graph(&l.Plan)
	tables := forwarding.Compile(g)
	worst, most := []string(nil), 0
	for _, f := range forwarding.LinkPairs(g) {
		ends := map[int]bool{}
		for _, i := range f.Links {
			ends[g.Links[i].A], ends[g.Links[i].B] = true, true
		}
		if len(ends) < 4 { // a node that sees both knows what to do
			continue
		}
		lost := 0
		for a := range g.Nodes {
			for b := range g.Nodes {
				if _, outcome := forwarding.Path(g, tables, a, b, f); outcome != forwarding.Delivered {
					lost++
				}
			}
		}
		if lost > most {
			worst, most = []string{l.Plan.Cables[f.Links[0]].Name, l.Plan.Cables[f.Links[1]].Name}, lost
		}
	}
	t.Logf("without new tables, %d pairs are lost without cables %v", most, worst)
	if most == 0 {
		t.Fatal("the tables bear every two cuts, so this test proves nothing")
	}
	return worst
}

// mute makes a cable lose all packets, at both ends and without RTNL, which lab.Cut needs.
func mute(t *testing.T, l *lab.Lab, cable string) {
	t.Helper()
	for _, n := range l.Plan.Nodes {
		for _, k := range n.Links {
			if k.Cable == cable {
				nft(t, l, n.Name, "add table inet mute; add chain inet mute in { type filter hook prerouting priority -400; }; "+
					"add rule inet mute in iifname "+k.Interface+" drop")
			}
		}
	}
}

// namespace returns a network namespace of the test's own.
func namespace(t *testing.T) *os.File {
	t.Helper()
	files, errs := make(chan *os.File, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			errs <- err
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		files <- f
		errs <- err
	}()
	if err := <-errs; err != nil {
		t.Skipf("needs root: %v", err)
	}
	f := <-files
	t.Cleanup(func() { f.Close() })
	return f
}

// Two cables fail while no agent can change a route, because RTNL is held. The second
// needs other tables than those that stand; packets are steered as these would have it,
// and by the tables again once these are made.
func TestTwoCutsWhileRTNLIsHeld(t *testing.T) {
	ns := namespace(t)
	l := start(t, program(t))
	ctx := t.Context()
	cuts := twoCuts(t, l)
	reached := func() (wrong []string) {
		checked, err := l.Check(ctx, 300*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range checked {
			if !k.Good {
				wrong = append(wrong, k.From+" does not reach "+k.To+": "+k.Why)
			}
		}
		return wrong
	}
	if wrong := reached(); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	release := kerneltest.HoldRTNL(t, ns)
	begin := time.Now()
	for _, c := range cuts {
		mute(t, l, c)
		time.Sleep(300 * time.Millisecond)
	}
	wrong := reached()
	for len(wrong) > 0 && time.Since(begin) < 5*time.Second {
		wrong = reached()
	}
	took := time.Since(begin)
	release()
	if len(wrong) > 0 {
		t.Errorf("cables %v are cut and RTNL is held: %s", cuts, strings.Join(wrong, "; "))
	}
	t.Logf("looked for %s after RTNL was taken, without cables %v", took.Round(time.Millisecond), cuts)
	until(t, 20*time.Second, "the tables do it themselves", func() bool {
		return !slices.ContainsFunc(l.Plan.Nodes, func(n mesh.NodePlan) bool { return strings.Contains(nft(t, l, n.Name, "list ruleset"), "goto port-") })
	})
	if wrong := reached(); len(wrong) > 0 {
		t.Errorf("afterwards: %s", strings.Join(wrong, "; "))
	}
}
