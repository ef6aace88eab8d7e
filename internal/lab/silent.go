package lab

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// silentTable starts the name of the nftables tables, family netdev, that swallow frames.
const silentTable = "usb4mesh-lab"

// dropFrames makes a node lose every frame that an interface receives while the
// interface stays up with carrier: what a wedged driver looks like.
//
// Packet sockets, by which a routing daemon may speak without IP (IS-IS), see a
// frame before the ingress hook does, so whatever is not IP is dropped where it
// is sent (egress hook, Linux 5.16).
func dropFrames(n *Node, table, iface string) error {
	c, err := nftables.New(nftables.WithNetNSFd(n.NetNS()))
	if err != nil {
		return fmt.Errorf("nftables on node %s: %w", n.Name, err)
	}
	t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyNetdev, Name: table})
	in := c.AddChain(&nftables.Chain{
		Table: t, Name: "ingress", Type: nftables.ChainTypeFilter, Device: iface,
		Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityFilter,
	})
	drop := &expr.Verdict{Kind: expr.VerdictDrop}
	c.AddRule(&nftables.Rule{Table: t, Chain: in, Exprs: []expr.Any{drop}})

	out := c.AddChain(&nftables.Chain{
		Table: t, Name: "egress", Type: nftables.ChainTypeFilter, Device: iface,
		Hooknum: nftables.ChainHookEgress, Priority: nftables.ChainPriorityFilter,
	})
	except := []expr.Any{&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1}}
	for _, p := range []uint16{unix.ETH_P_IP, unix.ETH_P_IPV6} {
		except = append(except, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{byte(p >> 8), byte(p)}})
	}
	c.AddRule(&nftables.Rule{Table: t, Chain: out, Exprs: append(except, drop)})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables on node %s: drop what %s receives: %w", n.Name, iface, err)
	}
	return nil
}

// passFrames undoes dropFrames.
func passFrames(n *Node, table string) error {
	c, err := nftables.New(nftables.WithNetNSFd(n.NetNS()))
	if err != nil {
		return fmt.Errorf("nftables on node %s: %w", n.Name, err)
	}
	c.DelTable(&nftables.Table{Family: nftables.TableFamilyNetdev, Name: table})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables on node %s: remove the table %s: %w", n.Name, table, err)
	}
	return nil
}
