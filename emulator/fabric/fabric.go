package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/identity"
	"github.com/usb4mesh/usb4mesh/emulator/nhi"
	"github.com/usb4mesh/usb4mesh/emulator/router"
)

// Fabric is a set of hosts and the cables between them. All methods may be called
// from any goroutine.
type Fabric struct {
	// mu guards everything below, and all routers and NHIs.
	mu     sync.Mutex
	log    *slog.Logger
	tracer *tracer
	hosts  []*host
	cables []*cable
	closed bool
	wait   sync.WaitGroup
	stop   context.CancelFunc // nil before Start
}

// host is one machine.
type host struct {
	spec    Host
	nodes   []*node
	powered bool
	gate    chan struct{} // closed while the host is powered
}

// New makes the hosts and the cables and listens on the sockets, which exist when New
// returns. Hosts are powered, but nobody is served before Start.
func New(t Topology, o Options) (*Fabric, error) {
	t, err := t.complete()
	if err != nil {
		return nil, err
	}
	f := &Fabric{log: o.Log, tracer: newTracer(o.Trace)}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	ends := map[string]*end{}
	for _, spec := range t.Hosts {
		if err := f.addHost(spec, o.Dir, ends); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	for _, spec := range t.Cables {
		c := &cable{fabric: f, spec: spec, plugged: !spec.Unplugged, ends: [2]*end{ends[spec.A], ends[spec.B]}}
		for side, e := range c.ends {
			e.cable, e.side, e.fault = c, side, []Fault{spec.FaultA, spec.FaultB}[side]
		}
		f.cables = append(f.cables, c)
	}
	return f, nil
}

func (f *Fabric) addHost(spec Host, dir string, ends map[string]*end) error {
	model, _ := identity.Lookup(spec.Model) // complete has checked it
	h := &host{spec: spec, powered: true, gate: make(chan struct{})}
	close(h.gate)
	f.hosts = append(f.hosts, h)
	for i := range spec.NHIs {
		function := model.Functions[i%len(model.Functions)]
		n := &node{
			fabric: f, host: h, index: i,
			name:     fmt.Sprintf("%s/%d", spec.Name, i),
			path:     filepath.Join(dir, fmt.Sprintf("%s-%d.sock", spec.Name, i)),
			function: function,
		}
		n.router = router.New(model.Router(spec.Name, i, spec.Ports), n)
		n.nhi = nhi.New(function.Identity, n.router)
		n.router.SetHost(n.nhi)
		for p := range spec.Ports {
			e := &end{node: n, port: p, name: fmt.Sprintf("%s:%d", spec.Name, i*spec.Ports+p+1)}
			n.ends = append(n.ends, e)
			ends[e.name] = e
		}
		listener, err := listen(n.path)
		if err != nil {
			return err
		}
		n.listener = listener
		h.nodes = append(h.nodes, n)
	}
	return nil
}

// maxPath is what fits into a Unix socket's address (struct sockaddr_un).
const maxPath = 107

// listen makes a socket that only the user who runs the fabric may connect to. A socket
// that an earlier run left behind is replaced.
func listen(path string) (*net.UnixListener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("%s: the path of a socket has at most %d bytes, this one has %d", path, maxPath, len(path))
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if conn, err := net.Dial("unix", path); err == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("%s: another fabric listens there", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Start serves the sockets until ctx ends or Close is called; it does not block. A host
// interface is powered as long as its guest is connected.
func (f *Fabric) Start(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.stop != nil {
		return
	}
	ctx, f.stop = context.WithCancel(ctx)
	for _, h := range f.hosts {
		for _, n := range h.nodes {
			f.wait.Go(func() { n.serve(ctx) })
		}
	}
	for _, c := range f.cables {
		c.flap()
	}
}

// Close ends the service and removes the sockets.
func (f *Fabric) Close() error {
	f.mu.Lock()
	f.closed = true
	var errs []error
	for _, h := range f.hosts {
		for _, n := range h.nodes {
			if n.listener != nil {
				if err := n.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
					errs = append(errs, err)
				}
			}
		}
	}
	for _, c := range f.cables {
		c.stopTimers()
	}
	if f.stop != nil {
		f.stop()
	}
	f.mu.Unlock()
	f.wait.Wait()
	return errors.Join(append(errs, f.tracer.err())...)
}

// after calls do with the lock held once d has passed, unless the fabric is closed by then.
func (f *Fabric) after(d time.Duration, do func()) *time.Timer {
	return time.AfterFunc(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.closed {
			do()
		}
	})
}

// Sockets of a host, one for each host interface, in PCI order; nil for an unknown host.
func (f *Fabric) Sockets(name string) []Socket {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.host(name)
	if h == nil {
		return nil
	}
	var all []Socket
	for _, n := range h.nodes {
		id := n.function.Identity
		all = append(all, Socket{Path: n.path, Address: n.function.Address, Model: fmt.Sprintf("%04x:%04x", id.Vendor, id.Device)})
	}
	return all
}

func (f *Fabric) host(name string) *host {
	for _, h := range f.hosts {
		if h.spec.Name == name {
			return h
		}
	}
	return nil
}

// PowerOff cuts the host's power: its links fall at once and its guest is no longer
// served. Kill the guest before or after.
func (f *Fabric) PowerOff(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.host(name)
	if h == nil {
		return fmt.Errorf("no host %q", name)
	}
	if !h.powered {
		return nil
	}
	f.tracer.event(name, "power off")
	h.powered = false
	h.gate = make(chan struct{})
	for _, n := range h.nodes {
		n.evaluate()
		if n.hangUp != nil {
			n.hangUp()
		}
	}
	return nil
}

// PowerOn lets a new guest connect to the host's sockets.
func (f *Fabric) PowerOn(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.host(name)
	if h == nil {
		return fmt.Errorf("no host %q", name)
	}
	if !h.powered {
		f.tracer.event(name, "power on")
		h.powered = true
		close(h.gate)
	}
	return nil
}
