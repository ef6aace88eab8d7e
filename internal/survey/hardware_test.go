package survey

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Two machines with a link trained to 40 Gbit/s that carries 11.8: the answer is not
// only that this is little, but why, and what to change.
func TestWhyElevenAndNotForty(t *testing.T) {
	a := hwtest.New("n0").AddDomain("0000:c7:00.5", hwtest.AMD)
	b := hwtest.New("n1").AddDomain("0000:c7:00.5", hwtest.AMD)
	hwtest.Plug(a.Port(2), b.Port(2))
	hardware := map[string]mesh.Hardware{}
	hardware["n0"], _ = hw.Scan(a.Machine.FS)
	hardware["n1"], _ = hw.Scan(b.Machine.FS)

	plan, paths := addressed(3)
	for i := range plan.Nodes[:2] {
		h := hardware[plan.Nodes[i].Name]
		if len(h.Links) != 1 {
			t.Fatalf("%d links in the tree of %s, want 1", len(h.Links), plan.Nodes[i].Name)
		}
		plan.Nodes[i].Links = []mesh.LinkPlan{{Interface: h.Links[0].Interface, Cable: "0", MTU: 65520}}
	}
	d := newFakeDoor(func(string, string, int) (float64, error) { return 11.8, nil })
	r, err := Run(t.Context(), plan, paths, d, Options{
		Where: "ssh", Now: time.Now(), Task: Task{Duration: time.Millisecond, Interval: time.Millisecond, Streams: 1},
		Hardware: func(_ context.Context, node string) (mesh.Hardware, error) {
			if h, ok := hardware[node]; ok {
				return h, nil
			}
			return mesh.Hardware{}, errors.New("ssh: no route to host")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Cables[0]; c.Lanes != 2 || c.LaneGbps != 20 {
		t.Errorf("trained to %d x %d, want 2 x 20", c.Lanes, c.LaneGbps)
	}
	all := strings.Join(messages(&r), "\n")
	for _, want := range []string{
		"bench-slow-cable cable 0: 11.8 Gbit/s from n0 to n1, 11.8 Gbit/s from n1 to n0; at least 18 is expected (trained to 2 x 20 Gbit/s",
		"credit-window node n0: ", "credit-window node n1: ", "11.8 Gbit/s of 40 trained",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing about %q in\n%s", want, all)
		}
	}
	hint := ""
	for _, f := range r.Findings {
		if f.Finding.Code() == "credit-window" {
			hint = f.Finding.Hint
		}
	}
	if !strings.Contains(hint, "thunderbolt.dma_credits=32") {
		t.Errorf("the hint is %q", hint)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "the hardware of node n2 was not read") {
		t.Errorf("notes: %q", r.Notes)
	}
}
