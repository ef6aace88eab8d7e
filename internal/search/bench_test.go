package search

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// BenchmarkAnchors looks for the graphs of the Graph Golf competition for one minute each
// (USB4MESH_ANCHOR_SECONDS changes that) and reports how near it comes to the best that is
// published and to the lower bound. It fails when a graph is worse than it should be
// after a minute on two cores.
func BenchmarkAnchors(b *testing.B) {
	seconds := 60.0
	if text := os.Getenv("USB4MESH_ANCHOR_SECONDS"); text != "" {
		var err error
		if seconds, err = strconv.ParseFloat(text, 64); err != nil {
			b.Fatal(err)
		}
	}
	for _, a := range []struct {
		n, ports, diameter int
		average            float64
	}{{16, 3, 3, 2.2}, {36, 3, 4, 3.10}, {64, 8, 3, 1.95}, {96, 3, 6, 4.35}, {256, 8, 4, 2.78}} {
		b.Run(fmt.Sprintf("%dx%d", a.n, a.ports), func(b *testing.B) {
			var r Result
			for b.Loop() {
				start := time.Now()
				r = find(b, Problem{Nodes: a.n, Ports: a.ports}, Control{
					Seed: 1, Workers: 2,
					Stop: func() bool { return time.Since(start).Seconds() > seconds },
				})
			}
			checkResult(b, Problem{Nodes: a.n, Ports: a.ports}, &r)
			if r.Diameter > a.diameter || r.Average > a.average && seconds >= 60 {
				b.Errorf("diameter %d, average %.4f; want %d, %.3f", r.Diameter, r.Average, a.diameter, a.average)
			}
			b.ReportMetric(float64(r.Diameter), "diameter")
			b.ReportMetric(r.Average, "average-hops")
			b.ReportMetric(100*(r.Average/r.Bound.Average-1), "%-over-bound")
			if p, ok := BestPublished(a.n, a.ports); ok {
				b.ReportMetric(100*(r.Average/p.Average-1), "%-over-published")
			}
		})
	}
}
