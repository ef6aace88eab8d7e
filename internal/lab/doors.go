package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// doors are the netlink doors to all nodes, with what the plan wants of each.
// They serve engines that put the plan's own routes into the kernel.
type doors struct {
	nodes []*Node
	door  map[*Node]*kernel.Kernel
	dummy bool // the kernel has dummy interfaces
	neigh bool // the kernel lets us set how neighbours are asked for
}

func openDoors(nodes []*Node) (*doors, error) {
	d := &doors{nodes: nodes, door: map[*Node]*kernel.Kernel{}, dummy: hasDummy(nodes[0]), neigh: hasNeigh(nodes[0])}
	for _, n := range nodes {
		k, err := kernel.OpenNamespace(n.NetNS())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("node %s: %w", n.Name, err), d.close())
		}
		d.door[n] = k
	}
	return d, nil
}

func (d *doors) close() error {
	var errs []error
	for _, k := range d.door {
		errs = append(errs, k.Close())
	}
	return errors.Join(errs...)
}

// identityKind is the kind of umesh0 on this kernel.
func (d *doors) identityKind() mesh.LinkKind {
	if d.dummy {
		return mesh.KindDummy
	}
	return mesh.KindBridge
}

// want is what the plan asks of a node on this kernel.
func (d *doors) want(n *Node) mesh.State {
	want := n.Plan.Want(n.Mesh.Mesh, n.Mesh.MTU)
	for i := range want.Links {
		if want.Links[i].Kind == mesh.KindDummy {
			want.Links[i].Kind = d.identityKind()
		}
	}
	if !d.neigh {
		want.Sysctls = slices.DeleteFunc(slices.Clone(want.Sysctls), isNeigh)
	}
	return want
}

// settled returns nil if every node has the addresses, routes and rules that it
// should have. Aliases, and what stands beside the plan, do not matter here.
func (d *doors) settled(ctx context.Context) error {
	for _, n := range d.nodes {
		have, err := d.door[n].Snapshot(ctx)
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		var lacks []string
		for _, c := range mesh.Diff(have, d.want(n)) {
			if c.Op == mesh.Add {
				lacks = append(lacks, c.String())
			}
		}
		if len(lacks) > 0 {
			return fmt.Errorf("node %s lacks %d things, the first is: %s", n.Name, len(lacks), lacks[0])
		}
	}
	return nil
}

// standIns says what of the plan this kernel can't do, and what stands for it.
func (d *doors) standIns() []string {
	var s []string
	if !d.dummy {
		s = append(s, noDummy)
	}
	if !d.neigh {
		s = append(s, noNeigh)
	}
	return s
}

const noDummy = "a bridge without ports stands for the dummy interface " + mesh.IdentityInterface + ": this kernel has no dummy"

// hasDummy tries whether the kernel can make a dummy interface.
func hasDummy(n *Node) bool {
	d := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "try-dummy"}}
	if n.handle.LinkAdd(d) != nil {
		return false
	}
	return n.handle.LinkDel(d) == nil
}

const noNeigh = "neighbours are asked for once a second as the kernel does by itself, because it hides that setting from ordinary users: a plug may lose packets for a second"

// isNeigh reports whether a setting is about neighbours.
func isNeigh(s mesh.Sysctl) bool {
	return strings.HasPrefix(s.Path, "net/ipv4/neigh/") || strings.HasPrefix(s.Path, "net/ipv6/neigh/")
}

// hasNeigh reports whether neighbour settings can be seen: older kernels leave
// them out in the namespaces of ordinary users (net/core/neighbour.c,
// neigh_sysctl_register).
func hasNeigh(n *Node) bool {
	return n.Do(func() error {
		_, err := os.Stat("/proc/sys/net/ipv4/neigh/lo/retrans_time_ms")
		return err
	}) == nil
}
