package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// nixModule is an evaluated NixOS module, as far as we write one.
type nixModule struct {
	Boot struct {
		KernelModules []string `json:"kernelModules"`
		Kernel        struct {
			Sysctl map[string]string `json:"sysctl"`
		} `json:"kernel"`
	} `json:"boot"`
	Networking struct {
		Dhcpcd struct {
			DenyInterfaces []string `json:"denyInterfaces"`
		} `json:"dhcpcd"`
		NetworkManager struct {
			Unmanaged []string `json:"unmanaged"`
		} `json:"networkmanager"`
		Firewall struct {
			TrustedInterfaces []string `json:"trustedInterfaces"`
			CheckReversePath  string   `json:"checkReversePath"`
		} `json:"firewall"`
	} `json:"networking"`
	Systemd struct {
		Network struct {
			Enable     bool `json:"enable"`
			WaitOnline struct {
				Enable            bool     `json:"enable"`
				IgnoredInterfaces []string `json:"ignoredInterfaces"`
			} `json:"wait-online"`
			Links    map[string]nixEntry `json:"links"`
			Netdevs  map[string]nixEntry `json:"netdevs"`
			Networks map[string]nixEntry `json:"networks"`
		} `json:"network"`
	} `json:"systemd"`
}

// nixEntry is one unit of systemd.network.
type nixEntry struct {
	Match   map[string]any   `json:"matchConfig"`
	Link    map[string]any   `json:"linkConfig"`
	NetDev  map[string]any   `json:"netdevConfig"`
	Network map[string]any   `json:"networkConfig"`
	Address []map[string]any `json:"addresses"`
	Route   []map[string]any `json:"routes"`
	Rule    []map[string]any `json:"routingPolicyRules"`
	Extra   string           `json:"extraConfig"`
}

// releases are the two styles of list entries.
var releases = []struct {
	name, lib string
	legacy    bool
}{
	{"23.11", nixLib("23.11"), true},
	{"25.05", nixLib("25.05"), false},
}

// nixLib stands in for nixpkgs' lib, as far as our modules use it.
func nixLib(release string) string {
	return `{ trivial.release = "` + release + `"; versionOlder = a: b: builtins.compareVersions b a == 1; mkDefault = value: value; }`
}

