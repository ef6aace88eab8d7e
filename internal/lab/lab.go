// Package lab runs a whole mesh on one machine: every node is a network
// namespace, every cable a veth pair, and the kernel that routes is the real one.
//
// Everything of a lab lives in one process, the keeper, which runs in its own
// network, mount, pid and IPC namespaces (and, without root, its own user
// namespace). The namespaces of the nodes have no names; open file descriptors
// of the keeper are all that holds them. So when the keeper ends, however it
// ends, the kernel removes every interface, namespace and process of the lab.
//
// A Lab is the handle by which another process drives the keeper. Run is the
// whole experiment: reach, measure, cut every cable, plug it back, report.
package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Options says how a lab is started. The zero value is a lab of the engine
// "netlink" that ends with the process that made it.
type Options struct {
	Engine string // control plane that configures the nodes; "" is DefaultEngine
	// Setup bounds how long the engine may take to configure all nodes. 0 is 60 s.
	Setup time.Duration

	// For the engine "agent".
	Cluster []byte // the cluster file behind the plan, which agents read themselves
	Program string // usb4mesh, by its path; "" is this program
	Logs    string // folder for the agents' logs; "" keeps them in the nodes
}

// DefaultEngine applies the plan through the same netlink door as the agent.
const DefaultEngine = "netlink"

// Lab is a running lab, seen from outside. Its methods may be called from
// several goroutines; each call is a connection of its own to the keeper.
type Lab struct {
	Plan  mesh.Plan
	Setup Setup

	dial  func(context.Context) (*net.UnixConn, error)
	close func() error
	once  sync.Once
	err   error
}

// Setup is what the keeper says once all nodes are configured.
type Setup struct {
	Mesh     string   `json:"mesh"`
	Engine   string   `json:"engine"`
	Kernel   string   `json:"kernel"`    // uname -r
	StandIns []string `json:"stand_ins"` // what stands in for what on this machine
	Millis   float64  `json:"millis"`    // from the first namespace to all nodes configured
}

// New starts a keeper, builds the nodes and cables of plan in it and lets the
// engine configure them. The lab ends with Close, or with this process.
func New(ctx context.Context, plan mesh.Plan, o Options) (*Lab, error) {
	k, err := startKeeper(attached, nil)
	if err != nil {
		return nil, err
	}
	l := &Lab{Plan: plan, dial: k.dial, close: k.stop}
	if err := l.build(ctx, o); err != nil {
		return nil, errors.Join(k.explain(err), l.Close())
	}
	return l, nil
}

func (l *Lab) build(ctx context.Context, o Options) error {
	if o.Setup <= 0 {
		o.Setup = time.Minute
	}
	if o.Engine == "" {
		o.Engine = DefaultEngine
	}
	args := buildArgs{Plan: l.Plan, Engine: o.Engine, Limit: o.Setup, Cluster: o.Cluster, Program: o.Program, Logs: o.Logs}
	return l.call(ctx, opBuild, args, &l.Setup)
}

// Close ends the lab and waits until its keeper is gone. For a lab that was
// attached to (Attach), it only lets go of it.
func (l *Lab) Close() error {
	l.once.Do(func() { l.err = l.close() })
	return l.err
}

// How a cable is cut.
const (
	// Delete removes the interfaces at both ends: what thunderbolt_net does on unplug.
	Delete = "delete"
	// Carrier sets one end down, so that the other end loses carrier.
	Carrier = "carrier"
	// Silent drops every frame at both ends while carrier stays.
	Silent = "silent"
	// OneWay drops every frame that one end sends while carrier stays: the
	// other way works.
	OneWay = "one-way"
)

// Kinds lists the kinds of cut.
func Kinds() []string { return []string{Delete, Carrier, Silent, OneWay} }

// Moment tells when something was done: monotonic nanoseconds
// (CLOCK_MONOTONIC, the same in every process of a machine).
type Moment struct {
	Begin int64 `json:"begin"`
	End   int64 `json:"end"`
	// Noticed is set by Plug after a Carrier cut: when the kernel of the other
	// end took notice, 0 if it did not.
	Noticed int64 `json:"noticed,omitempty"`
}

// Cut takes a cable out of service. End says for Carrier which end (0 or 1 of
// the plan's Ends) is set down, for OneWay which is no longer heard, for Delete where the
// removal starts.
func (l *Lab) Cut(ctx context.Context, cable, how string, end int) (Moment, error) {
	var m Moment
	err := l.call(ctx, opCut, cutArgs{Cable: cable, How: how, End: end}, &m)
	return m, err
}

// Plug puts a cable back and lets the engine know. It returns when the
// interfaces exist and the engine has been told, not when all is settled; see
// Settled.
func (l *Lab) Plug(ctx context.Context, cable string) (Moment, error) {
	var m Moment
	err := l.call(ctx, opPlug, plugArgs{Cable: cable}, &m)
	return m, err
}

// Settled reports what the engine still has to configure; "" means nothing.
func (l *Lab) Settled(ctx context.Context) (string, error) {
	var s string
	err := l.call(ctx, opSettled, nil, &s)
	return s, err
}

// Status describes the lab as it is.
func (l *Lab) Status(ctx context.Context) (Status, error) {
	var s Status
	err := l.call(ctx, opStatus, nil, &s)
	return s, err
}

// call sends one request and decodes its result into out (a pointer, or nil).
// When ctx ends, the connection is closed, which ends the work in the keeper.
func (l *Lab) call(ctx context.Context, op string, args, out any) error {
	c, stop, err := l.request(ctx, op, args)
	if err != nil {
		return err
	}
	defer stop()
	return c.result(ctx, out)
}

// request opens a connection and sends the request. stop closes the connection.
func (l *Lab) request(ctx context.Context, op string, args any, files ...*os.File) (*conn, func(), error) {
	u, err := l.dial(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("lab keeper does not answer: %w", err)
	}
	raw, err := json.Marshal(args)
	if err != nil {
		u.Close()
		return nil, nil, fmt.Errorf("lab request %s: %w", op, err)
	}
	c := newConn(u)
	unhook := context.AfterFunc(ctx, func() { u.Close() })
	stop := func() { unhook(); u.Close() }
	if err := c.send(request{Op: op, Args: raw}, files...); err != nil {
		stop()
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, fmt.Errorf("lab request %s: %w", op, err)
	}
	return c, stop, nil
}
