package cabling_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/cabling"
	"github.com/usb4mesh/usb4mesh/internal/hw" // reads fake machines
	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// ring is four machines with two ports each, left and right.
type ring struct {
	machines []*hwtest.Machine
	ports    [][2]hwtest.Port
	planned  map[string][]mesh.Port
	plan     mesh.Plan
}

func newRing(kind hwtest.Kind, n int) *ring {
	r := &ring{planned: map[string][]mesh.Port{}}
	for i := range n {
		m := hwtest.New(fmt.Sprintf("n%d", i))
		r.machines = append(r.machines, m)
		if len(kindPorts(kind)) == 1 {
			r.ports = append(r.ports, [2]hwtest.Port{m.AddDomain("0000:c7:00.5", kind).Port(2), m.AddDomain("0000:c7:00.6", kind).Port(2)})
			r.planned[m.Name] = []mesh.Port{{Name: "left", Path: "pci-0000:c7:00.5"}, {Name: "right", Path: "pci-0000:c7:00.6"}}
		} else {
			d := m.AddDomain("0000:00:0d.2", kind)
			r.ports = append(r.ports, [2]hwtest.Port{d.Port(1), d.Port(3)})
			r.planned[m.Name] = []mesh.Port{{Name: "left", Path: "pci-0000:00:0d.2", Adapter: 1}, {Name: "right", Path: "pci-0000:00:0d.2", Adapter: 3}}
		}
	}
	for i := range n {
		r.plan.Cables = append(r.plan.Cables, mesh.CablePlan{Name: fmt.Sprint(i + 1), Ends: [2]mesh.Endpoint{{Node: fmt.Sprintf("n%d", i), Port: "right"}, {Node: fmt.Sprintf("n%d", (i+1)%n), Port: "left"}}})
	}
	return r
}

func kindPorts(k hwtest.Kind) []string {
	if fmt.Sprint(k) == fmt.Sprint(hwtest.Intel) {
		return []string{"1", "3"}
	}
	return []string{"2"}
}

// ends lists both ends of every planned cable as [node, side].
func (r *ring) ends() [][2]int {
	var out [][2]int
	n := len(r.machines)
	for i := range n {
		out = append(out, [2]int{i, 1}, [2]int{(i + 1) % n, 0})
	}
	return out
}

// plug puts in the cables: ends 2k and 2k+1 are those of cable k.
func (r *ring) plug(ends [][2]int) {
	for k := 0; k+1 < len(ends); k += 2 {
		a, b := ends[k], ends[k+1]
		hwtest.Plug(r.ports[a[0]][a[1]], r.ports[b[0]][b[1]])
	}
}

func (r *ring) against(t fataler) cabling.Comparison {
	var hs []mesh.Hardware
	for _, m := range r.machines {
		h, fs := hw.Scan(m.FS)
		if len(fs) > 0 {
			t.Fatalf("scan of %s: %s", m.Name, fs[0].Message)
		}
		hs = append(hs, h)
	}
	return cabling.Against(cabling.Match(hs), r.plan, r.planned)
}

type fataler interface{ Fatalf(string, ...any) }

func portName(e [2]int) string { return fmt.Sprintf("n%d:%s", e[0], [2]string{"left", "right"}[e[1]]) }

// carryOut does the moves with the hands: on the ends of cables, knowing nothing of
// how they were found. It returns who is cabled to whom.
func carryOut(t fataler, ends [][2]int, moves []cabling.Move) map[string]string {
	var plugs []string // plug 2k and 2k+1 are those of cable k
	for _, e := range ends {
		plugs = append(plugs, portName(e))
	}
	for _, m := range moves {
		from, to := slices.Index(plugs, m.From), slices.Index(plugs, m.To)
		switch {
		case m.Kind == "swap" && from >= 0 && to >= 0:
			plugs[from], plugs[to] = plugs[to], plugs[from]
		case m.Kind == "move" && from >= 0 && to < 0:
			plugs[from] = m.To
		case m.Kind == "plug" && from < 0 && to < 0:
			plugs = append(plugs, m.From, m.To)
		default:
			t.Fatalf("%q can't be done with plugs in %v", m, plugs)
		}
	}
	at := map[string]string{}
	for k := 0; k+1 < len(plugs); k += 2 {
		at[plugs[k]], at[plugs[k+1]] = plugs[k+1], plugs[k]
	}
	return at
}

func (r *ring) wanted() map[string]string {
	want := map[string]string{}
	for _, c := range r.plan.Cables {
		a, b := c.Ends[0].String(), c.Ends[1].String()
		want[a], want[b] = b, a
	}
	return want
}

