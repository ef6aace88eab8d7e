package draw

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Plot is a picture of measured times, one row per thing that was measured: every
// measurement a dot, on a logarithmic scale with a place of its own for zero.
type Plot struct {
	Title, Subtitle, Note string
	Unit                  float64 // resolution of the measurement, in ms: where the scale begins
	Kinds                 []string
	Rows                  []PlotRow
}

// PlotRow is one thing that was measured.
type PlotRow struct {
	Name, Costs string // two lines of text
	Dots        []PlotDot
}

// PlotDot is one measurement.
type PlotDot struct {
	Kind  int // index into Kinds: colour, form and lane
	MS    float64
	Never bool // the time has no end
}

// Measures of the plot, in pixels.
const (
	plotWidth  = 1000.0
	plotLeft   = 290.0 // of the scale
	plotRight  = 770.0
	plotTop    = 148.0
	plotZero   = 48.0 // width of the place for zero, and for "never"
	plotLane   = 24.0
	plotPad    = 13.0
	dotSize    = 4.6
	plotFooter = 64.0
)

// plotKinds gives kinds of measurement a colour and a form, so that neither alone
// carries the meaning.
var plotKinds = []struct{ colour, form string }{
	{"#0072b2", "circle"}, {"#d55e00", "diamond"}, {"#009e73", "square"}, {"#cc79a7", "triangle"},
}

// Failover draws the plot.
func Failover(p Plot) []byte {
	s := newScale(p)
	height := plotTop + plotFooter
	for _, r := range p.Rows {
		height += s.rowHeight(r)
	}
	w := &writer{}
	w.printf(`<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="plot-title plot-desc"`+
		` width="%s" height="%s" viewBox="0 0 %[1]s %[2]s" font-family="%s" font-size="13" fill="%s">`+"\n",
		px(plotWidth), px(height), sans, ink)
	w.printf("<title id=\"plot-title\">%s</title>\n<desc id=\"plot-desc\">%s</desc>\n", text(p.Title), text(p.describe()))
	w.printf(`<rect x="0.5" y="0.5" width="%s" height="%s" rx="14" fill="%s" stroke="%s"/>`+"\n",
		px(plotWidth-1), px(height-1), paper, faint)
	w.printf(`<text x="%s" y="44" font-size="22" font-weight="700">%s</text>`+"\n", px(margin), text(p.Title))
	w.printf(`<text x="%s" y="67" fill="%s">%s</text>`+"\n", px(margin), pale, text(p.Subtitle))
	w.plotLegend(p)
	w.plotGrid(s, height)
	w.printf(`<text x="%s" y="%s" font-size="12" fill="%s" text-anchor="end">median / worst</text>`+"\n", px(plotWidth-margin), px(plotTop-12), pale)
	y := plotTop
	for i, r := range p.Rows {
		w.plotRow(p, s, r, y, i)
		y += s.rowHeight(r)
	}
	w.printf(`<text x="%s" y="%s" font-size="12" fill="%s">%s</text>`+"\n", px(margin), px(height-20), pale, text(p.Note))
	w.printf("</svg>\n")
	return w.Bytes()
}

// scale maps milliseconds to pixels.
type scale struct {
	first, last float64 // ms: first is where the logarithm begins
	never       bool    // there is a place for it
}

func newScale(p Plot) scale {
	s := scale{first: p.Unit, last: 10 * p.Unit}
	if s.first <= 0 {
		s.first, s.last = 1, 10
	}
	for _, r := range p.Rows {
		for _, d := range r.Dots {
			s.never = s.never || d.Never
			for !d.Never && d.MS > s.last {
				s.last *= 10
			}
		}
	}
	return s
}

// x returns the place of a measurement.
func (s scale) x(d PlotDot) float64 {
	left, right := plotLeft+plotZero, plotRight
	if s.never {
		right -= plotZero + 34
	}
	switch {
	case d.Never:
		return plotRight - plotZero/2
	case d.MS < s.first:
		return plotLeft + plotZero/2 - 7
	}
	return left + (right-left)*math.Log(d.MS/s.first)/math.Log(s.last/s.first)
}

