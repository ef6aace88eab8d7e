package main

import "github.com/usb4mesh/usb4mesh/internal/design"

// The JSON form of a design is a promise (docs/cli.md).
type (
	designJSON struct {
		Candidates []candidateJSON `json:"candidates"`
	}
	candidateJSON struct {
		Name       string      `json:"name"`
		Nodes      int         `json:"nodes"`
		Hubs       int         `json:"hubs,omitempty"`
		Ports      int         `json:"ports"`
		Diameter   int         `json:"diameter"`
		Average    float64     `json:"average_hops"`
		Bound      float64     `json:"lower_bound_average_hops"`
		Published  float64     `json:"best_published_average_hops,omitempty"`
		Proof      string      `json:"proven_best_by,omitempty"`
		Symmetry   string      `json:"symmetry,omitempty"`
		Rounds     int         `json:"rounds,omitempty"`
		Edges      [][2]string `json:"edges"`
		Cut        cutJSON     `json:"after_worst_cut"`
		Bisection  int         `json:"bisection_cables"`
		Exact      bool        `json:"bisection_exact"`
		Gbps       float64     `json:"throughput_gbps_per_node"`
		Limit      float64     `json:"throughput_limit_gbps_per_node"`
		Transit    float64     `json:"forwarded_gbps_per_node"`
		Bottleneck [2]string   `json:"bottleneck"`
		Metres     []float64   `json:"cable_metres,omitempty"`
		USD        float64     `json:"cost_usd"`
		USDPerGbps float64     `json:"usd_per_gbps"`
		Watts      float64     `json:"watts"`
		OverBudget bool        `json:"over_budget,omitempty"`
		Bill       []billJSON  `json:"bill"`
	}
	cutJSON struct {
		Cable       [2]string `json:"cable"`
		Tried       int       `json:"cuts_tried"`
		Bridges     int       `json:"bridges"`
		Diameter    int       `json:"diameter"`
		Average     float64   `json:"average_hops"`
		MeanAverage float64   `json:"mean_average_hops"`
	}
	billJSON struct {
		Part   string  `json:"part"`
		Name   string  `json:"name"`
		Count  int     `json:"count"`
		USD    float64 `json:"usd_each"`
		Watts  float64 `json:"watts_each"`
		Date   string  `json:"date"`
		Source string  `json:"source,omitempty"`
		Reason string  `json:"assumed,omitempty"`
	}
)

func designToJSON(all []design.Candidate) designJSON {
	out := designJSON{Candidates: []candidateJSON{}}
	for i := range all {
		out.Candidates = append(out.Candidates, candidateToJSON(&all[i]))
	}
	return out
}

func candidateToJSON(c *design.Candidate) candidateJSON {
	name := func(link int) [2]string {
		if link < 0 {
			return [2]string{"hub", "hub"}
		}
		return [2]string{c.NodeName(c.Links[link][0]), c.NodeName(c.Links[link][1])}
	}
	j := candidateJSON{
		Name: c.Name, Nodes: c.Nodes, Hubs: c.Hubs, Ports: c.Ports, Diameter: c.Diameter, Average: c.Average, Bound: c.Bound,
		Published: c.PublishedBest, Proof: string(c.Proof), Symmetry: c.Symmetry, Rounds: c.Rounds, Edges: [][2]string{},
		Cut: cutJSON{
			Cable: name(c.Cut.Worst), Tried: c.Cut.Tried, Bridges: c.Cut.Bridges, Diameter: c.Cut.Diameter,
			Average: c.Cut.Average, MeanAverage: c.Cut.MeanAverage,
		},
		Bisection: c.Bisection, Exact: c.BisectionExact, Gbps: c.Gbps, Limit: c.Limit, Transit: c.Transit, Bottleneck: name(c.Tight),
		USD: c.Bill.USD(), USDPerGbps: c.USDPerGbps(), Watts: c.Bill.Watts(), OverBudget: c.OverBudget, Bill: []billJSON{},
	}
	for i := range c.Links {
		j.Edges = append(j.Edges, name(i))
		if c.Metres[i] > 0 {
			j.Metres = append(j.Metres, c.Metres[i])
		}
	}
	for _, l := range c.Bill.Lines {
		j.Bill = append(j.Bill, billJSON{l.Key, l.Name, l.Count, l.USDEach(), l.Watts, l.Date, l.Source, l.Reason})
	}
	return j
}
