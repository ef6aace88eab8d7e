package render

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// complaint finds what systemd says of a file it does not understand or a
// setting it can't apply. "file:line: " starts every message of its parser.
var complaint = regexp.MustCompile(`(?m)^.*(\.(link|netdev|network|conf):\d+:|Unknown key|Unknown section|Failed|Invalid|Could not|Couldn't).*$`)

// harmless is what it says of interfaces without a driver, wherever it runs.
var harmless = regexp.MustCompile(`Failed to get driver, ignoring|Failed to open device node`)

// comparable lets go-cmp look at addresses.
var comparable = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

func TestNetworkdReal(t *testing.T) {
	for _, tc := range []struct {
		name, node string
		plan       mesh.Plan
	}{
		{"identity", "03", trianglePlan()},
		{"point to point", "03", seedPlan()},
		{"parallel cables and settings", "nuc", intelPlan()},
		{"gateway without a direct route", "01", sparePlan()},
	} {
		t.Run(tc.name, func(t *testing.T) { runNetworkd(t, tc.plan, tc.node) })
	}
}

// runNetworkd renders a node, lets the real programs read it, and compares the
// kernel with the plan.
func runNetworkd(t *testing.T, p mesh.Plan, node string) {
	t.Helper()
	n := p.Node(node)
	files := mustRender(t, p, node, Networkd, Options{IdentityKind: mesh.KindBridge})
	j := job{Files: files, Identity: len(n.Identity) > 0}
	for _, l := range n.Links {
		j.Ports = append(j.Ports, l.Interface)
	}
	o := inNamespace(t, j)
	for what, log := range map[string]string{"systemd-networkd": o.Log, "udevadm": o.LinkLog, "systemd-sysctl": o.SysctlLog} {
		for _, line := range complaint.FindAllString(log, -1) {
			if !harmless.MatchString(line) {
				t.Errorf("%s: %s", what, line)
			}
		}
	}
	for _, name := range j.Ports {
		if !strings.Contains(o.Log, name+": Configuring with /etc/systemd/network/50-"+name+".network") {
			t.Errorf("%s was not configured with our file:\n%s", name, o.Log)
		}
		if file := "/etc/systemd/network/50-" + name + ".link"; !strings.Contains(o.LinkLog, file) {
			t.Errorf("udevadm did not read %s:\n%s", file, o.LinkLog)
		}
	}
	want := wantKernel(p, n)
	for _, then := range []struct {
		what string
		kernelState
	}{{"plugging", o.Plugged}, {"replugging", o.Replugged}, {"losing carrier", o.Recovered}} {
		if d := gocmp.Diff(want, ours(t, then.kernelState), comparable); d != "" {
			t.Errorf("after %s (-plan +kernel):\n%s", then.what, d)
		}
	}
	if j.Identity {
		if o.WaitOnline != "" {
			t.Errorf("systemd-networkd-wait-online: %s", o.WaitOnline)
		}
		if got, want := o.Aliases["umesh0"], mesh.AliasPrefix+p.Mesh; got != want {
			t.Errorf("alias of umesh0 is %q, want %q", got, want)
		}
	}
}

// wantKernel is the state that the plan asks for, as far as networkd and sysctl.d make it.
func wantKernel(p mesh.Plan, n *mesh.NodePlan) mesh.State {
	s := n.Want(p.Mesh, p.MTU)
	s.Sysctls = mergeSysctls(s.Sysctls, n.Settings.Sysctl)
	for i := range s.Links {
		s.Links[i].Kind, s.Links[i].Alias = "", "" // udev's work
	}
	return sorted(s)
}

// ours picks what the plan speaks of out of what the kernel holds.
func ours(t *testing.T, k kernelState) mesh.State {
	t.Helper()
	var s mesh.State
	for _, l := range k.Links {
		if l.Name != mesh.IdentityInterface && !strings.HasPrefix(l.Name, "tbt-") {
			continue
		}
		s.Links = append(s.Links, mesh.Link{Name: l.Name, MTU: l.MTU, Up: slices.Contains(l.Flags, "UP")})
		for _, a := range l.Addresses {
			local := netip.MustParseAddr(a.Local)
			if local.IsLinkLocalUnicast() {
				continue
			}
			if local.Is6() && !a.NoDAD {
				t.Errorf("%s on %s would be checked for duplicates", local, l.Name)
			}
			got := mesh.Address{Interface: l.Name, Local: netip.PrefixFrom(local, a.Length)}
			if a.Address != "" { // iproute2 shows the peer's length only
				got.Local, got.Peer = mesh.HostPrefix(local), netip.PrefixFrom(netip.MustParseAddr(a.Address), a.Length)
			}
			s.Addresses = append(s.Addresses, got)
		}
	}
	for _, r := range k.Routes {
		if r.Protocol != strconv.Itoa(mesh.RouteProtocol) {
			continue
		}
		got := mesh.Route{Destination: host(r.Dst), Interface: r.Dev, Metric: r.Metric, Table: table(t, r.Table), Protocol: mesh.RouteProtocol, Source: netip.MustParseAddr(r.Source)}
		if r.Gateway != "" && r.Gateway != r.Dst { // the neighbour as its own gateway, see routes.go
			got.Via = netip.MustParseAddr(r.Gateway)
		}
		if got.Destination.Addr().Is4() {
			if onlink := slices.Contains(r.Flags, "onlink"); onlink != got.Via.IsValid() {
				t.Errorf("%v: onlink is %v", got, onlink)
			}
			if link := r.Scope == "253"; link == got.Via.IsValid() {
				t.Errorf("%v: scope is %s", got, r.Scope)
			}
		}
		s.Routes = append(s.Routes, got)
	}
	for _, r := range k.Rules {
		if r.Priority >= mesh.RulePriorityFirst && r.Priority <= mesh.RulePriorityLast {
			s.Rules = append(s.Rules, mesh.Rule{Incoming: r.Incoming, Table: table(t, r.Table), Priority: r.Priority, IPv6: r.IPv6})
		}
	}
	for key, value := range k.Sysctls {
		s.Sysctls = append(s.Sysctls, mesh.Sysctl{Path: key, Value: value})
	}
	return sorted(s)
}

func table(t *testing.T, number string) mesh.Table {
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Errorf("table %q is no number", number)
	}
	return mesh.Table(n)
}

// sorted puts a state in an order that its parts alone decide.
func sorted(s mesh.State) mesh.State {
	slices.SortFunc(s.Links, func(a, b mesh.Link) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Addresses, byString)
	slices.SortFunc(s.Routes, byString)
	slices.SortFunc(s.Rules, byString)
	slices.SortFunc(s.Sysctls, byString)
	return s
}

func byString[T interface{ String() string }](a, b T) int { return cmp.Compare(a.String(), b.String()) }
