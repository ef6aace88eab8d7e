// Package hwtest makes fake /sys and /proc trees for tests and for the lab: by verbs, as one plugs
// real cables, or from txtar archives.
//
// The trees are models in the forms of drivers/thunderbolt of kernel 6.12; they
// prove how usb4mesh reads, not how hardware behaves.
package hwtest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/usb4mesh/usb4mesh/internal/hw"
)

// Load splits a txtar archive into trees: the part of a name before sys/, proc/, etc/
// or usb4mesh/ is the name of the tree, "" where there is only one. A name that ends
// with @ is a symbolic link, its text the target.
func Load(archive []byte) map[string]fstest.MapFS {
	trees := map[string]fstest.MapFS{}
	for _, f := range parse(archive) {
		tree, name, ok := split(f.name)
		if !ok {
			continue
		}
		if trees[tree] == nil {
			trees[tree] = fstest.MapFS{}
		}
		file := &fstest.MapFile{Data: f.data, Mode: 0o444}
		if link, ok := strings.CutSuffix(name, "@"); ok {
			name = link
			file = &fstest.MapFile{Data: bytes.TrimSpace(f.data), Mode: fs.ModeSymlink | 0o777}
		}
		if fs.ValidPath(name) {
			trees[tree][name] = file
		}
	}
	return trees
}

type entry struct {
	name string
	data []byte
}

// parse reads the txtar format: text up to the first "-- NAME --" line is comment.
// The parser of go-internal v1.16.0 panics on the line "-- --", and fuzzing comes here.
func parse(archive []byte) []entry {
	var out []entry
	for line := range bytes.Lines(archive) {
		mark := bytes.TrimRight(line, "\r\n")
		if len(mark) > len("--  --") && bytes.HasPrefix(mark, []byte("-- ")) && bytes.HasSuffix(mark, []byte(" --")) {
			out = append(out, entry{name: strings.TrimSpace(string(mark[3 : len(mark)-3]))})
		} else if len(out) > 0 {
			last := &out[len(out)-1]
			last.data = append(last.data, line...)
		}
	}
	return out
}

func split(name string) (tree, rest string, ok bool) {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		if p == "sys" || p == "proc" || p == "etc" || p == "usb4mesh" {
			return strings.Join(parts[:i], "/"), strings.Join(parts[i:], "/"), true
		}
	}
	return "", "", false
}

// Kind is a family of host controllers.
type Kind struct {
	vendor, device int
	bridge         string // what the NHI stands behind
	adapters       []int  // lane adapters of the ports
}

// The families that mini PCs have.
var (
	AMD   = Kind{0x1022, 0x1668, "0000:00:08.3", []int{2}}
	Intel = Kind{0x8086, 0x463e, "", []int{1, 3}}
)

// Machine is a fake machine. FS may be changed between scans.
type Machine struct {
	Name string
	FS   fstest.MapFS

	domains    []*Domain
	interfaces int // ever made: the next one's number
}

// New makes a machine without controllers, with both modules loaded.
func New(name string) *Machine {
	m := &Machine{Name: name, FS: fstest.MapFS{}}
	m.Set("proc/sys/kernel/hostname", name)
	m.Set("proc/sys/kernel/osrelease", "6.12.107+deb13-amd64")
	m.Set("sys/module/thunderbolt/parameters/dma_credits", "14")
	m.Set("sys/module/thunderbolt/parameters/host_reset", "Y")
	m.Set("sys/module/thunderbolt/parameters/xdomain", "Y")
	m.Set("sys/module/thunderbolt_net/parameters/e2e", "Y")
	return m
}

// Set writes a file of one line.
func (m *Machine) Set(name, value string) {
	m.FS[name] = &fstest.MapFile{Data: []byte(value + "\n"), Mode: 0o444}
}

func (m *Machine) link(name, target string) {
	rel := strings.Repeat("../", strings.Count(name, "/")) + target
	m.FS[name] = &fstest.MapFile{Data: []byte(rel), Mode: fs.ModeSymlink | 0o777}
}

