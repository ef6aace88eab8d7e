package gossip

import (
	"log/slog"
	"net/netip"
	"time"
)

// DefaultPort is memberlist's own, UDP and TCP.
const DefaultPort = 7946

// Config says who takes part.
type Config struct {
	Mesh string       // messages of another mesh are refused even if the key is the same
	Node string       // own name, one of Members
	Bind []netip.Addr // own identities, one or one per family; nil for those of Members
	Port int          // UDP and TCP, the same on every node; 0 for DefaultPort

	// Keys are 16, 24 or 32 bytes long (AES-GCM). The first encrypts, all decrypt,
	// so that a key can be changed node by node. Without keys Open fails, unless
	// Plain says that everybody who reaches the port may speak.
	Keys  [][]byte
	Plain bool

	Members map[string][]netip.Addr // every node of the plan with its identities
	Cables  map[string][2]string    // every cable of the plan with the nodes at its ends; nil takes a node's word for any cable

	Log  *slog.Logger // nil discards
	Fast bool         // notice a silent member in one second instead of three, for twice the packets
}

// LinkState is what Node says of its end of Cable (mesh.CablePlan.Name). A cable
// may be used when neither end says that it is down.
type LinkState struct {
	Node  string
	Cable string
	Up    bool
	Why   string // short, for people: "dead", "no carrier"; at most MaxWhy bytes
	Heal  Heal
	Seq   uint64 // number of the announcement it came with, rising for each Node
}

// Heal says what a node does about its end of a cable that is down; see MayHeal.
type Heal string

// The states of healing.
const (
	HealNone   Heal = ""       // nothing
	HealActing Heal = "acting" // works on it, or is about to
	HealDone   Heal = "done"   // has tried what it can; the other end may try
)

// Member is a node of the plan as gossip sees it.
type Member struct {
	Node    string
	Address netip.Addr        // the one that is in use towards it; zero if it was never heard of
	Alive   bool              // it answers, over whatever path
	Since   time.Time         // of Alive, with a monotonic reading; start of gossip if it was never heard of
	Digest  string            // its note DigestNote
	Notes   map[string]string // what it noted last, also when it is not alive
}

// DigestNote is the key of the note that holds the digest of a node's plan.
const DigestNote = "plan"

// Stranger is somebody who was kept out, or a message that was. Each cause is
// counted per address and name.
type Stranger struct {
	Cause   Cause
	Node    string     // the name it claims; "" unknown
	Address netip.Addr // where it came from, or the address it claims; zero unknown
	Detail  string
	Count   uint64
	First   time.Time
	Last    time.Time
}

// Cause says why a stranger is one.
type Cause string

// The causes.
const (
	UnknownAddress Cause = "unknown-address" // the source is no identity of the plan
	WrongKey       Cause = "wrong-key"       // not encrypted with a key of ours, or altered on the way
	NotEncrypted   Cause = "not-encrypted"   // plain text, where keys are in use
	OtherMesh      Cause = "other-mesh"      // label of another mesh, or none
	Replayed       Cause = "replayed"        // a packet that was already received
	Oversized      Cause = "oversized"       // longer than anything a member sends
	Flood          Cause = "flood"           // more than a member ever sends
	Malformed      Cause = "malformed"       // encrypted with our key, and still nonsense
	UnknownName    Cause = "unknown-name"    // a name that is not in the plan
	WrongAddress   Cause = "wrong-address"   // a name of the plan with an address that is not its identity
	Duplicate      Cause = "duplicate"       // two machines that both are the same node
	ForeignCable   Cause = "foreign-cable"   // a node that speaks of a cable it does not end
)

// Limits of what is announced. Announce and Note cut what is longer.
const (
	MaxLinks = 64 // of a node, as config has it
	MaxName  = 63 // bytes of the name of a node or cable, as config has it
	MaxWhy   = 48 // bytes
	MaxNotes = 8
	MaxKey   = 16 // bytes
	MaxValue = 80 // bytes
)
