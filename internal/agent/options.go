package agent

import (
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Options say where the agent finds what it works with. Zero values mean the
// defaults of this machine; Config is required.
type Options struct {
	Config string // cluster file
	Node   string // own name in it; "" for the host's name
	Key    string // file with the keys of gossip; "" for what the cluster file says
	State  string // folder for what outlives the agent; "" for DefaultState
	Root   string // folder that holds sys and proc; "" for /
	Once   bool   // one turn, without liveness and gossip

	// Reloaded, if not nil, is told the settings of every cluster file that is taken
	// while the agent runs.
	Reloaded func(mesh.AgentSettings)

	Version string
	Log     *slog.Logger  // nil discards
	Timer   time.Duration // the longest pause between two turns; 0 for DefaultTimer
}

// Defaults of Options.
const (
	DefaultConfig = "/etc/usb4mesh/mesh.yaml"
	DefaultKey    = "/etc/usb4mesh/mesh.key"
	DefaultState  = "/var/lib/usb4mesh"
	DefaultSocket = "/run/usb4mesh/agent.sock"
	DefaultTimer  = 10 * time.Second
)

func (o Options) defaults() Options {
	if o.Node == "" {
		name, _ := os.Hostname() // an empty name is in no plan, which start reports
		o.Node, _, _ = strings.Cut(name, ".")
	}
	if o.State == "" {
		o.State = DefaultState
	}
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Timer == 0 {
		o.Timer = DefaultTimer
	}
	return o
}
