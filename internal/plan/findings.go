package plan

import "github.com/usb4mesh/usb4mesh/internal/finding"

// What planning can find wrong, beyond what the cluster file alone shows.
var (
	unknownMachine = finding.Register(finding.Kind{
		Code: "unknown-machine", Severity: finding.Error, Title: "Machine not in the catalogue",
		Explain: "The catalogue knows the USB4 ports and PCI paths of common mini PCs. For any other machine leave out `machine` and list its `ports` with their PCI paths; `udevadm info /sys/class/net/thunderbolt0` shows the path as ID_PATH.",
	})
	uncertainMachine = finding.Register(finding.Kind{
		Code: "uncertain-machine", Severity: finding.Info, Title: "The catalogue is not sure about this machine",
		Explain: "The PCI path or the position of a port was reported by few people, or differs between firmware versions. Compare with `udevadm info` on the machine before you rely on it; a wrong path means that the interface keeps its kernel name.",
	})
	unknownPort = finding.Register(finding.Kind{
		Code: "no-such-port", Severity: finding.Error, Title: "The machine has no port of that name",
		Explain: "A cable names a port that the catalogue does not list for this machine. The hint lists the names it has.",
	})
	tooManyCables = finding.Register(finding.Kind{
		Code: "too-many-cables", Severity: finding.Error, Title: "More cables than ports",
		Explain: "A node would need more USB4 ports than it has. Take a shape that needs fewer (a ring needs two per node), or machines with more ports.",
	})
	shapeImpossible = finding.Register(finding.Kind{
		Code: "shape-impossible", Severity: finding.Error, Title: "The shape can't be wired with these nodes",
		Explain: "Every shape asks for a number of nodes or of ports: a hypercube for 2, 4, 8, ... nodes, a full mesh of N for N-1 ports per node.",
	})
	poolTooSmall = finding.Register(finding.Kind{
		Code: "pool-too-small", Severity: finding.Error, Title: "Identity pool has too few addresses",
		Explain: "Every node takes one address from each pool. Use a wider prefix: a /24 serves 254 nodes.",
	})
	cableAddressesOnly = finding.Register(finding.Kind{
		Code: "cable-addresses-only", Severity: finding.Warning, Title: "Nodes have no address of their own",
		Explain: "Without identity pools each node only has one address per cable, as in many hand-made setups: services must be told a different address for every peer, and a cut cable loses a pair although a way around is left. Add `identity: [10.7.1.0/24]`.",
	})
	noCables = finding.Register(finding.Kind{
		Code: "no-cables", Severity: finding.Warning, Title: "No cable is planned",
		Explain: "The file names neither a topology nor cables, so no node can reach another.",
	})
	partedMesh = finding.Register(finding.Kind{
		Code: "unreachable-nodes", Severity: finding.Warning, Title: "Some nodes can't reach others",
		Explain: "The cables leave the mesh in parts that no cable joins. The message names the parts.",
	})
	bridge = finding.Register(finding.Kind{
		Code: "single-cable", Severity: finding.Warning, Title: "A cable whose loss parts the mesh",
		Explain: "There is no second way around this cable (a bridge, in the words of graph theory): when it fails, the pairs it joins are lost until it is plugged again. One more cable between the two parts mends that.",
	})
	articulation = finding.Register(finding.Kind{
		Code: "single-node", Severity: finding.Warning, Title: "A node whose loss parts the mesh",
		Explain: "All ways between some other nodes lead through this one (an articulation node): while it reboots, they can't reach each other.",
	})
	proofGap = finding.Register(finding.Kind{
		Code: "proof-gap", Severity: finding.Error, Title: "A single cut would lose packets although a way is left",
		Explain: "Walking every failure case of the compiled forwarding tables found a case that is not delivered and should be. This is a defect of usb4mesh: please report the cluster file.",
	})
	tooManyLinks = finding.Register(finding.Kind{
		Code: "too-many-links", Severity: finding.Error, Title: "More cables at one node than there are routing tables",
		Explain: "usb4mesh keeps one routing table per port, in a range of 499 table numbers.",
	})
	unknownElement = finding.Register(finding.Kind{
		Code: "unknown-element", Severity: finding.Error, Title: "No cable or node of that name in the plan",
		Explain: "Cables are named by number or name (3), by the nodes they join (01-02) or by one of their ports (01:left); nodes by name, or node:02 where a cable has the same name.",
	})
)
