package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Descriptors that the parent passes to the keeper.
const (
	controlFD = 3 // attached: the control socket; detached: the listening socket
	lockFD    = 4 // detached: the lock file, locked for as long as a descriptor is open
)

// idleLimit ends a detached keeper that nobody asks to build anything.
const idleLimit = 30 * time.Second

// KeeperMain is the main function of the keeper process. It returns the exit
// code; whoever calls it does nothing else.
func KeeperMain() int {
	mode := keeperMode(os.Getenv(modeVariable))
	if mode != attached && mode != detached || os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "usb4mesh lab keeper is started by `usb4mesh lab run` and `usb4mesh lab up`, not by hand")
		return 2
	}
	os.Unsetenv(modeVariable)
	// What was passed to the keeper may not slip to its children.
	unix.CloseOnExec(controlFD)
	if mode == detached {
		unix.CloseOnExec(lockFD)
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	k := &keeperServer{procs: newProcesses(), down: make(chan struct{})}
	go k.procs.reap()
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, unix.SIGTERM)
	go func() {
		<-terminated
		k.end()
	}()
	var err error
	if mode == attached {
		err = k.serveControl()
	} else {
		err = k.serveListener()
	}
	if w := k.take(); w != nil {
		err = errors.Join(err, w.close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab keeper:", err)
		return 1
	}
	return 0
}

// prepare makes the keeper's own mount namespace private and mounts a /proc
// that shows its own pid namespace.
func prepare() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return mountError("make mounts private", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return mountError("mount /proc", err)
	}
	return nil
}

func mountError(what string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("lab: %s: %w although this is a new user namespace: %s", what, err, userNamespaceHint)
	}
	return fmt.Errorf("lab: %s: %w", what, err)
}

// keeperServer answers requests.
type keeperServer struct {
	procs *processes
	mu    sync.Mutex
	world *world
	once  sync.Once
	down  chan struct{} // closed when the keeper is told to end
}

// serveControl takes connections from the control socket until its other end
// closes, which happens when the driver ends in whatever way.
func (k *keeperServer) serveControl() error {
	control, err := unixConn(os.NewFile(controlFD, "control"))
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	c := newConn(control)
	go func() {
		<-k.down
		control.Close()
	}()
	r := bufio.NewReader(c)
	for {
		if _, err := r.ReadByte(); err != nil {
			return nil // the driver is gone, or told us to end
		}
		for _, f := range c.files {
			if u, err := unixConn(f); err == nil {
				go k.serve(u)
			}
		}
		c.files = nil
	}
}

// serveListener takes connections from the listening socket until told to end.
func (k *keeperServer) serveListener() error {
	socket := os.NewFile(controlFD, "listener")
	l, err := net.FileListener(socket)
	socket.Close()
	if err != nil {
		return fmt.Errorf("listening socket: %w", err)
	}
	go func() {
		<-k.down
		l.Close()
	}()
	idle := time.AfterFunc(idleLimit, func() {
		if k.current() == nil {
			fmt.Fprintln(os.Stderr, "lab keeper: nobody asked for a lab, ending")
			k.end()
		}
	})
	defer idle.Stop()
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go k.serve(c.(*net.UnixConn))
	}
}

func (k *keeperServer) end() { k.once.Do(func() { close(k.down) }) }

func (k *keeperServer) current() *world {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.world
}

func (k *keeperServer) take() *world {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.world
	k.world = nil
	return w
}

// serve answers the one request of a connection.
func (k *keeperServer) serve(u *net.UnixConn) {
	defer u.Close()
	c := newConn(u)
	var req request
	err := c.dec.Decode(&req)
	files := c.files
	c.files = nil
	defer closeFiles(files)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &session{conn: c, files: files, notes: make(chan note, 16)}
	go s.listen(cancel)
	result, err := k.handle(ctx, s, req)
	r := reply{}
	if err != nil {
		r.Error = err.Error()
	} else if r.Result, err = json.Marshal(result); err != nil {
		r.Error = err.Error()
	}
	_ = c.send(r) // a client that has gone needs no reply
	if req.Op == opDown && err == nil {
		k.end()
	}
}

// session is a request under way.
type session struct {
	*conn
	files []*os.File // passed with the request
	notes chan note
}

// listen reads notes until the client hangs up, which cancels the request.
func (s *session) listen(cancel context.CancelFunc) {
	defer cancel()
	defer close(s.notes)
	for {
		var n note
		if err := s.dec.Decode(&n); err != nil {
			return
		}
		closeFiles(s.conn.files) // files come with requests only
		s.conn.files = nil
		select {
		case s.notes <- n:
		default: // nobody listens; a client that floods is its own loss
		}
	}
}

// handle does one request.
func (k *keeperServer) handle(ctx context.Context, s *session, req request) (any, error) {
	switch req.Op {
	case opBuild:
		var a buildArgs
		if err := json.Unmarshal(req.Args, &a); err != nil {
			return nil, fmt.Errorf("plan: %w", err)
		}
		return k.build(ctx, a)
	case opDown:
		return nil, nil
	}
	w := k.current()
	if w == nil {
		return nil, errors.New("the lab is not built yet")
	}
	switch req.Op {
	case opCut:
		return decode(req, func(a cutArgs) (any, error) { return w.cut(a.Cable, a.How, a.End) })
	case opPlug:
		return decode(req, func(a plugArgs) (any, error) { return w.plug(ctx, a.Cable) })
	case opSettled:
		if err := w.engine.Settled(ctx); err != nil {
			return err.Error(), nil
		}
		return "", nil
	case opStatus:
		return w.status(ctx), nil
	case opCheck:
		return decode(req, func(a checkArgs) (any, error) { return w.check(ctx, a) })
	case opProbe:
		return decode(req, func(a probeArgs) (any, error) { return w.probe(ctx, s, a) })
	case opRate:
		return decode(req, func(a rateArgs) (any, error) { return w.rate(ctx, a) })
	case opBare:
		return decode(req, func(a bareArgs) (any, error) { return w.bare(ctx, a) })
	case opUsage, opDetours, opDisturb:
		return w.compareOp(ctx, s, req.Op)
	case opAgent, opAgents, opPower, opVandal, opStray, opTidy, opVerify, opWays, opCleanup:
		return w.agentOp(ctx, req)
	case opExec:
		return decode(req, func(a execArgs) (any, error) { return w.exec(ctx, s, a) })
	}
	return nil, fmt.Errorf("the lab does not know the request %q: it was started by another version of usb4mesh", req.Op)
}

func decode[A any](req request, do func(A) (any, error)) (any, error) {
	var a A
	if err := json.Unmarshal(req.Args, &a); err != nil {
		return nil, fmt.Errorf("lab request %s: %w", req.Op, err)
	}
	return do(a)
}

func (k *keeperServer) build(ctx context.Context, a buildArgs) (Setup, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.world != nil {
		return Setup{}, errors.New("the lab is built already")
	}
	ctx, cancel := context.WithTimeout(ctx, a.Limit)
	defer cancel()
	w, setup, err := newWorld(ctx, a, k.procs)
	if err != nil {
		return Setup{}, err
	}
	k.world = w
	return setup, nil
}
