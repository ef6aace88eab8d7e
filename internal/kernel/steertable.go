package kernel

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// steerName is our nftables table, family inet. nft shows it like this:
//
//	table inet usb4mesh {
//		map transit4 {
//			type ifname . ipv4_addr : verdict
//			elements = { "tbt-02" . 10.7.1.3 : goto port-2 }
//		}
//		map local4 {
//			type ipv4_addr : verdict
//			elements = { 10.7.1.3 : goto port-2 }
//		}
//		(transit6 and local6 likewise)
//		chain port-2 {
//			meta mark set meta mark & 0x00ffffff | 0x02000000
//		}
//		chain transit {
//			type filter hook prerouting priority mangle; policy accept;
//			meta mark & 0xff000000 != 0x00000000 accept
//			meta nfproto ipv4 iifname . ip daddr vmap @transit4
//			meta nfproto ipv6 iifname . ip6 daddr vmap @transit6
//		}
//		chain local {
//			type route hook output priority mangle; policy accept;
//			(likewise)
//		}
//	}
//
// A chain for each mark, and not the mark as the map's value, since only that
// keeps the other bits of a packet's mark: kernels before 6.13 can't combine two
// values that are both known only when the packet comes.
const steerName = "usb4mesh"

// elementsAtOnce keeps a list of elements, of less than 100 bytes each, within a
// netlink attribute, whose length is a number of 16 bits.
const elementsAtOnce = 256

// steerTable puts the whole table into the connection's next transaction. It is
// made anew each time: what a person or another program did to it is mended on
// the way, and there is one way to write it and not two.
func steerTable(c *nftables.Conn, entries []mesh.Steer) error {
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: steerName}
	c.AddTable(t) // else there is nothing to delete
	c.DelTable(t)
	c.AddTable(t)
	chains := map[uint32]string{}
	for _, mark := range marksOf(entries) {
		if mark&mesh.MarkMask == 0 || mark&^mesh.MarkMask != 0 {
			return fmt.Errorf("mark %#x is outside of %#x", mark, mesh.MarkMask)
		}
		chain := c.AddChain(&nftables.Chain{Table: t, Name: fmt.Sprintf("port-%d", mark>>24)})
		chains[mark] = chain.Name
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: setMark(mark)})
	}
	transit := c.AddChain(&nftables.Chain{
		Table: t, Name: "transit", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle,
	})
	local := c.AddChain(&nftables.Chain{
		Table: t, Name: "local", Type: nftables.ChainTypeRoute,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityMangle,
	})
	c.AddRule(&nftables.Rule{Table: t, Chain: transit, Exprs: acceptMarked()})
	c.AddRule(&nftables.Rule{Table: t, Chain: local, Exprs: acceptMarked()})
	for i, f := range []steerFamily{{4, unix.NFPROTO_IPV4, nftables.TypeIPAddr, 16}, {6, unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 24}} {
		over, own := f.elements(entries, chains)
		// The ids tell the sets of one transaction apart; the library would number
		// them itself, but not safely for two connections at once.
		transits := &nftables.Set{
			ID: uint32(2*i + 1), Table: t, Name: fmt.Sprintf("transit%d", f.version), IsMap: true, Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIFName, f.address), DataType: nftables.TypeVerdict,
		}
		locals := &nftables.Set{
			ID: uint32(2*i + 2), Table: t, Name: fmt.Sprintf("local%d", f.version), IsMap: true,
			KeyType: f.address, DataType: nftables.TypeVerdict,
		}
		for _, m := range []struct {
			set      *nftables.Set
			elements []nftables.SetElement
		}{{transits, over}, {locals, own}} {
			if err := c.AddSet(m.set, nil); err != nil {
				return err
			}
			for some := range slices.Chunk(m.elements, elementsAtOnce) {
				if err := c.SetAddElements(m.set, some); err != nil {
					return err
				}
			}
		}
		c.AddRule(&nftables.Rule{Table: t, Chain: transit, Exprs: f.lookup(transits, true)})
		c.AddRule(&nftables.Rule{Table: t, Chain: local, Exprs: f.lookup(locals, false)})
	}
	return nil
}

// steerFamily is what differs between IPv4 and IPv6.
type steerFamily struct {
	version int
	nfproto byte
	address nftables.SetDatatype
	offset  uint32 // of the destination in the header
}

// elements returns the contents of the family's two maps.
func (f steerFamily) elements(entries []mesh.Steer, chains map[uint32]string) (transit, local []nftables.SetElement) {
	chosen := map[mesh.Steer]string{} // by incoming interface and destination
	var order []mesh.Steer
	for _, e := range entries {
		key := mesh.Steer{Incoming: e.Incoming, Destination: e.Destination.Unmap()}
		if key.Destination.Is4() != (f.version == 4) || !key.Destination.IsValid() {
			continue
		}
		if _, again := chosen[key]; !again {
			order = append(order, key)
		}
		chosen[key] = chains[e.Mark]
	}
	for _, key := range order {
		element := nftables.SetElement{
			Key:         key.Destination.AsSlice(),
			VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: chosen[key]},
		}
		if key.Incoming == "" {
			local = append(local, element)
			continue
		}
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, key.Incoming)
		element.Key = append(name, element.Key...)
		transit = append(transit, element)
	}
	return transit, local
}

// lookup sends packets of the family where the map says.
func (f steerFamily) lookup(m *nftables.Set, transit bool) []expr.Any {
	es := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{f.nfproto}},
	}
	var address uint32 = unix.NFT_REG_1
	if transit {
		// A register holds 16 bytes, as much as a name; the address follows in the next.
		es = append(es, &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: unix.NFT_REG_1})
		address = unix.NFT_REG_2
	}
	return append(es,
		&expr.Payload{
			OperationType: expr.PayloadLoad, Base: expr.PayloadBaseNetworkHeader,
			Offset: f.offset, Len: f.address.Bytes, DestRegister: address,
		},
		&expr.Lookup{SourceRegister: unix.NFT_REG_1, IsDestRegSet: true, DestRegister: unix.NFT_REG_VERDICT, SetName: m.Name, SetID: m.ID},
	)
}

// acceptMarked lets go what bears somebody's mark in our bits.
func acceptMarked() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: unix.NFT_REG_1},
		bitwise(mesh.MarkMask, 0),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: unix.NFT_REG_1, Data: host(0)},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}

func setMark(mark uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: unix.NFT_REG_1},
		bitwise(^mesh.MarkMask, mark),
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: unix.NFT_REG_1},
	}
}

func bitwise(mask, xor uint32) *expr.Bitwise {
	return &expr.Bitwise{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: 4, Mask: host(mask), Xor: host(xor)}
}

// host returns the value as the kernel keeps marks: in the order of the machine.
func host(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
