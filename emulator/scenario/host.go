package scenario

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

// MTU is that of all interfaces: the largest with which 64 KiB packets fit into 16 frames.
const MTU = 65520

// EchoPort is where every guest answers UDP probes.
const EchoPort = 7

// identify gives a guest its identity addresses and lets it forward.
func (h *Host) identify() {
	h.world.T.Helper()
	ctx := h.world.T.Context()
	settings := map[string]string{
		"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/default/rp_filter": "0",
		"net/ipv4/conf/default/accept_local": "1", "net/ipv4/conf/all/send_redirects": "0",
		"net/ipv4/conf/default/ignore_routes_with_linkdown": "1", "net/ipv6/conf/default/ignore_routes_with_linkdown": "1",
		"net/ipv6/conf/all/forwarding": "1", "net/ipv6/conf/default/accept_dad": "0",
	}
	for file, value := range settings {
		if err := h.WriteFile(ctx, "/proc/sys/"+file, []byte(value), 0o644); err != nil {
			h.world.T.Fatalf("%s: %v", h.Name, err)
		}
	}
	h.set(wire.SetLink{Name: "lo", Addresses: h.addresses()})
}

// healthy looks at the logs of a host that has power.
func (h *Host) healthy() error {
	if h.off || h.Machine == nil {
		return nil
	}
	return h.Check()
}

func (h *Host) addresses() []string { return []string{h.V4 + "/32", h.V6 + "/128"} }

func (h *Host) set(s wire.SetLink) {
	h.world.T.Helper()
	if err := h.SetLink(h.world.T.Context(), s); err != nil {
		h.world.T.Fatalf("%s: %v", h.Name, err)
	}
}

// Run runs a program of the guest and returns what it said on standard output. An exit code other than 0 ends the test.
func (h *Host) Run(args ...string) string {
	h.world.T.Helper()
	r, err := h.Machine.Run(h.world.T.Context(), args...)
	if err != nil {
		h.world.T.Fatal(err)
	}
	return string(r.Stdout)
}

// Read reads a file of the guest, without the newline at the end.
func (h *Host) Read(file string) string {
	h.world.T.Helper()
	data, err := h.ReadFile(h.world.T.Context(), file)
	if err != nil {
		h.world.T.Fatalf("%s: %v", h.Name, err)
	}
	return strings.TrimSuffix(string(data), "\n")
}

var (
	usb4Port = regexp.MustCompile(`/(\d+)-0/usb4_port(\d+)/link$`)
	function = regexp.MustCompile(`/([0-9a-f:]+\.\d)/domain(\d+)/`)
)

// routes tells the names of the host's ports: "0-2" for the peer that is seen at port 1. Ports are counted as
// the fabric does it: by PCI address of the host interface, then by adapter number.
func (h *Host) routes() ([]string, error) {
	ctx := h.world.T.Context()
	links, err := h.Tree(ctx, wire.Tree{Roots: []string{"/sys/bus/thunderbolt/devices/*-0"}, Max: 64})
	if err != nil {
		return nil, err
	}
	address := map[string]string{} // domain to PCI address
	for _, e := range links {
		if m := function.FindStringSubmatch(e.Link); m != nil {
			address[m[2]] = m[1]
		}
	}
	files, err := h.Tree(ctx, wire.Tree{Roots: []string{"/sys/bus/thunderbolt/devices/*-0/usb4_port*/link"}, Max: 64})
	if err != nil {
		return nil, err
	}
	type port struct {
		pci, domain string
		adapter     int
	}
	var ports []port
	for _, e := range files {
		m := usb4Port.FindStringSubmatch(e.Path)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[2])
		if err != nil {
			return nil, err
		}
		ports = append(ports, port{address[m[1]], m[1], n})
	}
	slices.SortFunc(ports, func(a, b port) int {
		if c := strings.Compare(a.pci, b.pci); c != 0 {
			return c
		}
		return a.adapter - b.adapter
	})
	var names []string
	for _, p := range ports {
		names = append(names, fmt.Sprintf("%s-%x", p.domain, p.adapter))
	}
	return names, nil
}

// Interface returns the network interface at a port, counted from 1; the error says that there is none.
func (h *Host) Interface(port int) (wire.Link, error) {
	routes, err := h.routes()
	if err != nil {
		return wire.Link{}, err
	}
	if port > len(routes) {
		return wire.Link{}, fmt.Errorf("%s: there is no port %d; the driver shows %d", h.Name, port, len(routes))
	}
	links, err := h.Links(h.world.T.Context())
	if err != nil {
		return wire.Link{}, err
	}
	for _, l := range links {
		if l.ParentBus == "thunderbolt" && strings.HasPrefix(l.Parent, routes[port-1]+".") {
			return l, nil
		}
	}
	return wire.Link{}, fmt.Errorf("%s: no interface at port %d (%s)", h.Name, port, routes[port-1])
}

// XDomain reads an attribute of the peer that is seen at a port: "rx_lanes", "device_name".
func (h *Host) XDomain(port int, attribute string) string {
	h.world.T.Helper()
	routes, err := h.routes()
	if err != nil {
		h.world.T.Fatal(err)
	}
	if port > len(routes) {
		h.world.T.Fatalf("%s: there is no port %d; the driver shows %d", h.Name, port, len(routes))
	}
	return h.Read(path.Join("/sys/bus/thunderbolt/devices", routes[port-1], attribute))
}

// Ping sends three requests of the largest size to another host, in both families.
func (w *World) Ping(from, to string) {
	w.T.Helper()
	if err := w.ping(from, to, 3); err != nil {
		w.T.Fatal(err)
	}
}

// Largest payloads of a ping at our MTU: less the headers of IP and ICMP.
const (
	payload4 = MTU - 20 - 8
	payload6 = MTU - 40 - 8
)

func (w *World) ping(from, to string, count int) error {
	w.T.Helper()
	a, b := w.Host(from), w.Host(to)
	for _, p := range []wire.Ping{{To: b.V4, Size: payload4}, {To: b.V6, Size: payload6}} {
		p.Count, p.Interval, p.Wait = count, 10*time.Millisecond, 3*time.Second
		out, err := a.Machine.Ping(w.T.Context(), p)
		if err != nil {
			return err
		}
		if out.Received != count {
			return fmt.Errorf("ping from %s to %s (%s), %d bytes: %d of %d answered: %s", from, to, p.To, p.Size, out.Received, out.Sent, out.Error)
		}
	}
	return nil
}

// PingAll lets every host ping every other one, at the largest size and in both families.
func (w *World) PingAll() {
	w.T.Helper()
	for _, a := range w.hosts {
		for _, b := range w.hosts {
			if a != b {
				w.Ping(a.Name, b.Name)
			}
		}
	}
}
