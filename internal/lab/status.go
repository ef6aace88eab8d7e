package lab

import (
	"context"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Status is a lab as it is.
type Status struct {
	Setup
	Nodes   []NodeStatus  `json:"nodes"`
	Cables  []CableStatus `json:"cables"`
	Missing string        `json:"missing"` // first thing that the engine has yet to configure
}

// NodeStatus is a node of a running lab.
type NodeStatus struct {
	Name     string       `json:"name"`
	Identity []netip.Addr `json:"identity"`
}

// CableStatus is a cable of a running lab. State is "plugged" or how it is cut.
type CableStatus struct {
	Name  string          `json:"name"`
	State string          `json:"state"`
	Ends  [2]CableEndInfo `json:"ends"`
}

// CableEndInfo is one end of a cable. Interface is what the plan calls it;
// Carrier and MTU are what the kernel says, false and 0 if there is none.
type CableEndInfo struct {
	Endpoint  string `json:"endpoint"`
	Interface string `json:"interface"`
	Carrier   bool   `json:"carrier"`
	MTU       int    `json:"mtu"`
}

func (w *world) status(ctx context.Context) Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := Status{Setup: w.setup, Nodes: []NodeStatus{}, Cables: []CableStatus{}}
	for _, n := range w.nodes {
		s.Nodes = append(s.Nodes, NodeStatus{n.Name, n.Plan.Identity})
	}
	for _, c := range w.cables {
		cs := CableStatus{Name: c.plan.Name, State: "plugged"}
		if c.cut != "" {
			cs.State = "cut (" + c.cut + ")"
		}
		for i, n := range c.nodes {
			e := CableEndInfo{Endpoint: c.plan.Ends[i].String(), Interface: c.links[i].Interface}
			if l, err := n.handle.LinkByName(e.Interface); err == nil {
				e.Carrier, e.MTU = l.Attrs().OperState == netlink.OperUp, l.Attrs().MTU
			}
			cs.Ends[i] = e
		}
		s.Cables = append(s.Cables, cs)
	}
	if err := w.engine.Settled(ctx); err != nil {
		s.Missing = err.Error()
	}
	return s
}
