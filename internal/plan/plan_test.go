package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// cluster makes n nodes with the given number of ports, identities in both families.
func cluster(n, ports int, shape string) mesh.Cluster {
	c := mesh.Cluster{
		Name:     "test",
		Identity: []netip.Prefix{netip.MustParsePrefix("10.7.0.0/16"), netip.MustParsePrefix("fd75::/64")},
		Topology: mesh.Topology{Shape: shape},
		MTU:      mesh.DefaultMTU,
	}
	for i := range n {
		node := mesh.Node{Name: fmt.Sprintf("n%d", i+1)}
		for k := range ports {
			node.Ports = append(node.Ports, mesh.Port{Name: fmt.Sprintf("p%d", k+1), Path: fmt.Sprintf("pci-0000:c7:%02x.5", k)})
		}
		c.Nodes = append(c.Nodes, node)
	}
	return c
}

func codes(fs []finding.Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.Code()+" "+f.Path)
	}
	return out
}

func TestTriangle(t *testing.T) {
	p, fs := Make(cluster(3, 2, "full-mesh"))
	if len(fs) > 0 {
		t.Fatalf("findings: %v", codes(fs))
	}
	n := p.Node("n1")
	var v4 []string
	for _, r := range n.Routes {
		if r.Destination.Addr().Is4() {
			v4 = append(v4, r.String())
		}
	}
	// In a triangle nobody's way leads through a third node unless a cable is cut,
	// so nothing comes back over the link it would leave by: main is all there is.
	want := []string{
		"route 10.7.0.2/32 dev tbt-n2 metric 10 table main",
		"route 10.7.0.2/32 via 10.7.0.3 dev tbt-n3 metric 20 table main",
		"route 10.7.0.3/32 dev tbt-n3 metric 10 table main",
		"route 10.7.0.3/32 via 10.7.0.2 dev tbt-n2 metric 20 table main",
	}
	if diff := cmp.Diff(want, v4); diff != "" {
		t.Errorf("routes of n1 (-want +got):\n%s", diff)
	}
	if got := p.Proof; got.Cases != 18 || got.Delivered != 18 || got.LongestPath != 2 {
		t.Errorf("proof = %+v, want 18 cases, all delivered, 2 hops", got)
	}
	var plug []string
	for _, c := range p.Cables {
		plug = append(plug, c.Ends[0].String()+" "+c.Ends[1].String())
	}
	if diff := cmp.Diff([]string{"n1:p1 n2:p2", "n2:p1 n3:p2", "n3:p1 n1:p2"}, plug); diff != "" {
		t.Errorf("cables (-want +got):\n%s", diff)
	}
}

// In a ring of four a packet can come back over the link it would leave by: the
// port's table sends it round the other way.
func TestRingReturnsHaveTheirOwnTable(t *testing.T) {
	p, fs := Make(cluster(4, 2, "ring"))
	if len(fs) > 0 {
		t.Fatalf("findings: %v", codes(fs))
	}
	for _, n := range p.Nodes {
		tables := map[mesh.Table]int{}
		for _, r := range n.Routes {
			if r.Table != mesh.MainTable {
				tables[r.Table]++
			}
		}
		for _, r := range n.Rules {
			if tables[r.Table] == 0 {
				t.Errorf("%s: rule %v leads to an empty table", n.Name, r)
			}
			if r.Priority != int(r.Table) || r.Priority <= mesh.RulePriorityFirst || r.Priority > mesh.RulePriorityLast {
				t.Errorf("%s: rule %v outside our range", n.Name, r)
			}
		}
		if len(tables) == 0 || len(n.Rules) != 2*len(tables) {
			t.Errorf("%s: %d port tables and %d rules, want one rule per table and family", n.Name, len(tables), len(n.Rules))
		}
	}
}

