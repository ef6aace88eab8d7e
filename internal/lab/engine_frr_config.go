package lab

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// This file writes FRR configurations from a plan. It is pure: the plan goes in,
// text comes out. engine_frr.go runs FRR with it.
//
// All configurations have in common that a node is known by its identity alone:
// no cable has a subnet, and zebra is told to send from the identity. They hold
// routing only; addresses and sysctls are given to the node as frrNodePlan says.
// The commands are those of docs.frrouting.org, tried on FRR 8.4.

// frrProtocol is a routing protocol of FRR.
type frrProtocol string

const (
	frrOSPF       frrProtocol = "ospf"       // OSPFv2 and OSPFv3, RFC 2328 and 5340
	frrBGP        frrProtocol = "bgp"        // eBGP over link-local addresses, RFC 7938 and 8950
	frrOpenFabric frrProtocol = "openfabric" // IS-IS for spine and leaf, draft-white-openfabric
)

// frrProfile is a way to run FRR.
type frrProfile struct {
	Protocol frrProtocol
	// Tuned asks for the shortest reaction that is known to work, and for BFD.
	// Otherwise only what the protocol can't do without is written.
	Tuned bool
}

// daemons lists the daemons to run, in the order in which they start.
func (p frrProfile) daemons() []string {
	d := []string{"zebra"}
	if p.Tuned {
		d = append(d, "bfdd")
	}
	switch p.Protocol {
	case frrOSPF:
		return append(d, "ospfd", "ospf6d")
	case frrBGP:
		return append(d, "bgpd")
	case frrOpenFabric:
		return append(d, "fabricd")
	}
	return d
}

// BFD intervals in milliseconds and the number of packets that may be missed: a
// dead link is noticed after 150 ms.
const (
	bfdProfile    = "usb4mesh"
	bfdInterval   = 50
	bfdMultiplier = 3
)

const (
	// frrTag names the OpenFabric instance, the BGP peer group and so on.
	frrTag = "usb4mesh"
	// frrFirstASN starts the private four-byte AS numbers, RFC 6996.
	frrFirstASN = 4200000000
	// frrCostBase over the speed of a cable in Gbit/s is its cost: 2 for 80
	// Gbit/s, 8 for 20, 32 for 5.
	frrCostBase = 160
)

// frrConfig returns the integrated configuration (frr.conf, for vtysh) of a node.
//
// fabricd of FRR 8.4 refuses the first "ip router openfabric" line for each
// interface ("Couldn't bring up interface") and takes it when the same file is
// loaded again.
func frrConfig(plan *mesh.Plan, node string, profile frrProfile) (string, error) {
	c := frrWriter{plan: plan, profile: profile}
	for i := range plan.Nodes {
		if plan.Nodes[i].Name == node {
			c.node, c.number = &plan.Nodes[i], i+1
		}
	}
	if c.node == nil {
		return "", fmt.Errorf("FRR: the plan has no node %q", node)
	}
	if len(c.node.Identity) == 0 {
		return "", fmt.Errorf("FRR: node %s has no identity to announce: give the cluster file identity pools", node)
	}
	c.line("frr defaults datacenter")
	c.line("hostname %s", node)
	c.line("service integrated-vtysh-config")
	// Nexthop objects go with their interface before zebra 8.4 has updated the
	// groups that hold them; then it can't install the group and leaves the route
	// out for good ("Nexthop id does not exist"). Without objects it can.
	c.line("no zebra nexthop kernel enable")
	if profile.Tuned {
		c.bfd()
	}
	switch profile.Protocol {
	case frrOSPF:
		c.ospf()
	case frrBGP:
		c.bgp()
	case frrOpenFabric:
		c.openFabric()
	default:
		return "", fmt.Errorf("FRR: no configuration is known for the protocol %q", profile.Protocol)
	}
	c.line("!")
	c.line("end")
	return c.text.String(), nil
}

// frrWriter collects the lines of a configuration.
type frrWriter struct {
	plan    *mesh.Plan
	node    *mesh.NodePlan
	number  int // of the node, from 1, in the order of the plan
	profile frrProfile
	text    strings.Builder
}

