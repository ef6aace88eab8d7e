package survey

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Parse(page))

type row struct {
	From, To, Over, Gbps, Before, Retransmits, Idle, Loaded, MTU, Verdict string
	Line                                                                  template.HTML
}

type cableRow struct{ Name, Ends, There, Back, Trained string }

// WriteHTML writes the report as one page that needs nothing else: no script, no
// font, no picture from elsewhere.
func (r *Report) WriteHTML(w io.Writer) error {
	data := struct {
		Report         *Report
		Title, Summary string
		Maps           []template.HTML
		Rows           []row
		Cables         []cableRow
	}{Report: r, Title: r.title(), Summary: r.summary()}
	for _, q := range r.heatmaps() {
		g, width, height := r.heatmap(q, 16, 12)
		// Made of numbers and escaped text only.
		data.Maps = append(data.Maps, template.HTML(fmt.Sprintf(`<svg role="img" width="%g" height="%g" viewBox="0 0 %[1]g %[2]g" font-family="%s" fill="%s"><title>%s</title>%s</svg>`,
			width+16, height, sans, ink, escape(q.title), g)))
	}
	for i := range r.Pairs {
		data.Rows = append(data.Rows, r.Pairs[i].row())
	}
	for _, c := range r.Cables {
		one := cableRow{Name: c.Name, Ends: c.Ends[0] + " to " + c.Ends[1], There: optional(c.Gbps[0]), Back: optional(c.Gbps[1]), Trained: "not known"}
		if c.Lanes > 0 {
			one.Trained = fmt.Sprintf("%d x %d Gbit/s", c.Lanes, c.LaneGbps)
		}
		data.Cables = append(data.Cables, one)
	}
	return pageTemplate.Execute(w, data)
}

func (p *Pair) row() row {
	out := row{From: p.From, To: p.To, Over: "cable " + strings.Join(p.Cables, ", "), Verdict: p.Verdict, Gbps: "–", Before: optional(p.Baseline), Retransmits: "–", Idle: "–", Loaded: "–", MTU: "–"}
	if p.Result == nil {
		return out
	}
	out.Gbps, out.Line = three(p.Result.Gbps), template.HTML(p.timeLine()) // made of numbers and escaped text only
	if n := p.Result.Retransmits; n != nil {
		out.Retransmits = strconv.FormatInt(*n, 10)
	}
	if d := p.idle(); d != nil {
		out.Idle = three(d.P50) + " / " + three(d.P999)
		if d.Lost > 0 {
			out.Idle += fmt.Sprintf(", %d lost", d.Lost)
		}
	}
	if v, ok := loadedLatency.value(p); ok {
		out.Loaded = three(v)
	}
	if m := p.Result.PathMTU; m != nil {
		out.MTU = strconv.Itoa(m.Passes)
	}
	return out
}

func optional(f *float64) string {
	if f == nil {
		return "–"
	}
	return three(*f)
}
