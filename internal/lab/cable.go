package lab

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"os"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// cable is a veth pair between two nodes.
//
// The interfaces are made with the names of the plan: this stands for the
// renaming that a .link file does on hardware. Both ends get the same interface
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
	return nil
}

func (c *cable) attributes(end int) []*nl.RtAttr {
	return []*nl.RtAttr{
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(c.links[end].Interface)),
		nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(c.links[end].MTU))),
		nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(c.nodes[end].NetNS()))),
	}
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
		err = c.onLink(end, (*netlink.Handle).LinkDel)
	case Carrier:
		if c.watch, err = watchCarrier(c.nodes[1-end], c.links[1-end].Interface); err == nil {
			err = c.onLink(end, (*netlink.Handle).LinkSetDown)
		}
	case Silent:
		for i := range c.nodes {
			if err = dropFrames(c.nodes[i], c.links[i].Interface); err != nil {
				break
			}
		}
	default:
		return fmt.Errorf("no kind of cut is called %q: use delete, carrier or silent", how)
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
		err = c.create(index)
	case Carrier:
		err = c.onLink(c.end, (*netlink.Handle).LinkSetUp)
	case Silent:
		for i := range c.nodes {
			if err = passFrames(c.nodes[i], c.links[i].Interface); err != nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("plug cable %s: %w", c.plan.Name, err)
	}
	c.cut = ""
	return nil
}

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
	l, err := h.LinkByName(c.links[end].Interface)
	if err != nil {
		return fmt.Errorf("%s on node %s: %w", c.links[end].Interface, c.nodes[end].Name, err)
	}
	return do(h, l)
}

func nsHandle(f *os.File) netns.NsHandle { return netns.NsHandle(int(f.Fd())) }
