package design

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/usb4mesh/usb4mesh/internal/cost"
	"github.com/usb4mesh/usb4mesh/internal/flow"
	"github.com/usb4mesh/usb4mesh/internal/search"
	"github.com/usb4mesh/usb4mesh/internal/topology"
)

// Candidate is a wiring and what it is worth.
type Candidate struct {
	Name  string
	Nodes int // those that were asked for; hubs come after them in Links
	Hubs  int
	Ports int      // most cables at one node that is no hub
	Links [][2]int // cables

	Diameter int
	Average  float64 // hops between two nodes
	Bound    float64 // no wiring of so many nodes and ports, and as short cables, has fewer on average
	Proof    search.Proof
	Symmetry string // of a searched wiring
	Rounds   int    // of the search

	Cut            Cut
	Bisection      int // cables between two halves
	BisectionExact bool

	Gbps           float64 // throughput per node under the wanted traffic, reached by the flows found
	Limit          float64 // and what it can't exceed
	Transit        float64 // Gbit/s that a node forwards for others at that throughput, on average
	Tight          int     // the cable that holds it back, -1 if that is a hub's forwarding
	Metres         []float64
	Bill           cost.Bill
	OverBudget     bool
	PublishedBest  float64 // average of the best published graph of this size, 0 if none
	PublishedWhere string
}

// Cut is what the loss of a cable does.
type Cut struct {
	Tried       int // cables cut; all of them unless the wiring is large
	Bridges     int // of these, how many part the mesh
	Worst       int // number of the worst cable
	Diameter    int // after the worst cut that parts nothing
	Average     float64
	MeanAverage float64
}

// Protected reports whether the mesh survives every cut that was tried.
func (c *Cut) Protected() bool { return c.Bridges == 0 }

// USDPerGbps is dollars per Gbit/s delivered, over all nodes.
func (c *Candidate) USDPerGbps() float64 { return c.Offer().USDPerGbps() }

// Offer is the candidate as cost compares it.
func (c *Candidate) Offer() cost.Offer {
	return cost.Offer{Name: "USB4, " + c.Name, Nodes: c.Nodes, Gbps: c.Gbps, Bill: c.Bill}
}

// Candidates returns the wirings that fit a request, best first: those that survive any single cut
// before others, those within the budget before others, then by throughput, hops and cost.
func Candidates(r Request) ([]Candidate, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	// The search gets the time there is; what is left to do afterwards is short.
	found, err := r.search()
	if err != nil {
		return nil, err
	}
	r.bound = found.Bound
	r.Stop = func() bool { return false }
	var all []Candidate
	for _, w := range topology.Classical(r.Nodes, r.Ports, 0, r.Seed) {
		all = append(all, Candidate{Name: w.Name, Links: w.Links})
	}
	if found.Links != nil {
		all = append(all, Candidate{Name: "searched", Links: found.Links, Symmetry: found.Symmetry, Rounds: found.Rounds, Proof: found.Proof})
	}
	if r.HubPorts > 0 && r.Layout == nil {
		if c, ok := r.hub(); ok {
			all = append(all, c)
		}
	}
	if all, err = r.measureAll(all); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no wiring joins %d nodes of %d ports with the cables for sale", r.Nodes, r.Ports)
	}
	slices.SortStableFunc(all, rank)
	return dropDoubles(all), nil
}

// measureAll places and measures candidates, as many at a time as there are workers, and
// leaves out those that no cable for sale allows.
func (r *Request) measureAll(all []Candidate) ([]Candidate, error) {
	errs := make([]error, len(all))
	fits := make([]bool, len(all))
	var work sync.WaitGroup
	free := make(chan struct{}, max(1, r.Workers))
	for i := range all {
		free <- struct{}{}
		work.Go(func() {
			defer func() { <-free }()
			c := &all[i]
			if fits[i] = r.place(c); fits[i] {
				errs[i] = r.measure(c)
			}
		})
	}
	work.Wait()
	var kept []Candidate
	for i := range all {
		if fits[i] {
			kept = append(kept, all[i])
		}
	}
	return kept, errors.Join(errs...)
}

// place puts the nodes of a candidate where the layout has boxes. It returns false if cables
// would be too long.
func (r *Request) place(c *Candidate) bool {
	if r.Layout == nil {
		return true
	}
	links, fits := place(r, c.Links)
	if fits {
		c.Links = links
	}
	return fits || c.Symmetry != "" // what was searched fits as it was found
}

func rank(a, b Candidate) int {
	yes := func(b bool) int {
		if b {
			return 0
		}
		return 1
	}
	// Throughputs within 2% are equal, as they are not computed more closely.
	step := func(gbps float64) int { return int(math.Round(math.Log(gbps) / math.Log(1.02))) }
	return cmp.Or(
		cmp.Compare(yes(!a.OverBudget), yes(!b.OverBudget)),
		cmp.Compare(yes(a.Cut.Protected()), yes(b.Cut.Protected())),
		cmp.Compare(step(b.Gbps), step(a.Gbps)),
		cmp.Compare(math.Round(a.Average*1e9), math.Round(b.Average*1e9)),
		cmp.Compare(a.Bill.USD(), b.Bill.USD()),
		cmp.Compare(yes(a.Symmetry == ""), yes(b.Symmetry == "")), // of equals the one with a known name
	)
}

