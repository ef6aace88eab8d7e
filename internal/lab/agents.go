package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// What can be done to the agents of a lab of the engine "agent".

const (
	opAgent  = "agent"
	opAgents = "agents"
)

// agentOp does one of the requests above and in the files beside.
func (w *world) agentOp(ctx context.Context, req request) (any, error) {
	switch req.Op {
	case opAgent:
		return decode(req, func(a agentArgs) (any, error) { return nil, w.agent(a) })
	case opAgents:
		return w.agentInfos(ctx)
	case opPower:
		return decode(req, func(a powerArgs) (any, error) { return w.power(ctx, a) })
	case opVandal:
		return decode(req, func(a vandalArgs) (any, error) { return w.vandalize(ctx, a) })
	case opWays:
		return w.ways(), nil
	case opStray:
		return decode(req, func(a strayArgs) (any, error) { return w.stray(a) })
	case opTidy:
		return nil, w.tidy()
	case opVerify:
		return w.verify(ctx)
	case opCleanup:
		return w.cleanup(ctx)
	}
	return nil, fmt.Errorf("no request is called %q", req.Op)
}

// AgentAction is what is done to an agent.
type AgentAction string

// Things to do to an agent.
const (
	AgentKill  AgentAction = "kill"  // SIGKILL: it can't say goodbye
	AgentStop  AgentAction = "stop"  // SIGTERM, and wait until it has ended
	AgentStart AgentAction = "start" // again, with the same files
)

type agentArgs struct {
	Node   string
	Action AgentAction
	Clocks time.Duration // AgentStart: what its clocks are ahead
}

// Agent does something to the agent of a node.
func (l *Lab) Agent(ctx context.Context, node string, do AgentAction) error {
	return l.call(ctx, opAgent, agentArgs{Node: node, Action: do}, nil)
}

// StartAgentAt starts the agent of a node in a time namespace of its own, in which the
// monotonic clock and the one since boot are ahead of the machine's
// (time_namespaces(7); CLOCK_REALTIME has no namespace). Where the kernel has none, the
// clocks are the machine's, and Setup.StandIns says so.
func (l *Lab) StartAgentAt(ctx context.Context, node string, ahead time.Duration) error {
	return l.call(ctx, opAgent, agentArgs{Node: node, Action: AgentStart, Clocks: ahead}, nil)
}

// AgentInfo is what the agent of a node uses and says. All but Node and Running are
// zero while it does not run.
type AgentInfo struct {
	Node       string      `json:"node"`
	Running    bool        `json:"running"`
	Starts     int         `json:"starts"`
	Files      int         `json:"open_files"`
	Threads    int         `json:"threads"`
	Goroutines int         `json:"goroutines"` // 0 where it does not tell
	RSS        int64       `json:"rss_bytes"`
	Status     mesh.Status `json:"status"`
	Error      string      `json:"error"` // why the status could not be read
}

// Agents looks at all agents.
func (l *Lab) Agents(ctx context.Context) ([]AgentInfo, error) {
	var all []AgentInfo
	err := l.call(ctx, opAgents, nil, &all)
	return all, err
}

// agents returns the engine, where it is the one that runs agents.
func (w *world) agents() (*agentEngine, error) {
	if e, ok := w.engine.(*agentEngine); ok {
		return e, nil
	}
	return nil, fmt.Errorf("no agents run in this lab: it was started with the engine %s", w.setup.Engine)
}

func (w *world) agent(a agentArgs) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.agents()
	if err != nil {
		return err
	}
	n, err := w.node(a.Node)
	if err != nil {
		return err
	}
	switch a.Action {
	case AgentKill:
		return e.kill(n)
	case AgentStop:
		return e.stop(n)
	case AgentStart:
		return e.start(n, a.Clocks)
	}
	return fmt.Errorf("nothing is called %q that could be done to an agent", a.Action)
}

func (w *world) agentInfos(ctx context.Context) ([]AgentInfo, error) {
	e, err := w.agents()
	if err != nil {
		return nil, err
	}
	var all []AgentInfo
	for _, n := range w.nodes {
		all = append(all, e.info(ctx, n))
	}
	return all, nil
}

