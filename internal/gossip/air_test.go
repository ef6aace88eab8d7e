package gossip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// air is a network in memory. Under testing/synctest its time is virtual, so that
// what a protocol takes is counted and not how busy the machine is.
type air struct {
	delay time.Duration
	way   func(from, to netip.Addr) bool // nil: everywhere; may change under mu
	lose  func() bool                    // of datagrams

	mu      sync.Mutex
	packets map[netip.AddrPort]*airPackets
	listens map[netip.AddrPort]*airListener
	seen    [][]byte // every datagram, if watch is set
	watch   bool
	sent    map[netip.Addr]int // bytes of datagrams
}

func newAir(delay time.Duration) *air {
	return &air{delay: delay, packets: map[netip.AddrPort]*airPackets{}, listens: map[netip.AddrPort]*airListener{}, sent: map[netip.Addr]int{}}
}

func (a *air) set(way func(from, to netip.Addr) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.way = way
}

// sentBy returns how many bytes of datagrams a node has sent.
func (a *air) sentBy(from netip.Addr) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent[from]
}

func (a *air) open(from, to netip.Addr) bool { return a.way == nil || a.way(from, to) }

type datagram struct {
	b    []byte
	from netip.AddrPort
}

type airPackets struct {
	air  *air
	at   netip.AddrPort
	in   chan datagram
	done chan struct{}
	once sync.Once
}

func (a *air) listenPacket(at netip.AddrPort) (packetConn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.packets[at] != nil {
		return nil, unix.EADDRINUSE
	}
	p := &airPackets{air: a, at: at, in: make(chan datagram, 4096), done: make(chan struct{})}
	a.packets[at] = p
	return p, nil
}

func (p *airPackets) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-p.in:
		return copy(b, d.b), d.from, nil
	case <-p.done:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (p *airPackets) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	p.air.send(b, p.at, to)
	return len(b), nil
}

// send puts a datagram into the air, whoever from is.
func (a *air) send(b []byte, from, to netip.AddrPort) {
	b = slices.Clone(b)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[from.Addr()] += len(b)
	if a.watch {
		a.seen = append(a.seen, b)
	}
	if !a.open(from.Addr(), to.Addr()) || a.lose != nil && a.lose() {
		return
	}
	time.AfterFunc(a.delay, func() {
		a.mu.Lock()
		p := a.packets[to]
		a.mu.Unlock()
		if p != nil {
			select {
			case p.in <- datagram{b, from}:
			default:
			}
		}
	})
}

func (p *airPackets) Close() error {
	p.once.Do(func() {
		close(p.done)
		p.air.mu.Lock()
		delete(p.air.packets, p.at)
		p.air.mu.Unlock()
	})
	return nil
}

type airListener struct {
	air  *air
	at   netip.AddrPort
	in   chan net.Conn
	done chan struct{}
	once sync.Once
}

func (a *air) listen(at netip.AddrPort) (net.Listener, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := &airListener{air: a, at: at, in: make(chan net.Conn), done: make(chan struct{})}
	a.listens[at] = l
	return l, nil
}

func (l *airListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.in:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *airListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

func (l *airListener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.air.mu.Lock()
		delete(l.air.listens, l.at)
		l.air.mu.Unlock()
	})
	return nil
}

// airConn is an end of a pipe that knows its addresses.
type airConn struct {
	net.Conn
	local, remote netip.AddrPort
}