// TestEverySingleSwap exchanges every pair of plugs of a ring of four: both cables
// are named, and one move mends it.
func TestEverySingleSwap(t *testing.T) {
	for name, kind := range map[string]hwtest.Kind{"AMD": hwtest.AMD, "Intel": hwtest.Intel} {
		swaps := 0
		all := newRing(kind, 4).ends()
		for i := range all {
			for j := i + 1; j < len(all); j++ {
				if i/2 == j/2 {
					continue // both plugs of one cable
				}
				r := newRing(kind, 4)
				ends := r.ends()
				ends[i], ends[j] = ends[j], ends[i]
				if name == "Intel" && (ends[i][0] == ends[i^1][0] || ends[j][0] == ends[j^1][0]) {
					continue // a controller that meets itself shows nothing at all
				}
				swaps++
				r.plug(ends)
				got := r.against(t)
				var named []string
				for _, m := range got.Misplugs {
					named = append(named, m.Cable)
				}
				want := []string{fmt.Sprint(i/2 + 1), fmt.Sprint(j/2 + 1)}
				if diff := cmp.Diff(want, named); diff != "" {
					t.Errorf("%s, plugs %s and %s swapped: cables (-want +named):\n%s", name, portName(all[i]), portName(all[j]), diff)
				}
				if len(got.Moves) != 1 || got.Moves[0].Kind != "swap" {
					t.Errorf("%s, plugs %s and %s swapped: moves %v", name, portName(all[i]), portName(all[j]), got.Moves)
					continue
				}
				if m := got.Moves[0]; all[i][0] == all[j][0] && m.From[:2] != m.To[:2] {
					t.Errorf("%s, plugs %s and %s swapped: %s, although the plugs are on one machine", name, portName(all[i]), portName(all[j]), m)
				}
				if diff := cmp.Diff(r.wanted(), carryOut(t, ends, got.Moves)); diff != "" {
					t.Errorf("%s, plugs %s and %s swapped: %s does not mend it (-want +got):\n%s", name, portName(all[i]), portName(all[j]), got.Moves[0], diff)
				}
			}
		}
		t.Logf("%s: %d swaps", name, swaps)
		if swaps < 16 {
			t.Errorf("%s: only %d swaps were tried", name, swaps)
		}
	}
}

// TestAnyMiscabling shuffles all plugs of rings and leaves cables out: the moves always
// lead to the plan.
func TestAnyMiscabling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRing(hwtest.AMD, rapid.IntRange(3, 6).Draw(t, "nodes"))
		ends := rapid.Permutation(r.ends()).Draw(t, "ends")
		ends = ends[:len(ends)-2*rapid.IntRange(0, 2).Draw(t, "left out")]
		r.plug(ends)
		got := r.against(t)
		if diff := cmp.Diff(r.wanted(), carryOut(t, ends, got.Moves)); diff != "" {
			t.Fatalf("moves %v (-want +got):\n%s", got.Moves, diff)
		}
		if len(got.Moves) > len(r.plan.Cables) {
			t.Fatalf("%d moves for %d cables", len(got.Moves), len(r.plan.Cables))
		}
		if len(got.Good)+len(got.Missing)+len(got.Misplugs)+len(got.Unseen) != len(r.plan.Cables) {
			t.Fatalf("%+v does not tell about every cable", got)
		}
	})
}

func TestAsPlanned(t *testing.T) {
	for _, kind := range []hwtest.Kind{hwtest.AMD, hwtest.Intel} {
		r := newRing(kind, 4)
		r.plug(r.ends())
		if got := r.against(t); !got.Clean() || len(got.Good) != 4 || len(got.Findings) != 0 {
			t.Errorf("%+v", got)
		}
	}
}

