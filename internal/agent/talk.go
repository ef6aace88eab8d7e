package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/match"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// talk is the state of this node's gossip.
type talk struct {
	stop  context.CancelFunc
	retry time.Time
	err   error
}

// noteRouter starts the notes in which a node tells the UUIDs of its host routers, by
// which its neighbours know it for certain.
const noteRouter = "router"

const (
	talkRetry  = 5 * time.Second
	missing    = 5 * time.Second // that a node is not heard of is worth a finding
	maxRouters = 4               // that are told; a machine with more has them known by name
)

var errNoKey = errors.New("there is no key file: none is named, and " + DefaultKey + " does not exist")

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// speak opens gossip once the node's addresses stand, and keeps its notes.
func (a *Agent) speak(t *turn) {
	a.mu.Lock()
	g := a.shared.gossip
	a.mu.Unlock()
	l := &a.loop
	if g == nil {
		if l.cluster.Agent.Gossip == mesh.GossipOff || t.started.Before(l.talk.retry) || !a.addressed(t.have) {
			return
		}
		var err error
		if g, err = a.openGossip(); err != nil {
			if l.talk.err == nil || l.talk.err.Error() != err.Error() {
				a.log.Warn("the nodes are not told which links are down", "error", err)
			}
			l.talk.err, l.talk.retry = err, t.started.Add(talkRetry)
			a.turnAgain(l.talk.retry)
			return
		}
		l.talk.err = nil
		a.wake.up(causeGossip)
	}
	g.Note(gossip.DigestNote, l.digest)
	a.turnAgain(a.tellLeave(t.started, g))
	var routers []string
	for _, c := range t.hardware.Controllers {
		if c.UUID != "" {
			routers = append(routers, c.UUID)
		}
	}
	for i := range maxRouters {
		value := ""
		if i < len(routers) {
			value = routers[i]
		}
		g.Note(fmt.Sprint(noteRouter, i), value)
	}
}

// addressed reports whether the node's identities stand.
func (a *Agent) addressed(s mesh.State) bool {
	ids := a.loop.plan.Node(a.options.Node).Identity
	for _, id := range ids {
		if !id.Is4() && !hasIPv6(s) {
			continue
		}
		if !slices.Contains(s.Addresses, mesh.Address{Interface: mesh.IdentityInterface, Local: mesh.HostPrefix(id)}) {
			return false
		}
	}
	return len(ids) > 0
}

func (a *Agent) openGossip() (Gossip, error) {
	p, settings := &a.loop.plan, a.loop.cluster.Agent
	c := gossip.Config{
		Mesh: p.Mesh, Node: a.options.Node, Port: settings.GossipPort, Log: a.log,
		Fast:    settings.Liveness == mesh.LivenessFast,
		Members: map[string][]netip.Addr{}, Cables: map[string][2]string{},
	}
	for _, n := range p.Nodes {
		c.Members[n.Name] = n.Identity
	}
	for _, k := range p.Cables {
		c.Cables[k.Name] = [2]string{k.Ends[0].Node, k.Ends[1].Node}
	}
	var err error
	if c.Keys, err = a.keys(settings); err != nil {
		return nil, err
	}
	c.Plain = a.plain(settings)
	g, err := a.parts.openGossip(c)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	a.loop.talk.stop = stop
	a.mu.Lock()
	a.shared.gossip = g
	says := a.shared.says()
	a.mu.Unlock()
	g.Announce(says)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case _, ok := <-g.Changed():
				if !ok {
					return
				}
				a.wake.up(causeGossip)
			}
		}
	}()
	return g, nil
}

// plain reports whether gossip goes without keys.
func (a *Agent) plain(s mesh.AgentSettings) bool {
	return s.Gossip == mesh.GossipPlain && a.options.Key == ""
}

// keys reads the keys of the mesh: none, and no error, where its agents have none on
// purpose.
func (a *Agent) keys(settings mesh.AgentSettings) ([][]byte, error) {
	file := KeyFile(settings, a.options.Key)
	switch {
	case file == "":
		return nil, nil
	case file == DefaultKey && !exists(file) && a.options.Key == "" && settings.Key == "":
		return nil, errNoKey
	}
	return a.parts.loadKeys(file)
}

// KeyFile is where the keys of a mesh are: as a flag says, as the cluster file says, or
// at DefaultKey; "" if the mesh has none.
func KeyFile(settings mesh.AgentSettings, flag string) string {
	if flag == "" && (settings.Gossip == mesh.GossipPlain || settings.Gossip == mesh.GossipOff) {
		return ""
	}
	return cmp.Or(flag, settings.Key, DefaultKey)
}

// LoadKeys reads the keys in a file. It may also belong to the user that the packages
// make for the agent, whoever runs this.
func LoadKeys(file string) ([][]byte, error) {
	var owners []int
	if u, err := user.Lookup(packagedUser); err == nil {
		if id, err := strconv.Atoi(u.Uid); err == nil {
			owners = append(owners, id)
		}
	}
	return gossip.LoadKeys(file, owners...)
}

// packagedUser is as in packaging/.
const packagedUser = "usb4mesh"

func (a *Agent) closeGossip() {
	a.mu.Lock()
	g := a.shared.gossip
	a.shared.gossip = nil
	a.mu.Unlock()
	if g == nil {
		return
	}
	a.loop.talk.stop()
	if err := g.Close(); err != nil {
		a.log.Warn("gossip did not close well", "error", err)
	}
}

// known is what match needs: the routers of nodes, by what they tell or, if they
// tell nothing now, by what was seen before.
func (a *Agent) known(t *turn) match.Input {
	in := match.Input{
		Plan: a.loop.plan, Node: a.options.Node, Hardware: t.hardware, Links: t.have.Links,
		Routers: maps.Clone(a.loop.memory.Routers), Told: map[string]bool{},
	}
	a.mu.Lock()
	g := a.shared.gossip
	a.mu.Unlock()
	if g == nil {
		return in
	}
	for _, m := range g.Members() {
		for key, uuid := range m.Notes {
			if m.Alive && m.Node != a.options.Node && strings.HasPrefix(key, noteRouter) && uuid != "" {
				in.Routers[uuid] = m.Node
				in.Told[m.Node] = true
			}
		}
	}
	return in
}

// heard turns what gossip knows into findings.
func (a *Agent) heard(t *turn, g Gossip) {
	if err := a.loop.talk.err; g == nil && err != nil && !a.options.Once {
		t.report(finding.New(gossipOff, "the nodes do not tell each other which links are down: %v", err).
			Hinted("make a key with `head -c 32 /dev/urandom | base64` and write it to %s on every node, readable for the agent alone; or say `gossip: none` under agent in the cluster file", DefaultKey))
	}
	if g == nil {
		return
	}
	for _, s := range g.Strangers() {
		t.report(s.Finding())
	}
	for _, m := range g.Members() {
		switch {
		case m.Node == a.options.Node:
		case !m.Alive && t.started.Sub(m.Since) < missing: // it may be about to speak
		case !m.Alive:
			t.report(finding.New(nodeGone, "node %s is not heard of", m.Node).Hinted("is it running, and its agent?"))
		case m.Digest != "" && m.Digest != a.loop.digest:
			t.report(finding.New(planDiffers, "node %s runs another plan (%s) than this node (%s)", m.Node, m.Digest, a.loop.digest).
				Hinted("copy the same cluster file to all nodes and reload their agents"))
		}
	}
}