func (c *airConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *airConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (a *air) dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	a.mu.Lock()
	l, open := a.listens[to], a.open(from, to.Addr()) && a.open(to.Addr(), from)
	a.mu.Unlock()
	if !open {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(2 * a.delay)
	if l == nil {
		return nil, unix.ECONNREFUSED
	}
	near, far := net.Pipe()
	local := netip.AddrPortFrom(from, 40000)
	select {
	case l.in <- &airConn{far, to, local}:
		return &airConn{near, local, to}, nil
	case <-l.done:
		return nil, unix.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var testKey = []byte("0123456789abcdef0123456789ABCDEF")

// world is a mesh of so many nodes, named 01, 02, ..., in a ring, in the air.
type world struct {
	t     testing.TB
	air   *air
	plan  Config
	nodes map[string]*Gossip
}

func identity(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 7, 1, byte(i)}) }

func name(i int) string { return fmt.Sprintf("%02d", i) }

func newWorld(t testing.TB, n int) *world {
	t.Helper()
	w := &world{t: t, air: newAir(100 * time.Microsecond), nodes: map[string]*Gossip{}, plan: Config{
		Mesh: "test", Keys: [][]byte{testKey}, Members: map[string][]netip.Addr{}, Cables: map[string][2]string{},
	}}
	for i := 1; i <= n; i++ {
		w.plan.Members[name(i)] = []netip.Addr{identity(i)}
		w.plan.Cables[fmt.Sprint(i)] = [2]string{name(i), name(i%n + 1)}
	}
	t.Cleanup(w.close)
	return w
}

// start starts nodes as the plan has them, changed by edit.
func (w *world) start(node string, edit ...func(*Config)) *Gossip {
	w.t.Helper()
	c := w.plan
	c.Node = node
	for _, e := range edit {
		e(&c)
	}
	g, err := open(c, w.air)
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes[node] = g
	return g
}

func (w *world) startAll() {
	w.t.Helper()
	for _, node := range slices.Sorted(maps.Keys(w.plan.Members)) {
		w.start(node)
	}
}

// kill ends a node without a word, as kill -9 does.
func (w *world) kill(node string) {
	g := w.nodes[node]
	delete(w.nodes, node)
	g.stop()
	_ = g.list.Shutdown()
	g.wg.Wait()
}

func (w *world) close() {
	if len(w.nodes) == 0 {
		return
	}
	for _, g := range w.nodes {
		_ = g.Close()
	}
	w.nodes = nil
	time.Sleep(10 * time.Second) // a probe of memberlist's ends with its timer, not with Shutdown
}

// links are the two ends of node i in the ring, all up but those named.
func (w *world) links(node string, down ...string) []LinkState {
	var all []LinkState
	for cable, ends := range w.plan.Cables {
		if ends[0] == node || ends[1] == node {
			l := LinkState{Cable: cable, Up: !slices.Contains(down, cable)}
			if !l.Up {
				l.Why = "dead"
			}
			all = append(all, l)
		}
	}
	return all
}

func (w *world) announceAll() {
	for node, g := range w.nodes {
		g.Announce(w.links(node))
	}
}

// until waits for a condition on every node and returns how long it took.
func (w *world) until(within time.Duration, what string, f func(*Gossip) error) time.Duration {
	w.t.Helper()
	start := time.Now()
	for {
		var err error
		for _, node := range slices.Sorted(maps.Keys(w.nodes)) {
			if e := f(w.nodes[node]); e != nil {
				err = fmt.Errorf("node %s: %w", node, e)
				break
			}
		}
		took := time.Since(start)
		if err == nil {
			return took
		}
		if took > within {
			w.t.Fatalf("%s: not after %v: %v", what, took, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// everybody is there and has said something.
func (w *world) settle() {
	w.t.Helper()
	w.until(20*time.Second, "settle", func(g *Gossip) error {
		for _, m := range g.Members() {
			if _, runs := w.nodes[m.Node]; runs && !m.Alive {
				return fmt.Errorf("%s is not alive", m.Node)
			}
		}
		for node, other := range w.nodes {
			if a := other.store.get(node); a == nil {
				return fmt.Errorf("%s has said nothing", node)
			}
		}
		return w.agree(g)
	})
}

func (w *world) agree(g *Gossip) error {
	for node, other := range w.nodes {
		if other.store.digest() != g.store.digest() {
			return fmt.Errorf("knows other things than %s", node)
		}
	}
	return nil
}

// says returns an error unless g knows that node says up, or down, of cable.
func says(g *Gossip, node, cable string, up bool) error {
	for _, s := range g.States() {
		if s.Node == node && s.Cable == cable {
			if s.Up == up {
				return nil
			}
			return fmt.Errorf("%s says up=%v of cable %s", node, s.Up, cable)
		}
	}
	return errors.New("nothing is known")
}
