package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

var update = flag.Bool("update", false, "write golden files instead of comparing them")

// sketch makes a plan by hand: draw is tested without the planner, so that a picture
// can hold what no planner would make. Nodes are 01, 02, ...; ports a, b, ... in the
// order of cables unless names are given.
func sketch(n int, links [][2]int, ports ...string) mesh.Plan {
	p := mesh.Plan{Mesh: "homelab", MTU: 65520}
	for i := range n {
		p.Nodes = append(p.Nodes, mesh.NodePlan{
			Name: fmt.Sprintf("%02d", i+1), Machine: "um790-pro",
			Identity: []netip.Addr{
				netip.AddrFrom4([4]byte{10, 7, 1, byte(i + 1)}),
				netip.MustParseAddr(fmt.Sprintf("fd75:7362:3400::%x", i+1)),
			},
		})
	}
	for i, l := range links {
		c := mesh.CablePlan{Name: fmt.Sprint(i + 1), Speed: 20}
		for end, at := range l {
			node := &p.Nodes[at]
			port := string(rune('a' + len(node.Links)))
			if len(ports) > len(node.Links) {
				port = ports[len(node.Links)]
			}
			c.Ends[end] = mesh.Endpoint{Node: node.Name, Port: port}
			peer := p.Nodes[l[1-end]].Name
			node.Links = append(node.Links, mesh.LinkPlan{Interface: "tbt-" + peer, Port: mesh.Port{Name: port}, Peer: peer, Cable: c.Name})
		}
		p.Cables = append(p.Cables, c)
	}
	return p
}

func fullMesh(n int) (links [][2]int) {
	for i := range n {
		for j := i + 1; j < n; j++ {
			links = append(links, [2]int{i, j})
		}
	}
	return links
}

func ring(n int) (links [][2]int) {
	for i := range n {
		links = append(links, [2]int{i, (i + 1) % n})
	}
	return links
}

func gridLinks(rows, columns int) (links [][2]int) {
	for i := range rows * columns {
		if i%columns < columns-1 {
			links = append(links, [2]int{i, i + 1})
		}
		if i < (rows-1)*columns {
			links = append(links, [2]int{i, i + columns})
		}
	}
	return links
}

func petersen() (links [][2]int) {
	for i := range 5 {
		links = append(links, [2]int{i, (i + 1) % 5}, [2]int{i, i + 5}, [2]int{i + 5, (i+2)%5 + 5})
	}
	return links
}

func hypercube(dim int) (links [][2]int) {
	for i := range 1 << dim {
		for d := range dim {
			if j := i ^ 1<<d; i < j {
				links = append(links, [2]int{i, j})
			}
		}
	}
	return links
}

// seed is the cabling of three machines with two ports each and an address at
// each end of each cable.
func seed() mesh.Plan {
	p := sketch(3, ring(3), "left", "right")
	for i := range p.Nodes {
		p.Nodes[i].Identity = nil
		for k := range p.Nodes[i].Links {
			l := &p.Nodes[i].Links[k]
			own := netip.AddrFrom4([4]byte{10, 7, 0, byte(101 + 2*i + k)})
			l.Addresses = []mesh.Address{{Interface: l.Interface, Local: mesh.HostPrefix(own), Peer: mesh.HostPrefix(own.Next())}}
		}
	}
	return p
}

// hostile is a plan whose every name means something to one of the formats.
func hostile() mesh.Plan {
	p := sketch(2, [][2]int{{0, 1}, {1, 0}})
	p.Mesh = `</title><script>alert("x")</script>`
	p.Nodes[0].Name = "a\"]; b|{<c>}\\\n#quot;"
	p.Nodes[1].Name = "<b>&\x00\xff"
	for i := range p.Cables {
		p.Cables[i].Ends[i].Node, p.Cables[i].Ends[1-i].Node = p.Nodes[0].Name, p.Nodes[1].Name
		p.Cables[i].Ends[0].Port = `"|>`
	}
	p.Cables[1].Name = `"2" -->`
	return p
}

func plans() map[string]mesh.Plan {
	mixed := sketch(4, [][2]int{{0, 1}, {0, 1}, {0, 1}, {1, 2}, {3, 2}, {2, 3}}, "front", "back", "top", "side")
	mixed.Cables[3].Speed = 40
	dangling := sketch(2, [][2]int{{0, 1}})
	dangling.Cables = append(dangling.Cables,
		mesh.CablePlan{Name: "9", Ends: [2]mesh.Endpoint{{Node: "01"}, {Node: "nowhere"}}},
		mesh.CablePlan{Name: "8", Ends: [2]mesh.Endpoint{{Node: "01"}, {Node: "01"}}})
	return map[string]mesh.Plan{
		"empty":       {},
		"one":         sketch(1, nil),
		"pair":        sketch(2, [][2]int{{0, 1}}),
		"dangling":    dangling,
		"triangle":    sketch(3, fullMesh(3), "left", "right"),
		"seed":        seed(),
		"parallel":    mixed,
		"square":      sketch(4, ring(4)),
		"star":        sketch(6, [][2]int{{0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}}),
		"full-mesh-5": sketch(5, fullMesh(5)),
		"ring-8":      sketch(8, ring(8)),
		"chain-5":     sketch(5, ring(5)[:4]),
		"grid-3x3":    sketch(9, gridLinks(3, 3)),
		"petersen":    sketch(10, petersen()),
		"grid-4x4":    sketch(16, gridLinks(4, 4)),
		"hypercube-4": sketch(16, hypercube(4)),
		"full-mesh-8": sketch(8, fullMesh(8)),
		"hostile":     hostile(),
	}
}

