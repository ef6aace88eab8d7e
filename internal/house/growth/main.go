// Command growth measures how compiling and proving forwarding tables grows with
// the mesh: random meshes of four ports per node, and rings, which are the worst
// case because their ways are the longest. It prints a Markdown table and writes
// the curves to the file named as argument.
package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/draw"
	"github.com/usb4mesh/usb4mesh/internal/forwarding"
	"github.com/usb4mesh/usb4mesh/internal/topology"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: growth FILE.svg")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], measure(), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

// measure prints a row per size and returns the picture.
func measure() []byte {
	random := draw.Series{Name: "random, 4 ports"}
	rings := draw.Series{Name: "ring, 2 ports"}
	fmt.Println("| mesh | nodes | cables | cases | compile | verify | allocated |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, n := range []int{16, 32, 64, 128, 256, 512, 1000} {
		random.Points = append(random.Points, row("random, 4 ports", n, topology.RandomRegular(n, 4, 1)))
	}
	for _, n := range []int{16, 32, 64, 128, 256, 512, 1000} {
		var ring [][2]int
		for i := range n {
			ring = append(ring, [2]int{i, (i + 1) % n})
		}
		rings.Points = append(rings.Points, row("ring", n, ring))
	}
	c := draw.Chart{
		Title: "Compiling and proving the tables", Note: "time to compile, and to walk every pair under every single cut; one core",
		X: draw.Axis{Label: "nodes", Log: true}, Y: draw.Axis{Label: "seconds", Log: true},
		Series: []draw.Series{random, rings},
	}
	return c.SVG()
}

// row measures one mesh three times and keeps the median of compile and verify together.
func row(name string, n int, links [][2]int) [2]float64 {
	g := forwarding.Graph{Nodes: n}
	for _, l := range links {
		g.Links = append(g.Links, forwarding.Link{A: l[0], B: l[1], Weight: 1})
	}
	type run struct {
		compile, verify time.Duration
		bytes           uint64
	}
	var runs []run
	var report forwarding.Report
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		tables := forwarding.Compile(g)
		compiled := time.Now()
		report = forwarding.Verify(g, tables, forwarding.SingleLinks(g))
		done := time.Now()
		runtime.ReadMemStats(&after)
		runs = append(runs, run{compiled.Sub(start), done.Sub(compiled), after.TotalAlloc - before.TotalAlloc})
	}
	slices.SortFunc(runs, func(a, b run) int { return int(a.compile + a.verify - b.compile - b.verify) })
	r := runs[1]
	if report.Delivered != report.Cases {
		name += fmt.Sprintf(" (%d lost)", report.Cases-report.Delivered)
	}
	fmt.Printf("| %s | %d | %d | %d | %s | %s | %.1f MiB |\n", name, n, len(links), report.Cases,
		r.compile.Round(10*time.Microsecond), r.verify.Round(10*time.Microsecond), float64(r.bytes)/(1<<20))
	return [2]float64{float64(n), (r.compile + r.verify).Seconds()}
}
