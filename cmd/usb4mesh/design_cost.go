package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/catalog"
	"github.com/usb4mesh/usb4mesh/internal/cost"
	"github.com/usb4mesh/usb4mesh/internal/design"
)

func newDesignCostCommand() *cobra.Command {
	var f designFlags
	var asJSON bool
	var years float64
	cmd := &cobra.Command{
		Use:   "cost --nodes N --ports P",
		Short: "Compare USB4 with Ethernet of each speed: dollars, watts, years",
		Long: `cost compares the best USB4 wiring of N nodes with Ethernet of every speed in the price
list: what it costs, also per Gbit/s delivered, what it draws, and what it has cost after
some years with electricity. Ethernet has switches that narrow nothing. Figures that are
assumptions are marked with ~; usb4mesh design --json names date and source of each.

Below the table stands what a node itself costs to run.`,
		Example: `  usb4mesh design cost --nodes 3 --ports 2
  usb4mesh design cost --nodes 8 --ports 4 --hub 6 --years 5 --rounds 20`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.request(cmd)
			if err != nil {
				return err
			}
			if !(years >= 0 && years <= 100) {
				return usageError("--years %v: want 0 to 100", years)
			}
			all, err := candidates(cmd, r)
			if err != nil {
				return err
			}
			offers, err := design.Offers(r, all)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), costToJSON(offers, &r.Prices, years))
			}
			return writeCost(cmd.OutOrStdout(), &r, offers, years)
		},
	}
	f.register(cmd)
	cmd.Flags().Float64Var(&years, "years", 3, "years of electricity")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the comparison as JSON")
	return cmd
}

func writeCost(out io.Writer, r *design.Request, offers []cost.Offer, years float64) error {
	var t table
	t.row("%s, %s; electricity at %.2f cents per kWh (%s)", count(r.Nodes, "node"), r.Traffic, 100*r.Prices.USDPerKWh, r.Prices.ElectricityDate)
	t.end()
	t.row("")
	t.row("network\tGbit/s per node\tdollars\tper Gbit/s\twatts\tGbit/s per watt\tdollars a year\tafter %v years", years)
	for _, o := range offers {
		mark := ""
		if o.Assumed() {
			mark = "~"
		}
		t.row("%s\t%.2f\t%s%.2f\t%.2f\t%.0f\t%.2f\t%.2f\t%.2f", o.Name, o.Gbps, mark, o.USD(), o.USDPerGbps(), o.Watts(), o.GbpsPerWatt(),
			cost.PerYear(o.Watts(), r.Prices.USDPerKWh), o.OverYears(years, r.Prices.USDPerKWh))
	}
	t.end()
	t.row("")
	for _, k := range []catalog.Kind{catalog.MiniPC, catalog.Server} {
		for _, p := range r.Prices.Of(k) {
			t.row("%s\t$%.2f\t%.0f W\t%.1f kWh and $%.2f a month\t$%.2f a year", p.Name, p.USDEach(), p.Watts, cost.KWhPerMonth(p.Watts),
				cost.PerMonth(p.Watts, r.Prices.USDPerKWh), cost.PerYear(p.Watts, r.Prices.USDPerKWh))
		}
	}
	return t.flush(out)
}

type (
	costJSON struct {
		USDPerKWh float64     `json:"usd_per_kwh"`
		Years     float64     `json:"years"`
		Offers    []offerJSON `json:"offers"`
	}
	offerJSON struct {
		Name        string  `json:"name"`
		Gbps        float64 `json:"throughput_gbps_per_node"`
		USD         float64 `json:"cost_usd"`
		USDPerGbps  float64 `json:"usd_per_gbps"`
		Watts       float64 `json:"watts"`
		GbpsPerWatt float64 `json:"gbps_per_watt"`
		USDPerYear  float64 `json:"usd_per_year"`
		AfterYears  float64 `json:"usd_after_years"`
		Assumed     bool    `json:"assumed"`
	}
)

func costToJSON(offers []cost.Offer, p *catalog.Prices, years float64) costJSON {
	out := costJSON{USDPerKWh: p.USDPerKWh, Years: years, Offers: []offerJSON{}}
	for _, o := range offers {
		out.Offers = append(out.Offers, offerJSON{
			Name: o.Name, Gbps: o.Gbps, USD: o.USD(), USDPerGbps: o.USDPerGbps(), Watts: o.Watts(), GbpsPerWatt: o.GbpsPerWatt(),
			USDPerYear: cost.PerYear(o.Watts(), p.USDPerKWh), AfterYears: o.OverYears(years, p.USDPerKWh), Assumed: o.Assumed(),
		})
	}
	return out
}

// breakEvens words from how many nodes on each Ethernet beats each USB4 network, by dollars
// per Gbit/s.
func breakEvens(curves []design.Curve, most int) []string {
	usd := func(c *design.Curve) (func(int) float64, []int) {
		byNodes := map[int]float64{}
		var nodes []int
		for _, p := range c.Points {
			byNodes[p.Nodes] = p.USDPerGbps()
			nodes = append(nodes, p.Nodes)
		}
		return func(n int) float64 { return byNodes[n] }, nodes
	}
	var lines []string
	for i := range curves {
		a, nodes := usd(&curves[i])
		if curves[i].Points[0].Diameter == 0 || len(nodes) == 0 {
			continue
		}
		for k := range curves {
			b, has := usd(&curves[k])
			if curves[k].Points[0].Diameter != 0 || len(has) < len(nodes) {
				continue
			}
			complete := true
			for _, n := range nodes {
				complete = complete && b(n) > 0
			}
			if !complete {
				continue
			}
			if n, ok := cost.BreakEven(nodes, a, b); ok {
				lines = append(lines, fmt.Sprintf("%s\t%s\tfrom %d nodes on", curves[i].Name, curves[k].Name, n))
			} else {
				lines = append(lines, fmt.Sprintf("%s\t%s\tnot up to %d nodes", curves[i].Name, curves[k].Name, most))
			}
		}
	}
	return lines
}