func (c *frrWriter) line(format string, args ...any) {
	fmt.Fprintf(&c.text, format+"\n", args...)
}

// block writes a section with its lines and the exit that ends it; lines that
// are empty are left out.
func (c *frrWriter) block(head string, lines ...string) {
	c.line("!")
	c.line("%s", head)
	for _, l := range lines {
		if l != "" {
			c.line(" %s", l)
		}
	}
	c.line("exit")
}

// tuned returns the line if the profile is tuned, else nothing.
func (c *frrWriter) tuned(format string, args ...any) string {
	if !c.profile.Tuned {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func (c *frrWriter) bfd() {
	c.block("bfd",
		"profile "+bfdProfile,
		fmt.Sprintf(" receive-interval %d", bfdInterval),
		fmt.Sprintf(" transmit-interval %d", bfdInterval),
		fmt.Sprintf(" detect-multiplier %d", bfdMultiplier),
		"exit")
}

// families calls do for each address family of the node: word is "ip" or "ipv6",
// as in FRR's commands.
func (c *frrWriter) families(do func(word string, identity netip.Addr)) {
	for _, a := range c.node.Identity {
		word := "ip"
		if a.Is6() {
			word = "ipv6"
		}
		do(word, a)
	}
}

// sendFromIdentity makes zebra put the identity as source into every route that
// it learns from a protocol; names holds FRR's name of the protocol by family.
func (c *frrWriter) sendFromIdentity(names map[string]string) {
	c.families(func(word string, id netip.Addr) {
		routeMap := strings.ToUpper(frrTag + "-" + word)
		c.block("route-map "+routeMap+" permit 10", "set src "+id.String())
		c.line("%s protocol %s route-map %s", word, names[word], routeMap)
	})
}

// routerID is the node's IPv4 identity or, in a mesh of IPv6 alone, a number
// that looks like one.
func (c *frrWriter) routerID() netip.Addr {
	for _, a := range c.node.Identity {
		if a.Is4() {
			return a
		}
	}
	return netip.AddrFrom4([4]byte{0, 0, byte(c.number >> 8), byte(c.number)})
}

// cost returns the cost of a link from the speed of its cable.
func (c *frrWriter) cost(l *mesh.LinkPlan) int {
	for _, cable := range c.plan.Cables {
		if cable.Name == l.Cable && cable.Speed > 0 {
			return max(1, frrCostBase/cable.Speed)
		}
	}
	return frrCostBase / mesh.DefaultSpeed
}

// passive writes the section of the identity interface. FRR takes an interface
// without carrier for dead; the identity lives on, even where a bridge without
// ports stands in for the dummy interface.
func (c *frrWriter) passive(lines ...string) {
	c.block("interface "+mesh.IdentityInterface, append([]string{"no link-detect"}, lines...)...)
}

// ospfWords begin the commands of an interface, by family.
var ospfWords = map[string]string{"ip": "ip ospf", "ipv6": "ipv6 ospf6"}

// ospf writes OSPFv2 and OSPFv3: the same network twice. Every cable is point to
// point, so nobody elects a designated router.
func (c *frrWriter) ospf() {
	for i := range c.node.Links {
		l := &c.node.Links[i]
		var lines []string
		c.families(func(word string, _ netip.Addr) {
			p := ospfWords[word]
			lines = append(lines,
				p+" area 0",
				p+" network point-to-point",
				fmt.Sprintf("%s cost %d", p, c.cost(l)),
				c.tuned("%s hello-interval 1", p),
				c.tuned("%s dead-interval 3", p),
				c.tuned("%s bfd", p), // must come before the profile
				c.tuned("%s bfd profile %s", p, bfdProfile))
		})
		c.block("interface "+l.Interface, lines...)
	}
	var passive []string
	c.families(func(word string, _ netip.Addr) {
		p := ospfWords[word]
		passive = append(passive, p+" area 0", p+" passive")
	})
	c.passive(passive...)
	c.families(func(word string, _ netip.Addr) {
		// The first shortest-path run after a change starts at once, the next
		// 20 ms later; 50 ms between versions of a node's own announcement.
		if word == "ip" {
			c.block("router ospf",
				fmt.Sprintf("ospf router-id %s", c.routerID()),
				c.tuned("timers throttle spf 0 20 500"),
				c.tuned("timers throttle lsa all 50"),
				c.tuned("timers lsa min-arrival 0"))
		} else {
			c.block("router ospf6",
				fmt.Sprintf("ospf6 router-id %s", c.routerID()),
				c.tuned("timers throttle spf 0 20 500"),
				c.tuned("timers lsa min-arrival 0"))
		}
	})
	c.sendFromIdentity(map[string]string{"ip": "ospf", "ipv6": "ospf6"})
}

// bgp writes one AS per node and sessions over the link-local addresses of the
// cables, which carry both families. BGP counts hops; it knows no speed of a
// cable. Peers learn each other's address from router advertisements. The
// identity must not stand on ports, see frrNodePlan.
func (c *frrWriter) bgp() {
	for _, l := range c.node.Links {
		c.block("interface "+l.Interface, c.tuned("ipv6 nd ra-interval 1"))
	}
	lines := []string{
		fmt.Sprintf("bgp router-id %s", c.routerID()),
		"no bgp ebgp-requires-policy",
		"bgp bestpath as-path multipath-relax",
		"no bgp network import-check",
		c.tuned("timers bgp 1 3"),
		c.tuned("coalesce-time 20"), // ms from a peer's coming up to the first announcement; else over a second
		"neighbor " + frrTag + " peer-group",
		"neighbor " + frrTag + " remote-as external",
		c.tuned("neighbor %s timers connect 1", frrTag),
		c.tuned("neighbor %s bfd", frrTag),
		c.tuned("neighbor %s bfd profile %s", frrTag, bfdProfile),
	}
	for _, l := range c.node.Links {
		lines = append(lines, "neighbor "+l.Interface+" interface peer-group "+frrTag)
	}
	c.families(func(word string, id netip.Addr) {
		family, activate := "ipv4", ""
		if word == "ipv6" {
			family, activate = "ipv6", " neighbor "+frrTag+" activate" // as ipv4 is by default
		}
		lines = append(lines,
			"address-family "+family+" unicast",
			" network "+mesh.HostPrefix(id).String(),
			activate,
			"exit-address-family")
	})
	c.block(fmt.Sprintf("router bgp %d", frrFirstASN+c.number), lines...)
	c.sendFromIdentity(map[string]string{"ip": "bgp", "ipv6": "bgp"})
}

// openFabric writes fabricd's flavour of IS-IS. FRR 8.4 offers BFD here without
// a profile, so at bfdd's default of 300 ms times 3.
func (c *frrWriter) openFabric() {
	enable := func() (lines []string) {
		c.families(func(word string, _ netip.Addr) { lines = append(lines, word+" router openfabric "+frrTag) })
		return lines
	}
	for i := range c.node.Links {
		l := &c.node.Links[i]
		c.block("interface "+l.Interface, append(enable(),
			fmt.Sprintf("openfabric metric %d", c.cost(l)),
			c.tuned("openfabric hello-interval 1"),
			c.tuned("openfabric hello-multiplier 3"),
			c.tuned("openfabric csnp-interval 2"),
			c.tuned("openfabric bfd"))...)
	}
	c.passive(append(enable(), "openfabric passive")...)
	c.block("router openfabric "+frrTag,
		"net "+c.networkEntityTitle(),
		// Without it a change waits up to 30 s for the next announcement.
		c.tuned("lsp-gen-interval 1"),
		c.tuned("spf-delay-ietf init-delay 0 short-delay 20 long-delay 500 holddown 1000 time-to-learn 500"))
	c.sendFromIdentity(map[string]string{"ip": "openfabric", "ipv6": "openfabric"})
}

// networkEntityTitle is the node's OSI address, ISO 10589: area 49.0001 (49 is
// for private use), the twelve digits of the router id as system id, selector 00.
func (c *frrWriter) networkEntityTitle() string {
	var digits string
	for _, b := range c.routerID().As4() {
		digits += fmt.Sprintf("%03d", b)
	}
	return fmt.Sprintf("49.0001.%s.%s.%s.00", digits[:4], digits[4:8], digits[8:])
}
