package remote

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// dialTime is how long an agent may take to answer.
const dialTime = 5 * time.Second

// Coordinator holds agents, and has jobs done by them.
type Coordinator struct {
	config  Config
	tls     *tls.Config
	session string
	nodes   map[string]*held
}

// held is what the coordinator knows of an agent.
type held struct {
	at    netip.AddrPort
	conn  *tls.Conn       // of the hold; nil if there is none
	ctx   context.Context // ends with the hold; its cause says why
	lose  context.CancelCauseFunc
	ended sync.WaitGroup
}

// BusyError says that an agent works for another coordinator.
type BusyError struct{ Node, Text string }

func (e *BusyError) Error() string { return fmt.Sprintf("node %s: %s", e.Node, e.Text) }

// Hold takes hold of the agents of nodes, for at most limit. What is wrong with a
// single node is told by its jobs, and by Missing; the error is a BusyError if an agent
// works for somebody else, since two surveys would measure each other. Close lets go.
func Hold(ctx context.Context, c Config, nodes []string, limit time.Duration) (*Coordinator, error) {
	settings, err := settings(c.Keys, c.Mesh, coordinatorEnd, agentEnd)
	if err != nil {
		return nil, err
	}
	var id [sessionID / 2]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	k := &Coordinator{config: c, tls: settings, session: hex.EncodeToString(id[:]), nodes: map[string]*held{}}
	for _, n := range nodes {
		h := &held{}
		h.ctx, h.lose = context.WithCancelCause(context.Background())
		k.nodes[n] = h
	}
	// One after the other in the order of the plan up to the first that answers: of two
	// coordinators that begin at the same time, that agent takes one.
	first := 0
	for first < len(nodes) {
		err = k.take(ctx, nodes[first], limit)
		first++
		if err == nil || errors.As(err, new(*BusyError)) {
			break
		}
	}
	errs := make([]error, len(nodes))
	if busy := new(BusyError); errors.As(err, &busy) {
		errs[0] = err
	} else {
		var taking sync.WaitGroup
		for i, n := range nodes[first:] {
			taking.Go(func() { errs[first+i] = k.take(ctx, n, limit) })
		}
		taking.Wait()
	}
	for _, err := range errs {
		if busy := new(BusyError); errors.As(err, &busy) {
			k.Close()
			return nil, err
		}
	}
	if ctx.Err() != nil {
		k.Close()
		return nil, ctx.Err()
	}
	return k, nil
}

// take takes hold of one agent. Why it can't is remembered.
func (k *Coordinator) take(ctx context.Context, node string, limit time.Duration) (err error) {
	h := k.nodes[node]
	defer func() {
		if err != nil {
			h.lose(err)
		}
	}()
	var conn *tls.Conn
	for _, id := range k.config.Members[node] {
		at := netip.AddrPortFrom(id, k.config.port())
		c, failed := k.ask(ctx, node, at, request{Limit: limit})
		if failed == nil {
			h.at, conn = at, c
			break
		}
		err = cmp.Or(err, failed) // the first says most: a machine may have no IPv6
	}
	if conn == nil {
		return cmp.Or(err, fmt.Errorf("node %s has no identity", node))
	}
	_ = conn.SetReadDeadline(time.Now().Add(dialTime))
	kind, body, err := readFrame(conn, maxRequest)
	if err == nil && kind == frameEnd {
		err = k.failure(node, body)
	} else if err == nil && kind != frameGranted {
		err = fmt.Errorf("node %s: its agent answers with %q", node, kind)
	} else if err != nil {
		err = k.refused(node, h.at, err)
	}
	if err != nil {
		conn.Close()
		return err
	}
	_ = conn.SetReadDeadline(time.Time{})
	h.conn = conn
	h.ended.Go(func() {
		kind, body, err := readFrame(conn, maxRequest)
		switch {
		case err == nil && kind == frameEnd:
			err = k.failure(node, body)
		case err == nil:
			err = fmt.Errorf("node %s: its agent says %q out of turn", node, kind)
		default:
			err = fmt.Errorf("node %s: the connection to its agent is lost: %w", node, err)
		}
		h.lose(err)
	})
	return nil
}

