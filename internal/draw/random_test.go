package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// TestAnyPlan draws plans with any wiring and any names: the picture is XML, every cable
// has its badge, and boxes and sockets do not lie on each other.
func TestAnyPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 14).Draw(t, "nodes")
		end := rapid.IntRange(0, n-1)
		var links [][2]int
		for range rapid.IntRange(0, 20).Draw(t, "cables") {
			links = append(links, [2]int{end.Draw(t, "from"), end.Draw(t, "to")})
		}
		p := sketch(n, links)
		name := rapid.StringN(0, 20, 60)
		for i := range p.Nodes {
			p.Nodes[i].Machine = name.Draw(t, "machine")
		}
		for i := range p.Cables {
			p.Cables[i].Name = name.Draw(t, "cable")
		}
		svg := SVG(p)
		badges := 0
		d := xml.NewDecoder(bytes.NewReader(svg))
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("no XML: %v\n%s", err, svg)
			}
			if c, ok := tok.(xml.CharData); ok && strings.HasPrefix(string(c), "cable ") {
				badges++
			}
		}
		s := compose(p)
		if badges != len(s.cables) {
			t.Fatalf("%d cables named, want %d", badges, len(s.cables))
		}
		boxes := make([]rect, 0, n+2*len(s.cables))
		for _, b := range s.nodes {
			boxes = append(boxes, b.rect)
		}
		for _, c := range s.cables {
			boxes = append(boxes, c.sockets[0].rect, c.sockets[1].rect)
		}
		for i, a := range boxes {
			for k, b := range boxes[:i] {
				if a.overlaps(b.grow(-0.5)) {
					t.Fatalf("boxes %d %v and %d %v overlap", k, b, i, a)
				}
			}
		}
		if mermaid := Mermaid(p); strings.Count(mermaid, "\n") != 1+n+countKnown(p) {
			t.Fatalf("a name broke a line of Mermaid:\n%s", mermaid)
		}
	})
}

// countKnown counts the cables of which both ends are nodes.
func countKnown(p mesh.Plan) int {
	n := 0
	for _, c := range p.Cables {
		if p.Node(c.Ends[0].Node) != nil && p.Node(c.Ends[1].Node) != nil {
			n++
		}
	}
	return n
}
