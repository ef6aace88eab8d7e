package liveness

import (
	"log/slog"
	"net/netip"
	"time"
)

// Config says how links are watched. The zero value is the default profile.
type Config struct {
	Interval   time.Duration // between packets, each way; 0 means DefaultInterval
	Multiplier int           // lost packets in a row that end a session; 0 means DefaultMultiplier
	RealTime   bool          // ask for a thread of SCHED_FIFO; Session.RealTime tells whether it was granted. Raises GOMAXPROCS to 8, which is 2 at least in any case
	Port       uint16        // UDP port, 0 means Port; another one only for tests and beside another BFD daemon
	Log        *slog.Logger  // nil for none
}

// The default profile, its limits, and the port of RFC 5881, section 4.
const (
	MinInterval       = 5 * time.Millisecond
	MaxInterval       = 10 * time.Second
	DefaultInterval   = 50 * time.Millisecond
	DefaultMultiplier = 3
	Port              = 3784
)

// Link is one mesh link that has carrier, as this node sees it. Both addresses are
// of one family: link-local IPv6, or the IPv4 identities where IPv6 is off.
type Link struct {
	Name   string     // of the interface
	Index  int        // of the interface; another one after each replug
	Local  netip.Addr // no zone
	Remote netip.Addr // no zone
}

// State is the state of a BFD session (RFC 5880, section 6.2).
type State string

// The states of a BFD session.
const (
	AdminDown State = "admin-down"
	Down      State = "down"
	Init      State = "init"
	Up        State = "up"
)

// Verdict is what this end believes about a link.
type Verdict string

const (
	// Unknown is a link whose session has not been up since the interface appeared, while
	// it is too early to say more.
	Unknown Verdict = "unknown"
	// Alive is a link over which packets pass both ways.
	Alive Verdict = "alive"
	// Dead is a link over which nothing passes, in one direction at least.
	Dead Verdict = "dead"
	// Absent is a peer whose kernel answers over this link and whose BFD does not. The
	// link is not dead: an agent restarts, is stopped, or was never installed.
	Absent Verdict = "absent"
)

// Session is what is known of one link.
type Session struct {
	Link       Link
	State      State // of this end
	Remote     State // of the other end, as it last said; "" if it never did
	Verdict    Verdict
	Since      time.Time // of the verdict
	EverUp     bool      // since this interface appeared; a link Dead without it never answered at all
	Held       bool      // by Hold
	Diagnostic string    // why the session last went down: the words of RFC 5880, section 4.1; "" if it did not
	Said       string    // the diagnostic that the other end last sent, ""  if none

	Interval      time.Duration // in which this end sends
	DetectionTime time.Duration // silence of the other end that ends the session; 0 before the first packet
	RealTime      bool          // watched by a real-time thread
	Problems      []string      // what keeps this link from being watched as it should; for people

	Late time.Duration // the most by which the engine ever woke too late

	Sent, Received uint64 // BFD packets; received ones that were valid
	Dropped        uint64 // BFD packets thrown away, the sum of Drops
	Drops          Drops
	SendErrors     uint64
	Echoes         uint64 // echo requests sent to the peer's kernel
	Replies        uint64 // and answered
	Lost           int    // times that the session went down from Up, and nobody had ordered it
	Flaps          int    // times that the link became Dead after it was Alive or Absent
}

// Drops counts packets that were thrown away, by the first reason found.
type Drops struct {
	Malformed     uint64 // not a BFD packet that RFC 5880, section 6.8.6 accepts
	HopLimit      uint64 // not sent by a direct neighbour (RFC 5881, section 5)
	Source        uint64 // not from the peer's address, or not to ours
	Discriminator uint64 // meant for no session on this link
	Stale         uint64 // the same while our session is not up: what a peer sends after we have started anew
	Flood         uint64 // more than anyone sends who speaks BFD; an estimate from below
}

// Event tells that the verdict on a link has changed. When the reader is slow, the
// changes of one link are joined: Previous is then the verdict that he knows.
type Event struct {
	Session  Session
	Previous Verdict
}
