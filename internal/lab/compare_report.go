package lab

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// CompareRow sums up the cuts of one kind under one engine.
type CompareRow struct {
	Engine string `json:"engine"`
	How    string `json:"how"`
	Cuts   int    `json:"cuts"`
	// MedianMS (of an even number the lower of the two in the middle) and WorstMS
	// are over cuts, of what each cost the pair that it hit worst. Cuts that did
	// not heal are longer than any other: Never.
	MedianMS float64 `json:"median_ms"`
	WorstMS  float64 `json:"worst_ms"`
	Unhealed int     `json:"unhealed"`
	// NotBack counts the cuts after whose plug some pair did not take its best
	// way again within a minute.
	NotBack int `json:"not_back"`
}

// Rows sums up, in the order of engines and of CompareKinds. A carrier cut whose
// news the kernel held back stands with Held.
func (c Comparison) Rows() []CompareRow {
	var rows []CompareRow
	for _, e := range c.Engines {
		for _, how := range []string{Delete, Carrier, Held, Silent} {
			row := CompareRow{Engine: e.Engine, How: how}
			var lost []float64
			for _, cut := range e.Cuts {
				if kind := cut.Kind(); kind != how {
					continue
				}
				row.Cuts++
				ms := cut.WorstMS
				if !cut.Healed {
					row.Unhealed++
					ms = math.Inf(1)
				}
				if cut.BackMS == Never {
					row.NotBack++
				}
				lost = append(lost, ms)
			}
			if row.Cuts == 0 {
				continue
			}
			slices.Sort(lost)
			row.MedianMS, row.WorstMS = finite(lost[(len(lost)-1)/2]), finite(lost[len(lost)-1])
			rows = append(rows, row)
		}
	}
	return rows
}

// Never stands for a time, in ms, that has no end.
const Never = -1

func finite(ms float64) float64 {
	if math.IsInf(ms, 1) {
		return Never
	}
	return ms
}

// Kind is How, but Held for a carrier cut that the kernel held back by itself.
func (c CompareCut) Kind() string {
	if c.HeldBack() {
		return Held
	}
	return c.How
}

// CutWords says what a kind of cut is.
func CutWords(how string) string {
	return map[string]string{
		Delete: "unplugged", Carrier: "carrier lost", Held: "carrier lost, news held back", Silent: "silent", OneWay: "silent one way",
	}[how]
}

// EngineWords says what an engine is, in a few words.
func EngineWords(r EngineResult) string {
	what := map[string]string{
		Compiled:                 "usb4mesh, compiled tables",
		AgentEngine:              "usb4mesh, with its agent",
		"static":                 "floating static routes",
		"networkd":               "usb4mesh, by systemd-networkd",
		"frr-ospf":               "OSPF",
		"frr-bgp":                "BGP unnumbered",
		"frr-openfabric":         "OpenFabric, tuned",
		"frr-openfabric-default": "OpenFabric, default timers",
	}[r.Engine]
	if what == "" {
		what = r.Engine
	}
	if r.Version != "" {
		what += " (" + r.Version + ")"
	}
	return what
}

