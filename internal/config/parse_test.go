package config

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

var update = flag.Bool("update", false, "write the expected files anew")

// golden compares got with a file, or writes it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got), go test -update writes it anew:\n%s", file, diff)
	}
}

// corpus returns the files of a pattern; at least n of them.
func corpus(t testing.TB, pattern string, n int) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) < n {
		t.Fatalf("%s: %d files, want at least %d: %v", pattern, len(names), n, err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	return files
}

// TestBad parses every bad file. The findings expected, all of them, stand in the
// file's sibling .want, one a line: severity code:line:column width.
func TestBad(t *testing.T) {
	seen := map[string]bool{}
	for name, src := range corpus(t, "testdata/bad/*.yaml", 45) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			_, fs := Parse(filepath.Base(name), src)
			var got bytes.Buffer
			for _, f := range fs {
				fmt.Fprintf(&got, "%s %s:%d:%d %d\n", f.Severity, f.Code(), f.Pos.Line, f.Pos.Column, f.Width)
				seen[f.Code()] = true
			}
			if len(fs) == 0 {
				t.Error("no findings")
			}
			golden(t, strings.TrimSuffix(name, ".yaml")+".want", got.Bytes())
			checkWellFormed(t, src, fs)
		})
	}
	for _, k := range finding.Kinds() {
		// These two need files too large to keep; they have tests of their own.
		if !seen[k.Code] && k != fileTooLarge && k != tooManyFindings && isOurs(k) {
			t.Errorf("no bad file shows %s", k.Code)
		}
	}
}

// isOurs tells this package's kinds from those that its imports may register.
func isOurs(k *finding.Kind) bool { return k.Explain != "" && k.Title != "" }

// checkWellFormed holds findings against what every finding promises.
func checkWellFormed(t *testing.T, src []byte, fs []finding.Finding) {
	t.Helper()
	lines := strings.Split(strings.TrimPrefix(string(src), "\ufeff"), "\n")
	for _, f := range fs {
		where := f.Pos.String() + " " + f.Code()
		if f.Pos.Line < 1 || f.Pos.Line > len(lines) {
			t.Errorf("%s: the file has %d lines", where, len(lines))
			continue
		}
		line := strings.TrimSuffix(lines[f.Pos.Line-1], "\r")
		n := utf8.RuneCountInString(line)
		if f.Pos.Column < 1 || f.Pos.Column > n+1 || f.Width < 1 || f.Pos.Column+f.Width > max(n, f.Pos.Column)+1 {
			t.Errorf("%s: width %d: the line has %d characters", where, f.Width, n)
		}
		if n <= maxSource && utf8.RuneCountInString(f.Source) != n {
			t.Errorf("%s: source line %q, in the file %q", where, f.Source, line)
		}
		if f.Hint == "" {
			t.Errorf("%s: no hint", where)
		}
		for _, s := range []string{f.Message, f.Hint, f.Source} {
			if strings.ContainsAny(s, "\n\r\x1b\x00") || !utf8.ValidString(s) {
				t.Errorf("%s: control characters in %q", where, s)
			}
		}
		if f.Message == "" || strings.HasSuffix(f.Message, ".") || utf8.RuneCountInString(f.Message) > 300 {
			t.Errorf("%s: message %q", where, f.Message)
		}
	}
	if !slices.IsSortedFunc(fs, func(a, b finding.Finding) int {
		if a.Kind == tooManyFindings || b.Kind == tooManyFindings {
			return 0
		}
		return a.Pos.Line - b.Pos.Line
	}) {
		t.Error("findings are not sorted by line")
	}
}

// TestGood parses files without a problem, the examples among them.
func TestGood(t *testing.T) {
	files := corpus(t, "testdata/good/*.yaml", 3)
	for name, src := range corpus(t, "../../examples/*/mesh.yaml", 8) {
		files[name] = src
	}
	for name, src := range files {
		t.Run(name, func(t *testing.T) {
			c, fs := Parse("mesh.yaml", src)
			var text bytes.Buffer
			if err := (finding.Printer{W: &text}).Print(fs...); err != nil || len(fs) > 0 {
				t.Errorf("%v\n%s", err, text.String())
			}
			if c.Name == "" || len(c.Nodes) < 2 || c.Source != "mesh.yaml" {
				t.Errorf("the cluster is not complete: %+v", c)
			}
			for _, n := range c.Nodes {
				if n.Incomplete {
					t.Errorf("node %s is incomplete", n.Name)
				}
			}
		})
	}
}

