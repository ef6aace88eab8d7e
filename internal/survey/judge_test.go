package survey

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/bench"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// ring is a plan of n nodes in a ring: n0, n1, ...; cable i joins node i and i+1.
func ring(n int) *mesh.Plan {
	p := &mesh.Plan{Mesh: "ring", MTU: 65520}
	for i := range n {
		p.Nodes = append(p.Nodes, mesh.NodePlan{Name: fmt.Sprintf("n%d", i)})
		p.Cables = append(p.Cables, mesh.CablePlan{
			Name: fmt.Sprint(i), Speed: 20,
			Ends: [2]mesh.Endpoint{{Node: fmt.Sprintf("n%d", i), Port: "a"}, {Node: fmt.Sprintf("n%d", (i+1)%n), Port: "b"}},
		})
	}
	return p
}

// ringPaths are the shortest paths of a ring, clockwise where there are two.
func ringPaths(n int) []Path {
	var all []Path
	for from := range n {
		for to := range n {
			if from == to {
				continue
			}
			p := Path{From: fmt.Sprintf("n%d", from), To: fmt.Sprintf("n%d", to)}
			if ahead := (to - from + n) % n; ahead <= n/2 {
				for i := range ahead {
					p.Cables = append(p.Cables, fmt.Sprint((from+i)%n))
				}
			} else {
				for i := range n - ahead {
					p.Cables = append(p.Cables, fmt.Sprint((from-1-i+2*n)%n))
				}
			}
			all = append(all, p)
		}
	}
	return all
}

// healthy is a report of a ring where everything is as it should be.
func healthy(n int) *Report {
	r := newReport(ring(n), ringPaths(n), Options{Where: "ssh", Family: "ipv4", Now: time.Unix(1e9, 0), Task: Task{Streams: 1, Duration: time.Second}})
	none := int64(0)
	for i := range r.Pairs {
		r.Pairs[i].Result = &bench.Result{
			Gbps: 20, Retransmits: &none, Streams: []bench.Flow{{Received: 1e9}},
			Intervals: []bench.Interval{{Begin: 0, End: 1, SentGbps: 20}},
			Latency:   &bench.Latency{Idle: &bench.Distribution{Samples: 1000, P50: 0.1, P999: 0.2}, Loaded: &bench.Distribution{Samples: 900, P99: 1}},
			PathMTU:   &bench.PathMTU{Tried: 65520, Passes: 65520, Local: 65520, Reached: true},
		}
	}
	return &r
}

func messages(r *Report) []string {
	out := []string{}
	for _, f := range r.Findings {
		out = append(out, f.Finding.Code()+" "+f.Finding.Message)
	}
	return out
}

// through calls f for every pair whose path crosses a cable.
func through(r *Report, cable string, f func(*Pair)) {
	for i := range r.Pairs {
		for _, c := range r.Pairs[i].Cables {
			if c == cable {
				f(&r.Pairs[i])
			}
		}
	}
}

