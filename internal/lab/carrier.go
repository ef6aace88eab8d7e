package lab

import (
	"fmt"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// carrierWatch notes when a node's kernel takes notice that an interface lost
// carrier. The kernel tells its routing tables in the same breath (NETDEV_CHANGE,
// netdev_state_change in net/core/dev.c).
type carrierWatch struct {
	done    chan struct{}
	noticed atomic.Int64
}

func watchCarrier(n *Node, index int) (*carrierWatch, error) {
	w := &carrierWatch{done: make(chan struct{})}
	updates := make(chan netlink.LinkUpdate, 64)
	ns := nsHandle(n.net)
	err := netlink.LinkSubscribeWithOptions(updates, w.done, netlink.LinkSubscribeOptions{Namespace: &ns})
	if err != nil {
		return nil, fmt.Errorf("node %s: watch interface %d: %w", n.Name, index, err)
	}
	go func() {
		for u := range updates {
			if u.Attrs().Index == index && u.Flags&unix.IFF_RUNNING == 0 && w.noticed.Load() == 0 {
				w.noticed.Store(now())
			}
		}
	}()
	return w, nil
}

// stop ends the watch and returns the moment of the notice, 0 if there was none.
func (w *carrierWatch) stop() int64 {
	close(w.done)
	return w.noticed.Load()
}
