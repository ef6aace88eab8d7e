package kernel

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// Queue is a queueing discipline of an interface, with what it has counted.
type Queue struct {
	Interface                   string
	Kind                        string
	Rate                        uint64 // bit/s, of a token bucket filter; 0 otherwise
	Drops, Requeues, Overlimits uint32
}

// Queues reads the queueing disciplines of the calling thread's network namespace.
// An interface without one (noqueue) is left out.
func Queues() ([]Queue, error) {
	all, err := netlink.QdiscList(nil)
	if err != nil {
		return nil, fmt.Errorf("kernel: list queueing disciplines: %w", err)
	}
	out := []Queue{}
	for _, q := range all {
		i, err := net.InterfaceByIndex(q.Attrs().LinkIndex)
		if err != nil || q.Type() == "noqueue" {
			continue // gone since, or nothing to say
		}
		one := Queue{Interface: i.Name, Kind: q.Type()}
		if t, ok := q.(*netlink.Tbf); ok {
			one.Rate = t.Rate * 8
		}
		if s := q.Attrs().Statistics; s != nil && s.Queue != nil {
			one.Drops, one.Requeues, one.Overlimits = s.Queue.Drops, s.Queue.Requeues, s.Queue.Overlimits
		}
		out = append(out, one)
	}
	return out, nil
}