func (m *Machine) remove(folder string) {
	for name, f := range m.FS {
		if name == folder || strings.HasPrefix(name, folder+"/") || f.Mode&fs.ModeSymlink != 0 && strings.HasSuffix(string(f.Data), folder) ||
			f.Mode&fs.ModeSymlink != 0 && strings.Contains(string(f.Data), folder+"/") {
			delete(m.FS, name)
		}
	}
}

// Domain is a controller of a machine.
type Domain struct {
	Machine *Machine
	PCI     string
	UUID    string
	number  int
	folder  string // of the host router
}

// AddDomain adds a controller at a PCI address.
func (m *Machine) AddDomain(pci string, kind Kind) *Domain {
	d := &Domain{Machine: m, PCI: pci, number: len(m.domains)}
	m.domains = append(m.domains, d)
	sum := sha256.Sum256([]byte(m.Name + " " + pci))
	d.UUID = fmt.Sprintf("%x-%x-%x-ffff-ffffffffffff", sum[0:4], sum[4:6], sum[6:8])
	nhi := path.Join("sys/devices/pci0000:00", kind.bridge, pci)
	set := func(name, value string) { m.Set(nhi+"/"+name, value) }
	set("vendor", fmt.Sprintf("%#x", kind.vendor))
	set("device", fmt.Sprintf("%#x", kind.device))
	set("class", "0x0c0340")
	m.link(nhi+"/driver", "sys/bus/pci/drivers/thunderbolt")
	m.link("sys/bus/pci/devices/"+pci, nhi)
	domain := fmt.Sprintf("domain%d/", d.number)
	set(domain+"security", "user")
	set(domain+"deauthorization", "1")
	set(domain+"iommu_dma_protection", "1")
	d.folder = fmt.Sprintf("%s/domain%d/%d-0", nhi, d.number, d.number)
	m.Set(d.folder+"/unique_id", d.UUID)
	m.Set(d.folder+"/generation", "4")
	m.Set(d.folder+"/uevent", "DEVTYPE=thunderbolt_device\nUSB4_VERSION=1.0\nUSB4_TYPE=host")
	for _, a := range kind.adapters {
		m.Set(fmt.Sprintf("%s/usb4_port%d/link", d.folder, a), "none")
	}
	return d
}

// Port is a connector.
type Port struct {
	*Domain
	Adapter int
}

// Port returns the connector with the given lane adapter.
func (d *Domain) Port(adapter int) Port { return Port{d, adapter} }

func (p Port) linkFile() string { return fmt.Sprintf("%s/usb4_port%d/link", p.folder, p.Adapter) }

func (p Port) host() string { return fmt.Sprintf("%s/%d-%x", p.folder, p.number, p.Adapter) }

// Cable joins two ports.
type Cable struct{ ends [2]Port }

// Plug puts a cable between two ports: both hosts see each other, trained at two
// lanes of 20 Gb/s, both interfaces up. A controller that meets itself stays silent.
func Plug(a, b Port) *Cable {
	c := &Cable{[2]Port{a, b}}
	for i, p := range c.ends {
		if a.UUID != b.UUID {
			p.meet(c.ends[1-i].Domain)
		}
	}
	return c
}