// modelTree scans the machines of a model tree.
func modelTree(t *testing.T, name string) []mesh.Hardware {
	t.Helper()
	b, err := os.ReadFile("../hw/testdata/trees/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	trees := hwtest.Load(b)
	var hs []mesh.Hardware
	for _, k := range slices.Sorted(maps.Keys(trees)) {
		h, _ := hw.Scan(trees[k])
		hs = append(hs, h)
	}
	return hs
}

func texts(c cabling.Cabling) []string {
	var out []string
	for _, x := range c.Cables {
		out = append(out, fmt.Sprintf("%s - %s: %d, %s", x.Ends[0], x.Ends[1], x.Gbps, x.Confidence))
	}
	return out
}

// TestMatchModels finds the cables of the model meshes, whatever the order of scans.
func TestMatchModels(t *testing.T) {
	want := []string{
		"um790-01 0000:c7:00.5 port 2 - um790-02 0000:c7:00.6 port 2: 40, certain",
		"um790-01 0000:c7:00.6 port 2 - um790-03 0000:c7:00.5 port 2: 40, certain",
		"um790-02 0000:c7:00.5 port 2 - um790-03 0000:c7:00.6 port 2: 40, certain",
	}
	hs := modelTree(t, "amd-6.12")
	for range 3 {
		hs = append(hs[1:], hs[0])
		c := cabling.Match(hs)
		if diff := cmp.Diff(want, texts(c)); diff != "" || len(c.Findings)+len(c.Strangers) > 0 {
			t.Errorf("cables (-want +got):\n%s\n%v %v", diff, c.Findings, c.Strangers)
		}
	}
	if got := cabling.Match(modelTree(t, "intel-6.12")); len(got.Cables) != 3 || got.Cables[0].Confidence != cabling.Certain {
		t.Errorf("Intel ring: %v", texts(got))
	}
}

// TestMatchSurvives what happens to identities.
func TestMatchSurvives(t *testing.T) {
	scan := func(ms ...*hwtest.Machine) []mesh.Hardware {
		var hs []mesh.Hardware
		for _, m := range ms {
			h, _ := hw.Scan(m.FS)
			hs = append(hs, h)
		}
		return hs
	}
	two := func() (*hwtest.Domain, *hwtest.Domain) {
		return hwtest.New("a").AddDomain("0000:00:0d.2", hwtest.Intel), hwtest.New("b").AddDomain("0000:00:0d.2", hwtest.Intel)
	}
	t.Run("a UUID that changed at reboot", func(t *testing.T) {
		a, b := two()
		c := hwtest.Plug(a.Port(1), b.Port(3))
		c.SetEnd(0, "unique_id", "00000000-1111-2222-3333-444444444444") // what a saw of b before
		// b names a by UUID, a names a stranger called b.
		if got := cabling.Match(scan(a.Machine, b.Machine)); len(got.Cables) != 1 || got.Cables[0].Confidence != cabling.Likely {
			t.Errorf("%v %v %v", texts(got), got.Strangers, got.Findings)
		}
	})
	t.Run("nameless hosts are matched by UUID", func(t *testing.T) {
		a, b := two()
		hwtest.Plug(a.Port(1), b.Port(3)).Set("device_name", "(none)")
		if got := cabling.Match(scan(a.Machine, b.Machine)); len(got.Cables) != 1 || got.Cables[0].Confidence != cabling.Certain {
			t.Errorf("%v", texts(got))
		}
	})
	t.Run("two cables between the same routers are guessed", func(t *testing.T) {
		a, b := two()
		hwtest.Plug(a.Port(1), b.Port(3))
		hwtest.Plug(a.Port(3), b.Port(1))
		got := cabling.Match(scan(a.Machine, b.Machine))
		if len(got.Cables) != 2 || got.Cables[0].Confidence != cabling.Guess {
			t.Errorf("%v", texts(got))
		}
		// Whichever way the plan has them, it is not contradicted.
		for _, far := range [][2]string{{"x3", "x1"}, {"x1", "x3"}} {
			plan := mesh.Plan{Cables: []mesh.CablePlan{
				{Name: "1", Ends: [2]mesh.Endpoint{{Node: "a", Port: "x1"}, {Node: "b", Port: far[0]}}},
				{Name: "2", Ends: [2]mesh.Endpoint{{Node: "a", Port: "x3"}, {Node: "b", Port: far[1]}}},
			}}
			ports := []mesh.Port{{Name: "x1", Path: "pci-0000:00:0d.2", Adapter: 1}, {Name: "x3", Path: "pci-0000:00:0d.2", Adapter: 3}}
			if cmp := cabling.Against(got, plan, map[string][]mesh.Port{"a": ports, "b": ports}); !cmp.Clean() {
				t.Errorf("%v: %v", far, cmp.Moves)
			}
		}
	})
	t.Run("two cables are told apart by who answers", func(t *testing.T) {
		a, b := two()
		hwtest.Plug(a.Port(1), b.Port(3)) // thunderbolt0 of a
		hwtest.Plug(a.Port(3), b.Port(1))
		a.Machine.Set("proc/net/arp", "IP address HW type Flags HW address Mask Device\n10.7.1.2 0x1 0x2 "+hw.MAC(b.UUID, 3)+" * thunderbolt0")
		got := cabling.Match(scan(a.Machine, b.Machine))
		want := "a 0000:00:0d.2 port 1 - b 0000:00:0d.2 port 3: 40, likely"
		if len(got.Cables) != 2 || texts(got)[0] != want {
			t.Errorf("%v, want %s first", texts(got), want)
		}
	})
	t.Run("host names as nodes are called", func(t *testing.T) {
		a, b := hwtest.New("Node_1.example.org"), hwtest.New("node-2")
		hwtest.Plug(a.AddDomain("0000:c7:00.5", hwtest.AMD).Port(2), b.AddDomain("0000:c7:00.5", hwtest.AMD).Port(2))
		plan := mesh.Plan{Cables: []mesh.CablePlan{{Name: "1", Ends: [2]mesh.Endpoint{{Node: "node-1", Port: "x"}, {Node: "node-2", Port: "x"}}}}}
		ports := []mesh.Port{{Name: "x", Path: "pci-0000:c7:00.5"}}
		for _, machines := range [][]mesh.Hardware{scan(a, b), scan(b)} {
			got := cabling.Against(cabling.Match(machines), plan, map[string][]mesh.Port{"node-1": ports, "node-2": ports})
			if !got.Clean() || len(got.Good) != 1 {
				t.Errorf("%+v", got)
			}
		}
	})
	t.Run("two AMD cables are certain", func(t *testing.T) {
		a, b := hwtest.New("a"), hwtest.New("b")
		for _, pci := range []string{"0000:c7:00.5", "0000:c7:00.6"} {
			hwtest.Plug(a.AddDomain(pci, hwtest.AMD).Port(2), b.AddDomain(pci, hwtest.AMD).Port(2))
		}
		if got := cabling.Match(scan(a, b)); len(got.Cables) != 2 || got.Cables[1].Confidence != cabling.Certain {
			t.Errorf("%v", texts(got))
		}
	})
	t.Run("Mac and Windows are strangers", func(t *testing.T) {
		a, b := two()
		c := hwtest.Plug(a.Port(1), b.Port(1))
		c.SetEnd(0, "vendor", "0xa27")
		c.SetEnd(0, "vendor_name", "Apple Inc.")
		c.SetEnd(0, "device_name", "Mac14,3")
		got := cabling.Match(scan(a.Machine))
		if len(got.Strangers) != 1 || got.Strangers[0].System != "macOS" {
			t.Errorf("%+v", got.Strangers)
		}
		if s := cabling.SystemOf(mesh.PeerHost{VendorID: 0x45e, Device: 0x83f}); s != "Windows" {
			t.Errorf("Microsoft is %s", s)
		}
	})
	t.Run("one end only", func(t *testing.T) {
		a, b := two()
		hwtest.Plug(a.Port(1), b.Port(1))
		maps.DeleteFunc(b.Machine.FS, func(name string, _ *fstest.MapFile) bool { return strings.Contains(name, "/0-1/") })
		got := cabling.Match(scan(a.Machine, b.Machine))
		if len(got.Cables) != 0 || len(got.Findings) != 1 || got.Findings[0].Code() != "one-sided-link" {
			t.Errorf("%v %v", texts(got), got.Findings)
		}
	})
	t.Run("the same machine twice, and two of one name", func(t *testing.T) {
		a, b := two()
		hwtest.Plug(a.Port(1), b.Port(1))
		if got := cabling.Match(scan(a.Machine, b.Machine, a.Machine)); len(got.Cables) != 1 || len(got.Findings) != 0 {
			t.Errorf("%v %v", texts(got), got.Findings)
		}
		b.Machine.Set("proc/sys/kernel/hostname", "a")
		if got := cabling.Match(scan(a.Machine, b.Machine)); len(got.Findings) == 0 || got.Findings[0].Code() != "same-host-name" {
			t.Errorf("%v", got.Findings)
		}
	})
	t.Run("a node that was not scanned", func(t *testing.T) {
		r := newRing(hwtest.AMD, 4)
		r.plug(r.ends())
		r.machines = r.machines[:3]
		got := r.against(t)
		if len(got.Good) != 4 || len(got.Moves) != 0 || len(got.Findings) != 1 || got.Findings[0].Code() != "node-not-scanned" {
			t.Errorf("%+v", got)
		}
		r.machines = r.machines[:1]
		if got := r.against(t); len(got.Good) != 2 || !slices.Equal(got.Unseen, []string{"2", "3"}) || len(got.Moves) != 0 {
			t.Errorf("one machine of four: %+v", got)
		}
	})
}
