package lab

import (
	"cmp"
	"context"
	"slices"
)

// RateRatio is the throughput of a pair, measured in turns with a bare veth pair
// of the same MTU: what the mesh leaves of what this machine can do.
type RateRatio struct {
	Pair
	Hops  int       `json:"hops"`
	Tool  string    `json:"tool"`
	Gbps  []float64 `json:"gbps"`      // of the pair, turn by turn
	Bare  []float64 `json:"bare_gbps"` // of the bare cable, each measured just before
	Ratio float64   `json:"ratio"`     // median of the turns' ratios
}

// throughput measures every pair in turns with a bare cable: A B A B, so that
// whatever else happens on this machine meets both.
func (c *comparer) throughput(ctx context.Context) ([]RateRatio, error) {
	var out []RateRatio
	for i, p := range c.paths {
		r := RateRatio{Pair: p.Pair, Hops: p.Hops()}
		var ratios []float64
		for turn := range c.o.Throughput {
			c.progress("throughput of pair %d of %d, turn %d", i+1, len(c.paths), turn+1)
			bare, err := c.l.Bare(ctx, c.plan.MTU, 0, "")
			if err != nil {
				return nil, err
			}
			rate, err := c.l.Throughput(ctx, p.Pair, 0, bare.Tool)
			if err != nil {
				return nil, err
			}
			r.Tool = rate.Tool
			r.Gbps, r.Bare = append(r.Gbps, rate.Gbps), append(r.Bare, bare.Gbps)
			ratios = append(ratios, rate.Gbps/bare.Gbps)
		}
		r.Ratio = middle(ratios)
		out = append(out, r)
	}
	return out, nil
}

// middle is the median, between the two in the middle of an even number; 0 of nothing.
func middle(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.SortedFunc(slices.Values(all), cmp.Compare[float64])
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
