package match

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

const (
	left, right = "0000:c7:00.5", "0000:c7:00.6"
	newUUID     = "11111111-2222-3333-ffff-ffffffffffff"
)

// triangle is node a of three, cabled as planned: b left, c right.
type triangle struct {
	machines map[string]*hwtest.Machine
	domains  map[string][2]*hwtest.Domain
	cables   map[string]*hwtest.Cable
	in       Input
}

func newTriangle() *triangle {
	w := &triangle{machines: map[string]*hwtest.Machine{}, domains: map[string][2]*hwtest.Domain{}, cables: map[string]*hwtest.Cable{}}
	for _, n := range []string{"a", "b", "c", "x"} {
		m := hwtest.New(n)
		w.machines[n] = m
		w.domains[n] = [2]*hwtest.Domain{m.AddDomain(left, hwtest.AMD), m.AddDomain(right, hwtest.AMD)}
	}
	w.in = Input{Node: "a", Routers: map[string]string{}, Told: map[string]bool{}, Plan: mesh.Plan{Nodes: []mesh.NodePlan{
		{Name: "a", Links: []mesh.LinkPlan{
			{Interface: "tbt-b", Peer: "b", Port: mesh.Port{Name: "left", Path: "pci-" + left}},
			{Interface: "tbt-c", Peer: "c", Port: mesh.Port{Name: "right", Path: "pci-" + right}},
		}}, {Name: "b"}, {Name: "c"},
	}}}
	return w
}

func (w *triangle) plug(port int, peer string) *hwtest.Cable {
	c := hwtest.Plug(w.domains["a"][port].Port(2), w.domains[peer][0].Port(2))
	w.cables[peer] = c
	return c
}

// find scans and matches; the kernel has the interfaces of the device tree.
func (w *triangle) find(t *testing.T) Result {
	t.Helper()
	h, findings := hw.Scan(w.machines["a"].FS)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	w.in.Hardware = h
	if w.in.Links == nil {
		for i, l := range h.Links {
			w.in.Links = append(w.in.Links, mesh.Link{Name: l.Interface, Index: 10 + i, MAC: l.MAC})
		}
	}
	return Find(w.in)
}

func codes(r Result) []string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.Code())
	}
	return out
}

// The kernel numbers interfaces in the order of plugging; the plan goes by ports.
func TestNamesOfTheKernelDoNotCount(t *testing.T) {
	w := newTriangle()
	w.plug(1, "c") // thunderbolt0
	w.plug(0, "b") // thunderbolt1
	r := w.find(t)
	want := map[int]string{10: "tbt-b", 11: "tbt-c"}
	if diff := cmp.Diff(want, r.Names); diff != "" {
		t.Errorf("renames (-want +got):\n%s", diff)
	}
	if len(r.Findings) > 0 || !r.Ports[0].Part() || !r.Ports[1].Part() {
		t.Errorf("%+v", r)
	}
}

