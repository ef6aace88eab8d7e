package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// frrEngine runs the daemons of FRR in every node: a peer that the compiled
// tables are compared with.
//
// Links, addresses and sysctls are those of the plan, applied through the same
// netlink door as with our own engine; all routes are FRR's. A node's daemons
// keep what they write in its own /run, and end with the keeper.
type frrEngine struct {
	netlinkEngine
	profile frrProfile

	mu        sync.Mutex
	processes []*Process
}

const (
	frrUser = "frr"
	frrRun  = "/run/frr" // of the node: /run is its own
	// frrStart is how long daemons may take to open their sockets.
	frrStart = 15 * time.Second
	// frrNice is the priority that FRR's own frr.service gives to the daemons.
	frrNice = -5
)

// frrFolders is where distributions keep the daemons.
var frrFolders = []string{"/usr/lib/frr", "/usr/libexec/frr"}

// frrUsable returns nil if this machine and this user can run the profile, else
// an error that says what is missing.
func frrUsable(p frrProfile) error {
	if os.Geteuid() != 0 {
		return errors.New("FRR's daemons change to the user frr, which takes root: run as root")
	}
	if _, err := exec.LookPath("vtysh"); err != nil {
		return fmt.Errorf("FRR is not installed (%w): on Debian, apt-get install frr", err)
	}
	if _, err := user.Lookup(frrUser); err != nil {
		return fmt.Errorf("FRR is not installed in full: %w", err)
	}
	for _, d := range p.daemons() {
		if _, err := frrDaemon(d); err != nil {
			return err
		}
	}
	return nil
}

