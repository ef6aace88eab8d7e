package draw

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChart(t *testing.T) {
	c := Chart{
		Title: "Hops <over> nodes", Note: "a & b", X: Axis{Label: "nodes", Log: true}, Y: Axis{Label: "hops"},
		Series: []Series{
			{Name: "ring", Points: [][2]float64{{2, 1}, {10, 2.5}, {1000, 250}}},
			{Name: "bound", Dashed: true, Points: [][2]float64{{2, 1}, {1000, 251}}},
			{Name: "nothing", Points: [][2]float64{{0, math.NaN()}}},
		},
	}
	svg := string(c.SVG())
	d := xml.NewDecoder(strings.NewReader(svg))
	texts := map[string]bool{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
		if s, ok := token.(xml.CharData); ok {
			texts[string(s)] = true
		}
	}
	for _, want := range []string{"Hops <over> nodes", "a & b", "nodes", "hops", "ring", "bound", "10", "1000", "100", "250"} {
		if !texts[want] {
			t.Errorf("%q is not written", want)
		}
	}
	if texts["nothing"] {
		t.Error("a curve without points has a name in the picture")
	}
	if svg != string(c.SVG()) {
		t.Error("not the same twice")
	}
}

func TestEmptyChart(t *testing.T) {
	if svg := string((&Chart{}).SVG()); !strings.HasPrefix(svg, "<svg") || strings.Contains(svg, "NaN") {
		t.Errorf("%s", svg)
	}
}

func TestTicks(t *testing.T) {
	tests := []struct {
		axis   Axis
		values []float64
		want   []float64
	}{
		{Axis{}, []float64{0, 100}, []float64{0, 20, 40, 60, 80, 100}},
		{Axis{}, []float64{7, 9.1}, []float64{7, 7.5, 8, 8.5, 9, 9.5}},
		{Axis{Log: true}, []float64{3, 10000}, []float64{5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}},
		{Axis{Log: true}, []float64{1, 1e6}, []float64{1, 10, 100, 1000, 10000, 100000, 1000000}},
	}
	for _, test := range tests {
		got := newChartScale(test.axis, test.values, 0, 100).ticks()
		if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-6*max(1, math.Abs(a)) })); diff != "" {
			t.Errorf("%+v %v (-want +got):\n%s", test.axis, test.values, diff)
		}
	}
	for v, want := range map[float64]string{0.5: "0.5", 20: "20", 5000: "5000", 25000: "25k", 2e6: "2M"} {
		if got := chartTick(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}
