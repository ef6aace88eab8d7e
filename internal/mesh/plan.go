package mesh

import "net/netip"

// Plan is everything computed from a Cluster. Slices are in a fixed order, so
// that equal clusters give equal plans and equal rendered bytes.
type Plan struct {
	Mesh   string
	Source string // the cluster file, for headers
	MTU    int
	Nodes  []NodePlan  // in file order
	Cables []CablePlan // in file or shape order
	Proof  Proof
}

// Node returns the plan of the named node, or nil.
func (p *Plan) Node(name string) *NodePlan {
	for i := range p.Nodes {
		if p.Nodes[i].Name == name {
			return &p.Nodes[i]
		}
	}
	return nil
}

// CablePlan is one cable to plug.
type CablePlan struct {
	Name      string
	Ends      [2]Endpoint  // ports always chosen
	Addresses []netip.Addr // none or two, in the order of Ends
	Speed     int          // Gbit/s per direction
	Reason    string       // why this cable, why these ports
}

// NodePlan is what one node needs to know.
type NodePlan struct {
	Name           string
	Machine        string // catalogue key, or ""
	Format         string // "" for the default
	Identity       []netip.Addr
	IdentityReason string
	Links          []LinkPlan // in order of the node's ports
	Routes         []Route
	Rules          []Rule
	Sysctls        []Sysctl
	Settings       Settings
}

// LinkPlan is one end of a cable as its node sees it.
type LinkPlan struct {
	Interface string // tbt-<peer>, 15 bytes at most
	Port      Port
	Peer      string // node at the other end
	Cable     string // name of the cable
	MTU       int
	Addresses []Address // on this interface: the identities, and the cable's own if any
	Reason    string    // why this name
}

// Proof is what walking every failure case of a plan showed. A case is one
// ordered pair of nodes and one failure; the failures are all single cables.
type Proof struct {
	Cables, Cases           int // failures, and cases walked
	Delivered, Lost, Looped int // of Cases
	Avoidable               int // lost or looped although a way was left; 0 in a sound plan
	LongestPath             int // hops, over all delivered cases
	LongestDetour           int // hops more than the same pair needs without the failure

	Unprotected       []Pair     // pairs that some single cut separates
	Bridges           []string   // cables whose loss parts the mesh
	ArticulationNodes []string   // nodes whose loss parts the mesh
	Parts             [][]string // nodes of each part, where no cable joins them all
}

// Pair is an ordered pair of nodes.
type Pair struct{ From, To string }