// Tables stay small: per family N-1 primaries, at most N-1 detours and N-1
// returns, and at most one rule per port.
func TestSizeOfTables(t *testing.T) {
	for _, tt := range []struct {
		shape    string
		n, ports int
	}{{"full-mesh", 5, 4}, {"ring", 8, 2}, {"grid", 9, 4}, {"hypercube", 16, 4}, {"chain", 4, 2}, {"star", 5, 4}} {
		p, fs := Make(cluster(tt.n, tt.ports, tt.shape))
		if finding.HasErrors(fs) {
			t.Fatalf("%s: %v", tt.shape, codes(fs))
		}
		for _, n := range p.Nodes {
			primaries := 0
			for _, r := range n.Routes {
				if r.Table == mesh.MainTable && r.Metric == metricPrimary {
					primaries++
				}
			}
			if primaries != 2*(tt.n-1) {
				t.Errorf("%s of %d: %s has %d primary routes, want %d", tt.shape, tt.n, n.Name, primaries, 2*(tt.n-1))
			}
			if most := 2 * 3 * (tt.n - 1); len(n.Routes) > most {
				t.Errorf("%s of %d: %s has %d routes, want at most %d", tt.shape, tt.n, n.Name, len(n.Routes), most)
			}
			if most := 2 * len(n.Links); len(n.Rules) > most {
				t.Errorf("%s of %d: %s has %d rules, want at most %d", tt.shape, tt.n, n.Name, len(n.Rules), most)
			}
		}
	}
}

func TestFindings(t *testing.T) {
	listed := func(ends ...string) mesh.Cluster {
		c := cluster(3, 2, "")
		for i := 0; i < len(ends); i += 2 {
			var cable mesh.Cable
			cable.Name = fmt.Sprint(i/2 + 1)
			for side := range 2 {
				node, port, _ := strings.Cut(ends[i+side], ":")
				cable.Ends[side] = mesh.Endpoint{Node: node, Port: port}
			}
			c.Cables = append(c.Cables, cable)
		}
		return c
	}
	with := func(c mesh.Cluster, change func(*mesh.Cluster)) mesh.Cluster { change(&c); return c }
	for _, tt := range []struct {
		name    string
		cluster mesh.Cluster
		want    []string
	}{
		{"sound", cluster(3, 2, "ring"), nil},
		{"full mesh without ports", cluster(4, 2, "full-mesh"), []string{"too-many-cables topology"}},
		{"hypercube of three", cluster(3, 2, "hypercube"), []string{"shape-impossible topology"}},
		{"unknown machine", with(cluster(3, 2, "ring"), func(c *mesh.Cluster) { c.Nodes[1].Machine = "um970-pro" }), []string{"unknown-machine nodes[1].machine"}},
		{"no such port", listed("n1:p1", "n2:p9"), []string{"no-such-port cables[0].endpoints[1]"}},
		{"too many cables", listed("n1", "n2", "n1", "n3", "n1", "n2"), []string{"too-many-cables nodes[0]"}},
		{"nothing planned", listed(), []string{"no-cables mesh"}},
		{"parts", listed("n1", "n2"), []string{"unreachable-nodes cables", "single-cable cables[0]"}},
		{"chain", cluster(3, 2, "chain"), []string{"single-cable topology", "single-node nodes[1]"}},
		{"no identity", with(cluster(3, 2, "ring"), func(c *mesh.Cluster) { c.Identity = nil }), []string{"cable-addresses-only mesh"}},
		{"small pool", with(cluster(3, 2, "ring"), func(c *mesh.Cluster) { c.Identity[0] = netip.MustParsePrefix("10.7.1.0/30") }), []string{"pool-too-small identity[0]"}},
		{"unreadable node", with(listed("n1:p1", "n2:p9"), func(c *mesh.Cluster) { c.Nodes[1].Incomplete = true }), []string{"no-cables mesh"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, fs := Make(tt.cluster)
			if diff := cmp.Diff(tt.want, codes(fs), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			for _, f := range fs {
				if f.Kind == nil || f.Message == "" || f.Hint == "" {
					t.Errorf("finding %q lacks kind, message or hint", f.Message)
				}
			}
		})
	}
}

func TestIdentities(t *testing.T) {
	c := cluster(4, 2, "ring")
	c.Identity[0] = netip.MustParsePrefix("10.7.1.0/29")
	c.Nodes[2].Identity = []netip.Addr{netip.MustParseAddr("10.7.1.1")}
	p, fs := Make(c)
	if len(fs) > 0 {
		t.Fatalf("findings: %v", codes(fs))
	}
	var got []string
	for _, n := range p.Nodes {
		got = append(got, fmt.Sprint(n.Identity))
	}
	want := []string{"[10.7.1.2 fd75::1]", "[10.7.1.3 fd75::2]", "[10.7.1.1 fd75::3]", "[10.7.1.4 fd75::4]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identities (-want +got):\n%s", diff)
	}
	// A node appended does not renumber the others.
	c.Nodes = append(c.Nodes, mesh.Node{Name: "n5", Ports: c.Nodes[0].Ports})
	q, _ := Make(c)
	for i := range p.Nodes {
		if !slices.Equal(p.Nodes[i].Identity, q.Nodes[i].Identity) {
			t.Errorf("node %s was renumbered from %v to %v", p.Nodes[i].Name, p.Nodes[i].Identity, q.Nodes[i].Identity)
		}
	}
}

