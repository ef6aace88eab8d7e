// Package mesh is the vocabulary of usb4mesh: the types that every other package
// speaks, and Diff, the one function that compares what is with what should be.
//
// Nothing here reads, writes, formats or tells the time. A Cluster is what the
// user asked for, a Plan everything computed from it, a State what a kernel
// holds (or should hold), a Change one step from have to want.
package mesh

import "net/netip"

// Defaults and limits of the cluster file.
const (
	DefaultMTU = 65520 // what the guides use; thunderbolt_net allows up to MaxMTU
	MinMTU     = 1280  // IPv6 minimum, RFC 8200 section 5
	MaxMTU     = 65522 // TBNET_MAX_MTU - ETH_HLEN, drivers/net/thunderbolt/main.c

	DefaultSpeed = 20 // Gbit/s per direction planned for a cable nothing is said about
	MaxSpeed     = 80
)

// IdentityInterface is the name of the interface that holds a node's identity
// even while no cable is plugged.
const IdentityInterface = "umesh0"

// Cluster is what the user asked for: the cluster file, free of its syntax.
type Cluster struct {
	Name     string
	Source   string         // the file it was read from, for headers
	Identity []netip.Prefix // pools for identities, at most one per address family
	Nodes    []Node
	Topology Topology // Shape is "" where Cables lists the wiring
	Cables   []Cable
	MTU      int // bytes, same on every hop
	Agent    AgentSettings
}

// AgentSettings are the settings of the agents, the same on every node. What is ""
// or 0 is left to its default.
type AgentSettings struct {
	Liveness   string // a profile of BFD
	Gossip     string // how the nodes tell each other what is down
	Key        string // file with the keys of gossip
	GossipPort int
	BFDPort    int
	BenchPort  int    // for measurements that other nodes ask for
	Bench      string // "none": agents take none
	Metrics    string // address:port of HTTP, or "none"
	Latency    int    // of processors that sleep, in µs; 0 as the machine likes
}

// Profiles of liveness.
const (
	LivenessNormal = "normal" // 50 ms x 3
	LivenessFast   = "fast"   // 20 ms x 3, on a real-time thread
	LivenessOff    = "none"
)

// BenchOff says that agents make no measurements for others.
const BenchOff = "none"

// Kinds of gossip.
const (
	GossipEncrypted = "encrypted"
	GossipPlain     = "plain"
	GossipOff       = "none"
)

// Node is one machine as asked for.
type Node struct {
	Name     string
	Machine  string       // key of the catalogue, or "" where Ports are given
	Ports    []Port       // given by hand, in file order
	Identity []netip.Addr // fixed by hand, at most one per family; else from the pools
	Format   string       // render format asked for this node, "" for the default
	Settings Settings

	// Incomplete says that the file has errors in this node, so that later
	// checks do not complain about what could not be read.
	Incomplete bool
}

// Port is one USB4 connector of a node.
type Port struct {
	Name string
	// Path is udev's ID_PATH of the NHI behind the port: pci-0000:c7:00.5.
	Path string
	// Adapter is the lane adapter of the port on its host router (1 or 3 on
	// Intel) where one NHI serves several ports; 0 where the NHI serves one.
	Adapter int
}

// Settings are additions of the user's to what is rendered for a node.
type Settings struct {
	Link    []Setting         // into every port's .link file
	Network []Setting         // into every port's .network file
	Sysctl  map[string]string // into the sysctl.d file
}

// Setting is one line of a systemd file.
type Setting struct{ Section, Key, Value string }

// Topology asks for a shape instead of listed cables.
type Topology struct {
	Shape   string // a key of topology.Shapes: full-mesh, ring, ..., best; "" for listed cables
	Columns int    // of a grid or torus; 0 chooses the squarest
	Hub     string // node at the centre of a star; "" chooses the one with most ports
}

// Cable joins two ports.
type Cable struct {
	Name      string // "1", "2", ... unless named in the file
	Ends      [2]Endpoint
	Addresses []netip.Addr // none, or one per end: point to point, in the order of Ends
	Speed     int          // planned Gbit/s per direction; 0 for the default
}

// Endpoint is one end of a cable. Port is "" where the planner may choose.
type Endpoint struct{ Node, Port string }

// String returns node:port, the notation of the cluster file.
func (e Endpoint) String() string {
	if e.Port == "" {
		return e.Node
	}
	return e.Node + ":" + e.Port
}
