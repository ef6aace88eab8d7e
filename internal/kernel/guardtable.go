package kernel

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// guardName is the nftables table, family inet, that keeps strangers out. It is not
// that of Steer, which is in a hurry and is written anew each time. nft shows it
// like this:
//
//	table inet usb4mesh-guard {
//		set ports { type ifname; elements = { "tbt-02", "tbt-03" } }
//		set strangers { type ifname; elements = { "thunderbolt0" } }
//		set outside { type ifname }
//		set addresses4 { type ipv4_addr; elements = { 10.7.1.1, 10.7.1.2, 10.7.1.3 } }
//		(addresses6 likewise)
//		chain arriving {
//			type filter hook prerouting priority raw; policy accept;
//			iifname @strangers counter drop
//			iifname @outside ip saddr @addresses4 counter drop
//			iifname "thunderbolt*" ip saddr @addresses4 counter drop
//			(ip6 likewise)
//		}
//		chain passing {
//			type filter hook forward priority raw; policy accept;
//			iifname @outside oifname @ports counter drop
//			iifname "thunderbolt*" oifname @ports counter drop
//			(and the other way)
//		}
//		chain leaving {
//			type filter hook postrouting priority raw; policy accept;
//			oifname @strangers counter drop
//			oifname @outside ip daddr @addresses4 counter drop
//			(likewise)
//		}
//	}
const guardName = "usb4mesh-guard"

// What the comment of a rule begins with, by which its counter is known.
const (
	saysStranger = "a stranger's"
	saysForged   = "an address of the mesh from outside"
	saysCrossing = "between mesh and outside"
)

const (
	setPorts     = "ports"
	setStrangers = "strangers"
	setOutside   = "outside"
)

// guardChain is a base chain with its rules, each ending in a drop.
type guardChain struct {
	name   string
	hook   *nftables.ChainHook
	rules  []guardRule
	digest string // of the guard: a rule with another one is not ours, or old
}

type guardRule struct {
	says  string
	match [][]expr.Any
}

func (c guardChain) comment(rule int) string { return c.rules[rule].says + ", " + c.digest }

// guardFamily is what differs between IPv4 and IPv6.
type guardFamily struct {
	set                 string
	nfproto             byte
	address             nftables.SetDatatype
	source, destination uint32 // in the header
}

var guardFamilies = []guardFamily{
	{"addresses4", unix.NFPROTO_IPV4, nftables.TypeIPAddr, 12, 16},
	{"addresses6", unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 8, 24},
}

// guardTable puts the whole table into the connection's next transaction.
func guardTable(c *nftables.Conn, g mesh.Guard) error {
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: guardName}
	c.AddTable(t) // else there is nothing to delete
	c.DelTable(t)
	c.AddTable(t)
	ids := map[string]uint32{}
	for _, s := range guardSets(t, g) {
		ids[s.set.Name] = s.set.ID
		if err := c.AddSet(s.set, nil); err != nil {
			return err
		}
		for some := range slices.Chunk(s.elements, elementsAtOnce) {
			if err := c.SetAddElements(s.set, some); err != nil {
				return err
			}
		}
	}
	for _, chain := range guardChains(g) {
		k := c.AddChain(&nftables.Chain{Table: t, Name: chain.name, Type: nftables.ChainTypeFilter, Hooknum: chain.hook, Priority: nftables.ChainPriorityRaw})
		for i, r := range chain.rules {
			es := slices.Concat(r.match...)
			for _, e := range es {
				if l, ok := e.(*expr.Lookup); ok {
					l.SetID = ids[l.SetName]
				}
			}
			es = append(es, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
			c.AddRule(&nftables.Rule{Table: t, Chain: k, Exprs: es, UserData: userdata.AppendString(nil, userdata.TypeComment, chain.comment(i))})
		}
	}
	return nil
}

type guardSet struct {
	set      *nftables.Set
	elements []nftables.SetElement
}