// nixEval evaluates an expression and decodes what it gives.
func nixEval(t testing.TB, expression string, into any) {
	t.Helper()
	// The dummy store is in memory: an ordinary user may not write below /nix.
	cmd := exec.Command("nix-instantiate", "--eval", "--strict", "--json", "--readonly-mode", "--store", "dummy://", "-")
	cmd.Stdin = strings.NewReader(expression)
	cmd.Env = append(os.Environ(), "NIX_REMOTE=", "NIX_PATH=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("nix-instantiate: %v\n%s", err, stderr.String())
	}
	d := json.NewDecoder(bytes.NewReader(out))
	d.UseNumber()
	d.DisallowUnknownFields() // what these tests do not look at, we must not write
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func hasNix() bool {
	_, err := exec.LookPath("nix-instantiate")
	return err == nil
}

func needNix(t *testing.T) {
	t.Helper()
	if !hasNix() {
		t.Skip("needs nix-instantiate (Debian: nix-bin)")
	}
}

// evalModule evaluates a rendered module in the style of a release. The networks
// named are those that somebody else configures on the machine.
func evalModule(t testing.TB, f File, lib string, others ...string) nixModule {
	t.Helper()
	var m nixModule
	nixEval(t, "let module = ("+string(f.Data)+"); self = module "+nixArguments(lib, others...)+"; in self", &m)
	return m
}

// nixArguments are a module's. The configuration it sees holds its own networks,
// called self, and others.
func nixArguments(lib string, others ...string) string {
	set := ""
	for _, name := range others {
		set += nixString(name) + " = { }; "
	}
	return "{ lib = " + lib + "; config.systemd.network.networks = self.systemd.network.networks // { " + set + "}; }"
}

// TestNixOSWaitOnline: the boot waits for networkd only if that has more than the mesh.
func TestNixOSWaitOnline(t *testing.T) {
	needNix(t)
	for _, tc := range []struct {
		plan    mesh.Plan
		others  []string
		enable  bool
		ignored []string
	}{
		{trianglePlan(), nil, false, []string{"umesh0"}},
		{trianglePlan(), []string{"99-ethernet-default-dhcp"}, true, []string{"umesh0"}},
		{seedPlan(), nil, false, nil},
		{seedPlan(), []string{"40-eno1"}, true, nil},
	} {
		f := mustRender(t, tc.plan, "03", NixOS, Options{})[0]
		got := evalModule(t, f, releases[1].lib, tc.others...).Systemd.Network.WaitOnline
		if got.Enable != tc.enable || !slices.Equal(got.IgnoredInterfaces, tc.ignored) {
			t.Errorf("%s with other networks %v: %+v", tc.plan.Mesh, tc.others, got)
		}
	}
}

func TestNixOSSeed(t *testing.T) {
	needNix(t)
	published, err := os.ReadFile(filepath.Join("testdata", "seed-03.nix"))
	if err != nil {
		t.Fatal(err)
	}
	var seed nixModule
	nixEval(t, string(published), &seed)
	want := seedFacts(t, seed, true)
	for _, p := range []mesh.Plan{seedPlan(), examplePlan(t, "seed")} {
		files := mustRender(t, p, "03", NixOS, Options{})
		for _, r := range releases {
			got := seedFacts(t, evalModule(t, files[0], r.lib), r.legacy)
			if d := gocmp.Diff(want, got); d != "" {
				t.Errorf("NixOS %s (-published +ours):\n%s", r.name, d)
			}
		}
	}
}

// seedFacts returns per interface name what the published module says: match
// rule, name and addresses with peers. A network is found by its name or, as in
// the published module, by the same match rule as the link.
func seedFacts(t *testing.T, m nixModule, legacy bool) map[string][]string {
	t.Helper()
	facts := map[string][]string{}
	byMatch := map[string]string{}
	for unit, l := range m.Systemd.Network.Links {
		name := fmt.Sprint(l.Link["Name"])
		rule := fmt.Sprintf("match %v %v", l.Match["Path"], l.Match["Driver"])
		byMatch[rule] = name
		facts[name] = append(facts[name], "link "+unit, rule, fmt.Sprint("mac ", l.Link["MACAddressPolicy"]))
	}
	for _, n := range m.Systemd.Network.Networks {
		name, ok := n.Match["Name"].(string)
		if !ok {
			name = byMatch[fmt.Sprintf("match %v %v", n.Match["Path"], n.Match["Driver"])]
		}
		for _, a := range unwrap(t, n.Address, "addressConfig", legacy) {
			facts[name] = append(facts[name], fmt.Sprintf("address %v peer %v", a["Address"], a["Peer"]))
		}
	}
	for _, f := range facts {
		slices.Sort(f)
	}
	return facts
}

// unwrap takes list entries out of the wrapper of the old style.
func unwrap(t *testing.T, entries []map[string]any, wrapper string, legacy bool) []map[string]any {
	t.Helper()
	if !legacy {
		return entries
	}
	var out []map[string]any
	for _, e := range entries {
		inner, ok := e[wrapper].(map[string]any)
		if !ok || len(e) != 1 {
			t.Fatalf("entry %v is not wrapped in %s", e, wrapper)
		}
		out = append(out, inner)
	}
	return out
}

// TestNixOSSaysTheSame compares the evaluated module, made into systemd files
// the way NixOS does, with the files that are rendered for networkd.
func TestNixOSSaysTheSame(t *testing.T) {
	needNix(t)
	for _, tc := range []struct {
		name, node string
		plan       mesh.Plan
	}{
		{"seed", "03", seedPlan()},
		{"triangle", "02", trianglePlan()},
		{"intel", "nuc", intelPlan()},
		{"spare", "01", sparePlan()},
		{"two-cables", "", examplePlan(t, "two-cables")},
		{"petersen", "", examplePlan(t, "petersen")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			node := cmp.Or(tc.node, tc.plan.Nodes[0].Name)
			want := map[string][]string{}
			for _, f := range mustRender(t, tc.plan, node, Networkd, Options{}) {
				want[filepath.Base(f.Path)] = iniFacts(t, string(f.Data))
			}
			nix := mustRender(t, tc.plan, node, NixOS, Options{})
			for _, r := range releases {
				got := unitFacts(t, evalModule(t, nix[0], r.lib), r.legacy)
				if d := gocmp.Diff(want, got); d != "" {
					t.Errorf("NixOS %s (-networkd +nixos):\n%s", r.name, d)
				}
			}
		})
	}
}

// iniFacts returns the sections of a systemd file, each as one sorted string.
// Equal names of sections that occur once are joined, as systemd does.
func iniFacts(t *testing.T, text string) []string {
	t.Helper()
	var names []string
	var lines [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch name, ok := strings.CutPrefix(line, "["); {
		case line == "" || strings.HasPrefix(line, "#"):
		case ok:
			name = strings.TrimSuffix(name, "]")
			if at := slices.Index(names, name); at >= 0 && !slices.Contains(repeated, name) {
				names, lines = append(names, name), append(lines, lines[at])
				names[at], lines[at] = "", nil
				continue
			}
			names, lines = append(names, name), append(lines, nil)
		case len(names) == 0:
			names, lines = append(names, "-"), append(lines, []string{strings.ReplaceAll(line, " = ", "=")})
		default:
			lines[len(lines)-1] = append(lines[len(lines)-1], strings.ReplaceAll(line, " = ", "="))
		}
	}
	var out []string
	for i, name := range names {
		if name != "" {
			slices.Sort(lines[i])
			out = append(out, "["+name+"] "+strings.Join(lines[i], " "))
		}
	}
	slices.Sort(out)
	return out
}

