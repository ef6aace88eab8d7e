package survey

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// measure of a heatmap.
type quantity struct {
	title  string
	unit   string
	more   bool // more is better
	value  func(*Pair) (float64, bool)
	format func(float64) string
}

var throughput = quantity{
	title: "Throughput", unit: "Gbit/s", more: true, format: three,
	value: func(p *Pair) (float64, bool) {
		if p.Result == nil {
			return 0, false
		}
		return p.Result.Gbps, true
	},
}

var idleLatency = quantity{
	title: "Round trip, idle, median", unit: "ms", format: three,
	value: func(p *Pair) (float64, bool) {
		d := p.idle()
		if d == nil || d.Samples == 0 {
			return 0, false
		}
		return d.P50, true
	},
}

var loadedLatency = quantity{
	title: "Round trip, loaded, 99 %", unit: "ms", format: three,
	value: func(p *Pair) (float64, bool) {
		if p.Result == nil || p.Result.Latency == nil || p.Result.Latency.Loaded == nil || p.Result.Latency.Loaded.Samples == 0 {
			return 0, false
		}
		return p.Result.Latency.Loaded.P99, true
	},
}

// three writes three significant digits, which fit a cell.
func three(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	case f >= 1:
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.3f", f)
}

// shades go from worse to better: the palette "cividis" (Nuñez, Anderton and Renslow,
// PLOS ONE 2018), which people with any kind of colour vision see alike.
var shades = []string{"#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"}

const (
	cell   = 50
	gutter = 88
	ink    = "#1b2533"
	pale   = "#5b6776"
	faint  = "#d5dbe3"
	sans   = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"
)

// heatmap draws one quantity of all ordered pairs: from row to column. A pair with a
// verdict other than good has a frame, so that colour is not all that tells.
func (r *Report) heatmap(q quantity, x, y float64) (string, float64, float64) {
	low, high := math.Inf(1), math.Inf(-1)
	for i := range r.Pairs {
		if v, ok := q.value(&r.Pairs[i]); ok {
			low, high = min(low, v), max(high, v)
		}
	}
	var b strings.Builder
	n := len(r.Nodes)
	width, height := float64(gutter+n*cell+20), float64(gutter+n*cell+44)
	fmt.Fprintf(&b, `<g transform="translate(%g %g)">`+"\n", x, y)
	fmt.Fprintf(&b, `<text x="0" y="18" font-size="17" font-weight="700">%s</text>`+"\n", escape(q.title))
	fmt.Fprintf(&b, `<text x="0" y="38" font-size="13" fill="%s">%s, from row to column</text>`+"\n", pale, escape(q.unit))
	for i, name := range r.Nodes {
		at := float64(gutter + i*cell + cell/2)
		fmt.Fprintf(&b, `<text x="%g" y="%d" text-anchor="middle" font-size="12">%s</text>`+"\n", at, gutter-10, escape(shortName(name)))
		fmt.Fprintf(&b, `<text x="%d" y="%g" text-anchor="end" font-size="12">%s</text>`+"\n", gutter-12, at+5, escape(shortName(name)))
	}
	for row, from := range r.Nodes {
		for column, to := range r.Nodes {
			cx, cy := gutter+column*cell, gutter+row*cell
			p := r.pair(from, to)
			if p == nil {
				fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="none" stroke="%s"/>`+"\n", cx+2, cy+2, cell-4, cell-4, faint)
				continue
			}
			v, ok := q.value(p)
			fill, text, label := "#ffffff", ink, "–"
			if ok {
				share := 1.0
				if high > low {
					share = (v - low) / (high - low)
				}
				if !q.more {
					share = 1 - share
				}
				shade := min(len(shades)-1, int(share*float64(len(shades))))
				fill, label = shades[shade], q.format(v)
				if shade < 5 {
					text = "#ffffff"
				}
			}
			frame := ""
			if p.Verdict != good && p.Verdict != "" {
				frame = ` stroke="#d55e00" stroke-width="4"`
			}
			fmt.Fprintf(&b, `<g><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="%s"%s/>`,
				escape(p.describe()), cx+2, cy+2, cell-4, cell-4, fill, frame)
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" font-size="13" fill="%s">%s</text></g>`+"\n", cx+cell/2, cy+cell/2+4, text, label)
		}
	}
	fmt.Fprintf(&b, "</g>\n")
	return b.String(), width, height
}