func TestInterfaceNames(t *testing.T) {
	for _, tt := range []struct {
		peer string
		n    int
		want string
	}{
		{"02", 1, "tbt-02"},
		{"02", 2, "tbt-02-2"},
		{"exactly-11c", 1, "tbt-exactly-11c"},
		{"proxmox-rack-left", 1, "tbt-proxmox7d71"},
		{"proxmox-rack-left", 2, "tbt-proxm763c-2"},
	} {
		got, reason := interfaceName(tt.peer, tt.n, map[string]bool{})
		if got != tt.want || reason == "" {
			t.Errorf("interfaceName(%q, %d) = %q, %q, want %q", tt.peer, tt.n, got, reason, tt.want)
		}
	}
}

// Whatever the names, every interface of a node has a name of its own that
// the kernel accepts.
func TestInterfaceNamesUnique(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		peers := rapid.SliceOfN(rapid.StringMatching(`(02|a-very-long-host-name|[a-z]{1,3})(-[23])?[a-z]?`), 1, 30).Draw(t, "peers")
		used, toPeer := map[string]bool{}, map[string]int{}
		for _, peer := range peers {
			toPeer[peer]++
			name, _ := interfaceName(peer, toPeer[peer], used)
			if len(name) > maxInterfaceName || used[name] || !strings.HasPrefix(name, "tbt-") {
				t.Fatalf("%q is no good name (used: %v)", name, used)
			}
			used[name] = true
		}
	})
}

func TestDeterministic(t *testing.T) {
	for _, shape := range []string{"grid", "full-mesh", "ring"} {
		a, _ := Make(cluster(9, 8, shape))
		b, _ := Make(cluster(9, 8, shape))
		if diff := cmp.Diff(a, b, cmp.Comparer(func(x, y netip.Addr) bool { return x == y }), cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); diff != "" {
			t.Errorf("%s planned twice differs:\n%s", shape, diff)
		}
	}
}

func TestSimulate(t *testing.T) {
	p, _ := Make(cluster(4, 2, "ring"))
	sim, fs := Simulate(&p, []string{"n1-n2"})
	if len(fs) > 0 {
		t.Fatalf("findings: %v", codes(fs))
	}
	if len(sim.Pairs)+sim.Same != 12 {
		t.Errorf("%d pairs change and %d stay, want 12 in all", len(sim.Pairs), sim.Same)
	}
	found := false
	for _, pp := range sim.Pairs {
		if pp.From == "n1" && pp.To == "n2" {
			found = true
			if diff := cmp.Diff([]string{"n1", "n4", "n3", "n2"}, pp.During); diff != "" {
				t.Errorf("n1 to n2 (-want +got):\n%s", diff)
			}
		}
	}
	if !found {
		t.Error("n1 to n2 keeps its way although their cable is out")
	}
	if _, fs := Simulate(&p, []string{"n1-n3"}); len(fs) != 1 || fs[0].Code() != "unknown-element" {
		t.Errorf("n1-n3 has no cable: findings %v", codes(fs))
	}
}

func BenchmarkMakeFullMesh64(b *testing.B) {
	c := cluster(64, 63, "full-mesh")
	for b.Loop() {
		if _, fs := Make(c); finding.HasErrors(fs) {
			b.Fatal(codes(fs))
		}
	}
}