// start starts a node's agent, with clocks that are ahead.
func (e *agentEngine) start(n *Node, ahead time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.agents[n]
	if a.proc != nil {
		return fmt.Errorf("node %s: its agent runs already", n.Name)
	}
	program, name := e.args.Program, e.args.Program
	if program == "" {
		program, name = "/proc/self/exe", os.Args[0]
	}
	cmd := exec.Command(program, "agent", "--config", agentConfig, "--node", n.Name, "--root", treeFolder,
		"--state", agentState, "--socket", agentSocket, "--key", agentKey)
	cmd.Args[0] = name // what ps shows
	cmd.Env = os.Environ()
	err := n.Do(func() error {
		log, err := os.OpenFile(e.logFile(n), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer log.Close() // the agent has its own
		cmd.Stdout, cmd.Stderr = log, log
		if ahead > 0 && e.clocks {
			if err := shiftClocks(ahead); err != nil {
				return err
			}
		}
		a.proc, err = n.procs.start(cmd)
		return err
	})
	if err != nil {
		return fmt.Errorf("node %s: start its agent: %w", n.Name, err)
	}
	a.starts++
	return nil
}

// shiftClocks puts what this thread starts from now on into a new time namespace.
func shiftClocks(ahead time.Duration) error {
	if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
		return fmt.Errorf("time namespace: %w", err)
	}
	// /proc/self is the process, but namespaces belong to threads.
	name := fmt.Sprintf("/proc/%d/timens_offsets", unix.Gettid())
	seconds := int64(ahead / time.Second)
	return os.WriteFile(name, fmt.Appendf(nil, "monotonic %d 0\nboottime %d 0\n", seconds, seconds), 0)
}

// canShiftClocks tries whether the kernel has time namespaces.
func canShiftClocks() bool {
	return onThread(func() error { return shiftClocks(time.Second) }) == nil
}

// take notes that the agent is not to run any more, and returns its process.
func (e *agentEngine) take(n *Node) (*Process, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.agents[n]
	p := a.proc
	if p == nil {
		return nil, fmt.Errorf("node %s: its agent does not run", n.Name)
	}
	a.proc = nil
	return p, nil
}

func (e *agentEngine) kill(n *Node) error {
	p, err := e.take(n)
	if err != nil {
		return err
	}
	err = p.Signal(unix.SIGKILL)
	<-p.Done()
	return err
}

// stop asks the agent to end. One that has died before, or does not end, is an error.
func (e *agentEngine) stop(n *Node) error {
	p, err := e.take(n)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
		return fmt.Errorf("node %s: the agent had ended before it was asked to: %w; it said last:\n%s", n.Name, errors.Join(p.Wait(), errors.New("it should run")), e.said(n))
	default:
	}
	if err := p.End(agentGrace); err != nil {
		return fmt.Errorf("node %s: end its agent: %w", n.Name, err)
	}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == unix.SIGKILL {
		return fmt.Errorf("node %s: the agent did not end within %s of SIGTERM; it said last:\n%s", n.Name, agentGrace, e.said(n))
	}
	return nil
}

// runs reports whether a node's agent is to run.
func (e *agentEngine) runs(n *Node) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.agents[n] != nil && e.agents[n].proc != nil
}

func (e *agentEngine) runningNodes() (nodes []*Node) {
	if e.doors == nil {
		return nil
	}
	for _, n := range e.nodes {
		if e.runs(n) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// info looks at a node's agent from outside, and asks it.
func (e *agentEngine) info(ctx context.Context, n *Node) AgentInfo {
	e.mu.Lock()
	a := e.agents[n]
	i := AgentInfo{Node: n.Name, Running: a.proc != nil, Starts: a.starts}
	pid := 0
	if a.proc != nil {
		pid = a.proc.Pid()
	}
	e.mu.Unlock()
	if pid == 0 {
		return i
	}
	if err := i.look("/proc/" + strconv.Itoa(pid)); err != nil {
		i.Error = err.Error()
		return i
	}
	var err error
	if i.Status, err = n.agentStatus(ctx); err == nil {
		i.Goroutines, err = n.agentGoroutines(ctx)
	}
	if err != nil {
		i.Error = err.Error()
	}
	return i
}

// look reads proc(5).
func (i *AgentInfo) look(dir string) error {
	files, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return err
	}
	threads, err := os.ReadDir(dir + "/task")
	if err != nil {
		return err
	}
	u, err := processUsage(dir)
	i.Files, i.Threads, i.RSS = len(files), len(threads), u.RSS
	return err
}

// agentAnswer is how long an agent may take to answer.
const agentAnswer = 2 * time.Second

// ask gets a page of a node's agent over its socket.
func (n *Node) ask(ctx context.Context, page string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, agentAnswer)
	defer cancel()
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (c net.Conn, err error) {
			err = n.Do(func() error {
				c, err = net.DialTimeout("unix", agentSocket, agentAnswer)
				return err
			})
			return c, err
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent"+page, nil)
	if err != nil {
		return nil, err
	}
	r, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("its agent does not answer: %w", err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, maxMessage))
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("its agent answers %s to %s", r.Status, page)
	}
	return b, err
}

func (n *Node) agentStatus(ctx context.Context) (s mesh.Status, err error) {
	b, err := n.ask(ctx, "/status.json")
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// agentGoroutines reads the gauge that every Go program's metrics have.
func (n *Node) agentGoroutines(ctx context.Context) (int, error) {
	b, err := n.ask(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			return strconv.Atoi(value)
		}
	}
	return 0, errors.New("its agent's metrics have no go_goroutines")
}