// dropDoubles leaves out a wiring that measures exactly like the one before it: a ring is also a
// circulant, a torus of 4x4 a hypercube.
func dropDoubles(all []Candidate) []Candidate {
	return slices.CompactFunc(all, func(a, b Candidate) bool {
		return len(a.Links) == len(b.Links) && a.Hubs == b.Hubs && a.Diameter == b.Diameter && math.Abs(a.Average-b.Average) < 1e-12 &&
			a.Cut.Bridges == b.Cut.Bridges && a.Cut.Diameter == b.Cut.Diameter && math.Abs(a.Cut.MeanAverage-b.Cut.MeanAverage) < 1e-9
	})
}

func (r *Request) search() (search.Result, error) {
	p := search.Problem{Nodes: r.Nodes, Ports: r.Ports}
	if l := r.Layout; l != nil {
		longest := cost.Longest(r.Prices)
		p.Columns, p.Rows = l.Columns, l.Rows
		p.Allowed = func(a, b int) bool { return l.Length(a, b) <= longest+1e-9 }
	}
	c := search.Control{Seed: r.Seed, Rounds: r.Rounds, Workers: r.Workers, Stop: r.Stop}
	if r.Progress != nil {
		c.Progress = func(f *search.Result) {
			r.Progress(Found{Diameter: f.Diameter, Average: f.Average, Bound: f.Bound.Average, Rounds: f.Rounds, Symmetry: f.Symmetry, ProvenReason: string(f.Proof)})
		}
	}
	return search.Find(p, c)
}

// cutWork bounds what cutting cables one by one may cost, in steps; of a large mesh only a
// sample is cut, spread evenly over the cables.
const (
	cutWork = 1 << 30
	minCuts = 8
)

// cuts returns the cables to cut.
func (r *Request) cuts(c *Candidate, nodes int) []int {
	steps := nodes + 2*len(c.Links) // to look at everything once
	each := min((nodes+63)/64*(c.Diameter+1)*steps, nodes*steps*3)
	return topology.Spread(len(c.Links), max(minCuts, cutWork/each))
}

// measure fills in everything that follows from the links.
func (r *Request) measure(c *Candidate) error {
	c.Nodes = r.Nodes
	nodes := r.Nodes + c.Hubs
	c.Ports = ports(c)
	c.Diameter, c.Average = hops(r.Nodes, nodes, c.Links)
	b := r.bound
	c.Bound = b.Average
	if c.Proof == search.NoProof && c.Hubs == 0 && c.Diameter == b.Diameter && math.Abs(c.Average-b.Average) < 1e-12 {
		c.Proof = search.ByBound
	}
	if p, ok := search.BestPublished(r.Nodes, r.Ports); ok && c.Hubs == 0 {
		c.PublishedBest, c.PublishedWhere = p.Average, search.PublishedSource
	}
	which := r.cuts(c, nodes)
	cuts := topology.Cuts(nodes, c.Links, which, r.Stop)
	c.Cut = Cut{
		Tried: cuts.Tried, Bridges: cuts.Bridges, Worst: cuts.Worst,
		Diameter: cuts.Diameter, Average: cuts.Average, MeanAverage: cuts.MeanAverage,
	}
	if len(which) < len(c.Links) { // bridges are quickly counted, so they are not sampled
		c.Cut.Bridges = len(topology.Bridges(nodes, c.Links))
	}
	c.Bisection, c.BisectionExact = topology.Bisection(nodes, c.Links, r.Seed)

	gbps, hubGbps := r.Gbps, math.Inf(1)
	if c.Hubs > 0 {
		gbps, hubGbps = r.hubGbps()
	}
	n := network(r.Nodes, nodes, c.Links, gbps, hubGbps, demands(r.Traffic, r.Nodes, c.Links, r.Seed))
	f, err := flow.Concurrent(n, effort(nodes))
	if err != nil {
		return err
	}
	c.Gbps, c.Limit = f.Reached, f.Limit
	c.Transit = transit(n, &f, len(c.Links), r.Nodes)
	if c.Tight = f.Tight() / 2; c.Tight >= len(c.Links) {
		c.Tight = -1
	}
	for _, l := range c.Links {
		m := float64(cost.AnyCable)
		if r.Layout != nil {
			m = r.Layout.Length(l[0], l[1])
		}
		c.Metres = append(c.Metres, m)
	}
	bill, err := cost.USB4(r.Prices, c.Metres)
	if err != nil {
		return err
	}
	if c.Hubs > 0 {
		if err := bill.Hubs(r.Prices, c.Hubs, r.HubPorts); err != nil {
			return err
		}
	}
	c.Bill = bill
	c.OverBudget = r.Budget > 0 && bill.USD() > r.Budget
	return nil
}

// transit is what cables carry less what is sent, per node.
func transit(n *flow.Network, f *flow.Result, cables, nodes int) float64 {
	carried, sent := 0.0, 0.0
	for i := range 2 * cables {
		carried += f.Load[i] * n.Arcs[i].Capacity
	}
	for _, d := range n.Demands {
		for _, a := range d.Amount {
			sent += a * f.Reached
		}
		sent += d.Others * float64(nodes-1) * f.Reached
	}
	return max(0, carried-sent) / float64(nodes)
}

func ports(c *Candidate) int {
	degree := make([]int, c.Nodes+c.Hubs)
	for _, l := range c.Links {
		degree[l[0]]++
		degree[l[1]]++
	}
	return slices.Max(degree[:c.Nodes])
}

// hops measures the ways between the first so many nodes, the hosts.
func hops(hosts, nodes int, links [][2]int) (diameter int, average float64) {
	if hosts == nodes {
		return topology.Hops(nodes, links)
	}
	return topology.HopsAmong(hosts, nodes, links)
}
