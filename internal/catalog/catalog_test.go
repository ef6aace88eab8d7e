package catalog

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// TestData holds the embedded data against what the documentation of the fields
// promises.
func TestData(t *testing.T) {
	label := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	path := regexp.MustCompile(`^pci-[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$`)
	seen := map[string]bool{}
	if len(machines) < 8 {
		t.Errorf("only %d machines", len(machines))
	}
	for _, m := range machines {
		if !label.MatchString(m.Key) || seen[m.Key] {
			t.Errorf("%s: the key is malformed or there twice", m.Key)
		}
		seen[m.Key] = true
		for field, s := range map[string]string{"name": m.Name, "vendor": m.Vendor, "controller": m.Controller} {
			if strings.TrimSpace(s) == "" || strings.ContainsAny(s, "\n\t") {
				t.Errorf("%s: %s is %q", m.Key, field, s)
			}
		}
		if !strings.HasPrefix(m.Name, m.Vendor) {
			t.Errorf("%s: name %q does not begin with the vendor %q", m.Key, m.Name, m.Vendor)
		}
		if len(m.Sources) == 0 || slices.ContainsFunc(m.Sources, func(s string) bool { return len(s) < 20 }) {
			t.Errorf("%s: a fact without a source: %q", m.Key, m.Sources)
		}
		if len(m.Ports) == 0 {
			t.Errorf("%s has no ports", m.Key)
		}
		certain := true
		type place struct {
			path    string
			adapter int
		}
		names, places, adapters := map[string]bool{}, map[place]bool{}, map[string]int{}
		for _, p := range m.Ports {
			if !label.MatchString(p.Name) || names[p.Name] {
				t.Errorf("%s: port name %q is malformed or there twice", m.Key, p.Name)
			}
			if !path.MatchString(p.Path) {
				t.Errorf("%s: port %s: malformed path %q", m.Key, p.Name, p.Path)
			}
			if at := (place{p.Path, p.Adapter}); places[at] {
				t.Errorf("%s: port %s can't be told from another one", m.Key, p.Name)
			} else {
				places[at] = true
			}
			if p.Certain && p.Socket == "" {
				t.Errorf("%s: port %s is certain, but no socket is named", m.Key, p.Name)
			}
			names[p.Name] = true
			adapters[p.Path]++
			certain = certain && p.Certain
		}
		for _, p := range m.Ports {
			if shared := adapters[p.Path] > 1; shared != (p.Adapter != 0) {
				t.Errorf("%s: port %s: an adapter belongs to ports that share a path, and to no others", m.Key, p.Name)
			}
		}
		if certain != m.Certain || certain == (m.Note != "") {
			t.Errorf("%s: certain is %v, ports say %v, note %q: what is not certain needs a note", m.Key, m.Certain, certain, m.Note)
		}
	}
	if !slices.IsSortedFunc(machines, func(a, b Machine) int { return strings.Compare(a.Key, b.Key) }) {
		t.Error("machines are not sorted")
	}
}

// TestSeed keeps the ports that the published module of the UM790 Pro names.
func TestSeed(t *testing.T) {
	m, ok := Lookup("um790-pro")
	if !ok {
		t.Fatal("no um790-pro")
	}
	var got []mesh.Port
	for _, p := range m.Ports {
		got = append(got, p.Port)
	}
	want := []mesh.Port{{Name: "left", Path: "pci-0000:c7:00.5"}, {Name: "right", Path: "pci-0000:c7:00.6"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}

func TestLookupUnknown(t *testing.T) {
	if m, ok := Lookup("um790pro"); ok || m.Key != "" {
		t.Errorf("Lookup of an unknown key returned %+v, %v", m, ok)
	}
}

func TestSuggest(t *testing.T) {
	for _, tt := range []struct {
		key  string
		want []string
	}{
		{"um790pro", []string{"um790-pro"}},
		{"UM790 Pro", []string{"um790-pro"}},
		{"Minisforum UM790 Pro", []string{"um790-pro"}},
		{"nuc13", []string{"nuc-13-pro"}},
		{"Framework", []string{"framework-desktop"}},
		{"beelink-gtr7", []string{"gtr7"}},
		{"cray-1", nil},
	} {
		got := Suggest(tt.key)
		if tt.want == nil && got != nil || tt.want != nil && (len(got) == 0 || got[0] != tt.want[0]) {
			t.Errorf("Suggest(%q) = %q, want %q first", tt.key, got, tt.want)
		}
	}
}

// TestMachinesIsACopy: what a caller changes must not reach the next one.
func TestMachinesIsACopy(t *testing.T) {
	ms := Machines()
	ms[0].Ports[0].Path, ms[0].Sources[0], ms[0].Key = "x", "x", "x"
	if m := Machines()[0]; m.Ports[0].Path == "x" || m.Sources[0] == "x" || m.Key == "x" {
		t.Error("Machines returns the package's own slices")
	}
}

func TestLoadPanicsOnUnknownField(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	load([]byte("- {key: a, colour: red}"))
}
