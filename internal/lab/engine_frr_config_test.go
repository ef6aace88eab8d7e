package lab

import (
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

var updateGolden = flag.Bool("update-frr", false, "write testdata/frr anew")

// planOf plans a cluster file of the examples or of this test.
func planOf(t *testing.T, name, text string) mesh.Plan {
	t.Helper()
	c, read := config.Parse(name, []byte(text))
	p, planned := plan.Make(c)
	for _, f := range append(read, planned...) {
		if f.Severity == finding.Error {
			t.Fatal(f)
		}
	}
	return p
}

func examplePlan(t *testing.T, name string) mesh.Plan {
	t.Helper()
	file := filepath.Join("..", "..", "examples", name, "mesh.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return planOf(t, file, string(text))
}

// ipv6Only has cables of different speeds.
const ipv6Only = `
mesh: six
identity: ["fd75:7362:3406::/64"]
nodes:
  - {name: alpha, machine: um790-pro}
  - {name: beta, machine: um790-pro}
  - {name: gamma, machine: um790-pro}
cables:
  - {endpoints: [alpha, beta], speed: 40}
  - {endpoints: [beta, gamma], speed: 20}
  - {endpoints: [gamma, alpha], speed: 10}
`

func TestFRRConfig(t *testing.T) {
	triangle, six := examplePlan(t, "seed-identity"), planOf(t, "six.yaml", ipv6Only)
	for _, tt := range []struct {
		file    string
		plan    mesh.Plan
		node    string
		profile frrProfile
	}{
		{"ospf.conf", triangle, "01", frrProfile{frrOSPF, true}},
		{"ospf-default.conf", triangle, "01", frrProfile{frrOSPF, false}},
		{"ospf-ipv6.conf", six, "gamma", frrProfile{frrOSPF, true}},
		{"bgp.conf", triangle, "02", frrProfile{frrBGP, true}},
		{"bgp-ipv6.conf", six, "beta", frrProfile{frrBGP, true}},
		{"openfabric.conf", triangle, "03", frrProfile{frrOpenFabric, true}},
		{"openfabric-default.conf", triangle, "03", frrProfile{frrOpenFabric, false}},
		{"openfabric-ipv6.conf", six, "alpha", frrProfile{frrOpenFabric, true}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			got, err := frrConfig(&tt.plan, tt.node, tt.profile)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "frr", tt.file)
			if *updateGolden {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			checkSyntax(t, file)
		})
	}
}

// checkSyntax asks FRR's own parser, which needs no daemon.
func checkSyntax(t *testing.T, file string) {
	t.Helper()
	if _, err := exec.LookPath("vtysh"); err != nil {
		t.Logf("the syntax is not checked: %v", err)
		return
	}
	out, err := exec.Command("vtysh", "--dryrun", "--config_dir", t.TempDir(), "-H", "/dev/null", "--inputfile", file).CombinedOutput()
	if err != nil {
		t.Errorf("vtysh --dryrun %s: %v\n%s", file, err, out)
	}
}

func TestFRRConfigRefuses(t *testing.T) {
	triangle, bare := examplePlan(t, "seed-identity"), examplePlan(t, "seed")
	for _, tt := range []struct {
		name, want string
		plan       mesh.Plan
		node       string
		profile    frrProfile
	}{
		{"unknown node", `no node "04"`, triangle, "04", frrProfile{frrOSPF, true}},
		{"unknown protocol", `protocol "rip"`, triangle, "01", frrProfile{"rip", true}},
		{"no identity", "no identity", bare, "01", frrProfile{frrOSPF, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := frrConfig(&tt.plan, tt.node, tt.profile)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestFRRNodePlan: FRR gets a node without routes, and the plan stays as it is.
func TestFRRNodePlan(t *testing.T) {
	p := examplePlan(t, "seed-identity")
	before := examplePlan(t, "seed-identity")
	for _, protocol := range []frrProtocol{frrOSPF, frrBGP, frrOpenFabric} {
		n := frrNodePlan(&p.Nodes[0], protocol)
		if len(n.Routes)+len(n.Rules) > 0 {
			t.Errorf("%s: %d routes and %d rules are left", protocol, len(n.Routes), len(n.Rules))
		}
		for _, s := range n.Sysctls {
			if strings.HasSuffix(s.Path, "/rp_filter") && s.Value != "0" {
				t.Errorf("%s: %s", protocol, s)
			}
		}
		for _, l := range n.Links {
			if has := len(l.Addresses) > 0; has == (protocol == frrBGP) {
				t.Errorf("%s: %s has addresses %v", protocol, l.Interface, l.Addresses)
			}
		}
	}
	if diff := cmp.Diff(before, p, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("the plan itself has changed (-before +after):\n%s", diff)
	}
}
