package render

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Limits of a user's setting. systemd reads lines of up to 1 MiB (LONG_LINE_MAX).
const maxValue = 64 << 10 // bytes

// repeated are the sections that systemd allows more than once in a .network
// file, one per object: a user's settings there make another object and change
// none of ours.
var repeated = []string{
	"Address", "BridgeFDB", "BridgeMDB", "BridgeVLAN", "IPv6AddressLabel", "IPv6Prefix",
	"IPv6RoutePrefix", "Neighbor", "NextHop", "Route", "RoutingPolicyRule", "SR-IOV",
}

// userNote stands above what the user added.
const userNote = "from the cluster file"

// merge adds the user's settings to a unit. In a section that occurs once, a
// key that we set too is replaced in place, and a comment says so. In a repeated
// section consecutive settings make one more object, until a key comes again.
func merge(u unit, user []mesh.Setting) unit {
	for _, c := range user {
		add := setting{key: c.Key, value: c.Value, user: true}
		if slices.Contains(repeated, c.Section) {
			last := len(u.added) - 1
			if last < 0 || u.added[last].name != c.Section || hasKey(u.added[last], c.Key) {
				u.added = append(u.added, section{name: c.Section, note: userNote})
				last++
			}
			u.added[last].settings = append(u.added[last].settings, add)
			continue
		}
		add.note = userNote
		i := slices.IndexFunc(u.sections, func(s section) bool { return s.name == c.Section })
		if i < 0 {
			u.sections = append(u.sections, sec(c.Section, add))
			continue
		}
		s := &u.sections[i]
		k := slices.IndexFunc(s.settings, func(l setting) bool { return l.key == c.Key && !l.user })
		if k < 0 {
			s.settings = append(s.settings, add)
			continue
		}
		add.note += ", in place of " + c.Key + "=" + s.settings[k].value
		s.settings[k] = add
	}
	return u
}

func hasKey(s section, key string) bool {
	return slices.ContainsFunc(s.settings, func(l setting) bool { return l.key == key })
}

// mergeSysctls puts the user's kernel settings in place of ours or behind them.
func mergeSysctls(ours []mesh.Sysctl, user map[string]string) []mesh.Sysctl {
	all := slices.Clone(ours)
	for _, key := range slices.Sorted(maps.Keys(user)) {
		c := mesh.Sysctl{Path: sysctlPath(key), Value: user[key]}
		if i := slices.IndexFunc(all, func(o mesh.Sysctl) bool { return o.Path == c.Path }); i >= 0 {
			all[i] = c
		} else {
			all = append(all, c)
		}
	}
	return all
}

// sysctlPath returns the form with slashes. sysctl.d(5): if the first separator
// is a dot, dots and slashes change places.
func sysctlPath(key string) string {
	if i := strings.IndexAny(key, "./"); i < 0 || key[i] == '/' {
		return strings.TrimPrefix(key, "/")
	}
	return strings.NewReplacer(".", "/", "/", ".").Replace(key)
}

// checkSettings refuses what would be read back as something else.
func checkSettings(node string, c mesh.Settings) []finding.Finding {
	var fs []finding.Finding
	refuse := func(place, why string) {
		fs = append(fs, finding.New(badSetting, "node %s: setting %s: %s", node, strconv.Quote(place), why))
	}
	for _, list := range [][]mesh.Setting{c.Link, c.Network} {
		for _, s := range list {
			place := s.Section + "." + s.Key
			if !plain(s.Section, "-") || !plain(s.Key, "-") {
				refuse(place, "section and key may have letters, digits and hyphens only")
			}
			if why := badValue(s.Value); why != "" {
				refuse(place, why)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Sysctl)) {
		if !plain(key, "-_./:@") || strings.HasPrefix(key, "-") || strings.Contains("/"+sysctlPath(key)+"/", "/../") {
			refuse(key, "this is no name of a kernel setting")
		}
		if why := badValue(c.Sysctl[key]); why != "" {
			refuse(key, why)
		}
	}
	return fs
}

// plain reports whether s consists of ASCII letters, digits and the given signs.
func plain(s, signs string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(signs, r)
	}) < 0
}

// badValue says why a value can't stand on one line of a file, or "".
func badValue(v string) string {
	switch {
	case len(v) > maxValue:
		return "the value is longer than 64 KiB"
	case !utf8.ValidString(v):
		return "the value is not valid UTF-8"
	case strings.ContainsFunc(v, unicode.IsControl):
		return "the value has a line end or another control character"
	case strings.HasSuffix(strings.TrimRight(v, " \t"), `\`):
		return "the value ends in a backslash, which would join the next line to it"
	}
	return ""
}

// checkNames refuses names that would leave the directory they belong in.
func checkNames(n *mesh.NodePlan) []finding.Finding {
	var fs []finding.Finding
	check := func(what, name string) {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\") ||
			strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name) {
			fs = append(fs, finding.New(badName, "the %s name %s can't be part of a file name", what, strconv.Quote(name)))
		}
	}
	check("node", n.Name)
	for _, l := range n.Links {
		check("interface", l.Interface)
	}
	return fs
}

// checkPorts warns of ports whose interface can't be told from another's.
func checkPorts(n *mesh.NodePlan) []finding.Finding {
	var fs []finding.Finding
	for i, l := range n.Links {
		if pciAddress(l.Port.Path) == "" {
			fs = append(fs, finding.New(noPath, "node %s: port %s has no PCI path, so %s will not get its name", n.Name, l.Port.Name, l.Interface))
			continue
		}
		for _, o := range n.Links[:i] {
			if o.Port.Path == l.Port.Path && (o.Port.Adapter == l.Port.Adapter || o.Port.Adapter*l.Port.Adapter == 0) {
				fs = append(fs, finding.New(sharedPath, "node %s: ports %s and %s have the same PCI path %s; their interfaces may swap", n.Name, o.Port.Name, l.Port.Name, l.Port.Path).
					Hinted("give both ports their lane adapter, as {path: %q, adapter: 1}", l.Port.Path))
			}
		}
	}
	return fs
}
