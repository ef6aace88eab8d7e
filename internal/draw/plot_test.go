package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// failover is made up, with everything that a plot can show: zero, many equal
// times, fractions, seconds, and times without end.
func failover() Plot {
	row := func(name, costs string, kinds ...[]float64) PlotRow {
		r := PlotRow{Name: name, Costs: costs}
		for kind, all := range kinds {
			for _, ms := range all {
				r.Dots = append(r.Dots, PlotDot{Kind: kind, MS: ms, Never: math.IsInf(ms, 1)})
			}
		}
		return r
	}
	never := math.Inf(1)
	return Plot{
		Title: "What a cut cable costs", Subtitle: "One dot per cut; four nodes", Note: "Made up.", Unit: 1,
		Kinds: []string{"unplugged", "carrier lost", "silent", "carrier lost, news held back"},
		Rows: []PlotRow{
			row("compiled tables", "no process", []float64{0, 0, 0, 1}, []float64{0, 0, 2, 1}, nil, []float64{740, 812, 790, 650}),
			row("floating routes", "no process", []float64{0, 0, never, never}, []float64{0, never, 0, never}),
			row("OSPF", "4 processes, 42 MiB, 4.0 % CPU per node", []float64{12, 13, 13, 14, 13, 13, 12.5}, []float64{11, 30, 12, 12}, []float64{130, 151, 118, 160}),
			row("BGP", "3 processes", []float64{126, 1550, 173, 20000}),
		},
	}
}

func TestPlotGolden(t *testing.T) { golden(t, "plot.svg", Failover(failover())) }

// TestPlotWellFormed parses plots that nobody would draw on purpose.
func TestPlotWellFormed(t *testing.T) {
	hostile := failover()
	hostile.Title, hostile.Rows[0].Name, hostile.Kinds[0] = `</title><script>`, "a&b\x00", `"unplugged"`
	odd := Plot{Rows: []PlotRow{{Dots: []PlotDot{{Kind: 17, MS: 0.2}, {Kind: 0, MS: 1e7}, {Kind: 4, Never: true}}}, {Name: "no dots"}}}
	for name, p := range map[string]Plot{"empty": {}, "hostile": hostile, "odd": odd, "usual": failover()} {
		t.Run(name, func(t *testing.T) {
			svg := Failover(p)
			if again := Failover(p); !bytes.Equal(svg, again) {
				t.Error("two drawings differ")
			}
			d := xml.NewDecoder(bytes.NewReader(svg))
			marks := 0
			for {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%v in\n%s", err, svg)
				}
				if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
					t.Error("a name became an element")
				} else if ok {
					for _, a := range e.Attr {
						if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
							t.Errorf("%s %s=%q", e.Name.Local, a.Name.Local, a.Value)
						}
						if a.Name.Local == "fill-opacity" && a.Value != "1" { // the legend's are 1
							marks++
						}
					}
				}
			}
			want := 0
			for _, r := range p.Rows {
				want += len(r.Dots)
			}
			if marks != want {
				t.Errorf("%d marks for %d measurements", marks, want)
			}
		})
	}
}

// TestPlotScale: the places of zero and of times without end are outside of the
// logarithm, which has room for everything else.
func TestPlotScale(t *testing.T) {
	s := newScale(failover())
	zero, first, last, never := s.x(PlotDot{}), s.x(PlotDot{MS: 1}), s.x(PlotDot{MS: s.last}), s.x(PlotDot{MS: 3, Never: true})
	if !(plotLeft < zero && zero < first && first < last && last < never && never < plotRight) {
		t.Errorf("zero at %v, first at %v, last at %v, never at %v", zero, first, last, never)
	}
	if s.last != 100_000 {
		t.Errorf("the scale ends at %v ms, want the decade above 20 s", s.last)
	}
	if a, b := s.x(PlotDot{MS: 100})-s.x(PlotDot{MS: 10}), s.x(PlotDot{MS: 10})-first; math.Abs(a-b) > 1e-9 {
		t.Errorf("decades are %v and %v wide", a, b)
	}
	// What is below the resolution of the measurement is not on the logarithm.
	if x := s.x(PlotDot{MS: 0.5}); x != zero {
		t.Errorf("0.5 ms of a measurement in whole ms is at %v, want %v", x, zero)
	}
}

func TestTimeText(t *testing.T) {
	for ms, want := range map[float64]string{0: "0", 0.25: "0.25 ms", 1: "1 ms", 12.4: "12 ms", 999: "999 ms", 1550: "1.55 s", 10_000: "10 s", 100_000: "100 s"} {
		if got := timeText(ms); got != want {
			t.Errorf("timeText(%v) = %q, want %q", ms, got, want)
		}
	}
}
