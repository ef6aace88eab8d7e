package gossip

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls. It may hold its own locks meanwhile, so
// nothing here calls back or waits.
type delegate struct{ g *Gossip }

var (
	_ memberlist.Delegate      = (*delegate)(nil)
	_ memberlist.EventDelegate = (*delegate)(nil)
	_ memberlist.AliveDelegate = (*delegate)(nil)
	_ memberlist.PingDelegate  = (*delegate)(nil)
)

// NodeMeta: what a node has to say is in its adverts.
func (d *delegate) NodeMeta(int) []byte { return nil }

// GetBroadcasts: adverts travel by themselves, see flood.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }

// NotifyMsg takes an advert that came as a datagram.
func (d *delegate) NotifyMsg(b []byte) {
	a, err := decode(b)
	if err != nil {
		d.g.strangers.report(Malformed, "", netip.Addr{}, err.Error())
		return
	}
	d.g.consider(a, false)
}

// LocalState is all that this node knows, for push/pull.
func (d *delegate) LocalState(bool) []byte {
	g := d.g
	return encodeState(g.store.all(true), len(g.config.Members)*(maxAdvert+2))
}

// MergeRemoteState takes what the other end of a push/pull knows.
func (d *delegate) MergeRemoteState(b []byte, _ bool) {
	if err := decodeState(b, func(a *advert) { d.g.consider(a, true) }); err != nil {
		d.g.strangers.report(Malformed, "", netip.Addr{}, err.Error())
	}
}

// NotifyAlive refuses whom the plan does not know.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	a, _ := netip.AddrFromSlice(n.Addr)
	a = a.Unmap()
	addrs, ok := d.g.config.Members[n.Name]
	switch {
	case !ok:
		d.g.strangers.report(UnknownName, n.Name, a, "it wants to be a member, and is not in this node's plan")
	case !slices.Contains(addrs, a) || int(n.Port) != d.g.config.Port:
		d.g.strangers.report(WrongAddress, n.Name, a, fmt.Sprintf("the plan has %v for this name", addrs))
	default:
		return nil
	}
	return fmt.Errorf("not in the plan")
}

// NotifyJoin is called when a node answers.
func (d *delegate) NotifyJoin(n *memberlist.Node) { d.g.setAlive(n.Name, true) }

// NotifyLeave is called when a node does not answer any more, or has left.
func (d *delegate) NotifyLeave(n *memberlist.Node) { d.g.setAlive(n.Name, false) }

// NotifyUpdate is called when a node's meta changes, which is always empty.
func (d *delegate) NotifyUpdate(*memberlist.Node) {}

// AckPayload goes with the answer to every probe: whether two nodes know the
// same costs eight bytes a second.
func (d *delegate) AckPayload() []byte {
	return binary.BigEndian.AppendUint64(nil, d.g.store.digest())
}

// NotifyPingComplete compares what the other node knows with what we know.
func (d *delegate) NotifyPingComplete(n *memberlist.Node, _ time.Duration, payload []byte) {
	if len(payload) == 8 && binary.BigEndian.Uint64(payload) != d.g.store.digest() {
		select {
		case d.g.differ <- n.Name:
		default:
		}
	}
}