// lanes lists the kinds that a row has dots of.
func lanes(r PlotRow) []int {
	var kinds []int
	for _, d := range r.Dots {
		if !slices.Contains(kinds, d.Kind) {
			kinds = append(kinds, d.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func (s scale) rowHeight(r PlotRow) float64 {
	return 2*plotPad + plotLane*float64(max(2, len(lanes(r)))) // two: name and costs
}

func (w *writer) plotLegend(p Plot) {
	x := margin + 6
	for i, name := range p.Kinds {
		if !slices.ContainsFunc(p.Rows, func(r PlotRow) bool { return slices.Contains(lanes(r), i) }) {
			continue
		}
		w.dot(i, point{x, 94.5}, 1)
		w.printf(`<text x="%s" y="99">%s</text>`+"\n", px(x+11), text(name))
		x += 40 + 0.85*plain(name, 13)
	}
	w.printf(`<path d="M%s,87 v15" stroke="%s" stroke-width="2.5"/><text x="%s" y="99">median</text>`+"\n", px(x), ink, px(x+9))
}

// plotGrid draws the decades, and the places for zero and never.
func (w *writer) plotGrid(s scale, height float64) {
	top, bottom := plotTop, height-plotFooter
	line := func(x float64, label string, wide bool) {
		width := 1.0
		if wide {
			width = 1.5
		}
		w.printf(`<path d="M%s,%s V%s" stroke="%s" stroke-width="%s"/>`, px(x), px(top-4), px(bottom), faint, px(width))
		for _, y := range []float64{top - 12, bottom + 18} {
			w.printf(`<text x="%s" y="%s" font-size="12" fill="%s" text-anchor="middle">%s</text>`, px(x), px(y), pale, text(label))
		}
		w.printf("\n")
	}
	w.printf(`<rect x="%s" y="%s" width="%s" height="%s" fill="#e4f1e8"/>`+"\n", px(plotLeft), px(top-4), px(plotZero-14), px(bottom-top+4))
	for _, y := range []float64{top - 12, bottom + 18} {
		w.printf(`<text x="%s" y="%s" font-size="12" font-weight="700" fill="%s" text-anchor="middle">0</text>`, px(plotLeft+plotZero/2-7), px(y), ink)
	}
	for ms := s.first; ms <= s.last*1.0001; ms *= 10 {
		line(s.x(PlotDot{MS: ms}), timeText(ms), ms == s.first)
	}
	if s.never {
		w.printf(`<rect x="%s" y="%s" width="%s" height="%s" fill="#fbe6e0"/>`, px(plotRight-plotZero), px(top-4), px(plotZero), px(bottom-top+4))
		for _, y := range []float64{top - 12, bottom + 18} {
			w.printf(`<text x="%s" y="%s" font-size="12" font-weight="700" fill="%s" text-anchor="middle">never</text>`, px(plotRight-plotZero/2), px(y), ink)
		}
		w.printf("\n")
	}
}

func (w *writer) plotRow(p Plot, s scale, r PlotRow, y float64, index int) {
	height := s.rowHeight(r)
	w.printf(`<path d="M%s,%s H%s" stroke="%s"/>`+"\n", px(margin), px(y), px(plotWidth-margin), faint)
	weight := "600"
	if index == 0 {
		weight = "700"
	}
	middle := y + height/2
	w.printf(`<text x="%s" y="%s" font-size="14" font-weight="%s">%s</text>`, px(margin), px(middle-4), weight, text(r.Name))
	w.printf(`<text x="%s" y="%s" font-size="12" fill="%s">%s</text>`+"\n", px(margin), px(middle+14), pale, text(r.Costs))
	kinds := lanes(r)
	top := middle - plotLane*float64(len(kinds))/2
	for i, k := range kinds {
		var dots []PlotDot
		for _, d := range r.Dots {
			if d.Kind == k {
				dots = append(dots, d)
			}
		}
		name := r.Name
		if k < len(p.Kinds) {
			name += ", " + p.Kinds[k]
		}
		w.lane(s, k, dots, top+plotLane*(float64(i)+0.5), name)
	}
}

// lane draws the dots of one kind, side by side where they would hide each other,
// with their median and what the figures are.
func (w *writer) lane(s scale, kind int, dots []PlotDot, y float64, name string) {
	slices.SortStableFunc(dots, func(a, b PlotDot) int {
		if a.Never != b.Never {
			if a.Never {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.MS, b.MS)
	})
	median, worst := dots[(len(dots)-1)/2], dots[len(dots)-1]
	figures := dotText(median) + " / " + dotText(worst)
	w.printf(`<g><title>%s</title>`, text(fmt.Sprintf("%s: median %s, worst %s of %d", name, dotText(median), dotText(worst), len(dots))))
	x := s.x(median)
	w.printf(`<path d="M%s,%s v18" stroke="%s" stroke-width="2.5"/>`, px(x), px(y-9), ink)
	// Dots that would cover each other are spread over the height of the lane.
	for begin := 0; begin < len(dots); {
		end := begin + 1
		for end < len(dots) && s.x(dots[end])-s.x(dots[end-1]) < dotSize {
			end++
		}
		for i := begin; i < end; i++ {
			offset := 0.0
			if n := end - begin; n > 1 {
				// Alternately above and below, so that neighbours part.
				steps := min(n, 5)
				offset = (float64((i-begin)%steps) - float64(steps-1)/2) * 3.2
			}
			w.dot(kind, point{s.x(dots[i]), y + offset}, 0.75)
		}
		begin = end
	}
	w.printf(`<text x="%s" y="%s" font-size="12" text-anchor="end">%s</text>`, px(plotWidth-margin), px(y+4.5), text(figures))
	w.printf("</g>\n")
}

// dot draws a mark of the kind's form.
func (w *writer) dot(kind int, at point, opacity float64) {
	k := plotKinds[kind%len(plotKinds)]
	paint := fmt.Sprintf(`fill="%s" fill-opacity="%s" stroke="%s" stroke-width="0.8"`, k.colour, strconv.FormatFloat(opacity, 'f', -1, 64), card)
	r := dotSize
	switch k.form {
	case "circle":
		w.printf(`<circle cx="%s" cy="%s" r="%s" %s/>`, px(at.x), px(at.y), px(r), paint)
	case "diamond":
		w.printf(`<path d="M%s,%s l%s,%s l-%[3]s,%[4]s l-%[3]s,-%[4]s z" %[5]s/>`, px(at.x), px(at.y-r*1.2), px(r*1.2), px(r*1.2), paint)
	case "square":
		w.printf(`<rect x="%s" y="%s" width="%s" height="%[3]s" %s/>`, px(at.x-r*0.9), px(at.y-r*0.9), px(r*1.8), paint)
	case "triangle":
		w.printf(`<path d="M%s,%s l%s,%s h-%s z" %s/>`, px(at.x), px(at.y-r*1.1), px(r*1.2), px(r*2.1), px(r*2.4), paint)
	}
}

func dotText(d PlotDot) string {
	if d.Never {
		return "never"
	}
	return timeText(d.MS)
}

// timeText writes a time as a person would: 0, 3 ms, 1.52 s.
func timeText(ms float64) string {
	switch {
	case ms == 0:
		return "0"
	case ms < 1:
		return strconv.FormatFloat(ms, 'g', 2, 64) + " ms"
	case ms < 1000:
		return strconv.FormatFloat(math.Round(ms), 'f', -1, 64) + " ms"
	}
	return strconv.FormatFloat(math.Round(ms/10)/100, 'f', -1, 64) + " s"
}

// describe says in words what the plot shows.
func (p Plot) describe() string {
	s := p.Subtitle + "."
	for _, r := range p.Rows {
		for _, k := range lanes(r) {
			worst, n := PlotDot{}, 0
			for _, d := range r.Dots {
				if d.Kind == k {
					n++
					if d.Never || !worst.Never && d.MS > worst.MS {
						worst = d
					}
				}
			}
			if k < len(p.Kinds) {
				s += fmt.Sprintf(" %s, %s: worst of %d %s.", r.Name, p.Kinds[k], n, dotText(worst))
			}
		}
	}
	return s
}
