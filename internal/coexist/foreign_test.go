package coexist

import (
	"slices"
	"strings"
)

// place puts things of somebody else into the node here, beside those of the mesh and
// on the same interfaces. A bridge stands for a dummy, which not every kernel has.
const place = `
ip link add theirs0 type bridge
ip link set theirs0 up
ip address add 192.0.2.1/24 dev theirs0
ip address add 2001:db8:2::1/64 dev theirs0 nodad
ip route add 203.0.113.0/24 dev theirs0 protocol 77
ip route add 2001:db8:3::/64 dev theirs0 protocol 77
ip route add default dev theirs0 table 99
ip rule add priority 100 from 192.0.2.1 lookup 99
ip rule add priority 8000 fwmark 9 lookup 99
sysctl -qw net.ipv4.conf.theirs0.rp_filter=1 net.ipv4.conf.lo.accept_source_route=1 net.ipv6.conf.theirs0.accept_ra=0
nft add table inet theirs
`

// placeOnPort puts things onto an interface of the mesh: they go with its cable.
const placeOnPort = `
ip address add 198.51.100.1/24 dev tbt-nord
ip address add 2001:db8:5::1/64 dev tbt-nord nodad
ip route add 203.0.113.0/25 via 198.51.100.2 dev tbt-nord protocol static metric 7
`

// look prints all that an agent could mistake for its own.
const look = `
ip -oneline address show | sed -e 's/^[0-9]*: /address /' -e 's/\\ *valid_lft.*//'
ip route show table all | sed 's/^/route /'
ip -6 route show table all | sed 's/^/route6 /'
ip rule show | sed 's/^/rule /'
ip -6 rule show | sed 's/^/rule6 /'
sysctl net.ipv4.conf.theirs0.rp_filter net.ipv4.conf.lo.accept_source_route net.ipv6.conf.theirs0.accept_ra
nft list tables
`

// foreign returns what is not ours in the kernel of the node here: no routes of our
// protocol, no rules of our priorities, no addresses of the mesh, and nothing that the
// kernel makes of those.
func (w *world) foreign() (lines []string) {
	w.Helper()
	for line := range strings.SplitSeq(w.must(here, look), "\n") {
		line = strings.Join(strings.Fields(line), " ")
		switch {
		case line == "", strings.Contains(line, "proto 117"), strings.Contains(line, "usb4mesh"):
		case strings.HasPrefix(line, "rule 7") || strings.HasPrefix(line, "rule6 7"):
		case strings.Contains(line, "10.7.4."), strings.Contains(line, "fd75:7362:3404::"), strings.Contains(line, "fe80::"), strings.Contains(line, "ff00::"), strings.Contains(line, " anycast "):
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

// lacks returns the lines of was that is lacks.
func lacks(was, is []string) []string {
	return slices.DeleteFunc(slices.Clone(was), func(line string) bool { return slices.Contains(is, line) })
}

// keeps checks that what others hold in the kernel is still there.
func (w *world) keeps(who string, was []string) {
	w.Helper()
	if gone := lacks(was, w.foreign()); len(gone) > 0 {
		w.Errorf("%s took away what is not the mesh's:\n%s", who, strings.Join(gone, "\n"))
	}
}

// clean ends all agents for good, and checks that what is theirs has gone and nothing
// else. An interface that was down before the first agent is down again, so that what
// others have put onto those of the mesh meanwhile goes with them.
func (w *world) clean() {
	w.Helper()
	was := slices.DeleteFunc(w.foreign(), func(line string) bool { return strings.Contains(line, "tbt-") || strings.Contains(line, "umesh0") })
	if _, err := w.Cleanup(w.Context()); err != nil {
		w.Error(err)
	}
	w.keeps("agent --cleanup", was)
	if left := w.must(here, "ip route show table all protocol 117; ip -6 route show table all protocol 117; ip link show | grep umesh0 || true"); left != "" {
		w.Errorf("agent --cleanup leaves:\n%s", left)
	}
}
