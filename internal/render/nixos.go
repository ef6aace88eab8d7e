package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// writeNixOS writes a NixOS module that evaluates on NixOS 23.11 and later.
//
// NixOS checks the keys and types of systemd.network at evaluation
// (nixos/modules/system/boot/networkd.nix), so only keys that 23.11 and 24.11
// both know stand in attribute sets; nixos_keys_test.go has the list. What the
// user adds goes into extraConfig, which is not checked.
func writeNixOS(s system) []File {
	w := &nixWriter{}
	w.b.WriteString(s.header())
	name := "usb4mesh-" + s.node + ".nix"
	w.line("#")
	w.line("# In configuration.nix: imports = [ ./" + oneLine(name) + " ];")
	w.line("{ config, lib, ... }:")
	w.nixLet(s)
	w.block("{", "}", func() {
		w.line("# Without the module neither end of a cable offers the network service to the other.")
		w.line("boot.kernelModules = ", nixList([]string{s.module}), ";")
		if len(s.sysctls) > 0 {
			w.line()
			w.line("# A leading - lets a line fail while the interface does not exist; udev applies it again later.")
			w.block("boot.kernel.sysctl = {", "};", func() {
				for _, c := range s.sysctls {
					w.line(nixString(sysctlKey(c.Path)), " = ", nixString(c.Value), ";")
				}
			})
		}
		w.nixNeighbours(s)
		w.line()
		w.block("systemd.network = {", "};", func() {
			w.line("enable = true;")
			w.nixWaitOnline(s)
			for _, u := range s.units {
				w.nixUnit(u)
			}
		})
	})
	return []File{{name, 0o644, []byte(w.b.String())}}
}

// nixNeighbours keeps other network managers and the firewall out of the way.
func (w *nixWriter) nixNeighbours(s system) {
	all := slices.Clone(s.interfaces)
	if s.identity {
		all = append(all, mesh.IdentityInterface)
	}
	if len(all) == 0 {
		return
	}
	var unmanaged []string
	for _, name := range all {
		unmanaged = append(unmanaged, "interface-name:"+name)
	}
	w.line()
	w.line("networking.dhcpcd.denyInterfaces = ", nixList(all), ";")
	w.line("networking.networkmanager.unmanaged = ", nixList(unmanaged), ";")
	w.line("networking.firewall.trustedInterfaces = ", nixList(all), ";")
	w.line("# A detour comes back over another cable, which a strict check takes for a forgery.")
	w.line(`networking.firewall.checkReversePath = "loose";`)
}

// nixSections says where NixOS wants a section: an attribute set, or a list of
// sets, which needed a wrapper up to 24.05 (nixpkgs pull request 312472).
var nixSections = map[string]struct{ attribute, wrapper, function string }{
	"Match":             {attribute: "matchConfig"},
	"Link":              {attribute: "linkConfig"},
	"NetDev":            {attribute: "netdevConfig"},
	"Network":           {attribute: "networkConfig"},
	"Address":           {"addresses", "addressConfig", "address"},
	"Route":             {"routes", "routeConfig", "route"},
	"RoutingPolicyRule": {"routingPolicyRules", "routingPolicyRuleConfig", "rule"},
}

// nixIntegers are the keys that NixOS wants as integers (assertInt).
var nixIntegers = []string{"IPv6DuplicateAddressDetection", "Metric", "Priority", "Protocol", "Table"}