// Missing returns why nodes could not be held, or are no longer.
func (k *Coordinator) Missing() map[string]error {
	missing := map[string]error{}
	for node, h := range k.nodes {
		if h.ctx.Err() != nil {
			missing[node] = context.Cause(h.ctx)
		}
	}
	return missing
}

// Close lets go of all agents, which ends what still runs there.
func (k *Coordinator) Close() {
	for _, h := range k.nodes {
		h.lose(errors.New("the survey is over"))
		if h.conn != nil {
			h.conn.Close()
			h.ended.Wait()
		}
	}
}

// Run has a job done by the agent of a node. It ends when the job does, ctx ends, or
// the hold is lost; a server also when in ends.
func (k *Coordinator) Run(ctx context.Context, node string, job Job, in io.Reader, out io.Writer) error {
	h := k.nodes[node]
	if h == nil {
		return fmt.Errorf("node %s is not held", node)
	}
	if h.ctx.Err() != nil {
		return context.Cause(h.ctx)
	}
	conn, err := k.ask(ctx, node, h.at, request{Job: &job})
	if err != nil {
		return err
	}
	defer conn.Close()
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	defer unhook()
	lost := context.AfterFunc(h.ctx, func() { conn.Close() })
	defer lost()
	if job.Do == Serve {
		go func() { // ends with in, which the caller closes
			_, _ = io.Copy(io.Discard, in)
			_ = conn.CloseWrite()
		}()
	}
	err = k.hear(conn, node, out)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && h.ctx.Err() != nil:
		return context.Cause(h.ctx)
	}
	return err
}

// hear passes on what the program prints until it ends.
func (k *Coordinator) hear(conn *tls.Conn, node string, out io.Writer) error {
	for {
		kind, body, err := readFrame(conn, maxRequest)
		switch {
		case err != nil:
			return fmt.Errorf("node %s: the connection to its agent is lost: %w", node, err)
		case kind == frameEnd:
			return k.failure(node, body)
		case kind != frameOutput:
			return fmt.Errorf("node %s: its agent says %q out of turn", node, kind)
		}
		if _, err := out.Write(body); err != nil {
			return fmt.Errorf("node %s: %w", node, err)
		}
	}
}

// ask opens a connection and says what is wanted.
func (k *Coordinator) ask(ctx context.Context, node string, at netip.AddrPort, r request) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	d := net.Dialer{KeepAliveConfig: keepAlive}
	d.SetMultipathTCP(false)
	raw, err := d.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("node %s: no agent takes measurements there: %w", node, err)
	}
	conn := tls.Client(raw, k.tls)
	if err = conn.HandshakeContext(ctx); err == nil {
		r.Version, r.Mesh, r.Digest, r.Session, r.Coordinator = version, k.config.Mesh, k.config.Digest, k.session, k.config.Node
		_ = conn.SetWriteDeadline(time.Now().Add(dialTime))
		err = writeMessage(conn, frameRequest, r)
		_ = conn.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, k.refused(node, at, err)
	}
	return conn, nil
}

// refused makes an error of a handshake that failed, at either end.
func (k *Coordinator) refused(node string, at netip.AddrPort, err error) error {
	var op *net.OpError
	if errors.Is(err, errOtherKey) || errors.As(err, &op) && op.Op == "remote error" {
		return fmt.Errorf("node %s: the agent at %s has another key, or the mesh another name there", node, at)
	}
	return fmt.Errorf("node %s: the agent at %s does not answer: %w", node, at, err)
}

// failure reads an ending; nil if all went well.
func (k *Coordinator) failure(node string, body []byte) error {
	var e ending
	if err := json.Unmarshal(body, &e); err != nil {
		return fmt.Errorf("node %s: its agent ends with what is no JSON", node)
	}
	switch text := clean(e.Text); e.Code {
	case "":
		return nil
	case codeBusy:
		return &BusyError{node, text}
	default:
		return fmt.Errorf("node %s: %s", node, text)
	}
}
