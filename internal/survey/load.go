package survey

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/usb4mesh/usb4mesh/internal/bench"
)

// Load is what every pair got while all pairs sent at once.
type Load struct {
	Pairs     []LoadPair `json:"pairs"`
	TotalGbps float64    `json:"total_gbps"`
	// EvenGbps is what every pair could get if all got the same, over the planned
	// paths: the narrowest cable divided by the pairs that cross it.
	EvenGbps float64 `json:"even_gbps"`
	// LimitGbps is what every pair could get, all the same, by the best routing that the
	// cabling allows: the maximum concurrent flow. 0 where it was not computed.
	LimitGbps float64 `json:"limit_gbps"`
	// Fairness is Jain's index of the pairs: 1 if all get the same, 1/n if one gets all.
	Fairness float64 `json:"fairness"`
	Capacity string  `json:"capacity"` // where the cables' capacities are from
}

// LoadPair is one pair under load.
type LoadPair struct {
	From        string  `json:"from"`
	To          string  `json:"to"`
	Gbps        float64 `json:"gbps"`
	ShareGbps   float64 `json:"share_gbps"` // max-min fair over the planned paths
	Retransmits *int64  `json:"retransmits"`
	Error       string  `json:"error,omitempty"`
}

// maxLoadPairs bounds the servers that run at once.
const maxLoadPairs = 240

// load lets every pair send at once. A server takes one client at a time, so each
// pair has one of its own.
func (s *surveyor) load(ctx context.Context) error {
	if len(s.paths) > maxLoadPairs {
		return fmt.Errorf("load: %d pairs at once are more than %d", len(s.paths), maxLoadPairs)
	}
	s.progress("all pairs at once", 0, 0, 0)
	servers := make([]*server, len(s.paths))
	errs := make([]error, len(s.paths))
	defer func() {
		for _, v := range servers {
			if v != nil {
				v.end()
			}
		}
	}()
	each := func(f func(i int, p Path)) {
		var work sync.WaitGroup
		for i, p := range s.paths {
			work.Go(func() { f(i, p) })
		}
		work.Wait()
	}
	each(func(i int, p Path) {
		if errs[i] = s.missing(p); errs[i] != nil {
			return
		}
		servers[i], errs[i] = startServer(ctx, s.door, p.To, []netip.Addr{p.Destination}, []netip.Addr{p.Source}, 2*s.o.Task.Duration+2*startWait+startWait)
	})
	results := make([]bench.Result, len(s.paths))
	task := s.o.Task
	task.Latency, task.MTU = 0, 0
	each(func(i int, p Path) {
		if errs[i] == nil {
			results[i], errs[i] = measure(ctx, s.door, p.From, p.Source, p.Destination, servers[i].port, task)
		}
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	capacity, source := s.capacities()
	var err error
	shares, even := fairShares(s.plan, s.paths, capacity)
	l := &Load{Pairs: []LoadPair{}, EvenGbps: round3(even), Capacity: source}
	if l.LimitGbps, err = concurrent(s.plan, s.paths, capacity); err != nil {
		return err
	}
	var squares float64
	for i, p := range s.paths {
		one := LoadPair{From: p.From, To: p.To, Gbps: results[i].Gbps, ShareGbps: round3(shares[i]), Retransmits: results[i].Retransmits}
		if errs[i] != nil {
			one.Error = errs[i].Error()
		}
		l.TotalGbps += one.Gbps
		squares += one.Gbps * one.Gbps
		l.Pairs = append(l.Pairs, one)
	}
	if squares > 0 {
		l.Fairness = round3(l.TotalGbps * l.TotalGbps / (float64(len(l.Pairs)) * squares))
	}
	l.TotalGbps = round3(l.TotalGbps)
	s.report.Load = l
	return nil
}

// arc is one direction of a cable.
type arc struct{ cable, from string }

// capacities are those measured between neighbours, or else planned.
func (s *surveyor) capacities() (map[arc]float64, string) {
	s.report.measuredCables()
	all := map[arc]float64{}
	planned := 0
	for i, c := range s.plan.Cables {
		for end := range c.Ends {
			a := arc{c.Name, c.Ends[end].Node}
			if g := s.report.Cables[i].Gbps[end]; g != nil && *g > 0 {
				all[a] = *g
			} else {
				all[a], planned = float64(c.Speed), planned+1
			}
		}
	}
	if planned > 0 {
		return all, fmt.Sprintf("measured between neighbours in this survey; planned speed for %d of %d directions", planned, len(all))
	}
	return all, "measured between neighbours in this survey"
}

func (r *Report) judgeLoad() {
	if r.Load == nil {
		return
	}
	for _, p := range r.Load.Pairs {
		switch {
		case p.Error != "":
			r.add(pairFailed, p.From+" to "+p.To, nil, "not measured under load: %s", p.Error)
		case r.Where != "lab" && p.Gbps < fairShare*p.ShareGbps:
			r.add(unfairShare, p.From+" to "+p.To, nil, "%.3g Gbit/s under load, although %.3g are its share", p.Gbps, p.ShareGbps)
		}
	}
	if r.Where == "lab" {
		r.Notes = append(r.Notes, "under load all nodes of a lab share the CPUs of one machine, so what each pair gets is not judged")
	}
}
