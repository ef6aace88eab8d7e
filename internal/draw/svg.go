package draw

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// The colours of cables: the palette of Okabe and Ito (Color Universal Design, 2008),
// which people with any kind of colour vision can tell apart, without black and
// yellow, which here would read as text and not at all. After the last colour the
// dashes change; the number on the badge says the same without colour.
var (
	colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}
	dashes  = []string{"", "12 5", "3 4"}
)

const (
	ink, pale, faint = "#1b2533", "#5b6776", "#d5dbe3"
	paper, card      = "#f7f9fc", "#ffffff"

	sans  = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"
	fixed = "ui-monospace, 'DejaVu Sans Mono', monospace"

	margin    = 36.0
	headRoom  = 64.0
	entryLine = 26.0
)

// SVG draws the plan: a box for each node, a socket for each port in use, the cables
// with their numbers, and below them the list of cables. The picture brings its own
// light background, so it reads on dark pages too, and names itself to screen readers.
func SVG(p mesh.Plan) []byte {
	s := compose(p)
	entry, columns, width := s.legend()
	height := headRoom + s.h
	if len(s.cables) > 0 {
		height += entryLine*math.Ceil(float64(len(s.cables))/float64(columns)) + margin
	}
	w := &writer{}
	w.printf(`<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="usb4mesh-title usb4mesh-desc"`+
		` width="%s" height="%s" viewBox="0 0 %[1]s %[2]s" font-family="%s" font-size="%s" fill="%s">`+"\n",
		px(width), px(height), sans, px(textSize), ink)
	w.printf("<title id=\"usb4mesh-title\">%s</title>\n", text(title(p)))
	w.printf("<desc id=\"usb4mesh-desc\">%s</desc>\n", text(s.describe()))
	w.printf(`<rect x="0.5" y="0.5" width="%s" height="%s" rx="14" fill="%s" stroke="%s"/>`+"\n",
		px(width-1), px(height-1), paper, faint)
	w.printf(`<text x="%s" y="44" font-size="22" font-weight="700">%s</text>`+"\n", px(margin), text(title(p)))
	w.printf(`<text x="%s" y="66" font-size="13" fill="%s">%s</text>`+"\n", px(margin), pale, text(s.facts()))

	w.printf("<g transform=\"translate(%s %s)\">\n", px(math.Round((width-s.w)/2)), px(headRoom))
	for i := range s.cables {
		w.cable(i, &s.cables[i])
	}
	for i := range s.nodes {
		w.node(&s.nodes[i], s.columns())
	}
	for i := range s.cables {
		w.sockets(i, &s.cables[i])
	}
	for i := range s.cables {
		w.badge(i, &s.cables[i])
	}
	w.printf("</g>\n")

	for i := range s.cables {
		// Column by column, so that cables stay in order downwards.
		perColumn := (len(s.cables) + columns - 1) / columns
		x := margin + entry*float64(i/perColumn)
		y := headRoom + s.h + entryLine*(float64(i%perColumn)+0.5)
		w.entry(i, &s.cables[i], x, y, s.speeds() > 1)
	}
	w.printf("</svg>\n")
	return w.Bytes()
}

func title(p mesh.Plan) string {
	if p.Mesh == "" {
		return "USB4 mesh"
	}
	return p.Mesh
}

// facts is the line below the title.
func (s *scene) facts() string {
	line := count(len(s.nodes), "node") + ", " + count(len(s.cables), "cable")
	if s.speeds() == 1 && speed(s.cables[0].plan) != "" {
		line += " of " + speed(s.cables[0].plan) + " per direction"
	}
	if s.plan.MTU > 0 {
		line += fmt.Sprintf(", MTU %d", s.plan.MTU)
	}
	return line
}

