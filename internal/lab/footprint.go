package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// footprint is all of a node's kernel that an agent may have changed, a line each,
// in a fixed order. The interface of a cable is told by the cable, whatever it is
// called just now: a new plug makes a new interface of another name.
type footprint []string

// footprint reads a node's kernel.
func (e *agentEngine) footprint(ctx context.Context, n *Node) (footprint, error) {
	s, err := e.door[n].Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	called := map[string]string{}
	var f footprint
	links, err := n.handle.LinkList()
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	for _, l := range links {
		a := l.Attrs()
		name := a.Name
		if cable := e.machines.cableOf(n, a.Index); cable != "" {
			called[a.Name] = "cable-" + cable
			name = strings.TrimRight(a.Name, "0123456789") + " of cable-" + cable
		}
		f = append(f, fmt.Sprintf("link %s alias %q mtu %d address %s up %t", name, a.Alias, a.MTU, a.HardwareAddr, a.RawFlags&unix.IFF_UP != 0))
	}
	at := func(name string) string { return cmp.Or(called[name], name) }
	for _, a := range s.Addresses {
		a.Interface = at(a.Interface)
		f = append(f, a.String())
	}
	for _, r := range s.Routes {
		r.Interface = at(r.Interface)
		f = append(f, fmt.Sprintf("%s protocol %d src %s", r, r.Protocol, r.Source))
	}
	for _, r := range s.Rules {
		f = append(f, r.String())
	}
	settings, err := n.settings()
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	for _, c := range settings {
		if name := c.Interface(); name != "" {
			c.Path = strings.Replace(c.Path, "/"+name+"/", "/"+at(name)+"/", 1)
		}
		f = append(f, c.String())
	}
	tables, err := n.filters()
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	f = append(f, tables...)
	slices.Sort(f)
	return f, nil
}

// settings reads the settings of all interfaces that stand in the plan, and the
// global ones, whatever their interfaces are called just now.
func (n *Node) settings() ([]mesh.Sysctl, error) {
	keys := map[string]bool{} // net/ipv4/conf key
	var all []mesh.Sysctl
	err := n.Do(func() error {
		for _, s := range n.Plan.Sysctls {
			p := strings.Split(s.Path, "/")
			if len(p) != 5 {
				return fmt.Errorf("setting %s has another form than net/FAMILY/KIND/INTERFACE/KEY", s.Path)
			}
			family := strings.Join(p[:3], "/")
			if keys[family+p[4]] {
				continue
			}
			keys[family+p[4]] = true
			names, err := os.ReadDir("/proc/sys/" + family)
			if err != nil {
				return err
			}
			for _, name := range names {
				path := family + "/" + name.Name() + "/" + p[4]
				b, err := os.ReadFile("/proc/sys/" + path)
				if err == nil {
					all = append(all, mesh.Sysctl{Path: path, Value: strings.TrimSpace(string(b))})
				} else if !errors.Is(err, os.ErrNotExist) {
					return err
				}
			}
		}
		return nil
	})
	return all, err
}

// filters lists nftables tables with their chains, and counts what is in their maps.
func (n *Node) filters() (lines []string, err error) {
	c, err := nftables.New(nftables.WithNetNSFd(n.NetNS()))
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	tables, err := c.ListTables()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	for _, t := range tables {
		lines = append(lines, fmt.Sprintf("nftables table %d %s", t.Family, t.Name))
	}
	return lines, nil
}

// against says how a footprint differs from an earlier one: lines with + and -.
func (f footprint) against(before footprint) (diff []string) {
	for _, line := range before {
		if !slices.Contains(f, line) {
			diff = append(diff, "- "+line)
		}
	}
	for _, line := range f {
		if !slices.Contains(before, line) {
			diff = append(diff, "+ "+line)
		}
	}
	return diff
}

const opCleanup = "cleanup"

// Cleanup stops all agents, runs `usb4mesh agent --cleanup` in every node, and says
// how the kernels differ from what they were before the first agent started, a line
// each. No line is the promise.
func (l *Lab) Cleanup(ctx context.Context) ([]string, error) {
	var diff []string
	err := l.call(ctx, opCleanup, nil, &diff)
	return diff, err
}

func (w *world) cleanup(ctx context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.agents()
	if err != nil {
		return nil, err
	}
	for _, n := range e.runningNodes() {
		if err := e.stop(n); err != nil {
			return nil, err
		}
	}
	diff := []string{}
	for _, n := range w.nodes {
		program := e.args.Program
		if program == "" {
			program = "/proc/self/exe"
		}
		if err := e.clean(ctx, n, program); err != nil {
			diff = append(diff, err.Error())
			continue
		}
		now, err := e.footprint(ctx, n)
		if err != nil {
			return nil, err
		}
		for _, line := range now.against(e.before[n]) {
			diff = append(diff, "node "+n.Name+": "+line)
		}
	}
	return diff, nil
}

func (e *agentEngine) clean(ctx context.Context, n *Node, program string) error {
	cmd := exec.CommandContext(ctx, program, "agent", "--cleanup", "--config", agentConfig, "--node", n.Name, "--root", treeFolder, "--state", agentState)
	cmd.Args[0] = os.Args[0]
	var said tail
	said.limit = 4 << 10
	cmd.Stdout, cmd.Stderr = &said, &said
	p, err := n.Start(cmd)
	if err != nil {
		return err
	}
	if err := p.Wait(); err != nil {
		return fmt.Errorf("node %s: agent --cleanup: %w: %s", n.Name, err, said.String())
	}
	return nil
}
