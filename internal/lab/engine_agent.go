package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// AgentEngine is the name of the engine that runs the real agent in every node.
const AgentEngine = "agent"

// agentEngine starts one `usb4mesh agent` per node, as a process of its own, and
// does nothing else: what is plugged where, names, addresses, routes and all that
// follows is the agent's work. Each agent reads the model of its node's hardware
// (--root) and the kernel of its namespace.
type agentEngine struct {
	*doors
	args     buildArgs
	machines *machines
	before   map[*Node]footprint // what the kernels held before the first start
	clocks   bool                // the kernel has time namespaces

	mu     sync.Mutex
	agents map[*Node]*agentProcess
}

// agentProcess is the agent of a node, running or not.
type agentProcess struct {
	node   *Node
	proc   *Process // nil while it is not to run
	starts int
}

// Files of an agent, in its node's own /run.
const (
	agentConfig = labFolder + "/mesh.yaml"
	agentKey    = labFolder + "/gossip.key"
	agentState  = labFolder + "/state"
	agentSocket = labFolder + "/agent.sock"
	agentLog    = labFolder + "/agent.log"
)

const (
	// agentGrace is how long an agent may take to end when asked to.
	agentGrace = 5 * time.Second
	// agentPoll is how often agents are asked whether they are done.
	agentPoll = 20 * time.Millisecond
)

// needsMachines marks engines for which the lab models the hardware of nodes.
type needsMachines interface {
	equip(a buildArgs, m *machines)
}

func (e *agentEngine) equip(a buildArgs, m *machines) { e.args, e.machines = a, m }

func (e *agentEngine) Start(ctx context.Context, nodes []*Node) (err error) {
	if len(e.args.Cluster) == 0 {
		return errors.New("agents read the cluster file by themselves: it must be given with the plan")
	}
	if e.doors, err = openDoors(nodes); err != nil {
		return err
	}
	e.clocks = canShiftClocks()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	e.agents, e.before = map[*Node]*agentProcess{}, map[*Node]footprint{}
	for _, n := range nodes {
		if e.before[n], err = e.footprint(ctx, n); err != nil {
			return err
		}
		if err := e.files(n, hex.EncodeToString(key)+"\n"); err != nil {
			return err
		}
		e.agents[n] = &agentProcess{node: n}
	}
	for _, n := range nodes {
		if err := e.start(n, 0); err != nil {
			return err
		}
	}
	cluster, _ := config.Parse(agentConfig, e.args.Cluster) // its mistakes are the agents' to tell
	return e.wait(ctx, cluster.Agent.Gossip != mesh.GossipOff)
}

// wait waits until all agents have converged, and hear each other if they talk, or one
// has died.
func (e *agentEngine) wait(ctx context.Context, talk bool) error {
	for {
		err := e.Settled(ctx)
		if err == nil && talk {
			err = e.acquainted(ctx)
		}
		if err == nil {
			return nil
		}
		if dead := e.dead(); dead != nil {
			return dead
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; %w", ctx.Err(), err)
		case <-time.After(agentPoll):
		}
	}
}

// dead returns an error if an agent that should run has ended.
func (e *agentEngine) dead() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.nodes {
		a := e.agents[n]
		if a.proc == nil {
			continue
		}
		select {
		case <-a.proc.Done():
			return fmt.Errorf("node %s: the agent has ended: %w; it said last:\n%s", n.Name, errors.Join(a.proc.Wait(), errors.New("it should run")), e.said(n))
		default:
		}
	}
	return nil
}

// files writes what an agent reads: the cluster file and the key of gossip.
func (e *agentEngine) files(n *Node, key string) error {
	return n.Do(func() error {
		if err := os.MkdirAll(agentState, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(agentConfig, e.args.Cluster, 0o644); err != nil {
			return err
		}
		return os.WriteFile(agentKey, []byte(key), 0o600)
	})
}

// logFile is where a node's agent writes: a folder that was asked for, else the
// node's own /run.
func (e *agentEngine) logFile(n *Node) string {
	if e.args.Logs != "" {
		return filepath.Join(e.args.Logs, n.Name+".log")
	}
	return agentLog
}

// said returns the end of what a node's agent logged.
func (e *agentEngine) said(n *Node) (text string) {
	_ = n.Do(func() error { text = readTail(e.logFile(n)); return nil }) // no log, no words
	return text
}

func (e *agentEngine) Plugged(context.Context, [2]*Node, string) error { return nil }

// Settled returns nil when every node's kernel holds what the plan wants and every
// agent says so too.
func (e *agentEngine) Settled(ctx context.Context) error {
	if err := e.settled(ctx); err != nil {
		return err
	}
	for _, n := range e.nodes {
		if !e.runs(n) {
			continue
		}
		s, err := n.agentStatus(ctx)
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		if s.State != mesh.StateConverged {
			return fmt.Errorf("node %s: its agent is %s: %s", n.Name, s.State, s.Why)
		}
	}
	return nil
}

// acquainted returns nil when every agent hears all others.
func (e *agentEngine) acquainted(ctx context.Context) error {
	for _, n := range e.nodes {
		s, err := n.agentStatus(ctx)
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		for _, m := range s.Members {
			if !m.Alive {
				return fmt.Errorf("node %s: its agent does not hear the one of %s", n.Name, m.Node)
			}
		}
	}
	return nil
}

func (e *agentEngine) Stop() error {
	var errs []error
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, n := range e.runningNodes() {
		all.Go(func() {
			err := e.stop(n)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	if e.doors != nil {
		errs = append(errs, e.close())
	}
	return errors.Join(errs...)
}

func (e *agentEngine) StandIns() []string {
	s := []string{
		"model machines (below --root) stand for /sys of the driver, and veth pairs with the driver's names and MAC addresses for its interfaces; they follow a rename a moment late",
	}
	if !e.clocks {
		s = append(s, "clocks do not jump: this kernel has no time namespaces")
	}
	return append(s, e.standIns()...)
}

// reopen takes a node's new namespaces after it was without power.
func (e *agentEngine) reopen(n *Node) error {
	old := e.door[n]
	k, err := kernel.OpenNamespace(n.NetNS())
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	e.door[n] = k
	return old.Close()
}

// readable returns what a file of the node holds, "" if there is none.
func (n *Node) readable(name string) (text string, err error) {
	err = n.Do(func() error {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		text = string(b)
		return err
	})
	return text, err
}