// describe says in words what the picture shows.
func (s *scene) describe() string {
	var b strings.Builder
	b.WriteString(s.facts() + ".")
	for i := range s.cables {
		c := s.cables[i].plan
		fmt.Fprintf(&b, " Cable %s joins %s and %s.", c.Name, c.Ends[0], c.Ends[1])
	}
	return b.String()
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

// speeds counts different planned speeds.
func (s *scene) speeds() int {
	seen := map[int]bool{}
	for i := range s.cables {
		seen[s.cables[i].plan.Speed] = true
	}
	return len(seen)
}

// legend returns the width of an entry, how many stand side by side, and the width of
// the picture.
func (s *scene) legend() (entry float64, columns int, width float64) {
	for i := range s.cables {
		c := s.cables[i].plan
		entry = max(entry, 96+mono(label(c), textSize)+plain(speed(c), textSize)+bold(c.Name, textSize))
	}
	head := max(bold(title(s.plan), 22), plain(s.facts(), 13))
	width = math.Ceil(max(s.w, entry+2*margin, head+2*margin))
	columns = 1
	if entry > 0 {
		columns = min(max(1, int((width-2*margin)/entry)), max(1, len(s.cables)))
	}
	return entry, columns, width
}

// label is the cable in the words of the cabling list.
func label(c *mesh.CablePlan) string {
	return c.Ends[0].String() + " \u2013 " + c.Ends[1].String()
}

// writer collects SVG.
type writer struct{ bytes.Buffer }

func (w *writer) printf(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// stroke returns the colour of cable i and its dashes as an attribute.
func stroke(i int) (colour, dash string) {
	colour = colours[i%len(colours)]
	if d := dashes[i/len(colours)%len(dashes)]; d != "" {
		dash = ` stroke-dasharray="` + d + `"`
	}
	return colour, dash
}

func (w *writer) cable(i int, c *cable) {
	colour, dash := stroke(i)
	b := c.curve
	d := fmt.Sprintf("M%s,%s C%s,%s %s,%s %s,%s", px(b[0].x), px(b[0].y), px(b[1].x), px(b[1].y),
		px(b[2].x), px(b[2].y), px(b[3].x), px(b[3].y))
	// The wider line in the colour of the paper shows which of two crossing cables is above.
	w.printf(`<g fill="none"><title>%s</title><path d="%s" stroke="%s" stroke-width="9"/>`+
		`<path d="%[2]s" stroke="%[4]s" stroke-width="4"%[5]s/></g>`+"\n",
		text("cable "+c.plan.Name+": "+label(c.plan)), d, paper, colour, dash)
}

func (w *writer) node(n *node, columns [3]float64) {
	x, y := n.c.x-n.w/2, n.c.y-n.h/2
	w.printf(`<g><rect x="%s" y="%s" width="%s" height="%s" rx="10" fill="%s" stroke="%s" stroke-width="1.5"/>`+"\n",
		px(x), px(y), px(n.w), px(n.h), card, ink)
	line := y + padding + 15
	w.printf(`<text x="%s" y="%s" font-size="%s" font-weight="700" text-anchor="middle">%s</text>`+"\n",
		px(n.c.x), px(line), px(nameSize), text(n.plan.Name))
	line += nameHeight - 5
	if n.plan.Machine != "" {
		w.printf(`<text x="%s" y="%s" fill="%s" text-anchor="middle">%s</text>`+"\n", px(n.c.x), px(line), pale, text(n.plan.Machine))
		line += lineHeight
	}
	for _, a := range n.plan.Identity {
		w.printf(`<text x="%s" y="%s" font-family="%s" text-anchor="middle">%s</text>`+"\n", px(n.c.x), px(line), fixed, text(a.String()))
		line += lineHeight
	}
	if len(n.rows) > 0 {
		w.printf(`<path d="M%s,%s h%s" stroke="%s"/>`+"\n", px(x+padding), px(line-7), px(n.w-2*padding), faint)
		line += 10
		left := n.c.x - (columns[0]+columns[1]+columns[2]-12)/2
		for _, r := range n.rows {
			at := left
			for i, cell := range r {
				if cell != "" {
					w.printf(`<text x="%s" y="%s" font-family="%s" font-size="%s" fill="%s">%s</text>`+"\n",
						px(at), px(line), fixed, px(smallSize), []string{pale, ink, ink}[i], text(cell))
				}
				at += columns[i]
			}
			line += lineHeight
		}
	}
	w.printf("</g>\n")
}

func (w *writer) sockets(i int, c *cable) {
	colour, _ := stroke(i)
	for _, s := range c.sockets {
		w.printf(`<rect x="%s" y="%s" width="%s" height="%s" rx="%s" fill="%s" stroke="%s" stroke-width="2"/>`,
			px(s.c.x-s.w/2), px(s.c.y-s.h/2), px(s.w), px(s.h), px(s.h/2), card, colour)
		w.printf(`<text x="%s" y="%s" font-family="%s" font-size="%s" text-anchor="middle">%s</text>`+"\n",
			px(s.c.x), px(s.c.y+4), fixed, px(smallSize), text(s.port))
	}
}

func (w *writer) badge(i int, c *cable) {
	colour, _ := stroke(i)
	w.tag(c.badge, colour, c.plan.Name)
	w.printf("\n")
}

// tag writes a name in a rounded frame.
func (w *writer) tag(r rect, colour, name string) {
	w.printf(`<rect x="%s" y="%s" width="%s" height="%s" rx="%s" fill="%s" stroke="%s" stroke-width="2.5"/>`,
		px(r.c.x-r.w/2), px(r.c.y-r.h/2), px(r.w), px(r.h), px(min(r.h/2, 11)), card, colour)
	w.printf(`<text x="%s" y="%s" font-weight="700" text-anchor="middle">%s</text>`, px(r.c.x), px(r.c.y+4.5), text(name))
}

// entry writes one line of the list of cables.
func (w *writer) entry(i int, c *cable, x, y float64, withSpeed bool) {
	colour, dash := stroke(i)
	w.printf(`<path d="M%s,%s h44" stroke="%s" stroke-width="4"%s/>`, px(x), px(y), colour, dash)
	w.tag(rect{point{x + 44 + c.badge.w/2, y}, c.badge.w, c.badge.h}, colour, c.plan.Name)
	line := label(c.plan)
	x += 54 + c.badge.w
	w.printf(`<text x="%s" y="%s" font-family="%s">%s</text>`, px(x), px(y+4), fixed, text(line))
	if s := speed(c.plan); withSpeed && s != "" {
		w.printf(`<text x="%s" y="%s" fill="%s">%s</text>`, px(x+10+mono(line, textSize)), px(y+4), pale, text(s))
	}
	w.printf("\n")
}

// px writes a length with at most one decimal: enough for the eye, and the same on
// machines whose floating point differs in the last bit.
func px(f float64) string {
	f = math.Round(f*10) / 10
	if f == 0 {
		f = 0 // no "-0"
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// text escapes a string for SVG; what XML can't hold becomes U+FFFD.
func text(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}
