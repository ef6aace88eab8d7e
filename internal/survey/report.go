package survey

import (
	"time"

	"github.com/usb4mesh/usb4mesh/internal/bench"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Report is what a survey found. Its JSON form is a promise (docs/cli.md).
type Report struct {
	Mesh     string    `json:"mesh"`
	Time     time.Time `json:"time"`
	Where    string    `json:"where"` // agents, lab or ssh
	Nodes    []string  `json:"nodes"`
	Settings Settings  `json:"settings"`
	Pairs    []Pair    `json:"pairs"`
	Cables   []Cable   `json:"cables"`
	Load     *Load     `json:"load"` // all pairs at once; null if not asked for
	// Findings are the verdicts. With Notes they are all that was judged.
	Findings []Verdict `json:"findings"`
	Notes    []string  `json:"notes"`
	OK       bool      `json:"ok"` // no finding above info
	Seconds  float64   `json:"seconds"`

	plan     *mesh.Plan
	hardware map[string]mesh.Hardware // by node, as far as known
}

// Settings are the ones that results depend on; only equal ones are compared.
type Settings struct {
	Family   string  `json:"family"`
	Streams  int     `json:"streams"`
	Duration float64 `json:"duration_s"`
	MTU      int     `json:"mtu"`
}

// Pair is an ordered pair of nodes.
type Pair struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Cables   []string `json:"cables"` // crossed, in order
	Via      []string `json:"via"`    // transit nodes, in order
	Hops     int      `json:"hops"`
	Attempts int      `json:"attempts"` // a pair that seemed slow is measured again; the best counts
	Expected *Range   `json:"expected"` // null where nothing can be expected
	Baseline *float64 `json:"baseline_gbps"`
	Verdict  string   `json:"verdict"` // good, low, failed

	Result   *bench.Result     `json:"result"` // null if the measurement failed
	Error    string            `json:"error,omitempty"`
	Evidence map[string]string `json:"evidence"` // "node counter" -> value over the test
}

// Range is what a throughput should be within, Gbit/s, and who says so.
type Range struct {
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Reason string  `json:"reason"`
}

// Cable sums up what was measured over one cable, in both directions.
type Cable struct {
	Name     string      `json:"name"`
	Ends     [2]string   `json:"ends"` // node:port
	Nodes    [2]string   `json:"nodes"`
	Gbps     [2]*float64 `json:"gbps"`  // from the first end to the second, and back; null if not measured
	Lanes    int         `json:"lanes"` // trained; 0 unknown
	LaneGbps int         `json:"lane_gbps"`
}

// Verdict is a finding with what speaks for it.
type Verdict struct {
	Finding  finding.Finding
	Subject  string // cable 3, node 02, 01 to 04
	Evidence map[string]string
}

// pair returns the pair of two nodes, or nil.
func (r *Report) pair(from, to string) *Pair {
	for i := range r.Pairs {
		if r.Pairs[i].From == from && r.Pairs[i].To == to {
			return &r.Pairs[i]
		}
	}
	return nil
}

// gbps is nil for a pair that was not measured.
func (p *Pair) gbps() *float64 {
	if p == nil || p.Result == nil {
		return nil
	}
	return &p.Result.Gbps
}

// idle returns the idle round trip, or nil.
func (p *Pair) idle() *bench.Distribution {
	if p == nil || p.Result == nil || p.Result.Latency == nil {
		return nil
	}
	return p.Result.Latency.Idle
}
