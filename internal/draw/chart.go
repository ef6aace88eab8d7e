package draw

import (
	"fmt"
	"math"
	"strings"
)

// Chart is curves over two axes.
type Chart struct {
	Title, Note string // the note stands below the title
	X, Y        Axis
	Series      []Series
}

// Axis is one direction of a chart. A logarithmic axis leaves out what is not above 0.
type Axis struct {
	Label string
	Log   bool
}

// Series is one curve.
type Series struct {
	Name   string
	Points [][2]float64 // x rising
	Dashed bool         // what is not ours: a bound, a published figure
}

const (
	chartW, chartH         = 860.0, 520.0
	chartLeft, chartRight  = 86.0, 226.0
	chartTop, chartBottom  = 84.0, 66.0
	labelPitch             = 19.0
	maxTicks, maxChartLine = 400, 20000
)

// SVG draws the chart with the name of each curve at its end, so that neither colours nor a
// legend are needed to tell them apart. The same chart gives the same bytes.
func (c *Chart) SVG() []byte {
	w := &writer{}
	x, y := newChartScale(c.X, c.points(0), chartLeft, chartW-chartRight), newChartScale(c.Y, c.points(1), chartH-chartBottom, chartTop)
	w.printf(`<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="%s" width="%s" height="%s" viewBox="0 0 %[2]s %[3]s" font-family="%s" font-size="13" fill="%s">`+"\n",
		text(c.describe()), px(chartW), px(chartH), sans, ink)
	w.printf("<title>%s</title>\n", text(c.Title))
	w.printf(`<rect x="0.5" y="0.5" width="%s" height="%s" rx="14" fill="%s" stroke="%s"/>`+"\n", px(chartW-1), px(chartH-1), paper, faint)
	w.printf(`<text x="28" y="36" font-size="20" font-weight="700">%s</text>`+"\n", text(c.Title))
	w.printf(`<text x="28" y="58" fill="%s">%s</text>`+"\n", pale, text(c.Note))

	for _, t := range y.ticks() {
		w.printf(`<path d="M%s,%s H%s" stroke="%s"/>`, px(chartLeft), px(y.at(t)), px(chartW-chartRight), faint)
		w.printf(`<text x="%s" y="%s" text-anchor="end" fill="%s">%s</text>`+"\n", px(chartLeft-9), px(y.at(t)+4.5), pale, chartTick(t))
	}
	for _, t := range x.ticks() {
		w.printf(`<path d="M%s,%s v6" stroke="%s"/>`, px(x.at(t)), px(chartH-chartBottom), pale)
		w.printf(`<text x="%s" y="%s" text-anchor="middle" fill="%s">%s</text>`+"\n", px(x.at(t)), px(chartH-chartBottom+22), pale, chartTick(t))
	}
	w.printf(`<path d="M%s,%s H%s" stroke="%s"/>`+"\n", px(chartLeft), px(chartH-chartBottom), px(chartW-chartRight), pale)
	w.printf(`<text x="%s" y="%s" text-anchor="middle">%s</text>`+"\n", px((chartLeft+chartW-chartRight)/2), px(chartH-18), text(c.X.Label))
	w.printf(`<text transform="translate(26 %s) rotate(-90)" text-anchor="middle">%s</text>`+"\n", px((chartTop+chartH-chartBottom)/2), text(c.Y.Label))

	ends := make([]float64, len(c.Series))
	colour := c.colours()
	for i, s := range c.Series {
		ends[i] = w.curve(s, colour[i], x, y)
	}
	w.names(c.Series, colour, ends)
	w.printf("</svg>\n")
	return w.Bytes()
}

func (c *Chart) points(axis int) []float64 {
	var all []float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			all = append(all, p[axis])
		}
	}
	return all
}

// colours gives each curve a colour of its own, and what is dashed grey.
func (c *Chart) colours() []string {
	all := make([]string, len(c.Series))
	next := 0
	for i, s := range c.Series {
		if all[i] = pale; !s.Dashed {
			all[i] = colours[next%len(colours)]
			next++
		}
	}
	return all
}

func (c *Chart) describe() string {
	var names []string
	for _, s := range c.Series {
		names = append(names, s.Name)
	}
	return fmt.Sprintf("%s: %s over %s, for %s", c.Title, c.Y.Label, c.X.Label, strings.Join(names, ", "))
}