func TestJudge(t *testing.T) {
	history := func(mesh string, gbps ...float64) []Record {
		var all []Record
		for _, g := range gbps {
			h := healthy(5)
			h.Pairs[0].Result.Gbps, h.Mesh = g, mesh
			all = append(all, h.Record())
		}
		return all
	}
	for _, tt := range []struct {
		name    string
		change  func(*Report)
		history []Record
		want    []string
		lowest  int // pairs whose verdict is not good
	}{
		{"all good", func(*Report) {}, nil, []string{}, 0},
		{"slow cable", func(r *Report) { through(r, "1", func(p *Pair) { p.Result.Gbps = 4 }) }, nil,
			[]string{"bench-slow-cable cable 1: 4 Gbit/s from n1 to n2, 4 Gbit/s from n2 to n1; at least 10 is expected (half of the median of all neighbours)"}, 6},
		{"slow one way, by its trained speed", func(r *Report) {
			r.Cables[2].Lanes, r.Cables[2].LaneGbps = 2, 20
			r.pair("n2", "n3").Result.Gbps = 11.8
		}, nil, []string{"bench-slow-cable cable 2: 11.8 Gbit/s from n2 to n3; at least 18 is expected (trained to 2 x 20 Gbit/s; " + expectedSource(2, 20) + ")"}, 5},
		{"all are slow, by their trained speed", func(r *Report) {
			for i := range r.Cables {
				r.Cables[i].Lanes, r.Cables[i].LaneGbps = 2, 40
			}
			for i := range r.Pairs {
				r.Pairs[i].Result.Gbps = 19
			}
		}, nil, slowAll(5), 20},
		{"slow transit", func(r *Report) { r.pair("n0", "n2").Result.Gbps = 0.005 }, nil,
			[]string{"bench-slow-transit transit through n1: 0.005 Gbit/s from n0 to n2, although the slowest cable on the way carries 20"}, 1},
		{"lossy cable, idle", func(r *Report) {
			through(r, "3", func(p *Pair) { p.Result.Latency.Idle.Lost, p.Result.Latency.Idle.Samples = 20, 980 })
		}, nil, []string{"bench-lossy-cable cable 3: 2.0 % of idle probes get lost"}, 6},
		{"lossy cable, under load, one way", func(r *Report) {
			many := int64(1000)
			r.pair("n3", "n4").Result.Retransmits = &many
		}, nil, []string{"bench-lossy-cable cable 3: TCP repeats 6.1 % of its segments, data mostly from n3 to n4"}, 6},
		{"few retransmits are usual", func(r *Report) {
			few := int64(30) // 0.2 %
			r.pair("n3", "n4").Result.Retransmits = &few
		}, nil, []string{}, 0},
		{"a shaper makes TCP repeat", func(r *Report) {
			many := int64(1000)
			p := r.pair("n3", "n4")
			p.Result.Retransmits, p.Result.Gbps, p.Evidence = &many, 2, map[string]string{"n3 tbt-n4 qdisc": "tbf limits to 2 Gbit/s, 9 drops"}
		}, nil, []string{"bench-slow-cable cable 3: 2 Gbit/s from n3 to n4; at least 10 is expected (half of the median of all neighbours)"}, 5},
		{"small MTU at one end", func(r *Report) {
			through(r, "4", func(p *Pair) {
				p.Result.PathMTU = &bench.PathMTU{Tried: 65520, Passes: 1404, Local: 65520, Told: 1400, Reached: true}
			})
			r.pair("n4", "n0").Result.PathMTU = &bench.PathMTU{Tried: 65520, Passes: 1400, Local: 1400, Reached: true}
		}, nil, []string{"bench-small-mtu cable 4: packets of 65520 bytes do not pass: at most 1404 pass from n0 to n4, at most 1400 pass from n4 to n0"}, 6},
		{"small MTU in transit only", func(r *Report) {
			r.pair("n0", "n2").Result.PathMTU = &bench.PathMTU{Tried: 65520, Passes: 9000, Local: 65520, Reached: true, Silent: true}
		}, nil, []string{"bench-small-mtu transit through n1: packets of 65520 bytes from n0 to n2 do not pass, at most 9000 do, although each cable on the way passes them"}, 1},
		{"sleepy CPU", func(r *Report) { r.pair("n0", "n1").Result.Latency.Idle.P50 = 0.65 }, nil,
			[]string{"bench-high-latency cable 0: half of the round trips from n0 to n1 take more than 0.65 ms while idle"}, 1},
		{"not in the lab", func(r *Report) { r.Where, r.pair("n0", "n1").Result.Latency.Idle.P50 = "lab", 0.65 }, nil, []string{}, 0},
		{"failed", func(r *Report) {
			p := r.pair("n0", "n1")
			p.Result, p.Error, p.Verdict = nil, "node n0: no route", failed
		}, nil,
			[]string{"bench-failed n0 to n1: not measured: node n0: no route"}, 1},
		{"slower than before", func(*Report) {}, history("ring", 10, 30, 30, 30), []string{"bench-below-baseline n0 to n1: 20 Gbit/s, and 30 before (median of 4 surveys)"}, 1},
		{"as before", func(*Report) {}, history("ring", 10, 21, 22), []string{}, 0},
		{"another mesh was faster", func(*Report) {}, history("other", 90), []string{}, 0},
		{"unfair load", func(r *Report) {
			r.Load = &Load{Pairs: []LoadPair{{From: "n0", To: "n1", Gbps: 1, ShareGbps: 5}, {From: "n1", To: "n0", Gbps: 4, ShareGbps: 5}}}
		}, nil, []string{"bench-unfair-share n0 to n1: 1 Gbit/s under load, although 5 are its share"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := healthy(5)
			tt.change(r)
			r.judge(tt.history)
			if diff := cmp.Diff(tt.want, messages(r)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			bad := 0
			for _, p := range r.Pairs {
				if p.Verdict != good {
					bad++
				}
			}
			if bad != tt.lowest || r.OK != (len(tt.want) == 0) {
				t.Errorf("%d pairs are not good, want %d; ok %v", bad, tt.lowest, r.OK)
			}
			if _, err := json.Marshal(r); err != nil {
				t.Error(err)
			}
		})
	}
}

func expectedSource(lanes, speed int) string {
	for _, b := range bands {
		if b.Lanes == lanes && b.LaneGbps == speed {
			return b.Source
		}
	}
	return ""
}

func slowAll(n int) []string {
	var all []string
	for i := range n {
		a, b := i, (i+1)%n
		if b < a { // pairs come in the order of the nodes
			a, b = b, a
		}
		all = append(all, fmt.Sprintf("bench-slow-cable cable %d: 19 Gbit/s from n%d to n%d, 19 Gbit/s from n%d to n%d; at least 20 is expected (trained to 2 x 40 Gbit/s; %s)",
			i, a, b, b, a, expectedSource(2, 40)))
	}
	return all
}

func TestBandsAreSane(t *testing.T) {
	for _, b := range bands {
		line := float64(b.Lanes * b.LaneGbps)
		if !(0 < b.Low && b.Low < b.High && b.High < line) || b.Source == "" {
			t.Errorf("%+v", b)
		}
	}
	if expected(1, 10) == nil || expected(3, 7) != nil {
		t.Error("a trained speed that exists has a band, another one has none")
	}
}

func TestEvidenceIsNamed(t *testing.T) {
	p := ring(3)
	p.Nodes[0].Links = []mesh.LinkPlan{{Interface: "tbt-n1", Cable: "0", MTU: 65520}, {Interface: "tbt-n2", Cable: "2", MTU: 65520}}
	e := bench.Evidence{
		Counters: map[string]int64{"IpFragFails": 7, "TcpOutSegs": 5, "TcpRetransSegs": 0},
		CPUs:     []bench.CPUTime{{SoftIRQ: 1, Total: 100}, {SoftIRQ: 97, Total: 100}}, IdleExitMicros: 350,
		Links: map[string]bench.LinkStat{
			"tbt-n1": {MTU: 1500, Counters: map[string]int64{"rx_crc_errors": 3, "rx_packets": 9}},
			"tbt-n2": {MTU: 9000, Counters: map[string]int64{"rx_errors": 3}},
		},
		Queues: []bench.Queue{{Interface: "tbt-n1", Kind: "fq_codel", Requeues: 12}, {Interface: "tbt-n2", Kind: "tbf", RateGbps: 1}},
	}
	got := map[string]string{}
	telling("n0", p, Path{From: "n0", To: "n1", Cables: []string{"0"}}, e, got)
	want := map[string]string{
		"n0 IpFragFails": "7", "n0 busiest CPU": "97 % softirq", "n0 idle exit latency": "350 µs", "n0 tbt-n1 mtu": "1500",
		"n0 tbt-n1 rx_crc_errors": "3", "n0 tbt-n1 qdisc": "fq_codel, 12 requeues, 0 drops",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestText(t *testing.T) {
	r := healthy(3)
	r.Pairs[0].Result.Gbps = 4
	r.Load = &Load{Pairs: []LoadPair{{From: "n0", To: "n1", Gbps: 1.5, ShareGbps: 2}}, TotalGbps: 1.5, EvenGbps: 2, Fairness: 1}
	r.judge(nil)
	var b strings.Builder
	if err := r.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Mesh ring, every pair measured", "4.00*", "bench-slow-cable", "fairness 1.000"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
}
