package draw

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Sizes in pixels. Widths of letters are upper bounds for the fonts that svg asks for.
const (
	nameSize, textSize, smallSize = 17.0, 12.0, 11.0

	lineHeight   = 16.0
	nameHeight   = 24.0
	padding      = 14.0
	socketHeight = 18.0
	socketPitch  = 26.0 // of sockets on an upright side
)

// bold, plain and mono return upper bounds for the width of a text.
func bold(s string, size float64) float64  { return 0.68 * size * float64(utf8.RuneCountInString(s)) }
func plain(s string, size float64) float64 { return 0.6 * size * float64(utf8.RuneCountInString(s)) }
func mono(s string, size float64) float64  { return 0.61 * size * float64(utf8.RuneCountInString(s)) }

// scene is a plan with a place for everything in it.
type scene struct {
	plan   mesh.Plan
	nodes  []node
	cables []cable
	w, h   float64 // of the drawing without title and legend
}

// node is a box; all boxes of a scene are of one width.
type node struct {
	plan *mesh.NodePlan
	rows [][3]string // port, interface, own address of the cable
	tall float64     // height that text and sockets need
	rect
}

// cable is a drawn cable.
type cable struct {
	plan    *mesh.CablePlan
	nodes   [2]int  // indices into scene.nodes
	lane    float64 // place among the cables of the same two nodes: ..., -1, 0, 1, ... or halves
	sockets [2]socket
	curve   bezier
	badge   rect
}

// compose finds a place for everything. What a plan says about nodes that it does not
// have is left out, so that no plan makes it fail.
func compose(p mesh.Plan) *scene {
	s := &scene{plan: p}
	index := map[string]int{}
	for i := range p.Nodes {
		index[p.Nodes[i].Name] = i
		s.nodes = append(s.nodes, node{plan: &p.Nodes[i], rows: rows(&p.Nodes[i])})
	}
	parallel := map[[2]int][]int{}
	for i := range p.Cables {
		a, oka := index[p.Cables[i].Ends[0].Node]
		b, okb := index[p.Cables[i].Ends[1].Node]
		if !oka || !okb || a == b {
			continue
		}
		key := [2]int{min(a, b), max(a, b)}
		parallel[key] = append(parallel[key], len(s.cables))
		s.cables = append(s.cables, cable{plan: &p.Cables[i], nodes: [2]int{a, b}})
	}
	for _, group := range parallel {
		for k, c := range group {
			s.cables[c].lane = float64(len(group)-1)/2 - float64(k)
		}
	}

	// The size of the boxes decides where they stand, and where they stand decides
	// how many sockets a side must hold: after few rounds nothing changes.
	w := s.measure()
	for range 4 {
		s.arrange(w)
		wide, grown := s.placeSockets()
		if wide <= w && !grown {
			break
		}
		w = max(w, wide)
	}
	s.lead()
	s.crop()
	return s
}

// socketWidth returns the width of a socket: all are of one size.
func (s *scene) socketWidth() float64 {
	w := socketHeight * 1.6
	for _, c := range s.cables {
		for _, e := range c.plan.Ends {
			w = max(w, mono(e.Port, smallSize)+14)
		}
	}
	return math.Round(w)
}

func badgeSize(c *mesh.CablePlan) (w, h float64) {
	return max(22, math.Round(bold(c.Name, textSize)+12)), 22
}

// gaps returns the least distances of two boxes: sockets, a badge and a bit of cable
// stand between them.
func (s *scene) gaps() (w, h float64) {
	for _, c := range s.cables {
		bw, bh := badgeSize(c.plan)
		w, h = max(w, bw), max(h, bh)
	}
	return w + 2*s.socketWidth() + 36, h + 2*socketHeight + 40
}

// rows returns what a box says about each of its ports.
func rows(n *mesh.NodePlan) [][3]string {
	var all [][3]string
	for _, l := range n.Links {
		own := ""
		for _, a := range l.Addresses {
			if a.Peer.IsValid() {
				own = a.Local.Addr().String()
			}
		}
		all = append(all, [3]string{l.Port.Name, l.Interface, own})
	}
	return all
}

// columns returns the widths of the columns of rows, over all nodes.
func (s *scene) columns() [3]float64 {
	var w [3]float64
	for _, n := range s.nodes {
		for _, r := range n.rows {
			for i, text := range r {
				if text != "" {
					w[i] = max(w[i], mono(text, smallSize)+12)
				}
			}
		}
	}
	return w
}

// measure notes the height that the text of each node needs and returns the width that
// is enough for all.
func (s *scene) measure() (w float64) {
	w = 120
	for i := range s.nodes {
		n := &s.nodes[i]
		n.tall = nameHeight + 2*padding
		w = max(w, bold(n.plan.Name, nameSize), plain(n.plan.Machine, textSize))
		if n.plan.Machine != "" {
			n.tall += lineHeight
		}
		for _, a := range n.plan.Identity {
			w = max(w, mono(a.String(), textSize))
			n.tall += lineHeight
		}
		if len(n.rows) > 0 {
			n.tall += 10 + lineHeight*float64(len(n.rows))
		}
	}
	c := s.columns()
	return max(w, c[0]+c[1]+c[2]) + 2*padding
}

// crop moves the drawing so that it begins at 0,0 and notes its size.
func (s *scene) crop() {
	const margin = 36
	lo, hi := point{0, 0}, point{0, 0}
	first := true
	see := func(p point) {
		if first {
			lo, hi, first = p, p, false
		}
		lo = point{min(lo.x, p.x), min(lo.y, p.y)}
		hi = point{max(hi.x, p.x), max(hi.y, p.y)}
	}
	each := func(r rect) {
		half := point{r.w / 2, r.h / 2}
		see(r.c.sub(half))
		see(r.c.add(half))
	}
	for _, n := range s.nodes {
		each(n.rect)
	}
	for _, c := range s.cables {
		each(c.badge)
		for i := range 33 {
			see(c.curve.at(float64(i) / 32))
		}
	}
	shift := point{margin, margin}.sub(lo).round()
	for i := range s.nodes {
		s.nodes[i].c = s.nodes[i].c.add(shift)
	}
	for i := range s.cables {
		c := &s.cables[i]
		c.badge.c = c.badge.c.add(shift)
		for k := range c.curve {
			c.curve[k] = c.curve[k].add(shift)
		}
		for k := range c.sockets {
			c.sockets[k].c = c.sockets[k].c.add(shift)
		}
	}
	s.w, s.h = hi.x-lo.x+2*margin, hi.y-lo.y+2*margin
}

// speed returns what a badge or the legend says about a cable.
func speed(c *mesh.CablePlan) string {
	if c.Speed == 0 {
		return ""
	}
	return fmt.Sprintf("%d Gbit/s", c.Speed)
}
