package survey

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// Words of Pair.Verdict.
const (
	good   = "good"
	low    = "low"
	failed = "failed"
)

// Thresholds of the verdicts; the texts of the findings explain them.
const (
	slowShare     = 0.5   // of the median of neighbours, or of the slowest cable on the way
	baselineShare = 0.8   // of the stored median
	lossShare     = 0.005 // of idle probes
	lossProbes    = 3     // at least so many
	repeatShare   = 0.01  // of TCP segments
	slowTrip      = 0.4   // ms, idle, median
	fairShare     = 0.5   // of the share under load
)

// MarshalJSON adds what speaks for the finding to its promised form.
func (v Verdict) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Code     string            `json:"code"`
		Severity finding.Severity  `json:"severity"`
		Subject  string            `json:"subject"`
		Message  string            `json:"message"`
		Hint     string            `json:"hint"`
		Evidence map[string]string `json:"evidence"`
	}{v.Finding.Code(), v.Finding.Severity, v.Subject, v.Finding.Message, v.Finding.Hint, v.Evidence})
}

// judge fills in verdicts, findings and notes.
func (r *Report) judge(history []Record) {
	r.measuredCables()
	named := map[string]bool{} // cables that a finding names
	r.judgeFailures()
	r.judgeMTU(named)
	r.judgeLoss(named)
	r.judgeSpeed(named)
	r.judgeTransit(named)
	r.judgeLatency()
	r.judgeBaseline(history)
	r.judgeLoad()
	r.diagnose()
	for i := range r.Pairs {
		if r.Pairs[i].Verdict == "" {
			r.Pairs[i].Verdict = good
		}
	}
	if r.Where == "lab" {
		r.Notes = append(r.Notes, "in the lab veth pairs stand for cables and all nodes share one machine: throughput is that of its CPUs, "+
			"so neighbours are compared with each other and not with what USB4 links reach, and latency is not judged")
	}
	r.OK = !slices.ContainsFunc(r.Findings, func(v Verdict) bool { return v.Finding.Severity > finding.Info })
}

func (r *Report) add(k *finding.Kind, subject string, evidence map[string]string, format string, args ...any) *Verdict {
	r.Findings = append(r.Findings, Verdict{
		Finding: finding.New(k, "%s: %s", subject, fmt.Sprintf(format, args...)), Subject: subject, Evidence: maps.Clone(evidence),
	})
	v := &r.Findings[len(r.Findings)-1]
	if v.Evidence == nil {
		v.Evidence = map[string]string{}
	}
	return v
}

