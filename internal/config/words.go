package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode"
)

// Patterns shared by the parser and the JSON Schema.
const (
	labelPattern   = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`                // RFC 1123 section 2.1
	pathPattern    = `^pci-[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$` // udev's path_id, src/udev/udev-builtin-path_id.c
	endPattern     = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$`
	sectionPattern = `^[A-Za-z][A-Za-z0-9-]*$`
	sysctlPattern  = `^[a-z0-9_]+([./][A-Za-z0-9_*:-]+)+$`
	linePattern    = `^([^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\\])?$` // no line break, no systemd line continuation
)

// Each of these functions says what is wrong with a word, and what to write
// instead; problem is "" where nothing is wrong.

var transcribe = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", "Ä", "ae", "Ö", "oe", "Ü", "ue", "é", "e", "è", "e", "á", "a", "à", "a", "ø", "oe", "å", "aa", "ñ", "n", "ç", "c")

func checkLabel(s string) (problem, hint string) {
	name := clip(s)
	proposal := proposeLabel(s)
	hint = "use lower-case letters, digits and hyphens"
	if proposal != "" {
		hint = fmt.Sprintf("write, for example, %q", proposal)
	}
	switch {
	case s == "":
		return "the name is empty", hint
	case len(s) > 63:
		return fmt.Sprintf("%s has %d bytes, a host name label has at most 63 (RFC 1123)", name, len(s)), "choose a shorter name"
	case strings.HasPrefix(s, "-"), strings.HasSuffix(s, "-"):
		return fmt.Sprintf("%s begins or ends with a hyphen", name), hint
	case strings.Contains(s, "."):
		first, _, _ := strings.Cut(s, ".")
		if proposal = proposeLabel(first); proposal != "" {
			hint = fmt.Sprintf("write the host name without its domain, for example %q", proposal)
		}
		return fmt.Sprintf("%s holds a dot", name), hint
	case strings.ToLower(s) != s && isLabel.MatchString(strings.ToLower(s)):
		return fmt.Sprintf("%s has capital letters", name), fmt.Sprintf("write %q", strings.ToLower(s))
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-') {
			return fmt.Sprintf("%s holds %q, which no host name may have", name, r), hint
		}
	}
	if !isLabel.MatchString(s) {
		return fmt.Sprintf("%s is no host name label", name), hint
	}
	return "", ""
}

var isLabel = regexp.MustCompile(labelPattern)

// proposeLabel bends a word into a label, or returns "".
func proposeLabel(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '_' || r == '.' || unicode.IsSpace(r):
			return '-'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-':
			return r
		}
		return -1
	}, strings.ToLower(transcribe.Replace(s)))
	s = strings.Trim(s, "-")
	if !isLabel.MatchString(s) {
		return ""
	}
	return s
}

var (
	isPath  = regexp.MustCompile(pathPattern)
	anyBDF  = regexp.MustCompile(`(?i)(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$`)
	pciHint = "write udev's ID_PATH, for example pci-0000:c7:00.5"
)

func checkPath(s string) (problem, hint string) {
	if isPath.MatchString(s) {
		return "", ""
	}
	hint = pciHint
	if m := anyBDF.FindStringSubmatch(s); m != nil {
		domain := m[1]
		if domain == "" {
			domain = "0000"
		}
		hint = "write " + strings.ToLower(fmt.Sprintf("pci-%s:%s:%s.%s", domain, m[2], m[3], m[4]))
	}
	return fmt.Sprintf("%s is not a PCI path", clip(s)), hint
}

func checkAddress(s string) (problem, hint string) {
	if a, bits, ok := strings.Cut(s, "/"); ok && a != "" {
		return fmt.Sprintf("%s is a range or has a prefix length", clip(s)), fmt.Sprintf("write the address alone, without /%s", clip(bits))
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return fmt.Sprintf("%s is not an IP address", clip(s)), "write an address such as 10.7.1.3 or fd75:7362:3400::3"
	}
	return checkUnicast(a, clip(s))
}

