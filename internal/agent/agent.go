package agent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/heal"
	"github.com/usb4mesh/usb4mesh/internal/agent/restore"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
	"github.com/usb4mesh/usb4mesh/internal/tune"
)

// Agent is the agent of one node, in the network namespace in which Run is
// called.
type Agent struct {
	options Options
	log     *slog.Logger
	parts   parts
	wake    *waker

	mu      sync.Mutex // what the loop shares with the fast path and with Status
	shared  shared
	pulse   pulse
	status  mesh.Status
	readers map[chan struct{}]bool

	steering  steering
	unguarded atomic.Bool // the filter against strangers is not as it was left
	leave     leave

	loop loop // belongs to the goroutine of Run
}

// shared is what the fast path needs to act without the loop.
type shared struct {
	node     string // own name
	plan     *mesh.Plan
	digest   string
	ports    []*port // in the order of the plan
	liveness Liveness
	watched  bool // by it
	gossip   Gossip
	healing  map[string]healing // by interface as planned

	installed *plan.Left        // what the kernel's tables do, or did before the passage
	out       outs              // cables that it leaves out
	target    outs              // cables to be left out
	passage   *plan.Passage     // on the way there; nil when there
	turn      int               // of the passage that is taken; -1 none
	doubtful  map[string]string // cables that are used for want of better ones, and why not
	bypass    *bypass           // nil while the kernel's tables serve
}

// outs is a set of cables.
type outs map[string]bool

// healing is what this end does about a link.
type healing struct{ acting, done bool }

// loop is what only the loop knows.
type loop struct {
	cluster  mesh.Cluster
	plan     mesh.Plan
	digest   string
	whole    *plan.Left        // forwarding without any cut
	warnings []finding.Finding // of the cluster file
	rejected []finding.Finding // of a newer one that is not used

	turn  uint64
	again time.Time // when to turn without any event
	gap   gap

	out       map[string]string // cables that are out, and why
	next      *plan.Left        // where the turn or the passage leads; nil when there
	gathered  outs              // cabling that a change to waits for more
	gathering time.Time         // since when; zero if none does
	passage   string            // name of the passage, or of the last one
	moved     time.Time         // its last turn was taken, or it began

	kind        mesh.LinkKind   // of the identity interface
	unsupported map[string]bool // sysctls that this kernel does not have
	routesLinks bool            // this kernel is seen to route link-local addresses
	limiter     restore.Limiter
	ladder      heal.Ladder
	heals       []mesh.HealStep
	memory      memoryFile
	talk        talk
	measuring   measuring
	tuner       Tuner // nil before the node was quiet for the first time
	tuned       tune.Wanted
	tuneError   error
	watchError  error // why links are not watched
	guard       guard
	prepared    bool // steering was tried

	state      mesh.AgentState
	stateSince time.Time
	drops      map[string]drops    // of BFD, by interface
	seen       map[string]sighting // findings
	routes     map[string]routeSince
	diagnosis  []finding.Finding
}

// New reads the cluster file and returns an agent that does nothing until Run. It
// fails with ErrConfig if the file can't be used.
func New(o Options) (*Agent, error) {
	o = o.defaults()
	cluster, p, fs := readConfig(o.Config, o.Node)
	if finding.HasErrors(fs) {
		return nil, &ErrConfig{fs}
	}
	a := &Agent{
		options: o,
		log:     o.Log,
		parts:   realParts(o),
		wake:    newWaker(),
		readers: map[chan struct{}]bool{},
		status: mesh.Status{
			Mesh: p.Mesh, Node: o.Node, Version: o.Version, State: mesh.StateStarting, Since: time.Now(), StateSince: time.Now(),
			Links: []mesh.LinkStatus{}, Members: []mesh.MemberStatus{}, Cables: []mesh.CableStatus{}, Routes: []mesh.RouteStatus{},
			Findings: []mesh.StatusFinding{}, Healing: []mesh.HealStep{},
			Reboot: mesh.RebootVerdict{Reason: "no turn is done yet", Leaving: []string{}},
		},
		loop: loop{
			kind: mesh.KindDummy, unsupported: map[string]bool{}, state: mesh.StateStarting,
			routes: map[string]routeSince{}, seen: map[string]sighting{}, drops: map[string]drops{}, memory: loadMemory(o.State),
		},
	}
	a.adopt(cluster, p, fs)
	return a, nil
}

// Settings are those of the cluster file.
func (a *Agent) Settings() mesh.AgentSettings { return a.loop.cluster.Agent }

// ErrConfig says that the cluster file can't be used; Findings says why.
type ErrConfig struct {
	Findings []finding.Finding
}

func (e *ErrConfig) Error() string {
	for _, f := range e.Findings {
		if f.Severity == finding.Error {
			return f.Error()
		}
	}
	return "the cluster file can't be used"
}

// Run keeps the node until ctx ends. Routes stay then; the peers are told that
// this end's silence is no failure.
//
// It fails at once if the kernel or the hardware can't be read.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.start(); err != nil {
		return err
	}
	defer a.stop()
	if a.options.Once {
		a.turn(ctx, causeStart)
		return a.verdict()
	}
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	if err := a.watch(ctx, &helpers); err != nil {
		return err
	}
	a.openLiveness(ctx, &helpers)
	helpers.Go(func() { a.supervise(ctx) })
	helpers.Go(func() { a.standIn(ctx) })

	cause := causeStart
	for {
		a.turn(ctx, cause)
		var ok bool
		if cause, ok = a.pause(ctx); !ok {
			return nil
		}
		if cause == causeReload && a.rereadConfig() {
			a.closeLiveness()
			a.openLiveness(ctx, &helpers)
		}
	}
}

// verdict turns what is published into an error for --once.
func (a *Agent) verdict() error {
	if s := a.Status(); s.State == mesh.StateFailed {
		return fmt.Errorf("agent: %s", s.Why)
	}
	return nil
}

// Reload makes the loop read the cluster file again, as SIGHUP does.
func (a *Agent) Reload() { a.wake.up(causeReload) }
