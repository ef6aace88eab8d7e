package sysfs

import (
	"path"
	"regexp"
	"strings"
)

var (
	// Everything above a host interface: "devices/pci0000:00/0000:00:08.3/" of ".../0000:c7:00.5/domain0".
	domain = regexp.MustCompile(`^sys/devices/(.*)/([^/]+)/domain\d+/`)
	wakeup = regexp.MustCompile(`wakeup/wakeup\d+`)
	netdev = regexp.MustCompile(`^(sys/devices/.*/\d+-[0-9a-f]+\.\d+/net/)([^/]+)/`)
)

// Canonical removes from a tree what is different on each machine although it means the same: the bridges above the
// host interfaces, names of network interfaces (they follow the order of plugging), and the number of "../" in
// links that both bring about; and numbers of sources of wake-ups.
func Canonical(t Tree) Tree {
	bridges, interfaces := map[string]bool{}, map[string]string{}
	for name := range t {
		if m := domain.FindStringSubmatch(name); m != nil {
			bridges[m[1]] = true
		}
		if m := netdev.FindStringSubmatch(name); m != nil {
			service := path.Base(path.Dir(path.Clean(m[1])))
			interfaces[m[2]] = "net-of-" + service
		}
	}
	put := func(text string) string {
		for b := range bridges {
			text = strings.ReplaceAll(text, "sys/devices/"+b+"/", "sys/devices/BRIDGES/")
		}
		text = wakeup.ReplaceAllString(text, "wakeup/wakeupN")
		parts := strings.Split(text, "/")
		for i, p := range parts {
			if other, ok := interfaces[strings.TrimSuffix(p, "@")]; ok {
				parts[i] = other
				if strings.HasSuffix(p, "@") {
					parts[i] += "@"
				}
			}
		}
		return strings.Join(parts, "/")
	}
	out := Tree{}
	for name, text := range t {
		text = strings.TrimSuffix(text, "\n")
		if strings.HasSuffix(name, "@") {
			if !strings.HasPrefix(text, "/") {
				text = path.Join("/", path.Dir(name), text)
			}
			text = "/" + put(strings.TrimPrefix(text, "/"))
		} else if other, ok := interfaces[strings.TrimPrefix(strings.SplitN(text, "\n", 2)[0], "INTERFACE=")]; ok {
			text = strings.Replace(text, strings.SplitN(text, "\n", 2)[0], "INTERFACE="+other, 1)
		}
		out[put(name)] = text
	}
	return out
}
