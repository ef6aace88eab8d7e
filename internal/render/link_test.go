package render

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// fakePort is a port as /sys shows it while a cable is plugged: an interface
// below service, XDomain, host router, domain and NHI.
type fakePort struct {
	Kernel  string // the kernel's name: thunderbolt0
	PCI     string // 0000:00:0d.2
	Domain  int
	Adapter int // lane adapter of the host router that leads to the peer
}

// TestLinkNames lets udev name interfaces by the rendered .link files. The kernel's
// names come in the order of plugging, so each plan is tried in both orders.
func TestLinkNames(t *testing.T) {
	intel := []fakePort{{PCI: "0000:00:0d.2", Adapter: 1}, {PCI: "0000:00:0d.2", Adapter: 3}}
	amd := []fakePort{{PCI: "0000:c7:00.5", Adapter: 2}, {PCI: "0000:c7:00.6", Domain: 1, Adapter: 2}}
	for _, tc := range []struct {
		name, node string
		plan       mesh.Plan
		ports      []fakePort // in the order of the plan's
	}{
		{"one controller per port", "03", trianglePlan(), amd},
		{"published setup", "03", seedPlan(), amd},
		{"two ports behind one controller", "nuc", intelPlan(), intel},
	} {
		for _, order := range [][]int{{0, 1}, {1, 0}} {
			t.Run(fmt.Sprint(tc.name, order), func(t *testing.T) {
				files := mustRender(t, tc.plan, tc.node, Networkd, Options{})
				for i, f := range files {
					// The driver's name comes from the interface itself, which is a veth here.
					files[i].Data = []byte(strings.ReplaceAll(string(f.Data), "Driver="+driver+"\n", "Driver=veth\n"))
				}
				links := tc.plan.Node(tc.node).Links
				j := job{Files: files}
				for k, at := range order {
					p := tc.ports[at]
					p.Kernel = fmt.Sprint("thunderbolt", k)
					j.Fake = append(j.Fake, p)
				}
				o := inNamespace(t, j)
				for k, at := range order {
					got, want := o.Renamed[fmt.Sprint("thunderbolt", k)], links[at]
					if got.Name != want.Interface {
						t.Errorf("thunderbolt%d at %v is called %q, want %q\n%s", k, tc.ports[at], got.Name, want.Interface, o.LinkLog)
					}
					if alias := mesh.AliasPrefix + tc.plan.Mesh + ":" + want.Cable; got.Alias != alias {
						t.Errorf("%s has the alias %q, want %q", got.Name, got.Alias, alias)
					}
				}
			})
		}
	}
}

const (
	fakeRoot   = "/run/fake"
	errOverlay = "needs overlayfs, to lay a Thunderbolt tree over /sys"
)

// observeUdev lays a Thunderbolt tree over /sys, runs udev's rules for each port
// and looks what has become of it.
func (o *observed) observeUdev(ports []fakePort) error {
	index := map[string]string{}
	for i, p := range ports {
		if _, err := run("ip", "link", "add", "dev", p.Kernel, "type", "veth", "peer", "name", fmt.Sprint("far", i)); err != nil {
			return err
		}
	}
	if err := fakeTree(ports, index); err != nil {
		return err
	}
	if err := os.MkdirAll(fakeRoot+"/low", 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("/sys", fakeRoot+"/low", "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("bind /sys: %w", err)
	}
	if err := syscall.Mount("overlay", "/sys", "overlay", 0, "lowerdir="+fakeRoot+"/sys:"+fakeRoot+"/low"); err != nil {
		return fmt.Errorf("%s: %w", errOverlay, err)
	}
	for _, p := range ports {
		cmd := exec.Command("udevadm", "test", "--action=add", "/sys/class/net/"+p.Kernel)
		cmd.Env = append(os.Environ(), "SYSTEMD_DEVICE_VERIFY_SYSFS=0") // /sys is no pure sysfs
		out, err := cmd.CombinedOutput()
		if o.LinkLog += string(out); err != nil {
			return fmt.Errorf("udevadm test: %w: %s", err, out)
		}
	}
	var links []struct {
		ipLink
		Index int `json:"ifindex"`
	}
	if err := ipJSON(&links, "-details", "address"); err != nil {
		return err
	}
	o.Renamed = map[string]ipLink{}
	for _, p := range ports {
		for _, l := range links {
			if fmt.Sprint(l.Index) == index[p.Kernel] {
				o.Renamed[p.Kernel] = l.ipLink
			}
		}
	}
	return nil
}

// fakeTree writes the tree of Documentation/admin-guide/thunderbolt.rst as far as
// udev reads it, and notes the interfaces' numbers.
func fakeTree(ports []fakePort, index map[string]string) error {
	var made []string
	device := func(path, uevent, subsystem string) error {
		if slices.Contains(made, path) {
			return nil
		}
		made = append(made, path)
		dir := fakeRoot + "/sys/" + path
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(dir+"/uevent", []byte(uevent), 0o644); err != nil {
			return err
		}
		target, err := filepath.Rel("/"+path, "/"+subsystem)
		if err != nil {
			return err
		}
		return os.Symlink(target, dir+"/subsystem")
	}
	if err := os.MkdirAll(fakeRoot+"/sys/class/net", 0o755); err != nil {
		return err
	}
	for _, p := range ports {
		number, err := os.ReadFile("/sys/class/net/" + p.Kernel + "/ifindex")
		if err != nil {
			return err
		}
		index[p.Kernel] = strings.TrimSpace(string(number))

		nhi := "devices/pci0000:00/" + p.PCI
		domain := fmt.Sprintf("%s/domain%d", nhi, p.Domain)
		router := fmt.Sprintf("%s/%d-0", domain, p.Domain)
		xdomain := fmt.Sprintf("%s/%d-%d", router, p.Domain, p.Adapter)
		service := fmt.Sprintf("%s/%d-%d.0", xdomain, p.Domain, p.Adapter)
		iface := service + "/net/" + p.Kernel
		for _, d := range []struct{ path, uevent, subsystem string }{
			{nhi, "DRIVER=thunderbolt\nPCI_SLOT_NAME=" + p.PCI + "\n", "bus/pci"},
			{domain, "DEVTYPE=thunderbolt_domain\n", "bus/thunderbolt"},
			{router, "DEVTYPE=thunderbolt_device\n", "bus/thunderbolt"},
			{xdomain, "DEVTYPE=thunderbolt_xdomain\n", "bus/thunderbolt"},
			{service, "DEVTYPE=thunderbolt_service\nDRIVER=thunderbolt-net\n", "bus/thunderbolt"},
			{iface, "INTERFACE=" + p.Kernel + "\nIFINDEX=" + index[p.Kernel] + "\n", "class/net"},
		} {
			if err := device(d.path, d.uevent, d.subsystem); err != nil {
				return err
			}
		}
		for _, a := range []string{"address", "mtu", "type", "ifindex", "name_assign_type", "addr_assign_type", "iflink", "flags"} {
			value, err := os.ReadFile("/sys/class/net/" + p.Kernel + "/" + a)
			if err != nil {
				return err
			}
			if err := os.WriteFile(fakeRoot+"/sys/"+iface+"/"+a, value, 0o644); err != nil {
				return err
			}
		}
		if err := os.Symlink("../../"+filepath.Base(service), fakeRoot+"/sys/"+iface+"/device"); err != nil {
			return err
		}
		if err := os.Symlink("../../"+iface, fakeRoot+"/sys/class/net/"+p.Kernel); err != nil {
			return err
		}
	}
	return nil
}