// nixLet writes the let block: the names of our networks, and the functions that
// wrap list entries, of those the ones that the module uses.
func (w *nixWriter) nixLet(s system) {
	var networks, functions []string
	for _, u := range s.units {
		if name, kind, _ := cutLast(u.name, "."); kind == "network" {
			networks = append(networks, name)
		}
	}
	for _, name := range []string{"Address", "Route", "RoutingPolicyRule"} {
		used := slices.ContainsFunc(s.units, func(u unit) bool {
			return slices.ContainsFunc(u.sections, func(c section) bool { return c.name == name })
		})
		if used {
			n := nixSections[name]
			functions = append(functions, fmt.Sprintf("%s = wrap %s;", n.function, nixString(n.wrapper)))
		}
	}
	w.block("let", "in", func() {
		w.line("ours = ", nixList(networks), ";")
		if functions == nil {
			return
		}
		w.line("# Up to NixOS 24.05 a list entry wraps its settings: { addressConfig = { ... }; }.")
		w.line(`legacy = lib.versionOlder lib.trivial.release "24.11";`)
		w.line("wrap = name: settings: if legacy then { ${name} = settings; } else settings;")
		for _, f := range functions {
			w.line(f)
		}
	})
}

// nixWaitOnline keeps the mesh out of what "online" means. Where networkd manages
// nothing but the mesh, NixOS's wait-online would wait in vain, two minutes of each
// boot; where it manages the uplink too and any interface will do (the default with
// networking.useDHCP), the identity interface would be online before the uplink is.
func (w *nixWriter) nixWaitOnline(s system) {
	w.line()
	w.line("# The mesh does not make the machine online, and nobody waits for it.")
	w.block("wait-online = {", "};", func() {
		w.line("enable = lib.mkDefault (builtins.any (name: !(builtins.elem name ours)) (builtins.attrNames config.systemd.network.networks));")
		if s.identity {
			w.line("ignoredInterfaces = ", nixList([]string{mesh.IdentityInterface}), ";")
		}
	})
}

// nixUnit writes one entry of links, netdevs or networks.
func (w *nixWriter) nixUnit(u unit) {
	name, kind, _ := cutLast(u.name, ".")
	w.line()
	if u.note != "" {
		w.line("# ", u.note)
	}
	w.block(kind+"s."+nixString(name)+" = {", "};", func() {
		var extra []string
		for i := 0; i < len(u.sections); {
			first := u.sections[i]
			n := nixSections[first.name]
			switch {
			case n.attribute == "":
				// Only the user's settings make sections that are not in the table.
			case n.wrapper == "":
				w.nixSection(n.attribute, first)
			default:
				w.block(n.attribute+" = [", "];", func() {
					for ; i < len(u.sections) && u.sections[i].name == first.name; i++ {
						w.block("("+n.function+" {", "})", func() { w.nixSettings("", u.sections[i]) })
					}
				})
				continue
			}
			extra = append(extra, userLines(first)...)
			i++
		}
		for _, s := range u.added {
			extra = append(extra, userLines(s)...)
		}
		if extra != nil {
			w.line("# From the cluster file.")
			w.block(`extraConfig = builtins.concatStringsSep "\n" [`, "];", func() {
				for _, l := range append(extra, "") { // the last line ends, too
					w.line(nixString(l))
				}
			})
		}
	})
}

// nixSection writes our settings of a section as an attribute set.
func (w *nixWriter) nixSection(attribute string, s section) {
	ours := 0
	for _, l := range s.settings {
		if !l.user {
			ours++
		}
	}
	if ours < 2 {
		w.nixSettings(attribute+".", s)
		return
	}
	w.block(attribute+" = {", "};", func() { w.nixSettings("", s) })
}

// nixSettings writes our settings of a section, one line each.
func (w *nixWriter) nixSettings(prefix string, s section) {
	for _, l := range s.settings {
		if l.user {
			continue
		}
		value := nixString(l.value)
		if slices.Contains(nixIntegers, l.key) {
			value = l.value
		}
		w.line(prefix, l.key, " = ", value, ";")
	}
}

// userLines returns the user's settings of a section as lines of a systemd file.
func userLines(s section) []string {
	lines := []string{"[" + s.name + "]"}
	for _, l := range s.settings {
		if l.user {
			lines = append(lines, l.key+"="+l.value)
		}
	}
	if len(lines) == 1 {
		return nil
	}
	return lines
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