// guardSets are the sets of the table. The ids tell those of one transaction apart.
func guardSets(t *nftables.Table, g mesh.Guard) []guardSet {
	var all []guardSet
	add := func(name string, kind nftables.SetDatatype, elements []nftables.SetElement) {
		s := &nftables.Set{ID: uint32(len(all) + 1), Table: t, Name: name, KeyType: kind}
		if kind == nftables.TypeIFName {
			s.KeyByteOrder = binaryutil.NativeEndian // so that nft shows names
		}
		all = append(all, guardSet{s, elements})
	}
	names := func(all []string) (es []nftables.SetElement) {
		for _, n := range all {
			key := make([]byte, unix.IFNAMSIZ)
			copy(key, n)
			es = append(es, nftables.SetElement{Key: key})
		}
		return es
	}
	add(setPorts, nftables.TypeIFName, names(g.Ports))
	add(setStrangers, nftables.TypeIFName, names(g.Strangers))
	add(setOutside, nftables.TypeIFName, names(g.Outside))
	for _, f := range guardFamilies {
		var es []nftables.SetElement
		for _, a := range g.Addresses {
			if a.Is4() == (f.nfproto == unix.NFPROTO_IPV4) {
				es = append(es, nftables.SetElement{Key: a.AsSlice()})
			}
		}
		add(f.set, f.address, es)
	}
	return all
}

func guardChains(g mesh.Guard) []guardChain {
	in, out := expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME
	arriving := []guardRule{{saysStranger, [][]expr.Any{nameIn(in, setStrangers)}}}
	leaving := []guardRule{{saysStranger, [][]expr.Any{nameIn(out, setStrangers)}}}
	var passing []guardRule
	for _, outside := range []func(expr.MetaKey) []expr.Any{
		func(k expr.MetaKey) []expr.Any { return nameIn(k, setOutside) }, driverName,
	} {
		for _, f := range guardFamilies {
			arriving = append(arriving, guardRule{saysForged, [][]expr.Any{outside(in), f.addressIn(f.source)}})
			leaving = append(leaving, guardRule{saysCrossing, [][]expr.Any{outside(out), f.addressIn(f.destination)}})
		}
		passing = append(passing,
			guardRule{saysCrossing, [][]expr.Any{outside(in), nameIn(out, setPorts)}},
			guardRule{saysCrossing, [][]expr.Any{nameIn(in, setPorts), outside(out)}})
	}
	d := digest(fmt.Sprint("1 ", g)) // a table of another form needs another number
	return []guardChain{
		{"arriving", nftables.ChainHookPrerouting, arriving, d},
		{"passing", nftables.ChainHookForward, passing, d},
		{"leaving", nftables.ChainHookPostrouting, leaving, d},
	}
}

func nameIn(key expr.MetaKey, set string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: unix.NFT_REG_1},
		&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: set},
	}
}

// driverName matches names that begin as the driver's do.
func driverName(key expr.MetaKey) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte(mesh.DriverInterface)},
	}
}

func (f guardFamily) addressIn(offset uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{f.nfproto}},
		&expr.Payload{OperationType: expr.PayloadLoad, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: f.address.Bytes, DestRegister: unix.NFT_REG_1},
		&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: f.set},
	}
}

// canonical sorts, so that the same guard is the same bytes.
func canonical(g mesh.Guard) mesh.Guard {
	names := func(s []string) []string { return slices.Compact(slices.Sorted(slices.Values(s))) }
	g.Ports, g.Strangers, g.Outside = names(g.Ports), names(g.Strangers), names(g.Outside)
	g.Addresses = slices.Clone(g.Addresses)
	for i := range g.Addresses {
		g.Addresses[i] = g.Addresses[i].Unmap()
	}
	slices.SortFunc(g.Addresses, netip.Addr.Compare)
	g.Addresses = slices.Compact(g.Addresses)
	return g
}
