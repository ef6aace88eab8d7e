package mesh

import (
	"time"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// Status is what an agent knows of its node and mesh. Its JSON form is a promise:
// `usb4mesh status --json` and /status.json print it (docs/cli.md). Lists are
// never null and in a fixed order; times are RFC 3339, "0001-01-01T00:00:00Z"
// where there was none.
type Status struct {
	Mesh       string     `json:"mesh"`
	Node       string     `json:"node"`
	Version    string     `json:"version"`     // of the agent
	PlanDigest string     `json:"plan_digest"` // equal on all nodes that run the same plan
	State      AgentState `json:"state"`
	Why        string     `json:"why"` // the state, in a line; "" while converged
	Since      time.Time  `json:"since"`
	StateSince time.Time  `json:"state_since"`
	Now        time.Time  `json:"now"` // when this was written

	Turn       uint64     `json:"turn"` // turns done since the start
	LastTurn   TurnStatus `json:"last_turn"`
	KernelBusy bool       `json:"kernel_busy"` // a change waits for the kernel for more than a second
	BusySince  time.Time  `json:"kernel_busy_since"`

	Links    []LinkStatus    `json:"links"`    // in the order of the node's ports
	Members  []MemberStatus  `json:"members"`  // all nodes of the plan, in its order
	Cables   []CableStatus   `json:"cables"`   // all cables of the plan, in its order
	Routes   []RouteStatus   `json:"routes"`   // to every other node of the plan
	Findings []StatusFinding `json:"findings"` // worst first
	Healing  []HealStep      `json:"healing"`  // latest last, a bounded number
	Reboot   RebootVerdict   `json:"reboot"`
}

// AgentState says in a word how things are.
type AgentState string

// The states of an agent.
const (
	StateStarting  AgentState = "starting"  // no turn is done yet
	StateConverged AgentState = "converged" // the kernel is as the plan wants it, all planned links are used
	StateDegraded  AgentState = "degraded"  // the kernel is as it should be for the links that are left
	StateFailed    AgentState = "failed"    // the kernel is not as it should be
)

// TurnStatus is the last turn of the loop.
type TurnStatus struct {
	Started time.Time `json:"started"`
	Millis  float64   `json:"ms"`
	Cause   string    `json:"cause"`   // what woke it: start, timer, kernel, hardware, liveness, gossip, reload
	Changes int       `json:"changes"` // that stand
	Error   string    `json:"error"`   // "" if all did
}

// LinkStatus is one port of the node with its cable.
type LinkStatus struct {
	Interface string `json:"interface"` // as planned
	Cable     string `json:"cable"`
	Peer      string `json:"peer"`
	Port      string `json:"port"`        // as the cluster file calls it
	Kernel    string `json:"kernel_name"` // of the interface just now; "" without one
	Parent    string `json:"parent"`      // service it is bound to: 0-2.0
	Stranger  string `json:"stranger"`    // who is plugged there instead of the peer; "" nobody

	Plugged     bool `json:"plugged"` // a peer host is seen
	Carrier     bool `json:"carrier"`
	Lanes       int  `json:"lanes"`
	Gbps        int  `json:"gbps"` // trained, per direction; 0 unknown
	PlannedGbps int  `json:"planned_gbps"`

	Liveness LivenessStatus `json:"liveness"`
	Usable   bool           `json:"usable"` // traffic may take it
	Why      string         `json:"why"`    // it is not usable, or is although something is wrong
	Since    time.Time      `json:"since"`  // usable, or not
	Flaps    int            `json:"flaps"`  // times it became unusable
	RxBytes  uint64         `json:"rx_bytes"`
	TxBytes  uint64         `json:"tx_bytes"`
}

// LivenessStatus is what BFD says of a link.
type LivenessStatus struct {
	State           string    `json:"state"`   // admin-down, down, init, up; "" without a session
	Verdict         string    `json:"verdict"` // unknown, alive, dead, absent
	Remote          string    `json:"remote_state"`
	Diagnostic      string    `json:"diagnostic"`
	Since           time.Time `json:"since"`
	IntervalMillis  float64   `json:"interval_ms"`
	DetectionMillis float64   `json:"detection_ms"`
	Flaps           int       `json:"flaps"`
	Sent            uint64    `json:"sent"`
	Received        uint64    `json:"received"`
	Dropped         uint64    `json:"dropped"`
}

// MemberStatus is a node of the plan as gossip knows it.
type MemberStatus struct {
	Node       string    `json:"node"`
	Address    string    `json:"address"` // "" where it was never heard of
	Alive      bool      `json:"alive"`
	Since      time.Time `json:"since"`
	PlanDigest string    `json:"plan_digest"`
	Reachable  bool      `json:"reachable"` // the cabling that is left leads there
}

// CableStatus is a cable of the mesh as its two ends say.
type CableStatus struct {
	Cable  string    `json:"cable"`
	Ends   [2]string `json:"ends"` // node:port
	Usable bool      `json:"usable"`
	Why    string    `json:"why"` // "01: dead"; "" while all is well
}

// RouteStatus is the way to one other node.
type RouteStatus struct {
	Node        string    `json:"node"`
	Destination string    `json:"destination"` // its first identity
	Planned     string    `json:"planned"`     // interface of failure-free times
	InUse       string    `json:"in_use"`      // interface that packets take; "" none
	Hops        int       `json:"hops"`        // over the cabling that is left; 0 unreachable
	PlannedHops int       `json:"planned_hops"`
	Detour      bool      `json:"detour"` // another way than planned
	Since       time.Time `json:"since"`
}

// StatusFinding is a finding with the time since when it holds.
type StatusFinding struct {
	finding.JSON
	Since time.Time `json:"since"`
}

// HealStep is one thing the agent did, or wants a person to do, about a link.
type HealStep struct {
	Time   time.Time `json:"time"`
	Link   string    `json:"link"`   // interface as planned
	Step   string    `json:"step"`   // set-down-up, rebind, replug
	Reason string    `json:"reason"` // why this step, why now
	Error  string    `json:"error"`  // "" if it could be done
	Healed bool      `json:"healed"` // the link came back afterwards
}

// RebootVerdict says whether the node may reboot now without parting the mesh.
type RebootVerdict struct {
	OK        bool      `json:"ok"`
	Reason    string    `json:"reason"`
	HeldUntil time.Time `json:"held_until"` // the others count this node as gone until then
	Leaving   []string  `json:"leaving"`    // other nodes that are counted as gone
}

// MayReboot is the verdict on a node whose agent may be in no state to judge.
func (s Status) MayReboot() RebootVerdict {
	v := s.Reboot
	if s.State == StateFailed || s.State == StateStarting {
		v.OK, v.Reason = false, "the agent is "+string(s.State)+": "+s.Why
	}
	return v
}
