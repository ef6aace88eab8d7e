package cost

import (
	"fmt"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/catalog"
)

// Speeds returns the Ethernet speeds that can be bought, in Gbit/s, rising: those for which
// there are a switch, an adapter and a cable.
func Speeds(p catalog.Prices) []float64 {
	var speeds []float64
	for _, s := range p.Of(catalog.Switch) {
		if _, err := pick(p, catalog.NIC, s.Gbps); err != nil {
			continue
		}
		if _, err := pick(p, catalog.EthernetCable, s.Gbps); err == nil && !slices.Contains(speeds, s.Gbps) {
			speeds = append(speeds, s.Gbps)
		}
	}
	slices.Sort(speeds)
	return speeds
}

func pick(p catalog.Prices, k catalog.Kind, gbps float64) (catalog.Part, error) {
	for _, part := range p.Of(k) {
		if part.Gbps == gbps {
			return part, nil
		}
	}
	return catalog.Part{}, fmt.Errorf("the price list has no %s for %v Gbit/s", k, gbps)
}

// Ethernet is the bill of a network of so many nodes in which everybody can send at
// full speed at once: an adapter and a cable for each, and the cheapest switches, one of
// them if it has the ports, else a tree of equal ones with as much upwards as downwards
// (Al-Fares et al., "A scalable, commodity data center network architecture", SIGCOMM
// 2008).
func Ethernet(p catalog.Prices, gbps float64, nodes int) (Bill, error) {
	nic, err := pick(p, catalog.NIC, gbps)
	if err != nil {
		return Bill{}, err
	}
	cable, err := pick(p, catalog.EthernetCable, gbps)
	if err != nil {
		return Bill{}, err
	}
	var best Bill
	for _, s := range p.Of(catalog.Switch) {
		if s.Gbps != gbps {
			continue
		}
		switches, inner := Tree(nodes, s.Ports)
		var b Bill
		b.add(s, switches)
		b.add(nic, nodes)
		b.add(cable, nodes+inner)
		if best.Lines == nil || b.USD() < best.USD() {
			best = b
		}
	}
	if best.Lines == nil {
		return best, fmt.Errorf("the price list has no switch for %v Gbit/s", gbps)
	}
	return best, nil
}

// Tree returns how many switches of so many ports join nodes without narrowing, and how many
// cables run between switches.
func Tree(nodes, ports int) (switches, inner int) {
	if nodes <= ports {
		return 1, 0
	}
	half := max(1, ports/2)
	levels, reach := 2, ports*half // hosts of a tree of two levels: 2 (ports/2)^2
	for reach < nodes && half > 1 {
		levels++
		reach *= half
	}
	// Every level but the top has nodes/half switches, the top half as many.
	edge := (nodes + half - 1) / half
	return (levels-1)*edge + (edge+1)/2, (levels - 1) * edge * half
}

// Offer is one way to join nodes, by what it costs and gives.
type Offer struct {
	Name  string
	Nodes int
	Gbps  float64 // per node and direction, while all send to all
	Bill
}

// USDPerGbps is dollars per Gbit/s delivered, over all nodes.
func (o Offer) USDPerGbps() float64 { return o.USD() / (o.Gbps * float64(o.Nodes)) }

// GbpsPerWatt is Gbit/s delivered per watt that the network draws.
func (o Offer) GbpsPerWatt() float64 { return o.Gbps * float64(o.Nodes) / o.Watts() }

// OverYears is what the network costs to buy and to run for so many years.
func (o Offer) OverYears(years, usdPerKWh float64) float64 {
	return o.USD() + years*PerYear(o.Watts(), usdPerKWh)
}

// BreakEven returns the first number of nodes, of those given in rising order, from which on
// b stays cheaper than a by the given measure, and false if it never is at the last.
func BreakEven(nodes []int, a, b func(nodes int) float64) (int, bool) {
	first, found := 0, false
	for _, n := range nodes {
		switch cheaper := b(n) < a(n); {
		case cheaper && !found:
			first, found = n, true
		case !cheaper:
			found = false
		}
	}
	return first, found
}
