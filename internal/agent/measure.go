package agent

import (
	"net/netip"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/remote"
)

// Measurer is what the agent needs of remote.Agent.
type Measurer interface {
	Stop()  // begin no more, and let what runs end
	Close() // and wait for it
}

// measuring is what the loop knows of measurements that others ask for.
type measuring struct {
	agent  Measurer // nil while it does not listen
	digest string   // of the plan for which it listens
	retry  time.Time
	err    error // why it does not listen
}

// offerMeasuring lets who has the mesh's key have measurements made, once the node's
// addresses stand. It never takes part in them: they run in processes of their own.
func (a *Agent) offerMeasuring(t *turn) {
	l, m := &a.loop, &a.loop.measuring
	defer func() {
		if m.err != nil {
			t.report(finding.New(benchOff, "no measurements are made for other nodes: %v", m.err).
				Hinted("give `ports: {bench: ...}` another port, the same on all nodes, or say `bench: none`, both under agent in the cluster file"))
		}
	}()
	if m.agent != nil && m.digest == l.digest || l.cluster.Agent.Bench == mesh.BenchOff {
		return
	}
	if m.agent != nil {
		a.stopMeasuring() // it is for a plan of before
	}
	if t.started.Before(m.retry) || !a.addressed(t.have) {
		return
	}
	keys, err := a.keys(l.cluster.Agent)
	if err != nil || len(keys) == 0 {
		return // what is wrong with the keys is told by gossip, which needs the same
	}
	c := MeasuringConfig(&l.plan, l.cluster.Agent)
	c.Node, c.Keys, c.Version, c.Root, c.Log = a.options.Node, keys, a.options.Version, a.options.Root, a.log
	for _, id := range c.Members[c.Node] {
		if id.Is4() || hasIPv6(t.have) {
			c.Listen = append(c.Listen, id)
		}
	}
	agent, err := a.parts.openMeasuring(c)
	if err != nil {
		if m.err == nil || m.err.Error() != err.Error() {
			a.log.Warn("no measurements are made for other nodes", "error", err)
		}
		m.err, m.retry = err, t.started.Add(talkRetry)
		a.turnAgain(m.retry)
		return
	}
	m.agent, m.digest, m.err = agent, l.digest, nil
}

// MeasuringConfig is what agents and coordinators of a mesh must agree on. Who fills in
// the rest is one of them.
func MeasuringConfig(p *mesh.Plan, settings mesh.AgentSettings) remote.Config {
	c := remote.Config{Mesh: p.Mesh, Digest: digest(*p), Port: settings.BenchPort, Members: map[string][]netip.Addr{}}
	for _, n := range p.Nodes {
		c.Members[n.Name] = n.Identity
	}
	return c
}

// stopMeasuring lets what runs end. The next turn listens again, if it is to be.
func (a *Agent) stopMeasuring() {
	m := &a.loop.measuring
	if m.agent != nil {
		m.agent.Stop()
	}
	m.agent, m.retry, m.err = nil, time.Time{}, nil
}

func (a *Agent) closeMeasuring() {
	if m := &a.loop.measuring; m.agent != nil {
		m.agent.Close()
		m.agent = nil
	}
}
