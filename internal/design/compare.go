package design

import (
	"fmt"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/catalog"
	"github.com/usb4mesh/usb4mesh/internal/cost"
	"github.com/usb4mesh/usb4mesh/internal/flow"
	"github.com/usb4mesh/usb4mesh/internal/topology"
)

// Offers compares the best USB4 wiring, one with hubs if it is among the candidates, and
// Ethernet of every speed for sale, in that order.
func Offers(r Request, all []Candidate) ([]cost.Offer, error) {
	var offers []cost.Offer
	offers = append(offers, all[0].Offer())
	for i := range all {
		if all[i].Hubs > 0 && i > 0 {
			offers = append(offers, all[i].Offer())
		}
	}
	for _, gbps := range cost.Speeds(r.Prices) {
		b, err := cost.Ethernet(r.Prices, gbps, r.Nodes)
		if err != nil {
			return nil, err
		}
		offers = append(offers, cost.Offer{Name: fmt.Sprintf("Ethernet %v Gbit/s", gbps), Nodes: r.Nodes, Gbps: ethernetGbps(r.Traffic, gbps, r.Nodes), Bill: b})
	}
	return offers, nil
}

// ethernetGbps is the throughput per node behind switches that narrow nothing: the node's own
// cable is the limit.
func ethernetGbps(t Traffic, gbps float64, nodes int) float64 {
	switch t {
	case Ceph:
		return gbps / (float64(nodes-1)/float64(nodes) + 2)
	case Hot:
		return gbps // what the hot node sends, shared by all; as for a mesh
	}
	return gbps
}

// Sizes returns numbers of nodes for a curve: every one up to 12, then in steps of a sixth, up
// to most.
func Sizes(most int) []int {
	var sizes []int
	for n := 3; n <= most; n = max(n+1, n*7/6) {
		sizes = append(sizes, n)
	}
	if len(sizes) > 0 && sizes[len(sizes)-1] != most {
		sizes = append(sizes, most)
	}
	return sizes
}

// Curve is what the growth of a kind of network does.
type Curve struct {
	Name   string
	Points []Point
}

// Point is a network of so many nodes.
type Point struct {
	Nodes    int
	Diameter int
	Average  float64 // hops
	Gbps     float64 // per node, all to all
	USD      float64
	Watts    float64
}

// USDPerGbps is dollars per Gbit/s delivered, over all nodes.
func (p Point) USDPerGbps() float64 { return p.USD / (p.Gbps * float64(p.Nodes)) }

