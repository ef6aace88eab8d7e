package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// DefaultPort is TCP, next to that of gossip.
const DefaultPort = 7947

// Config says who takes part, in what mesh. Agent and coordinator need the same.
type Config struct {
	Mesh    string
	Node    string // own name; of a coordinator that is no node, what others are to call it
	Digest  string // of the plan
	Version string // of the program, for messages
	Port    int    // 0 for DefaultPort
	Keys    [][]byte
	Members map[string][]netip.Addr // identities, by node

	Listen []netip.Addr // of an agent: the identities that stand
	Root   string       // of an agent: folder that holds the machine's sys and proc; "" or / for this one's
	Log    *slog.Logger // nil discards
}

func (c Config) port() uint16 {
	if c.Port == 0 {
		return DefaultPort
	}
	return uint16(c.Port)
}

// owners is by identity.
func (c Config) owners() map[netip.Addr]string {
	m := map[netip.Addr]string{}
	for node, all := range c.Members {
		for _, a := range all {
			m[a] = node
		}
	}
	return m
}

// Agent does jobs for coordinators that have the key of the mesh.
type Agent struct {
	config Config
	log    *slog.Logger
	tls    *tls.Config
	owner  map[netip.Addr]string
	run    func(ctx context.Context, args []string, in *os.File, out io.Writer) error

	origins   map[netip.Addr]*origin
	conns     chan struct{}
	listeners []net.Listener
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	work      sync.WaitGroup

	mu         sync.Mutex
	held       *session
	complained time.Time
	unheard    int // since then
}

// Listen begins to listen on the node's identities.
func Listen(c Config) (*Agent, error) {
	settings, err := settings(c.Keys, c.Mesh, agentEnd, coordinatorEnd)
	if err != nil {
		return nil, fmt.Errorf("measurements: %w", err)
	}
	if len(c.Listen) == 0 {
		return nil, errors.New("measurements: the node has no identity to listen at")
	}
	a := &Agent{config: c, log: c.Log, tls: settings, owner: c.owners(), run: runSelf, conns: make(chan struct{}, maxConns)}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.origins = origins(a.owner)
	a.ctx, a.cancel = context.WithCancel(context.Background())
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	lc.KeepAliveConfig = keepAlive
	for _, id := range c.Listen {
		l, err := lc.Listen(a.ctx, "tcp", netip.AddrPortFrom(id, c.port()).String())
		if err != nil {
			a.Close()
			return nil, fmt.Errorf("measurements: %w", err)
		}
		a.listeners = append(a.listeners, l)
		a.work.Go(func() { a.accept(l) })
	}
	return a, nil
}

// Stop ends all jobs, and leaves the port. It does not wait for the jobs.
func (a *Agent) Stop() {
	a.cancel()
	for _, l := range a.listeners {
		l.Close()
	}
}

// Close is Stop, and waits.
func (a *Agent) Close() {
	a.Stop()
	a.work.Wait()
}

func (a *Agent) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if a.ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil { // out of files, for example: others need them more
			time.Sleep(100 * time.Millisecond)
			continue
		}
		from := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		o := a.origins[from]
		if o == nil {
			o = a.origins[netip.Addr{}]
		}
		if !o.enter(time.Now()) {
			conn.Close()
			continue
		}
		a.work.Go(func() { a.serve(conn, from, o) })
	}
}

// serve deals with one connection.
func (a *Agent) serve(raw net.Conn, from netip.Addr, o *origin) {
	defer raw.Close()
	unhook := context.AfterFunc(a.ctx, func() { _ = raw.SetReadDeadline(time.Now()) }) // goodbyes are still said
	defer unhook()
	begin := &frugal{Conn: raw, left: helloBytes}
	conn := tls.Server(begin, a.tls)
	_ = raw.SetDeadline(time.Now().Add(helloTime))
	err := conn.HandshakeContext(a.ctx)
	o.leave()
	if err != nil {
		a.complain(from, err)
		return
	}
	begin.proven = true
	select {
	case a.conns <- struct{}{}:
		defer func() { <-a.conns }()
	default:
		return
	}
	_ = raw.SetDeadline(time.Now().Add(helloTime))
	kind, body, err := readFrame(conn, maxRequest)
	if err == nil && kind != frameRequest {
		err = fmt.Errorf("a request was expected, not %q", kind)
	}
	if err != nil {
		a.end(conn, codeBad, err)
		return
	}
	r, err := parseRequest(body)
	if err != nil {
		a.end(conn, codeBad, err)
		return
	}
	if code, err := a.same(r); err != nil {
		a.end(conn, code, err)
		return
	}
	_ = raw.SetReadDeadline(time.Time{})
	if a.ctx.Err() != nil { // it came in between
		_ = raw.SetReadDeadline(time.Now())
	}
	if r.Job == nil {
		a.serveHold(conn, r, from)
	} else {
		a.serveJob(conn, r)
	}
}