func frrDaemon(name string) (string, error) {
	for _, dir := range frrFolders {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("FRR's %s is in none of %s: on Debian, apt-get install frr", name, strings.Join(frrFolders, ", "))
}

func (e *frrEngine) Start(ctx context.Context, nodes []*Node) error {
	if err := frrUsable(e.profile); err != nil {
		return err
	}
	for _, n := range nodes {
		n.Plan = frrNodePlan(n.Plan, e.profile.Protocol)
	}
	if err := e.netlinkEngine.Start(ctx, nodes); err != nil {
		return err
	}
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { errs[i] = e.startNode(ctx, n) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// frrNodePlan is what the plan asks of a node when FRR makes the routes: links,
// addresses and sysctls, with two differences.
//
// Reverse path filtering goes: a routing protocol's first packet comes from a node
// to which no route leads yet, and even the loose filter (2) drops that. And under
// BGP the identity stands on umesh0 alone: where a port has an IPv4 address, bgpd
// announces that as next hop instead of the link-local address, and its peer,
// which has no connected route to it, drops the announcement.
func frrNodePlan(n *mesh.NodePlan, protocol frrProtocol) *mesh.NodePlan {
	p := *n
	p.Routes, p.Rules = nil, nil
	p.Sysctls = slices.Clone(p.Sysctls)
	for i, s := range p.Sysctls {
		if strings.HasSuffix(s.Path, "/rp_filter") {
			p.Sysctls[i].Value = "0"
		}
	}
	if protocol == frrBGP {
		p.Links = slices.Clone(p.Links)
		for i := range p.Links {
			p.Links[i].Addresses = nil
		}
	}
	return &p
}

// startNode starts the daemons of one node and loads their configuration.
func (e *frrEngine) startNode(ctx context.Context, n *Node) error {
	text, err := frrConfig(n.Mesh, n.Name, e.profile)
	if err != nil {
		return err
	}
	if err := n.Do(func() error { return frrFiles(text) }); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	if err := e.startDaemons(ctx, n); err != nil {
		return fmt.Errorf("node %s: FRR: %w\n%s", n.Name, err, frrLog(n))
	}
	return nil
}

// startDaemons starts zebra, then the others, then configures all. A daemon that
// does not find zebra tries again only after ten seconds.
func (e *frrEngine) startDaemons(ctx context.Context, n *Node) error {
	daemons := e.profile.daemons()
	for i, d := range daemons {
		if err := e.startDaemon(n, d); err != nil {
			return err
		}
		if i == 0 {
			if err := n.Do(func() error { return waitForFiles(ctx, "zserv.api") }); err != nil {
				return err
			}
		}
	}
	sockets := make([]string, len(daemons))
	for i, d := range daemons {
		sockets[i] = d + ".vty"
	}
	if err := n.Do(func() error { return waitForFiles(ctx, sockets...) }); err != nil {
		return err
	}
	return loadConfig(ctx, n)
}

// frrFiles makes the folder of the daemons in the node's own /run.
func frrFiles(config string) error {
	u, err := user.Lookup(frrUser)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	if err := os.Mkdir(frrRun, 0o755); err != nil {
		return err
	}
	if err := os.Chown(frrRun, uid, gid); err != nil {
		return fmt.Errorf("%w (the user frr must exist in this user namespace)", err)
	}
	for name, text := range map[string]string{"frr.conf": config, "vtysh.conf": "", "empty.conf": ""} {
		path := filepath.Join(frrRun, name)
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			return err
		}
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// startDaemon starts a daemon in the foreground, so that it stays our child, and
// without configuration: vtysh loads that into all of them.
func (e *frrEngine) startDaemon(n *Node, name string) error {
	path, err := frrDaemon(name)
	if err != nil {
		return err
	}
	args := []string{
		"-u", frrUser, "-g", frrUser, "-z", frrRun + "/zserv.api", "-i", frrRun + "/" + name + ".pid",
		"--vty_socket", frrRun, "-f", frrRun + "/empty.conf", "--log", "file:" + frrRun + "/log",
	}
	if name == "bfdd" {
		args = append(args, "--bfdctl", frrRun+"/bfdd.sock")
	}
	p, err := n.Start(exec.Command(path, args...))
	if err != nil {
		return err
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, p.Pid(), frrNice); err != nil {
		return fmt.Errorf("%s: set its priority: %w", name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.processes = append(e.processes, p)
	return nil
}

// waitForFiles waits until the daemons have made their sockets.
func waitForFiles(ctx context.Context, names ...string) error {
	for _, name := range names {
		err := poll(ctx, 5*time.Millisecond, frrStart, func() error {
			_, err := os.Stat(filepath.Join(frrRun, name))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// loadConfig hands the configuration to the daemons. What fails is tried again,
// once: see frrConfig.
func loadConfig(ctx context.Context, n *Node) error {
	var said []byte
	var err error
	for range 2 {
		said, err = n.Run(ctx, "vtysh", "--vty_socket", frrRun, "--config_dir", frrRun, "-H", "/dev/null", "-f", frrRun+"/frr.conf")
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("load configuration: %w: %s", err, said)
}

// frrLog returns the end of what the node's daemons logged, "" for nothing.
func frrLog(n *Node) string {
	var log []byte
	err := n.Do(func() (err error) {
		log, err = os.ReadFile(frrRun + "/log")
		return err
	})
	if err != nil {
		return ""
	}
	return string(log[max(0, len(log)-4<<10):])
}

// Settled reports a daemon that has died, and what is missing of links and addresses.
func (e *frrEngine) Settled(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.processes {
		select {
		case <-p.Done():
			return fmt.Errorf("%s has ended: %w", filepath.Base(p.cmd.Path), errors.Join(p.Wait(), errors.New("it should run")))
		default:
		}
	}
	return e.netlinkEngine.Settled(ctx)
}

func (e *frrEngine) Stop() error {
	var all sync.WaitGroup
	errs := make([]error, len(e.processes)+1)
	for i, p := range e.processes {
		all.Go(func() { errs[i] = p.End(2 * time.Second) })
	}
	all.Wait()
	errs[len(errs)-1] = e.netlinkEngine.Stop()
	return errors.Join(errs...)
}

func (e *frrEngine) StandIns() []string {
	s := []string{"one netlink convergence of the two nodes at a plug gives the new interfaces their addresses, as networkd would; all routes are FRR's"}
	if !e.dummy {
		s = append(s, noDummy)
	}
	return s
}

// Version says what FRR calls itself.
func (e *frrEngine) Version() string {
	path, err := frrDaemon("zebra")
	if err != nil {
		return ""
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(out), "\n") // zebra version 8.4.4
	return "FRR " + strings.TrimPrefix(first, "zebra version ")
}