// Grow computes curves up to so many nodes, all to all: rings, random regular graphs of 3, 4
// and 8 ports, pods of USB4 rings and meshes joined by 25GbE, and Ethernet of every speed.
// progress is told what is being computed.
func Grow(r Request, most int, progress func(string)) ([]Curve, error) {
	r.Nodes, r.Ports = 3, 2
	if most < 3 || most > MaxNodes {
		return nil, fmt.Errorf("curves to %d nodes: want 3 to %d", most, MaxNodes)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	sizes := Sizes(most)
	curves := []Curve{{Name: "ring, 2 ports", Points: r.rings(sizes)}}
	for _, ports := range []int{3, 4, 8} {
		c := Curve{Name: fmt.Sprintf("random, %d ports", ports)}
		for _, n := range sizes {
			if n <= ports+1 {
				continue
			}
			progress(fmt.Sprintf("%s: %d nodes", c.Name, n))
			if r.Stop() {
				return nil, fmt.Errorf("stopped at %d nodes of %d ports", n, ports)
			}
			p, err := r.random(n, ports)
			if err != nil {
				return nil, err
			}
			c.Points = append(c.Points, p)
		}
		curves = append(curves, c)
	}
	for _, pod := range []int{4, 8} {
		c, err := r.pods(sizes, pod)
		if err != nil {
			return nil, err
		}
		curves = append(curves, c)
	}
	for _, gbps := range cost.Speeds(r.Prices) {
		c := Curve{Name: fmt.Sprintf("Ethernet %v Gbit/s", gbps)}
		for _, n := range sizes {
			b, err := cost.Ethernet(r.Prices, gbps, n)
			if err != nil {
				return nil, err
			}
			c.Points = append(c.Points, Point{Nodes: n, Gbps: gbps, USD: b.USD(), Watts: b.Watts()})
		}
		curves = append(curves, c)
	}
	// What begins beyond the end of the axis has no curve.
	return slices.DeleteFunc(curves, func(c Curve) bool { return len(c.Points) == 0 }), nil
}

// forwarded limits a throughput by what nodes can forward: of h hops on average, h-1 are
// somebody else's work.
func (r *Request) forwarded(gbps, hops float64) float64 {
	if hops <= 1 {
		return gbps
	}
	return min(gbps, r.Forward/(hops-1))
}

// bill is what so many usual USB4 cables cost and draw.
func (r *Request) bill(cables int) (usd, watts float64) {
	b, err := cost.USB4(r.Prices, make([]float64, cables))
	if err != nil {
		return 0, 0
	}
	return b.USD(), b.Watts()
}

// rings needs no graph. Of n nodes every one sends to n/2 either way, and the hops to all
// others add up to n*n/4, rounded down, which 2n arcs carry evenly.
func (r *Request) rings(sizes []int) []Point {
	var points []Point
	for _, n := range sizes {
		sum := n * n / 4
		p := Point{Nodes: n, Diameter: n / 2, Average: float64(sum) / float64(n-1)}
		p.Gbps = r.forwarded(2*r.Gbps/p.Average, p.Average)
		p.USD, p.Watts = r.bill(n)
		points = append(points, p)
	}
	return points
}

// random measures a random regular graph; throughput is that of an even split over the
// shortest ways, which a better routing may exceed.
func (r *Request) random(n, ports int) (Point, error) {
	links := topology.RandomRegular(n, ports, r.Seed)
	p := Point{Nodes: n}
	p.Diameter, p.Average = topology.Hops(n, links)
	o := flow.Options{Phases: -1}
	if n <= 128 {
		o = flow.Options{Epsilon: 0.03, Phases: 60}
	}
	f, err := flow.Concurrent(network(n, n, links, r.Gbps, 0, demands(AllToAll, n, links, r.Seed)), o)
	if err != nil {
		return p, err
	}
	p.Gbps = r.forwarded(f.Reached, p.Average)
	p.USD, p.Watts = r.bill(len(links))
	return p, nil
}

// pods are full meshes of so many nodes, each with one router in one of its nodes, joined by
// switches that narrow nothing. Traffic to other pods first goes to the node with the
// router, which has one port of the router's speed for the whole pod.
func (r *Request) pods(sizes []int, pod int) (Curve, error) {
	c := Curve{Name: fmt.Sprintf("pods of %d, 25GbE", pod)}
	speed := 25.0
	if routers := r.Prices.Of(catalog.Router); len(routers) > 0 {
		speed = routers[0].Gbps
	}
	for _, n := range sizes {
		if n%pod != 0 || n == pod {
			n = n / pod * pod
		}
		count := n / pod
		if count < 2 || len(c.Points) > 0 && c.Points[len(c.Points)-1].Nodes == n {
			continue
		}
		usb4, err := cost.USB4(r.Prices, make([]float64, count*pod*(pod-1)/2))
		if err != nil {
			return c, err
		}
		usb4.Routers(r.Prices, count)
		ether, err := cost.Ethernet(r.Prices, speed, count)
		if err != nil {
			return c, err
		}
		p := Point{Nodes: n, Diameter: 4, USD: usb4.USD() + ether.USD(), Watts: usb4.Watts() + ether.Watts()}
		// Hops: in the pod one; outside one to the router's node unless one is there, one
		// between routers, one from there.
		inside, outside := float64(pod-1), float64(n-pod)
		edge := 2 * float64(pod-1) / float64(pod)
		p.Average = (inside + outside*(1+edge)) / float64(n-1)
		// All of a pod shares the router's uplink; a cable to the router's node carries one
		// node's traffic to the outside and its share inside.
		uplink := speed / (float64(pod) * outside / float64(n-1))
		cable := r.Gbps / ((outside + 1) / float64(n-1))
		// The router's node forwards what its neighbours send out and get from outside.
		router := r.Forward / (2 * float64(pod-1) * outside / float64(n-1))
		p.Gbps = min(uplink, cable, router)
		c.Points = append(c.Points, p)
	}
	return c, nil
}
