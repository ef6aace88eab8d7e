package kernel

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// The settings that decide whether compiled forwarding works, read from every
// interface, from "all" and from "default", which interfaces to come start from. Which of them are set, and to what, is the plan's
// matter; Snapshot also reads whatever else Apply has written.
var (
	ipv4Keys = []string{"accept_local", "accept_redirects", "forwarding", "ignore_routes_with_linkdown", "rp_filter", "send_redirects"}
	ipv6Keys = []string{"accept_dad", "accept_ra", "accept_redirects", "dad_transmits", "disable_ipv6", "forwarding", "ignore_routes_with_linkdown"}
)

// sysctls reads the known settings. What can't be read is left out: an interface
// may go at any time, and its settings are optional (no IPv6, an MTU below 1280).
func (k *Kernel) sysctls(links []mesh.Link) []mesh.Sysctl {
	paths := map[string]bool{}
	maps.Copy(paths, k.extra)
	names := []string{"all", "default"}
	for _, l := range links {
		names = append(names, l.Name)
	}
	for _, name := range names {
		for _, key := range ipv4Keys {
			paths["net/ipv4/conf/"+name+"/"+key] = true
		}
		for _, key := range ipv6Keys {
			paths["net/ipv6/conf/"+name+"/"+key] = true
		}
		for _, family := range []string{"ipv4", "ipv6"} {
			paths["net/"+family+"/neigh/"+name+"/retrans_time_ms"] = true
		}
	}
	var out []mesh.Sysctl
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if value, err := readSysctl(p); err == nil {
			out = append(out, mesh.Sysctl{Path: p, Value: value})
		}
	}
	return out
}

// readSysctl returns a value with its fields separated by one space.
func readSysctl(path string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys", path))
	return strings.Join(strings.Fields(string(b)), " "), err
}

// setSysctl writes a setting below /proc/sys/net.
func (k *Kernel) setSysctl(s mesh.Sysctl) error {
	if !strings.HasPrefix(s.Path, "net/") || !filepath.IsLocal(s.Path) || filepath.Clean(s.Path) != s.Path {
		return fmt.Errorf("%q is not a setting below net/", s.Path)
	}
	f, err := os.OpenFile(filepath.Join("/proc/sys", s.Path), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s.Value + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	k.extra[s.Path] = true
	return nil
}