// describe is a pair in words.
func (p *Pair) describe() string {
	s := p.From + " to " + p.To
	if len(p.Via) > 0 {
		s += " through " + strings.Join(p.Via, ", ")
	}
	if p.Result == nil {
		return s + ": not measured: " + p.Error
	}
	s += fmt.Sprintf(": %s Gbit/s", three(p.Result.Gbps))
	if n := p.Result.Retransmits; n != nil {
		s += fmt.Sprintf(", %d retransmits", *n)
	}
	if m := p.Result.PathMTU; m != nil {
		s += fmt.Sprintf(", path MTU %d", m.Passes)
	}
	return s + ", " + p.Verdict
}

func shortName(s string) string {
	if r := []rune(s); len(r) > 7 {
		return string(r[:6]) + "…"
	}
	return s
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

// heatmaps lists what was measured at all.
func (r *Report) heatmaps() []quantity {
	return slices.DeleteFunc([]quantity{throughput, idleLatency, loadedLatency}, func(q quantity) bool {
		return !slices.ContainsFunc(r.Pairs, func(p Pair) bool { _, ok := q.value(&p); return ok })
	})
}

// SVG draws the heatmaps of throughput and latency as one picture.
func (r *Report) SVG() []byte {
	const margin = 24.0
	var body strings.Builder
	x, height := margin, 0.0
	for _, q := range r.heatmaps() {
		s, w, h := r.heatmap(q, x, 84)
		body.WriteString(s)
		x, height = x+w+margin, max(height, h)
	}
	width := max(x, 480)
	height += 84 + margin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%g" height="%g" viewBox="0 0 %[1]g %[2]g" font-family="%s" fill="%s">`+"\n", width, height, sans, ink)
	fmt.Fprintf(&b, "<title>%s</title>\n<desc>%s</desc>\n", escape(r.title()), escape(r.summary()))
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="#f7f9fc"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%g" y="38" font-size="22" font-weight="700">%s</text>`+"\n", margin, escape(r.title()))
	fmt.Fprintf(&b, `<text x="%g" y="60" font-size="13" fill="%s">%s</text>`+"\n", margin, pale, escape(r.summary()))
	b.WriteString(body.String())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (r *Report) title() string { return "Mesh " + r.Mesh + ", every pair measured" }

func (r *Report) summary() string {
	s := fmt.Sprintf("%s, %d nodes, %d cables, %s, %s, %d pairs of %s with %d streams", r.Time.Format("2006-01-02 15:04 MST"),
		len(r.Nodes), len(r.Cables), r.Where, r.Settings.Family, len(r.Pairs), fmt.Sprintf("%.3g s", r.Settings.Duration), r.Settings.Streams)
	switch n := len(r.Findings); {
	case n == 0:
		return s + ": all good"
	case n == 1:
		return s + ": 1 finding"
	default:
		return fmt.Sprintf("%s: %d findings", s, n)
	}
}

// timeLine draws throughput over time, a bar per interval, and a mark below each
// interval in which TCP repeated something.
func (p *Pair) timeLine() string {
	const width, height = 220.0, 46.0
	if p.Result == nil || len(p.Result.Intervals) == 0 {
		return ""
	}
	all := p.Result.Intervals
	end, most := all[len(all)-1].End, 0.0
	for _, i := range all {
		most = max(most, i.SentGbps, i.ReceivedGbps)
	}
	if end <= 0 || most <= 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg role="img" width="%g" height="%g" viewBox="0 0 %[1]g %[2]g"><title>%s over time: at most %s Gbit/s</title>`, width, height+8, escape(p.From+" to "+p.To), three(most))
	for _, i := range all {
		x, w := i.Begin/end*width, max(1, (i.End-i.Begin)/end*width-1)
		h := max(i.SentGbps, i.ReceivedGbps) / most * height
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#3b496c"/>`, x, height-h, w, h)
		if i.Retransmits > 0 {
			fmt.Fprintf(&b, `<rect x="%.1f" y="%g" width="%.1f" height="5" fill="#d55e00"><title>%d retransmits</title></rect>`, x, height+2, w, i.Retransmits)
		}
	}
	b.WriteString("</svg>")
	return b.String()
}