func checkUnicast(a netip.Addr, shown string) (problem, hint string) {
	hint = "take one of a private range, such as 10.7.1.3 or fd75:7362:3400::3"
	switch {
	case a.Zone() != "":
		return shown + " names an interface", "leave out the % and what follows"
	case a.Is4In6():
		return shown + " is an IPv4 address in IPv6 notation", "write " + a.Unmap().String()
	case a.IsUnspecified():
		return shown + " is the unspecified address", hint
	case a.IsLoopback():
		return shown + " is a loopback address", hint
	case a.IsMulticast():
		return shown + " is a multicast address", hint
	case a.IsLinkLocalUnicast():
		return shown + " is a link-local address, valid on one cable only", hint
	case a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240):
		return shown + " is in a reserved range", hint
	}
	return "", ""
}

// special are the ranges that hold no unicast addresses of hosts
// (RFC 6890, RFC 4291 section 2.4).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/127"), netip.MustParsePrefix("::ffff:0:0/96"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

func checkPool(s string) (problem, hint string) {
	hint = "write a range such as 10.7.1.0/24 or fd75:7362:3400::/64"
	p, err := netip.ParsePrefix(s)
	if err != nil {
		if a, err := netip.ParseAddr(s); err == nil {
			bits := 64
			if a.Is4() {
				bits = 24
			}
			if r, err := a.WithZone("").Prefix(bits); err == nil {
				hint = "write a range, for example " + r.String()
			}
			return fmt.Sprintf("%s is an address, not a range", clip(s)), hint
		}
		return fmt.Sprintf("%s is not an address range", clip(s)), hint
	}
	if problem, _ := checkUnicast(p.Addr(), clip(s)); problem != "" {
		return problem, hint
	}
	for _, r := range special {
		if p.Overlaps(r) {
			return fmt.Sprintf("%s holds %s, which no node can have", clip(s), r), hint
		}
	}
	if p.Masked() != p {
		return fmt.Sprintf("%s has bits behind its prefix length", clip(s)), fmt.Sprintf("write %s, or a longer prefix", p.Masked())
	}
	return "", ""
}

var isEnd = regexp.MustCompile(endPattern)

func checkEndpoint(s string) (problem, hint string) {
	if isEnd.MatchString(s) {
		return "", ""
	}
	node, port, colon := strings.Cut(s, ":")
	hint = `write node:port, for example "03:left", or the node alone`
	switch {
	case strings.Contains(port, ":"):
		return fmt.Sprintf("%s has more than one colon", clip(s)), hint
	case colon && (node == "" || port == ""):
		return fmt.Sprintf("%s lacks the node or the port", clip(s)), hint
	}
	fixed := strings.ToLower(s)
	if problem, _ = checkLabel(node); problem == "" {
		problem, _ = checkLabel(port)
	}
	switch {
	case s == "":
		problem = "the text is empty"
	case fixed != s && isEnd.MatchString(fixed):
		hint = fmt.Sprintf("write %q", fixed)
	}
	return "no end of a cable: " + problem, hint
}

var isSection = regexp.MustCompile(sectionPattern)

func checkSection(s string) (problem, hint string) {
	if isSection.MatchString(s) {
		return "", ""
	}
	return fmt.Sprintf("%s is no name of a section or key of a systemd file", quote(s)), "write it as in the systemd manual, for example Network or LLMNR"
}

var isSysctl = regexp.MustCompile(sysctlPattern)

func checkSysctl(s string) (problem, hint string) {
	if isSysctl.MatchString(s) {
		return "", ""
	}
	return fmt.Sprintf("%s is no name of a sysctl", quote(s)), "write it as sysctl does, for example net.core.rmem_max"
}

var isLine = regexp.MustCompile(linePattern)

func checkLine(s string) (problem, hint string) {
	if isLine.MatchString(s) {
		return "", ""
	}
	if strings.HasSuffix(s, `\`) {
		return "the value ends in a backslash, which joins it with the next line of the file", "leave the backslash out"
	}
	return "the value has a line break or another control character", "write one line of text"
}