// unitFacts makes systemd files of a module, and what iniFacts makes of those.
func unitFacts(t *testing.T, m nixModule, legacy bool) map[string][]string {
	t.Helper()
	if !m.Systemd.Network.Enable {
		t.Error("systemd.network is not enabled")
	}
	out := map[string][]string{"usb4mesh.conf": {"[-] " + strings.Join(m.Boot.KernelModules, " ")}}
	if len(m.Boot.Kernel.Sysctl) > 0 {
		out["90-usb4mesh.conf"] = []string{"[-] " + strings.Join(assignments(m.Boot.Kernel.Sysctl), " ")}
	}
	for kind, entries := range map[string]map[string]nixEntry{"link": m.Systemd.Network.Links, "netdev": m.Systemd.Network.Netdevs, "network": m.Systemd.Network.Networks} {
		for name, e := range entries {
			var b strings.Builder
			section := func(name string, set map[string]any) {
				if len(set) > 0 {
					b.WriteString("[" + name + "]\n" + strings.Join(assignments(set), "\n") + "\n")
				}
			}
			section("Match", e.Match)
			section("Link", e.Link)
			section("NetDev", e.NetDev)
			section("Network", e.Network)
			for _, a := range unwrap(t, e.Address, "addressConfig", legacy) {
				section("Address", a)
			}
			for _, r := range unwrap(t, e.Route, "routeConfig", legacy) {
				section("Route", r)
			}
			for _, r := range unwrap(t, e.Rule, "routingPolicyRuleConfig", legacy) {
				section("RoutingPolicyRule", r)
			}
			out[name+"."+kind] = iniFacts(t, b.String()+e.Extra)
		}
	}
	return out
}

func assignments[V any](set map[string]V) []string {
	var out []string
	for k, v := range set {
		out = append(out, fmt.Sprintf("%s=%v", k, v))
	}
	slices.Sort(out)
	return out
}

// TestNixString lets Nix read back every sort of string.
func TestNixString(t *testing.T) {
	needNix(t)
	rapid.Check(t, func(rt *rapid.T) {
		hard := rapid.StringOf(rapid.SampledFrom([]rune("$${}\"'\\\n\r\t na~;/*#\u2028é\x01\x7f")))
		want := rapid.SliceOfN(rapid.OneOf(hard, rapid.String()), 1, 60).Draw(rt, "strings")
		for i, s := range want {
			want[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
		}
		var got []string
		nixEval(t, nixList(want), &got)
		if d := gocmp.Diff(want, got); d != "" {
			rt.Fatalf("(-want +read back):\n%s", d)
		}
	})
}

// TestNixOSSettings lets Nix read back settings that the checks let pass.
func TestNixOSSettings(t *testing.T) {
	needNix(t)
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.StringOf(rapid.OneOf(rapid.SampledFrom([]rune(`$${}"'\ ;#%[]=`)), rapid.Rune()))
		p := intelPlan()
		n := &p.Nodes[0]
		n.Settings = mesh.Settings{Sysctl: map[string]string{}}
		var want []string
		for i := range rapid.IntRange(1, 20).Draw(rt, "settings") {
			v := value.Draw(rt, "value")
			if badValue(v) != "" || !utf8.ValidString(v) {
				continue
			}
			n.Settings.Network = append(n.Settings.Network, mesh.Setting{Section: "Extra", Key: fmt.Sprint("Key", i), Value: v})
			n.Settings.Sysctl[fmt.Sprint("net/extra/key", i)] = v
			want = append(want, fmt.Sprint("Key", i, "=", v))
		}
		files, fs := Files(p, n.Name, NixOS)
		if len(files) != 1 {
			rt.Fatalf("%d files, %v", len(files), fs)
		}
		m := evalModule(t, files[0], releases[1].lib)
		for _, l := range n.Links {
			text := ""
			if want != nil {
				text = "[Extra]\n" + strings.Join(want, "\n") + "\n"
			}
			if d := gocmp.Diff(text, m.Systemd.Network.Networks["50-"+l.Interface].Extra); d != "" {
				rt.Fatalf("(-want +read back):\n%s", d)
			}
		}
		for key, v := range n.Settings.Sysctl {
			if m.Boot.Kernel.Sysctl[key] != v {
				rt.Fatalf("%s: want %q, read back %q", key, v, m.Boot.Kernel.Sysctl[key])
			}
		}
	})
}