// meet adds the peer host to the tree.
func (p Port) meet(peer *Domain) {
	m, x := p.Machine, p.host()
	m.Set(p.linkFile(), "usb4")
	for name, value := range map[string]string{
		"device": "0x1", "vendor": "0x8086", "vendor_name": "Intel Corp.", "device_name": peer.Machine.Name, "unique_id": peer.UUID,
		"maxhopid": "15", "rx_lanes": "2", "tx_lanes": "2", "rx_speed": "20.0 Gb/s", "tx_speed": "20.0 Gb/s", "uevent": "DEVTYPE=thunderbolt_xdomain",
	} {
		m.Set(x+"/"+name, value)
	}
	service := path.Join(x, path.Base(x)+".0")
	for name, value := range map[string]string{
		"key": "network", "modalias": "tbsvc:knetworkp00000001v00000001r00000001", "prtcid": "1", "prtcvers": "1", "prtcrevs": "1", "prtcstns": "0x00000007",
		"uevent": "DEVTYPE=thunderbolt_service\nDRIVER=thunderbolt-net",
	} {
		m.Set(service+"/"+name, value)
	}
	m.link(service+"/driver", "sys/bus/thunderbolt/drivers/thunderbolt-net")
	netdev := fmt.Sprintf("%s/net/thunderbolt%d", service, m.interfaces)
	m.interfaces++
	for name, value := range map[string]string{
		"address": hw.MAC(p.UUID, p.Adapter), "mtu": "1500", "carrier": "1", "operstate": "up", "flags": "0x1003",
		"statistics/rx_packets": "0", "statistics/tx_packets": "0",
	} {
		m.Set(netdev+"/"+name, value)
	}
	for name, target := range map[string]string{
		"sys/bus/thunderbolt/devices/" + path.Base(x):       x,
		"sys/bus/thunderbolt/devices/" + path.Base(service): service,
		"sys/class/net/" + path.Base(netdev):                netdev,
	} {
		m.link(name, target)
	}
}

// Unplug takes the cable out: peer hosts and interfaces vanish at both ends.
func (c *Cable) Unplug() {
	for _, p := range c.ends {
		p.Machine.remove(p.host())
		p.Machine.Set(p.linkFile(), "none")
	}
}

// Train sets what the cable runs at: lanes and Gb/s per lane, in both directions.
func (c *Cable) Train(lanes, speed int) {
	c.Set("rx_lanes", fmt.Sprint(lanes))
	c.Set("tx_lanes", fmt.Sprint(lanes))
	c.Set("rx_speed", fmt.Sprintf("%d.0 Gb/s", speed))
	c.Set("tx_speed", fmt.Sprintf("%d.0 Gb/s", speed))
}

// Set writes an attribute of the peer host at both ends.
func (c *Cable) Set(name, value string) {
	for i := range c.ends {
		c.SetEnd(i, name, value)
	}
}

// SetEnd writes an attribute of the peer host as one end, 0 or 1, shows it.
func (c *Cable) SetEnd(end int, name, value string) {
	c.ends[end].Machine.Set(c.ends[end].host()+"/"+name, value)
}

// SetInterface writes an attribute of the interface at one end.
func (c *Cable) SetInterface(end int, name, value string) {
	if device := c.Interface(end); device != "" {
		c.ends[end].Machine.Set(c.netFolder(end)+device+"/"+name, value)
	}
}

// Interface returns the name of the interface at one end, "" where there is none.
func (c *Cable) Interface(end int) string {
	prefix := c.netFolder(end)
	for file := range c.ends[end].Machine.FS {
		if rest, ok := strings.CutPrefix(file, prefix); ok {
			name, _, _ := strings.Cut(rest, "/")
			return name
		}
	}
	return ""
}

// Rename gives the interface at one end another name, as udev or an agent does.
func (c *Cable) Rename(end int, name string) {
	old, m, prefix := c.Interface(end), c.ends[end].Machine, c.netFolder(end)
	if old == "" || old == name {
		return
	}
	for _, file := range slices.Collect(maps.Keys(m.FS)) {
		if rest, ok := strings.CutPrefix(file, prefix+old+"/"); ok {
			m.FS[prefix+name+"/"+rest] = m.FS[file]
			delete(m.FS, file)
		}
	}
	delete(m.FS, "sys/class/net/"+old)
	m.link("sys/class/net/"+name, prefix+name)
}

// netFolder is where the interface of one end stands, with a slash at its end.
func (c *Cable) netFolder(end int) string {
	host := c.ends[end].host()
	return host + "/" + path.Base(host) + ".0/net/"
}

// RemoveService takes the network service away at one end, as where no side has
// loaded thunderbolt_net.
func (c *Cable) RemoveService(end int) {
	p := c.ends[end]
	p.Machine.remove(p.host() + "/" + path.Base(p.host()) + ".0")
}