// MillisText writes lost milliseconds as a person would.
func MillisText(ms float64) string {
	switch {
	case ms == Never:
		return "until replugged"
	case ms >= 9950:
		return fmt.Sprintf("%.0f s", ms/1000)
	case ms >= 1000:
		return fmt.Sprintf("%.2f s", ms/1000)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// node returns what a node of the engine uses, on average over the nodes.
func (r EngineResult) node() (processes int, rss, pss, cpu float64) {
	n := float64(len(r.Usage))
	for _, u := range r.Usage {
		processes = max(processes, len(u.Processes))
		rss += float64(u.RSS) / n / (1 << 20)
		pss += float64(u.PSS) / n / (1 << 20)
		cpu += u.CPU / n
	}
	return processes, rss, pss, cpu
}

// CostWords says in a line what the engine takes of every node.
func (r EngineResult) CostWords() string {
	processes, rss, _, cpu := r.node()
	if processes == 0 {
		return "no process"
	}
	return fmt.Sprintf("%d processes, %.0f MiB, %.1f %% CPU per node", processes, rss, cpu)
}

// table lays the comparison out: first what a cut costs, then what it takes.
func (c Comparison) table() (cuts, costs [][]string) {
	cuts = [][]string{{"control plane", "how the cable is cut", "cuts", "median", "worst", "not healed", "not back"}}
	costs = [][]string{{"control plane", "processes per node", "memory (RSS)", "memory (PSS)", "idle CPU", "cold start"}}
	words := map[string]string{}
	for _, e := range c.Engines {
		words[e.Engine] = EngineWords(e)
		if e.Error != "" {
			continue // see failures
		}
		processes, rss, pss, cpu := e.node()
		row := []string{EngineWords(e), fmt.Sprint(processes), "0", "0", "0", MillisText(e.ColdStartMS)}
		if processes > 0 {
			row[2], row[3], row[4] = fmt.Sprintf("%.1f MiB", rss), fmt.Sprintf("%.1f MiB", pss), fmt.Sprintf("%.1f %%", cpu)
		}
		costs = append(costs, row)
	}
	for _, r := range c.Rows() {
		cuts = append(cuts, []string{words[r.Engine], CutWords(r.How), fmt.Sprint(r.Cuts),
			MillisText(r.MedianMS), MillisText(r.WorstMS), fmt.Sprint(r.Unhealed), fmt.Sprint(r.NotBack)})
	}
	return cuts, costs
}

// rates lays out the throughput.
func (c Comparison) rates() [][]string {
	if len(c.Throughput) == 0 {
		return nil
	}
	rows := [][]string{{"pair", "family", "hops", "Gbit/s", "bare cable", "ratio"}}
	row := func(name, family, hops string, rate, bare, ratios []float64) {
		rows = append(rows, []string{name, family, hops,
			fmt.Sprintf("%.1f", middle(rate)), fmt.Sprintf("%.1f", middle(bare)), fmt.Sprintf("%.3f", middle(ratios))})
	}
	var rate, bare, ratios []float64
	for _, r := range c.Throughput {
		row(r.From+" to "+r.To, r.Family, fmt.Sprint(r.Hops), r.Gbps, r.Bare, r.ratios())
		rate, bare, ratios = append(rate, r.Gbps...), append(bare, r.Bare...), append(ratios, r.ratios()...)
	}
	row("all pairs", "both", "", rate, bare, ratios)
	return rows
}

// Noise says how undisturbed the cuts were that count: probes that were lost
// while no cable was cut, the most that a probe was late, how many attempts were
// thrown away, and how many cuts were kept although this machine stalled, because
// the last attempt was no better or the cut did not heal.
func (c Comparison) Noise() (beforeMS, lateMS float64, repeated, stalled int) {
	for _, e := range c.Engines {
		for _, cut := range e.Cuts {
			beforeMS += cut.BeforeMS
			lateMS = max(lateMS, cut.LateMS)
			repeated += cut.Repeated
			if cut.stalled() {
				stalled++
			}
		}
	}
	return beforeMS, lateMS, repeated, stalled
}

// headline says what was compared.
func (c Comparison) headline() string {
	return fmt.Sprintf("Mesh %s: %d nodes, %d cables; %d pairs, each probed every %g ms; Linux %s; %.0f s.",
		c.Mesh, c.Nodes, c.Cables, c.Pairs, c.SpacingMS, c.Kernel, c.Seconds)
}

// failures names what could not be compared in full, a line each.
func (c Comparison) failures() string {
	var s string
	for _, e := range c.Engines {
		if e.Error != "" {
			s += fmt.Sprintf("\nNot compared in full: %s: %s\n", EngineWords(e), e.Error)
		}
	}
	return s
}

// UsageRatio is what a node with usb4mesh's agent takes, in parts of what it takes with
// another control plane that did the same in the same run.
type UsageRatio struct {
	Engine string  `json:"engine"` // the other one
	RSS    float64 `json:"rss"`
	PSS    float64 `json:"pss"`
	CPU    float64 `json:"cpu"`
}

// usageRatios compares the agent with all that have processes.
func (c Comparison) usageRatios() []UsageRatio {
	all := []UsageRatio{}
	i := slices.IndexFunc(c.Engines, func(e EngineResult) bool { return e.Engine == AgentEngine && e.Error == "" })
	if i < 0 {
		return all
	}
	_, rss, pss, cpu := c.Engines[i].node()
	for _, e := range c.Engines {
		if n, r, p, u := e.node(); n > 0 && e.Engine != AgentEngine && e.Error == "" && r > 0 && p > 0 && u > 0 {
			all = append(all, UsageRatio{e.Engine, rss / r, pss / p, cpu / u})
		}
	}
	return all
}

// beside puts the agent beside the others in words, a line each.
func (c Comparison) beside() string {
	var s string
	for _, r := range c.UsageRatios {
		i := slices.IndexFunc(c.Engines, func(e EngineResult) bool { return e.Engine == r.Engine })
		s += fmt.Sprintf("\nA node with usb4mesh's agent takes %.2f of the memory (RSS; %.2f of PSS) and %.2f of the idle CPU of one with %s.\n",
			r.RSS, r.PSS, r.CPU, EngineWords(c.Engines[i]))
	}
	return s
}

// noise says how far to trust the figures.
func (c Comparison) noise() string {
	before, late, repeated, stalled := c.Noise()
	return fmt.Sprintf("Noise of this machine: while no cable was cut, %.0f ms of probes were lost in all control periods together; "+
		"a probe was sent %.0f ms late at most. %d cuts were repeated, because probes were more than %d ms late or lost before the cut, "+
		"or because somebody else's carrier event held a carrier cut back; %d cuts count although probes were late or lost.",
		before, late, repeated, stallMS, stalled)
}

// WriteText writes the comparison for a person at a terminal.
func (c Comparison) WriteText(w io.Writer) error {
	cuts, costs := c.table()
	fmt.Fprintln(w, c.headline())
	for _, part := range []struct {
		title string
		rows  [][]string
	}{
		{"Time lost by the pair that a cut hit worst", cuts},
		{"What it takes, per node", costs},
		{"Throughput beside a bare cable, turn by turn", c.rates()},
	} {
		if len(part.rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", part.title)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range part.rows {
			fmt.Fprintln(t, "  "+strings.Join(row, "\t"))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s\n%s\n%s", c.beside(), c.noise(), c.failures())
	return err
}

// WriteMarkdown writes the comparison as tables for a document.
func (c Comparison) WriteMarkdown(w io.Writer) error {
	cuts, costs := c.table()
	fmt.Fprintf(w, "%s\n", c.headline())
	for _, rows := range [][][]string{cuts, costs, c.rates()} {
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintln(w)
		for i, row := range rows {
			for j := range row {
				row[j] = strings.ReplaceAll(row[j], "|", `\|`)
			}
			fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
			if i == 0 {
				fmt.Fprintf(w, "|%s\n", strings.Repeat("---|", len(row)))
			}
		}
	}
	_, err := fmt.Fprintf(w, "%s\n%s\n%s", c.beside(), c.noise(), c.failures())
	return err
}