// curve draws a series and returns the height of its last point.
func (w *writer) curve(s Series, colour string, x, y *chartScale) float64 {
	dash := ""
	if s.Dashed {
		dash = ` stroke-dasharray="5 5"`
	}
	var d strings.Builder
	end := math.NaN()
	for k, p := range s.Points {
		if k >= maxChartLine || !x.has(p[0]) || !y.has(p[1]) {
			continue
		}
		verb := "L"
		if d.Len() == 0 {
			verb = "M"
		}
		end = y.at(p[1])
		fmt.Fprintf(&d, "%s%s,%s", verb, px(x.at(p[0])), px(end))
	}
	if d.Len() == 0 {
		return end
	}
	w.printf(`<path d="%s" fill="none" stroke="%s" stroke-width="2.5" stroke-linejoin="round" stroke-linecap="round"%s/>`+"\n", d.String(), colour, dash)
	return end
}

// names writes the name of each curve beside its end, pushed apart where ends are close.
func (w *writer) names(series []Series, colour []string, ends []float64) {
	order := make([]int, 0, len(ends))
	for i, e := range ends {
		if !math.IsNaN(e) {
			order = append(order, i)
		}
	}
	for i := range order { // few: sorted by insertion
		for j := i; j > 0 && ends[order[j]] < ends[order[j-1]]; j-- {
			order[j], order[j-1] = order[j-1], order[j]
		}
	}
	at := make([]float64, len(order))
	for k, i := range order {
		at[k] = ends[i]
		if k > 0 {
			at[k] = max(at[k], at[k-1]+labelPitch)
		}
	}
	low := chartH - chartBottom
	for k := len(at) - 1; k >= 0; k-- { // what was pushed below the frame comes back up
		at[k] = min(at[k], low)
		low = at[k] - labelPitch
	}
	for k, i := range order {
		w.printf(`<path d="M%s,%s L%s,%s" stroke="%s" fill="none"/>`, px(chartW-chartRight+2), px(ends[i]), px(chartW-chartRight+14), px(at[k]), colour[i])
		w.printf(`<text x="%s" y="%s" font-weight="600" fill="%s">%s</text>`+"\n", px(chartW-chartRight+18), px(at[k]+4.5), colour[i], text(series[i].Name))
	}
}

// chartScale maps values of an axis to pixels.
type chartScale struct {
	Axis
	low, high float64 // values, or their logarithms
	from, to  float64 // pixels
}

func newChartScale(a Axis, values []float64, from, to float64) *chartScale {
	s := &chartScale{Axis: a, low: math.Inf(1), high: math.Inf(-1), from: from, to: to}
	for _, v := range values {
		if s.has(v) {
			s.low, s.high = min(s.low, s.value(v)), max(s.high, s.value(v))
		}
	}
	if math.IsInf(s.low, 1) {
		s.low, s.high = 0, 1
	}
	if !a.Log && s.low > 0 && s.low < s.high/2 {
		s.low = 0
	}
	if s.high-s.low < 1e-9 {
		s.high = s.low + 1
	}
	if !a.Log { // up to the next tick, so that the highest point is not on the edge
		step := s.step()
		s.low, s.high = math.Floor(s.low/step)*step, math.Ceil(s.high/step-1e-9)*step
	}
	return s
}

func (s *chartScale) has(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (!s.Log || v > 0)
}

func (s *chartScale) value(v float64) float64 {
	if s.Log {
		return math.Log10(v)
	}
	return v
}

func (s *chartScale) at(v float64) float64 {
	return s.from + (s.value(v)-s.low)/(s.high-s.low)*(s.to-s.from)
}

// step is the distance of ticks: 1, 2 or 5 times a power of ten, about six of them.
func (s *chartScale) step() float64 {
	raw := (s.high - s.low) / 6
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*power*1.0001 {
			return m * power
		}
	}
	return 10 * power
}

func (s *chartScale) ticks() []float64 {
	var all []float64
	if !s.Log {
		step := s.step()
		for i := math.Ceil(s.low/step - 1e-9); i*step <= s.high+step*1e-9 && len(all) < maxTicks; i++ {
			all = append(all, i*step)
		}
		return all
	}
	digits := []float64{1}
	switch span := s.high - s.low; {
	case span < 1.2:
		digits = []float64{1, 2, 3, 4, 5, 6, 8}
	case span < 3.6:
		digits = []float64{1, 2, 5}
	}
	for e := math.Floor(s.low); e <= math.Ceil(s.high) && len(all) < maxTicks; e++ {
		for _, d := range digits {
			if v := d * math.Pow(10, e); s.value(v) >= s.low-1e-9 && s.value(v) <= s.high+1e-9 {
				all = append(all, v)
			}
		}
	}
	return all
}

// chartTick writes a number as people do on axes: 0.5, 20, 5k.
func chartTick(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 999999.5:
		return fmt.Sprintf("%gM", math.Round(v/1e4)/100)
	case abs >= 9999.5:
		return fmt.Sprintf("%gk", math.Round(v/10)/100)
	}
	return fmt.Sprintf("%g", math.Round(v*1e6)/1e6)
}