// TestPrinted keeps what a person reads, for every bad file.
func TestPrinted(t *testing.T) {
	files := corpus(t, "testdata/bad/*.yaml", 45)
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		base := filepath.Base(name)
		_, fs := Parse(base, files[name])
		fmt.Fprintf(&b, "== %s\n", base)
		if err := (finding.Printer{W: &b}).Print(fs...); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "testdata/printed.txt", b.Bytes())
}

func TestTooLarge(t *testing.T) {
	small := []byte("mesh: m\nidentity: [10.7.1.0/24]\ntopology: chain\nnodes:\n  - {name: a, machine: x}\n  - {name: b, machine: x}\n#")
	exact := append(slices.Clone(small), bytes.Repeat([]byte("x"), maxFile-len(small))...)
	if _, fs := Parse("m", exact); len(fs) != 0 {
		t.Errorf("a file of exactly the limit: %v", fs)
	}
	c, fs := Parse("m", append(exact, 'x'))
	if len(fs) != 1 || fs[0].Kind != fileTooLarge {
		t.Errorf("one byte more: %v", fs)
	}
	if len(c.Nodes) != 0 {
		t.Errorf("a file too large was read: %+v", c)
	}
}

// TestTooMany bounds what a file of nothing but mistakes prints, and still knows
// which nodes are broken.
func TestTooMany(t *testing.T) {
	var b strings.Builder
	b.WriteString("mesh: m\nidentity: [10.7.1.0/24]\ntopology: full-mesh\nnodes:\n")
	for i := range 300 {
		fmt.Fprintf(&b, "  - {name: N_%d, machine: x}\n", i)
	}
	c, fs := Parse("m", []byte(b.String()))
	if len(fs) != maxFindings+1 || fs[len(fs)-1].Kind != tooManyFindings {
		t.Fatalf("%d findings, the last %v", len(fs), fs[len(fs)-1])
	}
	for i, n := range c.Nodes {
		if !n.Incomplete {
			t.Errorf("node %d is not marked", i)
		}
	}
}

func TestTooManyNodes(t *testing.T) {
	file := func(n int) []byte {
		var b strings.Builder
		b.WriteString("mesh: m\nidentity: [10.0.0.0/16]\ntopology: ring\nnodes:\n")
		for i := range n {
			fmt.Fprintf(&b, "  - {name: n%d, machine: um790-pro}\n", i)
		}
		return []byte(b.String())
	}
	if c, fs := Parse("m", file(maxNodes)); len(fs) != 0 || len(c.Nodes) != maxNodes {
		t.Errorf("%d nodes: %v", len(c.Nodes), fs)
	}
	if _, fs := Parse("m", file(maxNodes+1)); len(fs) != 1 || fs[0].Kind != badCount || fs[0].Path != "nodes" {
		t.Errorf("one node more: %v", fs)
	}
}

// TestNotUTF8Source: what a terminal would obey does not reach it.
func TestNotUTF8Source(t *testing.T) {
	_, fs := Parse("m", []byte("mesh: a\x1b[31m\xff\n"))
	if len(fs) != 1 || fs[0].Source != "mesh: a␛[31m�" || fs[0].Pos.Column != 8 {
		t.Errorf("%+v", fs)
	}
}

