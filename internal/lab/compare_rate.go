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
	Bare  []float64 `json:"bare_gbps"` // of the bare cable, each just before or after
	Ratio float64   `json:"ratio"`     // median of the turns' ratios
}

// throughput measures every pair in turns with a bare cable: A B, B A, A B, so
// that whatever else happens on this machine meets both.
func (c *comparer) throughput(ctx context.Context) ([]RateRatio, error) {
	var out []RateRatio
	for i, p := range c.paths {
		r := RateRatio{Pair: p.Pair, Hops: p.Hops()}
		for turn := range c.o.Throughput {
			c.progress("throughput of pair %d of %d, turn %d", i+1, len(c.paths), turn+1)
			if err := c.turn(ctx, &r, turn%2 == 0); err != nil {
				return nil, err
			}
		}
		r.Ratio = middle(r.ratios())
		out = append(out, r)
	}
	return out, nil
}

// turn measures the pair and the bare cable once each.
func (c *comparer) turn(ctx context.Context, r *RateRatio, bareFirst bool) error {
	for _, bare := range []bool{bareFirst, !bareFirst} {
		if bare {
			rate, err := c.l.Bare(ctx, c.plan.MTU, 0, "")
			if err != nil {
				return err
			}
			r.Bare = append(r.Bare, rate.Gbps)
			continue
		}
		rate, err := c.l.Throughput(ctx, r.Pair, 0, "")
		if err != nil {
			return err
		}
		r.Gbps, r.Tool = append(r.Gbps, rate.Gbps), rate.Tool
	}
	return nil
}

// ratios returns the ratio of each turn.
func (r RateRatio) ratios() []float64 {
	all := make([]float64, len(r.Gbps))
	for i := range all {
		all[i] = r.Gbps[i] / r.Bare[i]
	}
	return all
}

// middle is the median, between the two in the middle of an even number; 0 of nothing.
func middle(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.SortedFunc(slices.Values(all), cmp.Compare[float64])
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
