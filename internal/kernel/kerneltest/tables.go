package kerneltest

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func (f *Fake) applyAddress(op mesh.Op, a mesh.Address) error {
	l := f.link(a.Interface)
	at := slices.Index(f.addrs, a)
	switch {
	case op == mesh.Remove && at < 0:
		return nil
	case op == mesh.Remove:
		f.addrs = slices.Delete(f.addrs, at, at+1)
		f.forget(a)
		return nil
	case l == nil:
		return kernel.ErrAbsent
	case at >= 0:
		return nil
	}
	// IPv6 knows an address of a link by itself, IPv4 together with its peer.
	for _, b := range f.addrs {
		if b.Interface == a.Interface && b.Local.Addr() == a.Local.Addr() && (a.Local.Addr().Is6() || b.Peer == a.Peer) {
			return fmt.Errorf("%w (%w)", kernel.ErrForeign, unix.EEXIST)
		}
	}
	f.addrs = append(f.addrs, a)
	return nil
}

// forget does what follows from a removed address: IPv4 routes with that source
// go, and with the last IPv4 address of a link all of its IPv4 routes
// (net/ipv4/fib_frontend.c, fib_inetaddr_event); IPv6 routes of the link lose
// their source (net/ipv6/route.c, fib6_remove_prefsrc).
func (f *Fake) forget(a mesh.Address) {
	f.orphanSources()
	is4 := a.Local.Addr().Is4()
	last := !slices.ContainsFunc(f.addrs, func(b mesh.Address) bool {
		return b.Interface == a.Interface && b.Local.Addr().Is4()
	})
	if is4 && last {
		f.routes = slices.DeleteFunc(f.routes, func(r mesh.Route) bool {
			return r.Interface == a.Interface && r.Destination.Addr().Is4()
		})
	}
	for i, r := range f.routes {
		if r.Interface == a.Interface && r.Source == a.Local.Addr() && !f.local(r) {
			f.routes[i].Source = mesh.Route{}.Source
		}
	}
}

func (f *Fake) applyRoute(op mesh.Op, r mesh.Route) error {
	l := f.link(r.Interface)
	at := slices.Index(f.routes, r)
	switch {
	case op == mesh.Remove && at < 0:
		return nil
	case op == mesh.Remove:
		f.routes = slices.Delete(f.routes, at, at+1)
		return nil
	case l == nil:
		return kernel.ErrAbsent
	case !l.Up:
		return unix.ENETDOWN
	case r.Source.IsValid() && !f.local(r):
		return unix.EINVAL
	case at >= 0:
		return nil
	}
	same := slices.IndexFunc(f.routes, func(o mesh.Route) bool {
		return o.Destination == r.Destination && o.Table == r.Table && o.Metric == r.Metric
	})
	switch {
	case same < 0:
		f.routes = append(f.routes, r)
	case op == mesh.Set:
		f.routes[same] = r
	default:
		return fmt.Errorf("%w (%w)", kernel.ErrForeign, unix.EEXIST)
	}
	return nil
}

func (f *Fake) applyRule(op mesh.Op, r mesh.Rule) error {
	at := slices.Index(f.rules, r)
	switch {
	case op == mesh.Remove && at >= 0:
		f.rules = slices.Delete(f.rules, at, at+1)
	case op != mesh.Remove && at < 0:
		f.rules = append(f.rules, r)
	}
	return nil
}

// defaults are the settings of a new interface, with the kernel's defaults.
var defaults = map[string]string{
	"ipv4/conf/%s/accept_local":                "0",
	"ipv4/conf/%s/accept_redirects":            "1",
	"ipv4/conf/%s/forwarding":                  "0",
	"ipv4/conf/%s/ignore_routes_with_linkdown": "0",
	"ipv4/conf/%s/rp_filter":                   "0",
	"ipv4/conf/%s/send_redirects":              "1",
	"ipv6/conf/%s/accept_dad":                  "1",
	"ipv6/conf/%s/accept_ra":                   "1",
	"ipv6/conf/%s/accept_redirects":            "1",
	"ipv6/conf/%s/dad_transmits":               "1",
	"ipv6/conf/%s/disable_ipv6":                "0",
	"ipv6/conf/%s/forwarding":                  "0",
	"ipv6/conf/%s/ignore_routes_with_linkdown": "0",
	"ipv4/neigh/%s/retrans_time_ms":            "1000",
	"ipv6/neigh/%s/retrans_time_ms":            "1000",
}

func (f *Fake) makeSysctls(name string) {
	for key, value := range defaults {
		f.sysctls["net/"+fmt.Sprintf(key, name)] = value
	}
	if on := f.sysctls["net/ipv6/conf/all/forwarding"]; on != "" {
		f.sysctls["net/ipv6/conf/"+name+"/forwarding"] = on
	}
}

func (f *Fake) setSysctl(s mesh.Sysctl) error {
	if name := s.Interface(); name != "" && f.link(name) == nil || !strings.HasPrefix(s.Path, "net/") {
		return unix.ENOENT
	}
	f.sysctls[s.Path] = s.Value
	// forwarding of "all" is that of every interface, in both families, and of those
	// to come.
	if family, ok := strings.CutSuffix(s.Path, "/conf/all/forwarding"); ok {
		f.sysctls[family+"/conf/default/forwarding"] = s.Value
		for _, l := range f.links {
			f.sysctls[family+"/conf/"+l.Name+"/forwarding"] = s.Value
		}
	}
	return nil
}