// misreadable are the plans that real programs read in the tests; the others bring them
// nothing new, only work.
var misreadable = []string{"empty", "one", "dangling", "seed", "parallel", "petersen", "hostile"}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got), write it anew with -update:\n%s", file, diff)
	}
}

// TestGolden holds the few pictures that a person has looked at.
func TestGolden(t *testing.T) {
	all := plans()
	for _, name := range []string{"triangle", "seed", "parallel", "petersen", "hostile"} {
		golden(t, name+".svg", SVG(all[name]))
	}
	for _, name := range []string{"triangle", "parallel", "hostile"} {
		golden(t, name+".dot", []byte(DOT(all[name])))
		golden(t, name+".mmd", []byte(Mermaid(all[name])))
	}
}

// TestWellFormed reads every picture back as XML: escaped, complete, with the words that
// a screen reader needs.
func TestWellFormed(t *testing.T) {
	for name, p := range plans() {
		svg := SVG(p)
		var chars strings.Builder
		elements := map[string]int{}
		d := xml.NewDecoder(bytes.NewReader(svg))
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch tok := tok.(type) {
			case xml.StartElement:
				elements[tok.Name.Local]++
			case xml.CharData:
				chars.Write(tok)
			}
		}
		if elements["script"] > 0 || elements["svg"] != 1 || elements["desc"] != 1 {
			t.Errorf("%s: elements %v", name, elements)
		}
		for _, n := range p.Nodes {
			if name != "hostile" && !strings.Contains(chars.String(), n.Name) {
				t.Errorf("%s: node %s is not in the picture", name, n.Name)
			}
		}
		if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
			t.Errorf("%s: a coordinate is no number", name)
		}
		if !bytes.Equal(svg, SVG(p)) {
			t.Errorf("%s: two drawings of one plan differ", name)
		}
	}
}

// TestNothingOverlaps measures what must not lie on each other: boxes, sockets and badges.
func TestNothingOverlaps(t *testing.T) {
	for name, p := range plans() {
		s := compose(p)
		type thing struct {
			what string
			rect
		}
		var things []thing
		for _, n := range s.nodes {
			things = append(things, thing{"node " + n.plan.Name, n.rect})
		}
		for _, c := range s.cables {
			things = append(things, thing{"badge " + c.plan.Name, c.badge},
				thing{"first socket of " + c.plan.Name, c.sockets[0].rect}, thing{"second socket of " + c.plan.Name, c.sockets[1].rect})
		}
		for i, a := range things {
			if a.c.x-a.w/2 < 0 || a.c.y-a.h/2 < 0 || a.c.x+a.w/2 > s.w || a.c.y+a.h/2 > s.h {
				t.Errorf("%s: %s is outside of the picture", name, a.what)
			}
			for _, b := range things[:i] {
				if a.overlaps(b.grow(-0.5)) {
					t.Errorf("%s: %s lies on %s", name, a.what, b.what)
				}
			}
		}
		for _, c := range s.cables {
			for k, n := range s.nodes {
				if k != c.nodes[0] && k != c.nodes[1] && c.curve.hits(n.rect) {
					t.Errorf("%s: cable %s runs behind node %s", name, c.plan.Name, n.plan.Name)
				}
			}
		}
	}
}

// TestArrangement counts crossings of the arrangements that are chosen.
func TestArrangement(t *testing.T) {
	shuffled := sketch(6, [][2]int{{0, 3}, {3, 1}, {1, 4}, {4, 2}, {2, 5}, {5, 0}})
	for _, tt := range []struct {
		name string
		plan mesh.Plan
		most int
	}{
		{"a triangle", plans()["triangle"], 0},
		{"a ring listed in any order", shuffled, 0},
		{"a star", plans()["star"], 0},
		{"a grid", plans()["grid-4x4"], 0},
		{"Petersen, outer ring first", plans()["petersen"], 5},
	} {
		s := compose(tt.plan)
		places := make([]point, len(s.nodes))
		for i, n := range s.nodes {
			places[i] = n.c
		}
		if got := s.crossings(places); got > tt.most {
			t.Errorf("%s: %d crossings, want at most %d", tt.name, got, tt.most)
		}
	}
}

// TestRealReaders lets librsvg and Graphviz draw plans with everything in them that
// could be misread.
func TestRealReaders(t *testing.T) {
	dir := os.Getenv("DRAW_PNG") // where to keep the pictures for looking at them
	if dir == "" {
		dir = t.TempDir()
	}
	for _, reader := range []struct {
		command, debian string
		write           func(mesh.Plan) []byte
	}{
		{"rsvg-convert --output", "librsvg2-bin", SVG},
		{"neato -Tpng -o", "graphviz", func(p mesh.Plan) []byte { return []byte(DOT(p)) }},
	} {
		args := strings.Fields(reader.command)
		t.Run(args[0], func(t *testing.T) {
			if _, err := exec.LookPath(args[0]); err != nil {
				t.Skipf("no %s (Debian: %s)", args[0], reader.debian)
			}
			for name, p := range plans() {
				if keep := os.Getenv("DRAW_PNG") != ""; !keep && !slices.Contains(misreadable, name) {
					continue
				}
				file := filepath.Join(dir, name+"-"+args[0]+".png")
				cmd := exec.Command(args[0], append(args[1:], file)...)
				cmd.Stdin = bytes.NewReader(reader.write(p))
				// A warning is as bad as a failure: something was not understood.
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("%s: %v: %s", name, err, out)
				}
			}
		})
	}
}

func BenchmarkSVG64(b *testing.B) {
	p := sketch(64, fullMesh(64))
	for b.Loop() {
		SVG(p)
	}
}
