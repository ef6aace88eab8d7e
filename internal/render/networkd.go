package render

import (
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// writeNetworkd writes files for systemd-udevd, systemd-networkd,
// systemd-modules-load and systemd-sysctl, all in /etc.
//
// It keeps to what systemd 252 knows (Debian 12): no IPv4Forwarding= (256), no
// IPv4ReversePathFilter= (255); the kernel settings stand in sysctl.d.
func writeNetworkd(s system) []File {
	files := []File{
		{"etc/modules-load.d/usb4mesh.conf", 0o644, []byte(s.header() + modulesNote + s.module + "\n")},
	}
	for _, u := range s.units {
		files = append(files, File{"etc/systemd/network/" + u.name, 0o644, []byte(s.header() + u.ini())})
	}
	if len(s.sysctls) > 0 {
		files = append(files, File{"etc/sysctl.d/90-usb4mesh.conf", 0o644, []byte(s.header() + sysctlText(s.sysctls))})
	}
	return files
}

const modulesNote = "# Without the module neither end of a cable offers the network service to the other.\n"

// sysctlText writes sysctl.d(5) lines, with slashes: an interface may have a dot
// in its name.
func sysctlText(all []mesh.Sysctl) string {
	var b strings.Builder
	b.WriteString("# A line that starts with - may fail: the interface of a cable that is not plugged does\n" +
		"# not exist. udev applies the lines of an interface when it appears (99-systemd.rules).\n\n")
	for _, c := range all {
		b.WriteString(sysctlKey(c.Path) + " = " + c.Value + "\n")
	}
	return b.String()
}

// sysctlKey marks settings of single interfaces as allowed to be absent.
func sysctlKey(path string) string {
	part := strings.Split(path, "/")
	if len(part) > 4 && part[0] == "net" && part[2] == "conf" && part[3] != "all" && part[3] != "default" {
		return "-" + path
	}
	return path
}
