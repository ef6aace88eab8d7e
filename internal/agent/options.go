package agent

import (
	"log/slog"
	"time"
)

// Options say where the agent finds what it works with. Zero values mean the
// defaults of this machine; Config is required.
type Options struct {
	Config string // cluster file
	Node   string // own name in it; "" for the host's name
	Key    string // file with the keys of gossip; "" for that of the cluster file, or plain gossip where it says so
	State  string // folder for what outlives the agent; "" for DefaultState
	Root   string // folder that holds sys and proc; "" for /. Anything else is a model of a machine: nothing in it is written
	Socket string // of the status server, which the caller runs; for messages
	Once   bool   // one turn, no liveness, no gossip

	Version string
	Log     *slog.Logger  // nil discards
	Timer   time.Duration // the longest pause between two turns; 0 for DefaultTimer
}

// Defaults of Options.
const (
	DefaultState  = "/var/lib/usb4mesh"
	DefaultSocket = "/run/usb4mesh/agent.sock"
	DefaultTimer  = 5 * time.Second
)
