package chaos

import (
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// cubeFile has eight nodes of three cables, so that most pairs keep a way.
const cubeFile = "testdata/cube.yaml"

func cube(t testing.TB) mesh.Plan {
	t.Helper()
	src, err := os.ReadFile(cubeFile)
	if err != nil {
		t.Fatal(err)
	}
	c, fs := config.Parse(cubeFile, src)
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	p, fs := plan.Make(c)
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	return p
}

// A seed replays, a longer run begins as a shorter one, and steps make sense in turn: no
// cable is cut that is out, none plugged that is in.
func TestStepsReplay(t *testing.T) {
	p := cube(t)
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		steps := Steps(&p, seed, 100)
		if !slices.Equal(steps, Steps(&p, seed, 200)[:100]) {
			t.Fatal("the same seed gives other steps")
		}
		out := outage{}
		for _, s := range steps {
			_, isOut := out[s.Cable]
			switch s.Kind {
			case Unplug, Silent, OneWay, Blind, Flap, Stranger:
				if isOut || s.Cable == "" {
					t.Fatalf("step %s: the cable is out, or none", s)
				}
				if s.Kind != Flap && s.Kind != Stranger {
					out[s.Cable] = s.Kind
				}
			case Replug:
				if !isOut {
					t.Fatalf("step %s: the cable is not out", s)
				}
				delete(out, s.Cable)
			case Reboot:
				out.reboot(&p, s.Node)
			default:
				if p.Node(s.Node) == nil {
					t.Fatalf("step %s: no such node", s)
				}
			}
		}
	})
}

// Five hundred steps hold every kind, and the mesh is neither always whole nor always
// in pieces.
func TestStepsAreMixed(t *testing.T) {
	p := cube(t)
	kinds := map[Kind]int{}
	out, sum := outage{}, 0
	for _, s := range Steps(&p, 1, 500) {
		kinds[s.Kind]++
		switch s.Kind {
		case Unplug, Silent, OneWay, Blind:
			out[s.Cable] = s.Kind
		case Replug:
			delete(out, s.Cable)
		case Reboot:
			out.reboot(&p, s.Node)
		}
		sum += len(out)
	}
	for _, w := range weights {
		if kinds[w.kind] < 5 {
			t.Errorf("%d steps of the kind %s", kinds[w.kind], w.kind)
		}
	}
	if mean := float64(sum) / 500; mean < 2 || mean > 6 {
		t.Errorf("%.1f of 12 cables are out on average", mean)
	}
	t.Logf("%v, %.1f cables out on average", kinds, float64(sum)/500)
}
