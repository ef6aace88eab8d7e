package hw

import (
	"bytes"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// redact takes out of a file what a bug report does not need, and reports whether
// anything worth keeping is left. Kept are the host name, the UUIDs of host routers
// and the MAC addresses derived from them: without these no cable can be told.
func redact(f *File, h *mesh.Hardware) bool {
	if f.Link != "" {
		return keepLink(f.Name, h)
	}
	if (strings.HasPrefix(f.Name, "sys/devices/") || strings.HasPrefix(f.Name, "sys/bus/pci/")) && !keepDevice(f.Name, h) {
		return false
	}
	switch base := path.Base(f.Name); {
	case base == "comm": // of any process
		return slices.Contains(managers, strings.TrimSpace(string(f.Data)))
	case base == "boot_acl":
		f.Data, f.Note = []byte("\n"), "UUIDs of devices removed"
	case f.Name == "proc/interrupts":
		f.keep("only lines of thunderbolt", func(n int, line string) bool { return n == 0 || strings.Contains(line, "thunderbolt") })
	case f.Name == "proc/net/arp":
		f.keep("only neighbours on USB4 interfaces, without their IP addresses", func(n int, line string) bool {
			fields := strings.Fields(line)
			return n == 0 || len(fields) == 6 && isLink(fields[5], h)
		})
		f.Data = ipv4Address.ReplaceAll(f.Data, []byte("0.0.0.0"))
	case f.Name == "proc/modules":
		f.keep("only thunderbolt and nf_tables", func(_ int, line string) bool {
			return strings.HasPrefix(line, "thunderbolt") || strings.HasPrefix(line, "nf_tables ")
		})
	case f.Name == "proc/net/route":
		f.keep("only routes of USB4 interfaces", func(n int, line string) bool {
			name, _, _ := strings.Cut(line, "\t")
			return n == 0 || isLink(strings.TrimSpace(name), h)
		})
	case strings.HasSuffix(f.Name, ".rules"):
		f.blank("only lines that authorize Thunderbolt devices", authorizes)
		return len(bytes.TrimSpace(f.Data)) > 0
	case f.Name == "usb4mesh/log":
		text := Mask(string(f.Data), h)
		if text != string(f.Data) {
			f.Data, f.Note = []byte(text), "addresses and serial numbers masked"
		}
	}
	return true
}

// keep drops the lines that do not pass.
func (f *File) keep(note string, pass func(n int, line string) bool) {
	var out strings.Builder
	n, dropped := 0, 0
	for line := range strings.Lines(string(f.Data)) {
		if pass(n, line) {
			out.WriteString(line)
		} else {
			dropped++
		}
		n++
	}
	if dropped > 0 {
		f.Data, f.Note = []byte(out.String()), note
	}
}

// blank empties the lines that do not pass: their numbers count.
func (f *File) blank(note string, pass func(string) bool) {
	var out strings.Builder
	for line := range strings.Lines(string(f.Data)) {
		if pass(line) {
			out.WriteString(line)
		} else {
			out.WriteString("\n")
			f.Note = note
		}
	}
	f.Data = []byte(out.String())
}

func isLink(name string, h *mesh.Hardware) bool {
	return slices.ContainsFunc(h.Links, func(l mesh.USB4Link) bool { return l.Interface == name })
}

func isController(pci string, h *mesh.Hardware) bool {
	return slices.ContainsFunc(h.Controllers, func(c mesh.Controller) bool { return c.PCI == pci })
}

// keepDevice keeps controllers with all below them, interfaces and CPUs.
func keepDevice(name string, h *mesh.Hardware) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == "net" || part == "cpu" || part == "cpu_atom" || part == "dmi" || isController(part, h) {
			return true
		}
	}
	return false
}

func keepLink(name string, h *mesh.Hardware) bool {
	if rest, ok := strings.CutPrefix(name, "sys/bus/pci/devices/"); ok {
		return isController(rest, h)
	}
	if strings.HasPrefix(name, "sys/devices/") {
		return keepDevice(name, h)
	}
	return name != "proc/self" && name != "proc/net" // put straight by Collect
}

var (
	macAddress  = regexp.MustCompile(`\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b`)
	ipv4Address = regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}\b`)
	withColons  = regexp.MustCompile(`[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*[0-9A-Fa-f:]`)
	serial      = regexp.MustCompile(`(?i)(serial(?:[ _-]?(?:number|no))?\s*[:=]?\s*)\S+`)
	secret      = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|psk|key)\s*[=:]\s*)\S+`)
)

// Mask replaces addresses, serial numbers and what looks like a secret. MAC addresses
// of the machine's own USB4 interfaces stay.
func Mask(text string, h *mesh.Hardware) string {
	own := map[string]bool{}
	for _, l := range h.Links {
		own[strings.ToLower(l.MAC)] = l.MAC != ""
	}
	text = macAddress.ReplaceAllStringFunc(text, func(s string) string {
		if own[strings.ToLower(s)] {
			return s
		}
		return "(address)"
	})
	text = ipv4Address.ReplaceAllString(text, "(address)")
	// Whether it is an address decides who parses addresses: 0000:c7:00.5 is none.
	text = withColons.ReplaceAllStringFunc(text, func(s string) string {
		for end := len(s); end > 0; end-- {
			if _, err := netip.ParseAddr(s[:end]); err == nil {
				return "(address)" + s[end:]
			}
			if s[end-1] != ':' && s[end-1] != '.' { // the end of a sentence, or of what is quoted
				break
			}
		}
		return s
	})
	text = serial.ReplaceAllString(text, "${1}(serial)")
	return secret.ReplaceAllString(text, "${1}(secret)")
}