// same says how the coordinator's mesh is another than this node's.
func (a *Agent) same(r request) (code string, err error) {
	switch c := a.config; {
	case r.Version != version:
		return codeVersion, fmt.Errorf("usb4mesh %s on node %s speaks version %d of this protocol, not %d; run the same version on all nodes", c.Version, c.Node, version, r.Version)
	case r.Mesh != c.Mesh:
		return codePlan, fmt.Errorf("node %s is of mesh %q, not %q", c.Node, c.Mesh, r.Mesh)
	case r.Digest != c.Digest:
		return codePlan, fmt.Errorf("node %s runs another plan (%s, and this file makes %s): copy the same file to all nodes and reload", c.Node, c.Digest, r.Digest)
	}
	return "", nil
}

// serveHold holds the node for a session until the connection ends.
func (a *Agent) serveHold(conn *tls.Conn, r request, from netip.Addr) {
	s, err := a.hold(r, from)
	if err != nil {
		a.end(conn, codeBusy, err)
		return
	}
	a.log.Info("measurements begin", "for", s.who, "until", s.until.Format(time.RFC3339))
	err = a.say(conn, frameGranted, granted{Node: a.config.Node, Version: a.config.Version})
	if err == nil {
		unhook := context.AfterFunc(s.ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
		_, _ = conn.Read(make([]byte, 1)) // whatever comes is the end
		unhook()
	}
	over := a.over(s)
	a.release(s)
	if over != nil {
		a.end(conn, codeOver, over)
	}
	a.log.Info("measurements end", "for", s.who, "after", time.Since(s.since).Round(time.Millisecond))
}

// serveJob does a job until it is done, its session ends, or the connection does. A
// server is asked to end first.
func (a *Agent) serveJob(conn *tls.Conn, r request) {
	if err := r.Job.permitted(a.config.Node, a.owner); err != nil {
		a.end(conn, codeBad, err)
		return
	}
	s, err := a.join(r.Session)
	if err != nil {
		a.end(conn, codeSession, err)
		return
	}
	defer s.leave()
	ctx, cancel := context.WithTimeout(s.ctx, r.Job.time())
	defer cancel()
	in, hold, err := os.Pipe()
	if err != nil {
		a.end(conn, codeFailed, err)
		return
	}
	defer in.Close()
	var ending sync.WaitGroup
	ending.Go(func() { // ends with the connection, or with stopped below
		_, err := conn.Read(make([]byte, 1))
		hold.Close()
		if r.Job.Do == Serve && errors.Is(err, io.EOF) {
			select {
			case <-ctx.Done():
			case <-time.After(endGrace):
			}
		}
		cancel()
	})
	args := r.Job.Args()
	if r.Job.Do == Hardware && a.config.Root != "" && a.config.Root != "/" {
		args = append(args, "--root", a.config.Root)
	}
	err = a.run(ctx, args, in, output{a, conn})
	switch over := a.over(s); {
	case over != nil:
		a.end(conn, codeOver, over)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		a.end(conn, codeFailed, fmt.Errorf("it took longer than %s", r.Job.time()))
	case err != nil:
		a.end(conn, codeFailed, err)
	default:
		a.end(conn, "", nil)
	}
	cancel()
	_ = conn.SetReadDeadline(time.Now())
	ending.Wait()
}

// output puts what a program prints into frames.
type output struct {
	agent *Agent
	conn  *tls.Conn
}

func (o output) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		chunk := p[n:min(len(p), n+maxChunk)]
		_ = o.conn.SetWriteDeadline(time.Now().Add(writeTime))
		if err = writeFrame(o.conn, frameOutput, chunk); err == nil {
			n += len(chunk)
		}
	}
	return n, err
}

func (a *Agent) say(conn *tls.Conn, kind byte, v any) error {
	_ = conn.SetWriteDeadline(time.Now().Add(writeTime))
	return writeMessage(conn, kind, v)
}

// end says how it ended; the other end hears it or not.
func (a *Agent) end(conn *tls.Conn, code string, err error) {
	e := ending{Code: code}
	if err != nil {
		e.Text = err.Error()
	}
	_ = a.say(conn, frameEnd, e)
	_ = conn.Close()
}

// complain logs that somebody could not prove the key, now and then.
func (a *Agent) complain(from netip.Addr, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unheard++
	if a.ctx.Err() != nil || time.Since(a.complained) < complainGap {
		return
	}
	a.log.Warn("somebody without the mesh's key asked for measurements", "from", from, "times", a.unheard, "error", err)
	a.complained, a.unheard = time.Now(), 0
}