// TestPartial: a cluster with errors is still usable, and says what is not.
func TestPartial(t *testing.T) {
	c, fs := Parse("mesh.yaml", []byte(`mesh: lab
identity: [10.7.1.0/24]
mtu: 80000
nodes:
  - {name: a, machine: um790-pro}
  - {name: b, ports: {left: {path: nowhere}}}
  - {machine: ms-01}
  - broken
cables:
  - endpoints: [a, "b:left"]
  - endpoints: [a, nobody]
  - {}
`))
	if !finding.HasErrors(fs) {
		t.Fatal("no errors found")
	}
	want := mesh.Cluster{
		Name: "lab", Source: "mesh.yaml", MTU: mesh.DefaultMTU, Identity: c.Identity,
		Nodes: []mesh.Node{
			{Name: "a", Machine: "um790-pro"},
			{Name: "b", Ports: []mesh.Port{{Name: "left"}}, Incomplete: true},
			{Machine: "ms-01", Incomplete: true},
			{Incomplete: true},
		},
		Cables: []mesh.Cable{
			{Name: "1", Ends: [2]mesh.Endpoint{{Node: "a"}, {Node: "b", Port: "left"}}},
			{Name: "2", Ends: [2]mesh.Endpoint{{Node: "a"}, {Node: "nobody"}}},
			{Name: "3"},
		},
	}
	if diff := cmp.Diff(want, c, netipValues...); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// netipValues lets cmp compare addresses.
var netipValues = []cmp.Option{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// TestEverything parses a file that uses every key.
func TestEverything(t *testing.T) {
	src, err := os.ReadFile("testdata/good/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, fs := Parse("mesh.yaml", src)
	if len(fs) != 0 {
		t.Fatalf("findings: %v", fs)
	}
	want := mesh.Cluster{
		Name: "everything", Source: "mesh.yaml", MTU: 9000,
		Identity: []netip.Prefix{netip.MustParsePrefix("10.7.1.0/24"), netip.MustParsePrefix("fd75:7362:3400::/64")},
		Nodes: []mesh.Node{
			{
				Name: "01", Machine: "um790-pro", Format: "nixos",
				Identity: []netip.Addr{netip.MustParseAddr("10.7.1.11"), netip.MustParseAddr("fd75:7362:3400::11")},
				Settings: mesh.Settings{
					Link: []mesh.Setting{{Section: "Link", Key: "RxBufferSize", Value: "4096"}, {Section: "Link", Key: "Advertise", Value: ""}},
					Network: []mesh.Setting{
						{Section: "Network", Key: "LLMNR", Value: "no"},
						{Section: "Network", Key: "DNS", Value: "10.7.1.1"},
						{Section: "Network", Key: "DNS", Value: "10.7.1.2"},
						{Section: "Link", Key: "Multicast", Value: "true"},
					},
					Sysctl: map[string]string{"net.core.rmem_max": "67108864", "net/ipv4/tcp_congestion_control": "bbr"},
				},
			},
			{Name: "02", Ports: []mesh.Port{
				{Name: "back", Path: "pci-0000:00:0d.2", Adapter: 1},
				{Name: "front", Path: "pci-0000:00:0d.2", Adapter: 3},
				{Name: "card", Path: "pci-10000:e1:00.0"},
			}},
			{Name: "3", Machine: "ms-01"},
		},
		Cables: []mesh.Cable{
			{Name: "blue", Speed: 40, Ends: [2]mesh.Endpoint{{Node: "01", Port: "left"}, {Node: "02", Port: "back"}},
				Addresses: []netip.Addr{netip.MustParseAddr("10.7.0.101"), netip.MustParseAddr("10.7.0.106")}},
			{Name: "2", Ends: [2]mesh.Endpoint{{Node: "02", Port: "front"}, {Node: "3"}}},
			{Name: "3", Ends: [2]mesh.Endpoint{{Node: "3"}, {Node: "01"}},
				Addresses: []netip.Addr{netip.MustParseAddr("fd00:7::1"), netip.MustParseAddr("fd00:7::2")}},
		},
		Agent: mesh.AgentSettings{Liveness: "fast", Gossip: "encrypted", Key: "/etc/usb4mesh/mesh.key", Metrics: "[::1]:9469", Latency: 50, GossipPort: 7947, BFDPort: 4784, BenchPort: 7948, Bench: mesh.BenchOff},
	}
	if diff := cmp.Diff(want, c, netipValues...); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTopologies(t *testing.T) {
	for text, want := range map[string]mesh.Topology{
		"ring":                         {Shape: "ring"},
		`"full-mesh"`:                  {Shape: "full-mesh"},
		"{shape: best}":                {Shape: "best"},
		"{shape: grid, columns: 2}":    {Shape: "grid", Columns: 2},
		`{shape: star, hub: "b"}`:      {Shape: "star", Hub: "b"},
		"\n  shape: hypercube # 2^n\n": {Shape: "hypercube"},
	} {
		c, fs := Parse("m", []byte("mesh: m\nidentity: [10.7.1.0/24]\nnodes: [{name: a, machine: x}, {name: b, machine: x}]\ntopology: "+text+"\n"))
		if len(fs) != 0 {
			t.Errorf("%s: %v", text, fs)
		}
		if diff := cmp.Diff(want, c.Topology); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
