package catalog

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// Kind says what a part is.
type Kind string

// Kinds of parts.
const (
	USB4Cable     Kind = "usb4-cable"
	USB4Port      Kind = "usb4-port" // an active port, for what it draws
	USB4Card      Kind = "usb4-card"
	HubHost       Kind = "hub-host"
	MiniPC        Kind = "machine"
	Server        Kind = "server"
	Switch        Kind = "switch"
	NIC           Kind = "nic"
	EthernetCable Kind = "ethernet-cable"
	Router        Kind = "router"
)

var kinds = []Kind{USB4Cable, USB4Port, USB4Card, HubHost, MiniPC, Server, Switch, NIC, EthernetCable, Router}

// Part is a thing to buy.
type Part struct {
	Key    string
	Kind   Kind
	Name   string
	USD    float64 // for a pack
	Pack   int     // pieces in a pack
	Watts  float64 // in use
	Gbps   float64 // per port and direction
	Ports  int
	Metres float64
	Date   string // of the figures, YYYY-MM-DD
	Source string // where they are from, or "" if they are assumed
	Reason string // why it is assumed so
}

// USDEach is the price of one piece.
func (p Part) USDEach() float64 { return p.USD / float64(p.Pack) }

// Prices is what things cost.
type Prices struct {
	USDPerKWh       float64
	ElectricityDate string
	Electricity     string // where the price is from
	Parts           []Part // by kind, then in the order of the file
}

// Of returns the parts of a kind.
func (p Prices) Of(k Kind) []Part {
	var parts []Part
	for _, part := range p.Parts {
		if part.Kind == k {
			parts = append(parts, part)
		}
	}
	return parts
}

// Part returns the part with a key.
func (p Prices) Part(key string) (Part, bool) {
	i := slices.IndexFunc(p.Parts, func(part Part) bool { return part.Key == key })
	if i < 0 {
		return Part{}, false
	}
	return p.Parts[i], true
}

//go:embed prices.yaml
var priceData []byte

var prices = func() Prices {
	p, err := parsePrices("prices.yaml", priceData, Prices{})
	if err != nil {
		panic("catalog: " + err.Error())
	}
	return p
}()

// DefaultPrices returns the embedded prices. The caller may change the parts.
func DefaultPrices() Prices {
	p := prices
	p.Parts = slices.Clone(p.Parts)
	return p
}

// ParsePrices reads prices in the form of the embedded prices.yaml. What the file does not name
// is as in DefaultPrices; a part with a known key replaces that part. Errors name the file
// and the part.
func ParsePrices(name string, src []byte) (Prices, error) {
	return parsePrices(name, src, DefaultPrices())
}

const (
	maxPriceFile = 1 << 20
	mostUSD      = 1e9
)

func parsePrices(name string, src []byte, known Prices) (Prices, error) {
	if len(src) > maxPriceFile {
		return known, fmt.Errorf("%s: %d bytes are too many for a price list, at most %d are read", name, len(src), maxPriceFile)
	}
	var f struct {
		Electricity struct {
			USDPerKWh    float64 `yaml:"usd_per_kwh"`
			Date, Source string
		}
		Parts []struct {
			Key, Kind, Name       string
			USD, Watts, Gbps      float64
			Pack, Ports           int
			Metres                float64
			Date, Source, Assumed string
		}
	}
	if err := yaml.Load(src, &f, yaml.WithKnownFields()); err != nil {
		return known, fmt.Errorf("%s: %w", name, err)
	}
	if e := f.Electricity; e.USDPerKWh != 0 {
		if !within(e.USDPerKWh, 1000) {
			return known, fmt.Errorf("%s: electricity for %v dollars a kilowatt hour", name, e.USDPerKWh)
		}
		known.USDPerKWh, known.ElectricityDate, known.Electricity = e.USDPerKWh, e.Date, e.Source
	}
	for i, e := range f.Parts {
		p := Part{
			Key: e.Key, Kind: Kind(e.Kind), Name: e.Name, USD: e.USD, Pack: max(1, e.Pack), Watts: e.Watts, Gbps: e.Gbps,
			Ports: e.Ports, Metres: e.Metres, Date: e.Date, Source: e.Source, Reason: e.Assumed,
		}
		if err := p.check(); err != nil {
			return known, fmt.Errorf("%s: part %d (%q): %w", name, i+1, e.Key, err)
		}
		if k := slices.IndexFunc(known.Parts, func(o Part) bool { return o.Key == p.Key }); k >= 0 {
			known.Parts[k] = p
		} else {
			known.Parts = append(known.Parts, p)
		}
	}
	slices.SortStableFunc(known.Parts, func(a, b Part) int {
		return slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind)
	})
	return known, nil
}

func within(v, most float64) bool { return v >= 0 && v <= most && !math.IsNaN(v) }

func (p Part) check() error {
	switch {
	case p.Key == "" || p.Name == "":
		return fmt.Errorf("key and name are needed")
	case !slices.Contains(kinds, p.Kind):
		var words []string
		for _, k := range kinds {
			words = append(words, string(k))
		}
		return fmt.Errorf("unknown kind %q, want one of %s", p.Kind, strings.Join(words, ", "))
	case !within(p.USD, mostUSD) || !within(p.Watts, 1e6) || !within(p.Gbps, 1e5) || !within(p.Metres, 1e4) || p.Ports < 0 || p.Ports > 1<<16 || p.Pack > 1<<16:
		return fmt.Errorf("a figure is below 0 or beyond reason")
	case p.Kind == USB4Cable && (p.Metres == 0 || p.Gbps == 0):
		return fmt.Errorf("a USB4 cable needs metres and gbps")
	case p.Kind == Switch && (p.Ports < 2 || p.Gbps == 0):
		return fmt.Errorf("a switch needs ports and gbps")
	case p.Date == "":
		return fmt.Errorf("a price needs its date")
	case (p.Source == "") == (p.Reason == ""):
		return fmt.Errorf("a price needs either its source or, under assumed, the reason")
	}
	return nil
}
