package cost

import (
	"math"
	"strings"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/catalog"
)

// TestSeed comes to the very sums of the story that the project began with.
func TestSeed(t *testing.T) {
	p := catalog.DefaultPrices()
	if got := KWhPerMonth(1000); got != 720 {
		t.Errorf("1000 W use %v kWh a month, want 720", got)
	}
	if got := PerMonth(1000, p.USDPerKWh); got != 110.45 {
		t.Errorf("1000 W cost $%v a month, want 110.45", got)
	}
	if got := PerYear(1000, p.USDPerKWh); got != 1325.4 {
		t.Errorf("1000 W cost $%v a year, want 1325.4", got)
	}
	pc, ok := p.Part("um790-pro")
	if got := PerMonth(pc.Watts, p.USDPerKWh); !ok || math.Round(got) != 9 {
		t.Errorf("the mini PC costs $%v a month, want about 9", got)
	}
	b, err := USB4(p, []float64{AnyCable, AnyCable, AnyCable})
	if err != nil || b.USD() != 47.98 {
		t.Errorf("three cables cost $%v (%v), want 47.98", b.USD(), err)
	}
	server, ok := p.Part("r630")
	if !ok || server.USDEach() != 380.42 || server.Watts != 1000 {
		t.Errorf("the refurbished server: %+v", server)
	}
	if years := PerYear(server.Watts, p.USDPerKWh) / server.USDEach(); years < 3 {
		t.Errorf("a year of electricity buys %v servers, want more than three", years)
	}
	if s, ok := p.Part("switch-2.5g-8"); !ok || s.USDEach() != 100 {
		t.Errorf("the cheap 2.5G switch: %+v", s)
	}
}

func TestCableIsLongEnough(t *testing.T) {
	p := catalog.DefaultPrices()
	for metres, want := range map[float64]string{AnyCable: "usb4-0.8m", 0.25: "usb4-0.3m", 0.3: "usb4-0.3m", 0.31: "usb4-0.5m", 0.9: "usb4-1m", 2: "usb4-2m"} {
		if c, err := Cable(p, metres); err != nil || c.Key != want {
			t.Errorf("%v m: %s, %v; want %s", metres, c.Key, err, want)
		}
	}
	if _, err := USB4(p, []float64{0.5, 2.5}); err == nil || !strings.Contains(err.Error(), "no USB4 cable of 2.5 m is for sale, the longest is 2.0 m") {
		t.Errorf("2.5 m: %v", err)
	}
}

func TestTree(t *testing.T) {
	for _, test := range []struct{ nodes, ports, switches, inner int }{
		{8, 8, 1, 0},
		{9, 8, 5, 12},   // 3 below with 4 nodes each, 2 above
		{32, 8, 12, 32}, // full: 8 below, 4 above
		{33, 8, 23, 72}, // three levels
		{128, 8, 80, 256},
	} {
		if s, c := Tree(test.nodes, test.ports); s != test.switches || c != test.inner {
			t.Errorf("%d nodes, %d ports: %d switches, %d cables; want %d, %d", test.nodes, test.ports, s, c, test.switches, test.inner)
		}
	}
}

func TestEthernet(t *testing.T) {
	p := catalog.DefaultPrices()
	b, err := Ethernet(p, 2.5, 3)
	if err != nil || b.USD() != 100+3*5 || b.Watts() != 12+3 {
		t.Errorf("three nodes at 2.5 Gbit/s: $%v, %v W, %v", b.USD(), b.Watts(), err)
	}
	if _, err := Ethernet(p, 3, 3); err == nil {
		t.Error("3 Gbit/s can't be bought")
	}
	for _, s := range Speeds(p) {
		last := 0.0
		for n := 2; n < 300; n++ {
			b, err := Ethernet(p, s, n)
			if err != nil {
				t.Fatal(err)
			}
			if b.USD() < last {
				t.Errorf("%v Gbit/s: %d nodes are cheaper than %d", s, n, n-1)
			}
			last = b.USD()
		}
	}
}

func TestOffer(t *testing.T) {
	b, err := USB4(catalog.DefaultPrices(), []float64{AnyCable, AnyCable, AnyCable})
	if err != nil {
		t.Fatal(err)
	}
	o := Offer{Name: "seed", Nodes: 3, Gbps: 23.6, Bill: b}
	if got := o.USDPerGbps(); math.Abs(got-47.98/70.8) > 1e-12 {
		t.Errorf("$%v per Gbit/s", got)
	}
	if got := o.GbpsPerWatt(); math.Abs(got-70.8/6) > 1e-12 {
		t.Errorf("%v Gbit/s per watt", got)
	}
	if got := o.OverYears(2, 0.1534); math.Abs(got-(47.98+2*12*0.66)) > 1e-9 {
		t.Errorf("$%v over two years", got)
	}
}

func TestHubs(t *testing.T) {
	var b Bill
	p := catalog.DefaultPrices()
	if err := b.Hubs(p, 2, 6); err != nil || b.USD() != 2*600+6*90 {
		t.Errorf("$%v, %v", b.USD(), err)
	}
	if err := b.Hubs(p, 1, 7); err == nil || !strings.Contains(err.Error(), "needs 4 cards, and a host has 3 slots") {
		t.Errorf("seven ports: %v", err)
	}
}

func TestBreakEven(t *testing.T) {
	line := func(a, b float64) func(int) float64 { return func(n int) float64 { return a + b*float64(n) } }
	nodes := []int{2, 4, 8, 16, 32}
	if n, ok := BreakEven(nodes, line(0, 10), line(50, 3)); n != 8 || !ok {
		t.Errorf("%d, %v; want 8", n, ok)
	}
	if _, ok := BreakEven(nodes, line(0, 1), line(50, 3)); ok {
		t.Error("never cheaper")
	}
}