// A device tree that was read before a rename is put right by hardware addresses.
func TestRenamedMeanwhile(t *testing.T) {
	w := newTriangle()
	w.plug(0, "b")
	mac := hw.MAC(w.domains["a"][0].UUID, 2)
	w.in.Links = []mesh.Link{{Name: "tbt-b", Index: 7, MAC: mac}, {Name: "thunderbolt0", Index: 8, MAC: "02:00:00:00:00:01"}}
	r := w.find(t)
	if r.Ports[0].Kernel.Index != 7 || len(r.Names) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestWhoIsAtThePort(t *testing.T) {
	for _, tt := range []struct {
		name     string
		peer     string // machine at the left port, planned is b
		set      func(w *triangle, c *hwtest.Cable)
		stranger string
		codes    []string
	}{
		{name: "the planned one", peer: "b"},
		{name: "a node of the mesh at the wrong port", peer: "c", stranger: "c", codes: []string{"cable-at-wrong-port"}},
		{name: "a machine of another name", peer: "x", stranger: "x (UUID UUID)", codes: []string{"stranger-at-port"}},
		{name: "a name with a domain", peer: "b", set: func(_ *triangle, c *hwtest.Cable) { c.SetEnd(0, "device_name", "b.example.org") }},
		{name: "a new UUID after a reboot", peer: "b", set: func(w *triangle, c *hwtest.Cable) {
			w.in.Routers[w.domains["b"][0].UUID] = "b"
			c.SetEnd(0, "unique_id", newUUID)
		}},
		{name: "no name yet, nothing known", peer: "b", set: func(_ *triangle, c *hwtest.Cable) { c.SetEnd(0, "device_name", "(none)") }},
		{name: "no name yet, but the UUID of another node", peer: "c", stranger: "c", codes: []string{"cable-at-wrong-port"}, set: func(w *triangle, c *hwtest.Cable) {
			w.in.Routers[w.domains["c"][0].UUID] = "c"
			c.SetEnd(0, "device_name", "(none)")
		}},
		{name: "somebody who bears the name while the node itself is there", peer: "x", stranger: "b (UUID UUID)", codes: []string{"stranger-at-port"}, set: func(w *triangle, c *hwtest.Cable) {
			w.in.Routers[w.domains["b"][0].UUID], w.in.Told["b"] = "b", true
			c.SetEnd(0, "device_name", "b")
		}},
		{name: "another node's router under the planned name", peer: "c", stranger: "c", codes: []string{"cable-at-wrong-port"}, set: func(w *triangle, c *hwtest.Cable) {
			w.in.Routers[w.domains["c"][0].UUID], w.in.Told["c"] = "c", true
			c.SetEnd(0, "device_name", "b")
		}},
		{name: "a router that has moved to another machine", peer: "b", set: func(w *triangle, _ *hwtest.Cable) {
			w.in.Routers[w.domains["b"][0].UUID] = "c" // remembered, and c says nothing
		}},
		{name: "no module", peer: "b", codes: []string{"peer-without-service"}, set: func(_ *triangle, c *hwtest.Cable) { c.RemoveService(0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTriangle()
			c := w.plug(0, tt.peer)
			if tt.set != nil {
				tt.set(w, c)
			}
			r := w.find(t)
			got := r.Ports[0].Stranger
			if uuid := w.domains[tt.peer][0].UUID; tt.stranger != "" && len(got) > len(uuid) {
				got = got[:len(got)-len(uuid)-1] + "UUID)"
			}
			if got != tt.stranger {
				t.Errorf("stranger %q, want %q", got, tt.stranger)
			}
			if diff := cmp.Diff(tt.codes, codes(r)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if tt.stranger != "" && (r.Ports[0].Part() || len(r.Names) > 0 || len(r.Seen) > 0) {
				t.Errorf("a stranger takes part: %+v", r)
			}
		})
	}
}

func TestPortsThatThePlanDoesNotUse(t *testing.T) {
	w := newTriangle()
	w.in.Plan.Nodes[0].Links = w.in.Plan.Nodes[0].Links[:1]
	w.plug(1, "c")
	r := w.find(t)
	if diff := cmp.Diff([]string{"cable-at-unplanned-port"}, codes(r)); diff != "" {
		t.Errorf("a node there (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"thunderbolt0"}, r.Outside); diff != "" {
		t.Errorf("outside (-want +got):\n%s", diff)
	}
	w = newTriangle()
	w.in.Plan.Nodes[0].Links = w.in.Plan.Nodes[0].Links[:1]
	w.plug(1, "x")
	r = w.find(t)
	if diff := cmp.Diff([]string{"stranger-at-free-port"}, codes(r)); diff != "" {
		t.Errorf("a machine of the owner (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"thunderbolt0"}, r.Outside); diff != "" || r.Findings[0].Severity != finding.Info {
		t.Errorf("outside (-want +got):\n%s, %v", diff, r.Findings)
	}
}

// What a stranger calls itself is repeated in findings, in part.
func TestLongNames(t *testing.T) {
	w := newTriangle()
	w.plug(0, "x").SetEnd(0, "device_name", strings.Repeat("é", 2000))
	r := w.find(t)
	if got := r.Ports[0].Stranger; len(got) > 200 || !utf8.ValidString(got) || !strings.Contains(got, "é...") {
		t.Errorf("it is called %q", got)
	}
}

func TestIntelPortsShareAController(t *testing.T) {
	a, b, c := hwtest.New("a"), hwtest.New("b"), hwtest.New("c")
	nhi := a.AddDomain(left, hwtest.Intel)
	hwtest.Plug(nhi.Port(3), c.AddDomain(left, hwtest.AMD).Port(2))
	hwtest.Plug(nhi.Port(1), b.AddDomain(left, hwtest.AMD).Port(2))
	w := newTriangle()
	w.machines["a"] = a
	w.in.Plan.Nodes[0].Links[0].Port = mesh.Port{Path: "pci-" + left, Adapter: 1}
	w.in.Plan.Nodes[0].Links[1].Port = mesh.Port{Path: "pci-" + left, Adapter: 3}
	r := w.find(t)
	if len(r.Findings) > 0 || r.Ports[0].Kernel.Name != "thunderbolt1" || r.Ports[1].Kernel.Name != "thunderbolt0" {
		t.Errorf("%+v", r)
	}
}

// Without any controller, as in a container, the names of interfaces are all there is.
func TestWithoutHardware(t *testing.T) {
	w := newTriangle()
	w.in.Links = []mesh.Link{{Name: "tbt-b", Index: 3}}
	r := Find(w.in)
	if !r.Ports[0].Part() || r.Ports[1].Plugged() {
		t.Errorf("%+v", r)
	}
}
