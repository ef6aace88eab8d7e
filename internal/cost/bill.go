// Package cost adds up what a network costs to buy and to run: cables, switches and
// adapters by the prices of the catalogue, and the electricity they draw.
//
// Money is in US dollars, power in watts, energy in kilowatt hours. A month has 30 days
// of 24 hours and a year twelve such months, as in the sums that the project began with.
package cost

import (
	"fmt"
	"math"

	"github.com/usb4mesh/usb4mesh/internal/catalog"
)

const hoursPerMonth, monthsPerYear = 24 * 30, 12

// KWhPerMonth is what something that draws so many watts uses in a month.
func KWhPerMonth(watts float64) float64 { return watts * hoursPerMonth / 1000 }

// PerMonth is what the electricity of so many watts costs in a month, to the cent.
func PerMonth(watts, usdPerKWh float64) float64 {
	return math.Round(KWhPerMonth(watts)*usdPerKWh*100) / 100
}

// PerYear is twelve times PerMonth.
func PerYear(watts, usdPerKWh float64) float64 {
	return math.Round(PerMonth(watts, usdPerKWh)*monthsPerYear*100) / 100
}

// Bill is what has to be bought.
type Bill struct {
	Lines []Line
}

// Line is so many pieces of one part.
type Line struct {
	catalog.Part
	Count int
}

func (b *Bill) add(p catalog.Part, count int) {
	for i := range b.Lines {
		if b.Lines[i].Key == p.Key {
			b.Lines[i].Count += count
			return
		}
	}
	if count > 0 {
		b.Lines = append(b.Lines, Line{p, count})
	}
}

// USD is the sum of the bill, to the cent.
func (b Bill) USD() float64 {
	sum := 0.0
	for _, l := range b.Lines {
		sum += l.USDEach() * float64(l.Count)
	}
	return math.Round(sum*100) / 100
}

// Watts is what everything on the bill draws.
func (b Bill) Watts() float64 {
	sum := 0.0
	for _, l := range b.Lines {
		sum += l.Watts * float64(l.Count)
	}
	return sum
}

// Assumed reports whether a figure on the bill is an assumption.
func (b Bill) Assumed() bool {
	for _, l := range b.Lines {
		if l.Reason != "" {
			return true
		}
	}
	return false
}

// AnyCable stands for a cable whose length does not matter: the usual passive one.
const AnyCable = 0

// usual is the longest passive cable for 40 Gbit/s.
const usual = 0.8

// Cable returns the cheapest cable that is long enough, of equals the shorter.
func Cable(p catalog.Prices, metres float64) (catalog.Part, error) {
	if metres == AnyCable {
		metres = usual
	}
	var best catalog.Part
	for _, c := range p.Of(catalog.USB4Cable) {
		if c.Metres >= metres-1e-9 && (best.Key == "" || c.USDEach() < best.USDEach()) {
			best = c
		}
	}
	if best.Key == "" {
		return best, fmt.Errorf("no USB4 cable of %.1f m is for sale, the longest is %.1f m", metres, Longest(p))
	}
	return best, nil
}

// Longest returns the length of the longest cable for sale, in metres.
func Longest(p catalog.Prices) float64 {
	longest := 0.0
	for _, c := range p.Of(catalog.USB4Cable) {
		longest = max(longest, c.Metres)
	}
	return longest
}

// USB4 is the bill of a mesh: a cable of each length asked for, and what its two ports draw.
func USB4(p catalog.Prices, metres []float64) (Bill, error) {
	var b Bill
	ports := p.Of(catalog.USB4Port)
	for _, m := range metres {
		c, err := Cable(p, m)
		if err != nil {
			return Bill{}, err
		}
		b.add(c, 1)
	}
	if len(ports) > 0 {
		b.add(ports[0], 2*len(metres))
	}
	return b, nil
}

// Hubs adds so many hosts that do nothing but forward, with cards for ports each. The error
// says when a host has too few slots.
func (b *Bill) Hubs(p catalog.Prices, hosts, ports int) error {
	h, c := p.Of(catalog.HubHost), p.Of(catalog.USB4Card)
	if len(h) == 0 || len(c) == 0 || c[0].Ports < 1 {
		return fmt.Errorf("the price list has no host for a hub, or no card for it")
	}
	cards := (ports + c[0].Ports - 1) / c[0].Ports
	if cards > h[0].Ports {
		return fmt.Errorf("a hub of %d ports needs %d cards, and a host has %d slots", ports, cards, h[0].Ports)
	}
	b.add(h[0], hosts)
	b.add(c[0], hosts*cards)
	return nil
}

// Routers adds so many routers between pods.
func (b *Bill) Routers(p catalog.Prices, count int) {
	if r := p.Of(catalog.Router); len(r) > 0 {
		b.add(r[0], count)
	}
}
