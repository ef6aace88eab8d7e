package hw

import (
	"strconv"
	"strings"
)

// deviceName is what the kernel encodes in the name of a Thunderbolt device:
// "%u-%llx" of domain and route (drivers/thunderbolt/switch.c, xdomain.c), behind it
// ".%d" for a service.
type deviceName struct {
	domain  int
	route   uint64
	service int // -1 for a router or host
}

// parseName reads 0-2, 0-301 or 0-2.0; not domain0, usb4_port1 or the retimer 0-0:1.1.
func parseName(s string) (deviceName, bool) {
	domain, rest, ok := strings.Cut(s, "-")
	route, service, isService := strings.Cut(rest, ".")
	if !ok || !lowerHex(route, 16) || !digits(domain) || (isService && !digits(service)) {
		return deviceName{}, false
	}
	n := deviceName{service: -1}
	n.domain, _ = strconv.Atoi(domain) // digits: can't fail
	n.route, _ = strconv.ParseUint(route, 16, 64)
	if isService {
		n.service, _ = strconv.Atoi(service)
	}
	return n, true
}

func digits(s string) bool {
	return s != "" && len(s) <= 7 && strings.Trim(s, "0123456789") == ""
}

func lowerHex(s string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, "0123456789abcdef") == ""
}

// port is the lane adapter of the host router through which the route leaves: a
// route has one byte per router on the way, the host's lowest, of which six bits
// count (USB4 specification, route string; TB_ROUTE_SHIFT in drivers/thunderbolt/tb.h).
func (n deviceName) port() int { return int(n.route & 0x3f) }

// hops counts the routers between the host and the device.
func (n deviceName) hops() int {
	hops := -1
	for r := n.route; r != 0; r >>= 8 {
		hops++
	}
	return max(hops, 0)
}

// isUUID reports whether s has the form 8-4-4-4-12 in lower-case hex digits.
func isUUID(s string) bool {
	parts := strings.Split(s, "-")
	if len(parts) != 5 {
		return false
	}
	for i, n := range []int{8, 4, 4, 4, 12} {
		if len(parts[i]) != n || !lowerHex(parts[i], n) {
			return false
		}
	}
	return true
}
