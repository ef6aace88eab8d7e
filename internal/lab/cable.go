package lab

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"os"

	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// cable is a veth pair between two nodes.
//
// The interfaces are made with the names of the plan: this stands for the
// renaming that a .link file does on hardware. Where the engine wants machines, they
// are made as the driver makes them instead. Both ends get the same interface
// index, a new one at each plug. Not by whim: for an interface whose index
// differs from its peer's the kernel treats loss of carrier as urgent
// (linkwatch_urgent_event, net/core/link_watch.c), which it does not do for a
// thunderbolt interface.
type cable struct {
	plan  *mesh.CablePlan
	nodes [2]*Node
	links [2]*mesh.LinkPlan

	cut   string        // "", or how it is cut
	end   int           // of a cut
	watch *carrierWatch // of a Carrier cut
	index int           // of the interfaces, while there are any

	// Where the nodes have model machines: what the driver calls the interfaces,
	// and their addresses.
	machines *machines
	model    *hwtest.Cable
	names    [2]string
	macs     [2]string
}

// firstIndex leaves room below for lo, umesh0 and what a user makes.
const firstIndex = 1000

func newCable(plan *mesh.CablePlan, nodes map[string]*Node) (*cable, error) {
	c := &cable{plan: plan, cut: Delete}
	for i, e := range plan.Ends {
		n := nodes[e.Node]
		if n == nil {
			return nil, fmt.Errorf("cable %s: no node %s", plan.Name, e.Node)
		}
		l := n.link(plan.Name)
		if l == nil {
			return nil, fmt.Errorf("cable %s: node %s has no link for it", plan.Name, e.Node)
		}
		c.nodes[i], c.links[i] = n, l
	}
	return c, nil
}

// create makes the veth pair, down at both ends, as a driver leaves an
// interface it has just registered.
func (c *cable) create(index int) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	near := nl.NewIfInfomsg(unix.AF_UNSPEC)
	near.Index = int32(index)
	req.AddData(near)
	for _, a := range c.attributes(0) {
		req.AddData(a)
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC).Index = int32(index)
	for _, a := range c.attributes(1) {
		peer.AddChild(a)
	}
	req.AddData(info)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("cable %s: make veth pair: %w", c.plan.Name, err)
	}
	c.index = index
	return nil
}

func (c *cable) attributes(end int) []*nl.RtAttr {
	name, mtu := c.links[end].Interface, c.links[end].MTU
	if c.machines != nil {
		name, mtu = c.names[end], driverMTU
	}
	all := []*nl.RtAttr{
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)),
		nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))),
		nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(c.nodes[end].NetNS()))),
	}
	if mac, err := net.ParseMAC(c.macs[end]); err == nil {
		all = append(all, nl.NewRtAttr(unix.IFLA_ADDRESS, mac))
	}
	return all
}

// disconnect cuts the cable.
func (c *cable) disconnect(how string, end int) error {
	if c.cut != "" {
		return fmt.Errorf("cable %s is already cut (%s): plug it first", c.plan.Name, c.cut)
	}
	if end != 0 && end != 1 {
		return fmt.Errorf("cable %s has ends 0 and 1, not %d", c.plan.Name, end)
	}
	var err error
	switch how {
	case Delete:
		err = c.remove(end)
	case Carrier:
		if c.watch, err = watchCarrier(c.nodes[1-end], c.index); err == nil {
			err = c.onLink(end, (*netlink.Handle).LinkSetDown)
		}
	case Silent:
		err = errors.Join(c.silence(0), c.silence(1))
	case OneWay:
		err = c.silence(1 - end)
	default:
		return fmt.Errorf("no kind of cut is called %q: use one of %s", how, strings.Join(Kinds(), ", "))
	}
	if err != nil {
		return fmt.Errorf("cut cable %s (%s): %w", c.plan.Name, how, err)
	}
	c.cut, c.end = how, end
	return nil
}

// connect undoes disconnect. After Delete the interfaces are new ones, down, as
// after a plug; index is theirs.
func (c *cable) connect(index int) error {
	var err error
	switch c.cut {
	case "":
		return fmt.Errorf("cable %s is plugged already", c.plan.Name)
	case Delete:
		if c.machines != nil {
			err = c.machines.plug(c, index)
		}
		if err == nil {
			err = c.create(index)
		}
	case Carrier:
		err = c.onLink(c.end, (*netlink.Handle).LinkSetUp)
	case Silent:
		err = errors.Join(c.unsilence(0), c.unsilence(1))
	case OneWay:
		err = c.unsilence(1 - c.end)
	}
	if err != nil {
		return fmt.Errorf("plug cable %s: %w", c.plan.Name, err)
	}
	c.cut = ""
	return nil
}

// remove takes the interfaces away, as the driver does when a cable is unplugged.
func (c *cable) remove(end int) error {
	if c.machines != nil {
		if err := c.machines.unplug(c); err != nil {
			return err
		}
	}
	return c.onLink(end, (*netlink.Handle).LinkDel)
}

// pull takes a cable out that is plugged, in whatever way it is cut.
func (c *cable) pull() error {
	if c.cut == Delete {
		return nil
	}
	if c.watch != nil {
		c.watch.stop()
		c.watch = nil
	}
	var errs []error
	if c.cut == Silent || c.cut == OneWay { // the tables would outlive the interface
		errs = append(errs, c.connect(0))
	}
	errs = append(errs, c.remove(0))
	c.cut = Delete
	return errors.Join(errs...)
}

// silence makes one end deaf; unsilence undoes it.
func (c *cable) silence(end int) error {
	return c.onLink(end, func(_ *netlink.Handle, l netlink.Link) error {
		return dropFrames(c.nodes[end], c.deaf(), l.Attrs().Name)
	})
}

func (c *cable) unsilence(end int) error { return passFrames(c.nodes[end], c.deaf()) }

// deaf names the table of a silent cable; interfaces may be renamed meanwhile.
func (c *cable) deaf() string { return silentTable + "-" + strconv.Itoa(c.index) }

// inUse returns nil if the kernel uses both ends of a plugged cable.
func (c *cable) inUse() error {
	for end := range c.nodes {
		err := c.onLink(end, func(_ *netlink.Handle, l netlink.Link) error {
			if state := l.Attrs().OperState; state != netlink.OperUp {
				return fmt.Errorf("%s on node %s is %s, not up", c.links[end].Interface, c.nodes[end].Name, state)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// onLink does something to the interface at one end.
func (c *cable) onLink(end int, do func(*netlink.Handle, netlink.Link) error) error {
	h := c.nodes[end].handle
	l, err := h.LinkByIndex(c.index)
	if err != nil {
		return fmt.Errorf("%s on node %s: %w", c.links[end].Interface, c.nodes[end].Name, err)
	}
	return do(h, l)
}

func nsHandle(f *os.File) netns.NsHandle { return netns.NsHandle(int(f.Fd())) }
