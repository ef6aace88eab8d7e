package render

import (
	"slices"
	"strings"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// nixKeys are keys that NixOS's networkd.nix lets pass (assertOnlyFields), of
// those that a mesh may want, by kind of file and section; * marks the ones that
// have to be integers (assertInt). Read in nixos/modules/system/boot/networkd.nix
// of nixpkgs. [Match] is not checked there.
var nixKeys = map[string]map[string]string{
	"23.11": {
		"link Link":                 "Alias MACAddressPolicy MACAddress NamePolicy Name AlternativeName MTUBytes RxBufferSize*",
		"netdev NetDev":             "Name Kind MTUBytes MACAddress",
		"network Link":              "MACAddress MTUBytes ARP Group* RequiredForOnline RequiredFamilyForOnline ActivationPolicy",
		"network Network":           "DHCP LinkLocalAddressing LLMNR MulticastDNS LLDP EmitLLDP IPForward IPv6AcceptRA IPv6DuplicateAddressDetection* ConfigureWithoutCarrier IgnoreCarrierLoss KeepConfiguration",
		"network Address":           "Address Peer Scope RouteMetric* DuplicateAddressDetection AddPrefixRoute",
		"network Route":             "Gateway GatewayOnLink Destination Source Metric* Scope PreferredSource Table Protocol Type MTUBytes MultiPathRoute",
		"network RoutingPolicyRule": "From To FirewallMark* Table Priority* IncomingInterface OutgoingInterface Family SuppressPrefixLength* Type",
	},
	"24.11": {
		"link Link":                 "Alias MACAddressPolicy MACAddress NamePolicy Name AlternativeName MTUBytes RxBufferSize*",
		"netdev NetDev":             "Name Kind MTUBytes MACAddress",
		"network Link":              "MACAddress MTUBytes ARP Group* RequiredForOnline RequiredFamilyForOnline ActivationPolicy",
		"network Network":           "DHCP LinkLocalAddressing IPv6LinkLocalAddressGenerationMode LLMNR MulticastDNS LLDP EmitLLDP IPv4Forwarding IPv6Forwarding IPv4ReversePathFilter IPv4AcceptLocal IPv6AcceptRA IPv6DuplicateAddressDetection* ConfigureWithoutCarrier IgnoreCarrierLoss KeepConfiguration",
		"network Address":           "Address Peer Scope RouteMetric* DuplicateAddressDetection AddPrefixRoute",
		"network Route":             "Gateway GatewayOnLink Destination Source Metric* Scope PreferredSource Table Protocol Type MTUBytes MultiPathRoute",
		"network RoutingPolicyRule": "From To FirewallMark* Table Priority* IncomingInterface OutgoingInterface Family SuppressPrefixLength* Type",
	},
}

// nixValues are values that NixOS compares with a list (assertValueOneOf), in
// 23.11 and 24.11 alike. Booleans may be the words yes and no (boolValues).
var nixValues = map[string]string{
	"link Link MACAddressPolicy":                "persistent random none",
	"netdev NetDev Kind":                        "dummy bridge",
	"network Link RequiredForOnline":            "yes no no-carrier degraded routable",
	"network Network DHCP":                      "yes no ipv4 ipv6",
	"network Network LinkLocalAddressing":       "yes no ipv4 ipv6",
	"network Network IPv6AcceptRA":              "yes no",
	"network Network LLMNR":                     "yes no resolve",
	"network Network MulticastDNS":              "yes no resolve",
	"network Network LLDP":                      "yes no routers-only",
	"network Network EmitLLDP":                  "yes no nearest-bridge non-tpmr-bridge customer-bridge",
	"network Network ConfigureWithoutCarrier":   "yes no",
	"network Address DuplicateAddressDetection": "ipv4 ipv6 both none",
	"network Route GatewayOnLink":               "yes no",
	"network Route Scope":                       "global site link host nowhere",
	"network RoutingPolicyRule Family":          "ipv4 ipv6 both",
}

func TestNixOSKnowsOurKeys(t *testing.T) {
	plans := []mesh.Plan{seedPlan(), trianglePlan(), intelPlan(), sparePlan()}
	for _, name := range exampleNames(t) {
		plans = append(plans, examplePlan(t, name))
	}
	checked := 0
	for _, p := range plans {
		for i := range p.Nodes {
			for _, kind := range []mesh.LinkKind{mesh.KindDummy, mesh.KindBridge} {
				s, _ := newSystem(p, &p.Nodes[i], Options{IdentityKind: kind})
				for _, u := range s.units {
					checked += checkNixKeys(t, u)
				}
			}
		}
	}
	if checked < 1000 {
		t.Errorf("only %d settings were checked", checked)
	}
}

func checkNixKeys(t *testing.T, u unit) (checked int) {
	t.Helper()
	_, kind, _ := cutLast(u.name, ".")
	for _, s := range u.sections {
		for _, l := range s.settings {
			if s.name == "Match" || l.user {
				continue
			}
			checked++
			place := kind + " " + s.name
			for release, known := range nixKeys {
				keys := strings.Fields(known[place])
				integer := slices.Contains(keys, l.key+"*")
				if !integer && !slices.Contains(keys, l.key) {
					t.Errorf("%s: NixOS %s does not know [%s] %s=", u.name, release, s.name, l.key)
				}
				if integer && !slices.Contains(nixIntegers, l.key) {
					t.Errorf("%s: NixOS %s wants an integer as [%s] %s=", u.name, release, s.name, l.key)
				}
			}
			if values, ok := nixValues[place+" "+l.key]; ok && !slices.Contains(strings.Fields(values), l.value) {
				t.Errorf("%s: NixOS refuses [%s] %s=%s", u.name, s.name, l.key, l.value)
			}
		}
	}
	return checked
}
