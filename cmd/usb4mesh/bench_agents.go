package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/agent"
	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/remote"
	"github.com/usb4mesh/usb4mesh/internal/status"
	"github.com/usb4mesh/usb4mesh/internal/survey"
)

// elsewhere ends messages that say why the agents can't be asked.
const elsewhere = "; --ssh measures without agents, --lab on this machine alone"

// agentDoor has jobs done by the agents of the mesh.
type agentDoor struct{ held *remote.Coordinator }

func (d agentDoor) Run(ctx context.Context, node string, job remote.Job, in io.Reader, out io.Writer) error {
	return d.held.Run(ctx, node, job, in, out)
}

// agentsDoor takes hold of all agents of the mesh that answer.
func (s *surveyFlags) agentsDoor(ctx context.Context, p *mesh.Plan, src []byte, paths []survey.Path) (survey.Door, func() error, error) {
	cluster, _ := config.Parse(p.Source, src) // read without errors before
	settings := cluster.Agent
	file := agent.KeyFile(settings, s.key)
	switch {
	case settings.Bench == mesh.BenchOff:
		return nil, nil, fmt.Errorf("the agents of this mesh make no measurements: the cluster file says `bench: none`%s", elsewhere)
	case file == "":
		return nil, nil, fmt.Errorf("the agents of this mesh have no key by which they would know who asks: the cluster file says `gossip: %s`%s", settings.Gossip, elsewhere)
	}
	longest := survey.Longest(paths, s.o.Task, s.o.Load)
	if longest > remote.MaxSurvey {
		return nil, nil, usageError("--duration %s for %d pairs may take %s; the agents stay for %s at most", s.o.Task.Duration, len(paths), longest, remote.MaxSurvey)
	}
	c := agent.MeasuringConfig(p, settings)
	c.Node, c.Version = coordinatorName(p), versionText()
	var err error
	if c.Keys, err = loadMeshKeys(file); err != nil {
		return nil, nil, err
	}
	var nodes []string
	for _, n := range p.Nodes {
		nodes = append(nodes, n.Name) // those on no path too: another survey would disturb this one
	}
	held, err := remote.Hold(ctx, c, nodes, longest)
	if err != nil {
		return nil, nil, err
	}
	if missing := held.Missing(); len(missing) == len(nodes) {
		held.Close()
		return nil, nil, fmt.Errorf("no agent of the mesh can be asked: %w%s", missing[nodes[0]], elsewhere)
	}
	return agentDoor{held}, func() error { held.Close(); return nil }, nil
}

// coordinatorName is what agents call this machine: its node, if it has the identity
// of one.
func coordinatorName(p *mesh.Plan) string {
	own, err := net.InterfaceAddrs()
	if err == nil {
		for _, n := range p.Nodes {
			for _, a := range own {
				if prefix, err := netip.ParsePrefix(a.String()); err == nil && slices.Contains(n.Identity, prefix.Addr()) {
					return n.Name
				}
			}
		}
	}
	name, _ := os.Hostname() // nothing depends on it
	return name
}

// loadMeshKeys reads the keys as the agent does.
func loadMeshKeys(file string) ([][]byte, error) {
	f, err := os.Open(file)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the mesh's key %s is not for you to read: measure as root, or as user %s%s", file, status.DefaultGroup, elsewhere)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no key file %s; name it with --key, as the agents have it%s", file, elsewhere)
	case err == nil:
		f.Close()
	}
	return agent.LoadKeys(file)
}
