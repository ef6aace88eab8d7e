package catalog

import (
	"regexp"
	"strings"
	"testing"
)

// TestPricesSayWhereTheyAreFrom holds the embedded list to its own promise.
func TestPricesSayWhereTheyAreFrom(t *testing.T) {
	date := regexp.MustCompile(`^20\d\d-\d\d-\d\d$`)
	p := DefaultPrices()
	if p.USDPerKWh != 0.1534 || !date.MatchString(p.ElectricityDate) || p.Electricity == "" {
		t.Errorf("electricity: %v of %q from %q", p.USDPerKWh, p.ElectricityDate, p.Electricity)
	}
	seen := map[string]bool{}
	for _, part := range p.Parts {
		if seen[part.Key] || !date.MatchString(part.Date) || (part.Source == "") == (part.Reason == "") {
			t.Errorf("%s: double, without date, or with neither source nor reason: %+v", part.Key, part)
		}
		seen[part.Key] = true
	}
	for _, k := range kinds {
		if len(p.Of(k)) == 0 {
			t.Errorf("no part of kind %s", k)
		}
	}
}

func TestOwnPricesReplace(t *testing.T) {
	p, err := ParsePrices("own.yaml", []byte(`
electricity: {usd_per_kwh: 0.4, date: 2026-11-01, source: my bill}
parts:
  - {key: usb4-0.8m, kind: usb4-cable, name: mine, usd: 20, gbps: 20, metres: 0.7, date: 2026-11-01, source: my shop}
  - {key: usb4-3m, kind: usb4-cable, name: long, usd: 90, gbps: 40, metres: 3, date: 2026-11-01, source: my shop}
`))
	if err != nil {
		t.Fatal(err)
	}
	if part, _ := p.Part("usb4-0.8m"); p.USDPerKWh != 0.4 || part.USDEach() != 20 || part.Metres != 0.7 {
		t.Errorf("not replaced: %v, %+v", p.USDPerKWh, part)
	}
	if len(p.Of(USB4Cable)) != len(DefaultPrices().Of(USB4Cable))+1 {
		t.Errorf("the new cable is missing: %v", p.Of(USB4Cable))
	}
	if part, _ := DefaultPrices().Part("usb4-0.8m"); part.Metres != 0.8 {
		t.Error("the embedded prices changed")
	}
}

func TestBadPrices(t *testing.T) {
	tests := []struct{ src, want string }{
		{"parts: [{kye: x}]", "kye"},
		{"parts: [{key: x, kind: usb4-cable, name: x, usd: -1, gbps: 40, metres: 1, date: 2026-01-01, source: x}]", `part 1 ("x"): a figure is below 0`},
		{"parts: [{key: x, kind: tin, name: x, date: 2026-01-01, source: x}]", `unknown kind "tin", want one of usb4-cable`},
		{"parts: [{key: x, kind: nic, name: x, date: 2026-01-01}]", "either its source"},
		{"parts: [{key: x, kind: nic, name: x, source: x}]", "needs its date"},
		{"parts: [{key: x, kind: usb4-cable, name: x, date: 2026-01-01, source: x}]", "needs metres and gbps"},
		{"parts: [{key: x, kind: switch, name: x, date: 2026-01-01, source: x}]", "needs ports and gbps"},
		{"parts: [{kind: nic, date: 2026-01-01, source: x}]", "key and name"},
		{"electricity: {usd_per_kwh: .nan}", "electricity for NaN"},
		{strings.Repeat("#", maxPriceFile+1), "too many"},
	}
	for _, test := range tests {
		_, err := ParsePrices("own.yaml", []byte(test.src))
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "own.yaml: ") {
			t.Errorf("%.60q: %v, want own.yaml: ... %q", test.src, err, test.want)
		}
	}
}
