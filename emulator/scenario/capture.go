package scenario

import (
	"regexp"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
	"github.com/usb4mesh/usb4mesh/emulator/sysfs"
)

var underDomain = regexp.MustCompile(`^(?:\.\./)*devices/(.*)/domain\d+`)

// Capture copies what a host shows of its USB4: the whole tree below each host interface, the buses and classes that lead
// there, the drivers' parameters, and a few facts of /proc.
func (h *Host) Capture() sysfs.Tree {
	h.world.T.Helper()
	ctx := h.world.T.Context()
	domains, err := h.Tree(ctx, wire.Tree{Roots: []string{"/sys/bus/thunderbolt/devices/domain*"}, Max: 16})
	if err != nil {
		h.world.T.Fatal(err)
	}
	in := wire.Tree{
		Max: 20000,
		Roots: []string{
			"/proc/sys/kernel/osrelease", "/proc/sys/kernel/hostname", "/proc/version", "/proc/modules",
			"/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name",
			"/sys/module/thunderbolt/parameters", "/sys/module/thunderbolt_net/parameters",
			"/sys/bus/thunderbolt/devices", "/sys/bus/thunderbolt/drivers", "/sys/bus/pci/drivers/thunderbolt",
			"/sys/class/net", "/sys/kernel/iommu_groups",
		},
		// Registers and memory of the function, not text.
		Skip: []string{"config", "resource0", "resource2", "rom", "vpd"},
	}
	for _, d := range domains {
		if m := underDomain.FindStringSubmatch(d.Link); m != nil {
			parts := strings.Split(m[1], "/")
			in.Roots = append(in.Roots, "/sys/devices/"+m[1], "/sys/bus/pci/devices/"+parts[len(parts)-1])
		}
	}
	slices.Sort(in.Roots)
	entries, err := h.Tree(ctx, in)
	if err != nil {
		h.world.T.Fatal(err)
	}
	tree := sysfs.Tree{}
	for _, e := range entries {
		name := strings.TrimPrefix(e.Path, "/")
		switch {
		case e.Link != "":
			tree[name+"@"] = e.Link + "\n"
		case e.Error == "":
			tree[name] = string(e.Data)
		}
	}
	return tree
}
