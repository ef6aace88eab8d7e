package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Engine is a control plane that makes a network of the nodes and cables of a
// lab. It runs in the keeper. Several exist, so that they can be compared in the
// same namespaces with the same probes.
//
// An engine may start processes in the nodes (Node.Start, Node.Run) and speak
// netlink to them; the lab's teardown ends whatever it leaves behind. It is told
// when a cable is plugged and never when one is cut: what happens then is what
// is measured.
type Engine interface {
	// Start configures all nodes, whose cables are plugged but down, and
	// returns when that is done or, for a routing daemon, under way.
	Start(ctx context.Context, nodes []*Node) error
	// Plugged is told that a cable between two nodes is back: the interfaces
	// are new and down after Delete, up but bare at one end after Carrier.
	Plugged(ctx context.Context, ends [2]*Node, cable string) error
	// Settled returns nil when everything the engine would install stands, else
	// an error that names what is missing.
	Settled(ctx context.Context) error
	// Stop ends the engine. The nodes go away afterwards.
	Stop() error
	// StandIns names what the engine puts in place of something real, a
	// sentence each, for the report.
	StandIns() []string
}

// engines are the control planes by name.
var engines = map[string]func() Engine{
	"netlink":  func() Engine { return &netlinkEngine{} },
	"networkd": func() Engine { return &networkdEngine{} },
	"static":   func() Engine { return &staticEngine{} },

	AgentEngine: func() Engine { return &agentEngine{} },

	"frr-ospf":               func() Engine { return &frrEngine{profile: frrProfile{frrOSPF, true}} },
	"frr-bgp":                func() Engine { return &frrEngine{profile: frrProfile{frrBGP, true}} },
	"frr-openfabric":         func() Engine { return &frrEngine{profile: frrProfile{frrOpenFabric, true}} },
	"frr-openfabric-default": func() Engine { return &frrEngine{profile: frrProfile{frrOpenFabric, false}} },
}

// Engines lists the names of the known engines.
func Engines() []string { return slices.Sorted(maps.Keys(engines)) }

func newEngine(name string) (Engine, error) {
	make, ok := engines[name]
	if !ok {
		return nil, fmt.Errorf("no engine is called %q: use one of %s", name, strings.Join(Engines(), ", "))
	}
	return make(), nil
}
