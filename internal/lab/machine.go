package lab

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing/fstest"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Folders of a node, below its own /run.
const (
	labFolder  = "/run/usb4mesh-lab"
	treeFolder = labFolder + "/machine" // holds sys and proc of its model machine
)

// machines are models of the hardware of all nodes, one folder with sys and proc in
// each, for engines that are to find out by themselves what is plugged where. They
// follow what the lab does to cables, and what the node's kernel says of interfaces.
//
// As on hardware, the folder changes before the event that tells of it when a cable
// comes or goes. When somebody renames an interface, or sets it up, it follows a
// moment later: that is the one way in which it differs from a real /sys.
type machines struct {
	mu    sync.Mutex
	nodes map[*Node]*machine
}

type machine struct {
	model   *hwtest.Machine
	domains map[string]*hwtest.Domain // by PCI address
	ports   map[int]*modelPort        // by index of the interface, while there is one
	disk    *diskTree
	done    chan struct{} // ends the follower
}

// modelPort is the interface at one end of a plugged cable.
type modelPort struct {
	name  string // of the cable
	cable *hwtest.Cable
	end   int
}

func newMachines(nodes []*Node) (*machines, error) {
	m := &machines{nodes: map[*Node]*machine{}}
	for _, n := range nodes {
		if err := m.add(n, n.Name); err != nil {
			return nil, errors.Join(err, m.close())
		}
	}
	return m, nil
}

// add makes the model of a node, which tells peers its name.
func (m *machines) add(n *Node, name string) error {
	m.mu.Lock()
	k := &machine{model: hwtest.New(name), domains: map[string]*hwtest.Domain{}}
	for file, value := range wellKept {
		k.model.Set(file, value)
	}
	for _, l := range n.Plan.Links {
		k.domain(l.Port)
	}
	m.nodes[n] = k
	m.mu.Unlock()
	return m.boot(n)
}

// domain returns the controller of a port; one that is not there yet is added.
func (k *machine) domain(p mesh.Port) *hwtest.Domain {
	pci := pciOf(p)
	if k.domains[pci] == nil {
		kind := hwtest.AMD
		if p.Adapter != 0 {
			kind = hwtest.Intel
		}
		k.domains[pci] = k.model.AddDomain(pci, kind)
	}
	return k.domains[pci]
}

// provide gives a node the controller of a port that the plan does not use.
func (m *machines) provide(n *Node, p mesh.Port) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.nodes[n]
	k.domain(p)
	return k.disk.write(k.model.FS)
}

// claim makes a node tell the UUID of another one's router.
func (m *machines) claim(n *Node, p mesh.Port, other *Node, of mesh.Port) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[n].domain(p).UUID = m.nodes[other].domain(of).UUID
}

// drop forgets a node.
func (m *machines) drop(n *Node) error {
	err := m.halt(n)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.nodes, n)
	return err
}

// wellKept is a machine of which an agent has nothing to say: what diagnose advises is
// done. No driver runs in a lab, so its defects and limits would be noise.
var wellKept = map[string]string{
	"proc/sys/kernel/osrelease":                     "7.2.13",
	"sys/module/thunderbolt/parameters/dma_credits": "32",
}

// introduction is how a kernel of that release introduces itself to a peer
// (drivers/thunderbolt/xdomain.c).
var introduction = map[string]string{"vendor": "0x1d6b", "device": "0x4", "vendor_name": "Linux"}

// pciOf returns the PCI address in a port's ID_PATH: 0000:c7:00.5.
func pciOf(p mesh.Port) string { return strings.TrimPrefix(p.Path, "pci-") }

// adapterOf returns the lane adapter behind a port; where its controller has but one
// the plan does not say.
func adapterOf(p mesh.Port) int {
	if p.Adapter != 0 {
		return p.Adapter
	}
	return 2 // hwtest.AMD
}

// boot writes the folder of a node and follows its kernel. It is done again when the
// node got new namespaces.
func (m *machines) boot(n *Node) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.nodes[n]
	k.ports, k.done = map[int]*modelPort{}, make(chan struct{})
	k.model.Set("proc/sys/kernel/random/boot_id", rand.Text()) // another at each boot
	k.model.Set("dev/cpu_dma_latency", "")                     // an agent that asks for a latency holds it open
	err := n.Do(func() (err error) {
		if err = os.MkdirAll(treeFolder, 0o755); err == nil {
			k.disk, err = openDisk(labFolder)
		}
		return err
	})
	if err == nil {
		err = k.disk.write(k.model.FS)
	}
	if err == nil {
		err = m.follow(n, k)
	}
	if err != nil {
		return fmt.Errorf("node %s: model of its hardware: %w", n.Name, err)
	}
	return nil
}

// halt lets go of the node's namespaces.
func (m *machines) halt(n *Node) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.nodes[n]
	if k == nil || k.disk == nil {
		return nil
	}
	close(k.done)
	err := k.disk.close()
	k.disk = nil
	return err
}

func (m *machines) close() error {
	var errs []error
	for n := range m.nodes {
		errs = append(errs, m.halt(n))
	}
	return errors.Join(errs...)
}