func (r *Report) cable(name string) *Cable {
	i := slices.IndexFunc(r.Cables, func(c Cable) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Cables[i]
}

// neighbours calls f for each measured pair that one cable joins.
func (r *Report) neighbours(f func(p *Pair, c *Cable)) {
	for i := range r.Pairs {
		if p := &r.Pairs[i]; p.Hops == 1 && p.Result != nil {
			if c := r.cable(p.Cables[0]); c != nil {
				f(p, c)
			}
		}
	}
}

func (r *Report) measuredCables() {
	r.neighbours(func(p *Pair, c *Cable) {
		end := 0
		if p.From != c.Nodes[0] {
			end = 1
		}
		c.Gbps[end] = p.gbps()
	})
}

func (r *Report) judgeFailures() {
	for _, p := range r.Pairs {
		if p.Error != "" {
			r.add(pairFailed, p.From+" to "+p.To, p.Evidence, "not measured: %s", p.Error)
		}
	}
}

// judgeMTU names the cables that pass less than the planned MTU, and the transit
// nodes where all cables pass it and the way over them does not.
func (r *Report) judgeMTU(named map[string]bool) {
	small := func(p *Pair) bool {
		return p.Result != nil && p.Result.PathMTU != nil && p.Result.PathMTU.Reached && p.Result.PathMTU.Passes < p.Result.PathMTU.Tried
	}
	bad := map[string][]*Pair{}
	r.neighbours(func(p *Pair, c *Cable) {
		if small(p) {
			p.Verdict, named[c.Name] = low, true
			bad[c.Name] = append(bad[c.Name], p)
		}
	})
	for i := range r.Cables {
		c := &r.Cables[i]
		if len(bad[c.Name]) == 0 {
			continue
		}
		var ways []string
		evidence := map[string]string{}
		narrow := bad[c.Name][0] // the side whose own interface says so knows best
		for _, p := range bad[c.Name] {
			ways = append(ways, fmt.Sprintf("at most %d pass from %s to %s", p.Result.PathMTU.Passes, p.From, p.To))
			maps.Copy(evidence, p.Evidence)
			if p.Result.PathMTU.Local < narrow.Result.PathMTU.Local {
				narrow = p
			}
		}
		m := narrow.Result.PathMTU
		where := narrow.To
		if m.Local < m.Tried {
			where = narrow.From
		}
		v := r.add(smallMTU, "cable "+c.Name, evidence, "packets of %d bytes do not pass: %s", m.Tried, strings.Join(ways, ", "))
		v.Finding.Hint = fmt.Sprintf("set the MTU of the interface to %d on node %s, and look at the other end too", m.Tried, where)
	}
	for i := range r.Pairs {
		p := &r.Pairs[i]
		if p.Hops < 2 || !small(p) {
			continue
		}
		p.Verdict = low
		if slices.ContainsFunc(p.Cables, func(c string) bool { return bad[c] != nil }) || r.shorter(p, small) {
			continue // explained
		}
		m := p.Result.PathMTU
		r.add(smallMTU, "transit through "+strings.Join(p.Via, ", "), p.Evidence,
			"packets of %d bytes from %s to %s do not pass, at most %d do, although each cable on the way passes them", m.Tried, p.From, p.To, m.Passes)
	}
}

// shorter reports whether a pair on a part of p's way has the same trouble.
func (r *Report) shorter(p *Pair, trouble func(*Pair) bool) bool {
	for i := range r.Pairs {
		q := &r.Pairs[i]
		if q.Hops >= 2 && q.Hops < p.Hops && trouble(q) && containsRun(p.Cables, q.Cables) {
			return true
		}
	}
	return false
}

func containsRun(all, run []string) bool {
	for i := 0; i+len(run) <= len(all); i++ {
		if slices.Equal(all[i:i+len(run)], run) {
			return true
		}
	}
	return false
}

// judgeLoss names cables that lose probes, or where TCP repeats much.
func (r *Report) judgeLoss(named map[string]bool) {
	type side struct{ repeats, lost, probes float64 }
	both := map[string]map[string]side{}
	r.neighbours(func(p *Pair, c *Cable) {
		s := side{repeats: repeats(p)}
		if d := p.idle(); d != nil {
			s.lost, s.probes = float64(d.Lost), float64(d.Lost+d.Samples)
		}
		if both[c.Name] == nil {
			both[c.Name] = map[string]side{}
		}
		both[c.Name][p.From] = s
	})
	for i := range r.Cables {
		c := &r.Cables[i]
		a, b := both[c.Name][c.Nodes[0]], both[c.Name][c.Nodes[1]]
		lost, probes := a.lost+b.lost, a.probes+b.probes
		idle := lost >= lossProbes && lost >= lossShare*probes
		shaped := r.shaped(c)
		if !idle && (shaped || max(a.repeats, b.repeats) < repeatShare) {
			continue
		}
		named[c.Name] = true
		evidence := map[string]string{"idle probes lost": fmt.Sprintf("%.0f of %.0f", lost, probes)}
		for end, s := range []side{a, b} {
			evidence["TCP repeats from "+c.Nodes[end]] = fmt.Sprintf("%.2f %%", 100*s.repeats)
			if p := r.pair(c.Nodes[end], c.Nodes[1-end]); p != nil {
				p.Verdict = low
				maps.Copy(evidence, p.Evidence)
			}
		}
		message := fmt.Sprintf("%.1f %% of idle probes get lost", 100*lost/max(1, probes))
		if !idle {
			message = fmt.Sprintf("TCP repeats %.1f %% of its segments", 100*max(a.repeats, b.repeats))
		}
		switch {
		case a.repeats > 3*b.repeats && a.repeats > repeatShare:
			message += fmt.Sprintf(", data mostly from %s to %s", c.Nodes[0], c.Nodes[1])
		case b.repeats > 3*a.repeats && b.repeats > repeatShare:
			message += fmt.Sprintf(", data mostly from %s to %s", c.Nodes[1], c.Nodes[0])
		}
		v := r.add(lossyCable, "cable "+c.Name, evidence, "%s", message)
		v.Finding.Hint = fmt.Sprintf("replug it at %s and %s, look at the error counters, then exchange it", c.Ends[0], c.Ends[1])
	}
}

// shaped reports whether a shaper stands at an end of the cable: it makes TCP repeat.
func (r *Report) shaped(c *Cable) bool {
	for i := range r.Pairs {
		if p := &r.Pairs[i]; p.Hops == 1 && p.Cables[0] == c.Name {
			for name, value := range p.Evidence {
				if strings.HasSuffix(name, " qdisc") && strings.Contains(value, "limits to") {
					return true
				}
			}
		}
	}
	return false
}

// repeats is the share of TCP segments that were sent again.
func repeats(p *Pair) float64 {
	if p.Result == nil || p.Result.Retransmits == nil {
		return 0
	}
	mtu := 1500
	if m := p.Result.PathMTU; m != nil && m.Passes > 0 {
		mtu = m.Passes
	}
	var bytes int64
	for _, f := range p.Result.Streams {
		bytes += f.Received
	}
	segments := float64(bytes) / float64(mtu-52) // headers with timestamps
	return float64(*p.Result.Retransmits) / max(1, segments+float64(*p.Result.Retransmits))
}

// judgeSpeed compares neighbours with the band of their trained speed, or with the
// median of all neighbours.
func (r *Report) judgeSpeed(named map[string]bool) {
	var all []float64
	r.neighbours(func(p *Pair, c *Cable) {
		if p.Expected = expected(c.Lanes, c.LaneGbps); p.Expected == nil {
			all = append(all, p.Result.Gbps)
		}
	})
	slices.Sort(all)
	slow := map[string][]*Pair{}
	r.neighbours(func(p *Pair, c *Cable) {
		if p.Expected == nil && len(all) >= 4 { // fewer make no median
			p.Expected = &Range{round3(slowShare * all[len(all)/2]), all[len(all)-1], "half of the median of all neighbours"}
		}
		if p.Expected != nil && p.Result.Gbps < p.Expected.Low {
			p.Verdict = low
			if !named[c.Name] {
				slow[c.Name] = append(slow[c.Name], p)
			}
		}
	})
	for i := range r.Cables {
		c := &r.Cables[i]
		pairs := slow[c.Name]
		if len(pairs) == 0 {
			continue
		}
		named[c.Name] = true
		var ways []string
		evidence := map[string]string{}
		for _, p := range pairs {
			ways = append(ways, fmt.Sprintf("%.3g Gbit/s from %s to %s", p.Result.Gbps, p.From, p.To))
			maps.Copy(evidence, p.Evidence)
		}
		e := pairs[0].Expected
		v := r.add(slowCable, "cable "+c.Name, evidence, "%s; at least %.3g is expected (%s)", strings.Join(ways, ", "), e.Low, e.Reason)
		v.Finding.Hint = "the evidence says where to look: shaper, softirq load, requeues, trained lanes"
		for name, value := range evidence {
			if strings.Contains(value, "limits to") {
				v.Finding.Hint = fmt.Sprintf("a shaper stands on %s (%s): remove it with tc qdisc del", strings.TrimSuffix(name, " qdisc"), value)
			}
		}
	}
}

// judgeTransit compares pairs without a cable of their own with the slowest cable on
// their way.
func (r *Report) judgeTransit(named map[string]bool) {
	slow := func(p *Pair) bool { return p.Result != nil && p.Expected != nil && p.Result.Gbps < p.Expected.Low }
	for i := range r.Pairs {
		p := &r.Pairs[i]
		if p.Hops < 2 {
			continue
		}
		if least, ok := r.slowest(p); ok {
			p.Expected = &Range{round3(slowShare * least), least, "half of the slowest cable on the way"}
		}
	}
	for i := range r.Pairs {
		p := &r.Pairs[i]
		if p.Hops < 2 {
			continue
		}
		if slices.ContainsFunc(p.Cables, func(c string) bool { return named[c] }) {
			p.Verdict = low // and the cable's finding says why
		}
		if !slow(p) {
			continue
		}
		p.Verdict = low
		if slices.ContainsFunc(p.Cables, func(c string) bool { return named[c] }) || r.shorter(p, slow) {
			continue // explained
		}
		r.add(slowTransit, "transit through "+strings.Join(p.Via, ", "), p.Evidence,
			"%.3g Gbit/s from %s to %s, although the slowest cable on the way carries %.3g", p.Result.Gbps, p.From, p.To, p.Expected.High)
	}
}

// slowest is the least that a cable on p's way carries in p's direction.
func (r *Report) slowest(p *Pair) (float64, bool) {
	least, at := 0.0, p.From
	for i, name := range p.Cables {
		c := r.cable(name)
		if c == nil {
			return 0, false
		}
		end := 0
		if at != c.Nodes[0] {
			end = 1
		}
		at = c.Nodes[1-end]
		if c.Gbps[end] == nil {
			return 0, false
		}
		if i == 0 || *c.Gbps[end] < least {
			least = *c.Gbps[end]
		}
	}
	return least, true
}

func (r *Report) judgeLatency() {
	if r.Where == "lab" {
		return
	}
	r.neighbours(func(p *Pair, c *Cable) {
		if d := p.idle(); d != nil && d.Samples > 0 && d.P50 > slowTrip {
			p.Verdict = low
			r.add(highLatency, "cable "+c.Name, p.Evidence, "half of the round trips from %s to %s take more than %.3g ms while idle", p.From, p.To, d.P50)
		}
	})
}

func round3(f float64) float64 { return float64(int64(f*1000+0.5)) / 1000 }