// plug shows the cable to both nodes: the peer host, its network service, and the
// interface that is about to be made.
func (m *machines) plug(c *cable, index int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ports [2]hwtest.Port
	for i, l := range c.links {
		ports[i] = m.nodes[c.nodes[i]].domains[pciOf(l.Port)].Port(adapterOf(l.Port))
	}
	c.model = hwtest.Plug(ports[0], ports[1])
	for i, n := range c.nodes {
		name, err := freeName(n)
		if err != nil {
			return err
		}
		c.names[i], c.macs[i] = name, hw.MAC(ports[i].UUID, ports[i].Adapter)
		c.model.Rename(i, name)
		for attribute, value := range introduction {
			c.model.SetEnd(i, attribute, value)
		}
		for attribute, value := range map[string]string{"flags": "0x1002", "operstate": "down", "carrier": "0", "mtu": strconv.Itoa(driverMTU), "ifindex": strconv.Itoa(index)} {
			c.model.SetInterface(i, attribute, value)
		}
		k := m.nodes[n]
		k.ports[index] = &modelPort{c.plan.Name, c.model, i}
		if err := k.disk.write(k.model.FS); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	return nil
}

// unplug hides the cable from both nodes.
func (m *machines) unplug(c *cable) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.model == nil {
		return nil
	}
	c.model.Unplug()
	c.model = nil
	var errs []error
	for _, n := range c.nodes {
		k := m.nodes[n]
		delete(k.ports, c.index)
		if k.disk != nil {
			errs = append(errs, k.disk.write(k.model.FS))
		}
	}
	return errors.Join(errs...)
}

// cableOf returns the name of the cable behind an interface, "" for others.
func (m *machines) cableOf(n *Node, index int) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.nodes[n].ports[index]; p != nil {
		return p.name
	}
	return ""
}

// driverMTU is what thunderbolt_net starts with (ether_setup, net/ethernet/eth.c).
const driverMTU = 1500

// freeName returns the name that the kernel gives to the next thunderbolt interface:
// the lowest free number (__dev_alloc_name, net/core/dev.c).
func freeName(n *Node) (string, error) {
	links, err := n.handle.LinkList()
	if err != nil {
		return "", fmt.Errorf("node %s: %w", n.Name, err)
	}
	taken := map[string]bool{}
	for _, l := range links {
		taken[l.Attrs().Name] = true
	}
	for i := 0; ; i++ {
		if name := "thunderbolt" + strconv.Itoa(i); !taken[name] {
			return name, nil
		}
	}
}

// follow keeps what the folder says of interfaces as the node's kernel has it.
func (m *machines) follow(n *Node, k *machine) error {
	updates := make(chan netlink.LinkUpdate, 256)
	ns := nsHandle(n.net)
	o := netlink.LinkSubscribeOptions{Namespace: &ns, ErrorCallback: func(error) {}} // the namespace is gone, or we are
	if err := netlink.LinkSubscribeWithOptions(updates, k.done, o); err != nil {
		return err
	}
	disk := k.disk
	go func() {
		for u := range updates {
			if u.Header.Type == unix.RTM_NEWLINK {
				m.follows(k, disk, u)
			}
		}
	}()
	return nil
}

func (m *machines) follows(k *machine, disk *diskTree, u netlink.LinkUpdate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := u.Attrs()
	p := k.ports[a.Index]
	if p == nil || k.disk != disk {
		return
	}
	p.cable.Rename(p.end, a.Name)
	carrier := "0"
	if a.OperState == netlink.OperUp {
		carrier = "1"
	}
	for name, value := range map[string]string{
		"flags": fmt.Sprintf("%#x", u.Flags&0xffff), "operstate": a.OperState.String(), "carrier": carrier,
		"mtu": strconv.Itoa(a.MTU), "address": a.HardwareAddr.String(),
	} {
		p.cable.SetInterface(p.end, name, value)
	}
	_ = disk.write(k.model.FS) // a tmpfs that is full: the agent will be seen to fail
}

// diskTree keeps files below a folder equal to a tree in memory. A file is replaced
// in one step, so that a reader never sees half of it.
type diskTree struct {
	root *os.Root
	have map[string]string
}

func openDisk(folder string) (*diskTree, error) {
	r, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	return &diskTree{r, map[string]string{}}, nil
}

func (d *diskTree) close() error { return d.root.Close() }

// write brings the files about.
func (d *diskTree) write(tree map[string]*fstest.MapFile) error {
	base := path.Base(treeFolder)
	for name := range d.have {
		if _, stays := tree[name]; stays {
			continue
		}
		delete(d.have, name)
		if err := d.remove(base, path.Join(base, name)); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		f := tree[name]
		content := f.Mode.Type().String() + string(f.Data)
		if was, ok := d.have[name]; ok && was == content {
			continue
		}
		if err := d.put(path.Join(base, name), f); err != nil {
			return err
		}
		d.have[name] = content
	}
	return nil
}

func (d *diskTree) put(name string, f *fstest.MapFile) error {
	const scratch = "new"
	if err := d.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	var err error
	if f.Mode&fs.ModeSymlink != 0 {
		err = d.root.Symlink(string(f.Data), scratch)
	} else {
		err = d.root.WriteFile(scratch, f.Data, 0o644)
	}
	if err != nil {
		return err
	}
	return d.root.Rename(scratch, name)
}

// remove removes a file and the folders that it leaves empty.
func (d *diskTree) remove(base, name string) error {
	if err := d.root.Remove(name); err != nil {
		return err
	}
	for dir := path.Dir(name); dir != base; dir = path.Dir(dir) {
		if err := d.root.Remove(dir); err != nil {
			if errors.Is(err, unix.ENOTEMPTY) {
				return nil
			}
			return err
		}
	}
	return nil
}
