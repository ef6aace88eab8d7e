package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is memberlist's way to the network. memberlist knows one address of
// a node, the first identity in the plan; transport knows them all and uses the
// family that works. It sends to nobody who is not in the plan, and hands on
// only what the gate lets through.
type transport struct {
	config *Config
	fabric fabric
	gate   *gate
	log    *slog.Logger

	packet  map[bool]packetConn // by Is4
	local   map[bool]netip.Addr
	listen  []net.Listener
	packets chan *memberlist.Packet
	streams chan net.Conn
	peers   map[string]*peer

	ctx   context.Context // ends with Shutdown
	stop  context.CancelFunc
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	open  map[netip.Addr]int // streams that were accepted and are not done, by peer

	stats counters
}

// peer is another node of the plan, or this one.
type peer struct {
	name  string
	addrs []netip.Addr // of families that we have a socket for

	mu    sync.Mutex
	at    int // index of the address in use
	heard []time.Time
}

// counters are the fields of Stats.
type counters struct {
	sent, sentBytes, received, receivedBytes, refused, streams atomic.Uint64
}

// Stats counts since Open; streams' bytes are not among them.
type Stats struct {
	Sent, SentBytes         uint64 // datagrams and their bytes of payload
	Received, ReceivedBytes uint64 // those that were let in
	Refused                 uint64 // datagrams and streams that were not
	Streams                 uint64 // dialled and accepted
}

func (c *counters) snapshot() Stats {
	return Stats{
		Sent: c.sent.Load(), SentBytes: c.sentBytes.Load(),
		Received: c.received.Load(), ReceivedBytes: c.receivedBytes.Load(),
		Refused: c.refused.Load(), Streams: c.streams.Load(),
	}
}

const (
	silence    = 2 * time.Second // of the address in use, after which one that is heard takes its place
	maxStreams = 4               // at once from one address; a member opens one or two
	patient    = 3 * time.Second // until a stream has said who it is

	burst = 256 // datagrams refused in a row, after which
	pause = 5 * time.Millisecond
)

func newTransport(c *Config, f fabric, g *gate, log *slog.Logger) (*transport, error) {
	t := &transport{
		config: c, fabric: f, gate: g, log: log,
		packet: map[bool]packetConn{}, local: map[bool]netip.Addr{},
		packets: make(chan *memberlist.Packet, 64), streams: make(chan net.Conn),
		peers: map[string]*peer{}, conns: map[net.Conn]struct{}{}, open: map[netip.Addr]int{},
	}
	t.ctx, t.stop = context.WithCancel(context.Background())
	var errs []error
	for _, a := range c.Bind {
		at := netip.AddrPortFrom(a, uint16(c.Port))
		p, err := f.listenPacket(at)
		if err == nil {
			var l net.Listener
			if l, err = f.listen(at); err == nil {
				t.packet[a.Is4()], t.local[a.Is4()] = p, a
				t.listen = append(t.listen, l)
				continue
			}
			_ = p.Close()
		}
		errs = append(errs, err)
	}
	if len(t.packet) == 0 {
		t.stop()
		return nil, fmt.Errorf("gossip: no identity of this node can be used on port %d: %w", c.Port, errors.Join(errs...))
	}
	for _, err := range errs { // such as IPv6 that is switched off
		log.Warn("gossip: one address family is not used", "error", err)
	}
	for name, addrs := range c.Members {
		p := &peer{name: name}
		for _, a := range addrs {
			if t.packet[a.Is4()] != nil {
				p.addrs = append(p.addrs, a)
			}
		}
		p.heard = make([]time.Time, len(p.addrs))
		t.peers[name] = p
	}
	return t, nil
}

// serve begins to receive, once there is somebody to receive for.
func (t *transport) serve() {
	for _, p := range t.packet {
		t.wg.Go(func() { t.receive(p) })
	}
	for _, l := range t.listen {
		t.wg.Go(func() { t.accept(l) })
	}
}

// receive reads datagrams. Refused ones cost a microsecond each and leave nothing
// behind; when they come in a flood, the reader rests, so that a flood takes a
// bounded part of a core and the kernel drops the rest.
func (t *transport) receive(conn packetConn) {
	buf := make([]byte, maxPacket+1)
	refused := 0
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		now := time.Now()
		if t.ctx.Err() != nil {
			return
		}
		if err != nil { // an ICMP error that came back for something sent
			t.rest(pause)
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		node, no := t.gate.packet(buf[:n], from)
		if no != nil {
			t.stats.refused.Add(1)
			if refused++; refused%burst == 0 {
				t.rest(pause)
			}
			continue
		}
		refused = 0
		t.stats.received.Add(1)
		t.stats.receivedBytes.Add(uint64(n))
		t.peers[node].hear(from.Addr(), now)
		p := &memberlist.Packet{Buf: slices.Clone(buf[:n]), From: net.UDPAddrFromAddrPort(from), Timestamp: now}
		select {
		case t.packets <- p:
		case <-t.ctx.Done():
			return
		}
	}
}

func (t *transport) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.ctx.Done():
	}
}

// hear notes that the peer has been heard at one of its addresses. It is the one
// to use, if the other has been silent.
func (p *peer) hear(at netip.Addr, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.addrs, at)
	if i < 0 {
		return
	}
	if now.Sub(p.heard[p.at]) > silence {
		p.at = i
	}
	p.heard[i] = now
}

// use makes an address the one to use, as a stream to it could be opened and to
// others not. A probe of memberlist's that gets no answer tries a stream, so a
// family that fails without a word is noticed.
func (p *peer) use(at netip.Addr, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.addrs, at); i >= 0 && i != p.at {
		p.at = i
		p.heard[i] = now
	}
}

// choose returns the peer's addresses, the one to use first.
func (p *peer) choose() []netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(slices.Clone(p.addrs[p.at:]), p.addrs[:p.at]...)
}

// current returns the address in use, or none if the peer was never heard.
func (p *peer) current() netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.addrs) == 0 || p.heard[p.at].IsZero() {
		return netip.Addr{}
	}
	return p.addrs[p.at]
}

// reach returns the addresses to try one after the other: those of a node where
// there is a name, else the one that is given.
func (t *transport) reach(to memberlist.Address) (*peer, []netip.Addr, error) {
	if p := t.peers[to.Name]; p != nil {
		if len(p.addrs) == 0 {
			return nil, nil, fmt.Errorf("gossip: node %s has no identity of a family that this node uses", to.Name)
		}
		return p, p.choose(), nil
	}
	at, err := netip.ParseAddrPort(to.Addr)
	if err == nil && to.Name == "" {
		a := at.Addr().Unmap()
		if p := t.peers[t.gate.owners[a]]; p != nil && slices.Contains(p.addrs, a) {
			return p, []netip.Addr{a}, nil
		}
	}
	return nil, nil, fmt.Errorf("gossip: %s is not in the plan", to.String())
}

// FinalAdvertiseAddr is the first identity in the plan, which every node knows.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.config.Members[t.config.Node][0].AsSlice(), t.config.Port, nil
}

// WriteTo is WriteToAddress.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress sends a datagram to the address of a node that works.
func (t *transport) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	_, addrs, err := t.reach(to)
	if err != nil {
		return time.Time{}, err
	}
	for _, a := range addrs {
		if _, err = t.packet[a.Is4()].WriteToUDPAddrPort(b, netip.AddrPortFrom(a, uint16(t.config.Port))); err == nil {
			t.stats.sent.Add(1)
			t.stats.sentBytes.Add(uint64(len(b)))
			break
		}
	}
	return time.Now(), err
}

// PacketCh is where datagrams come out.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh is where accepted streams come out.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout is DialAddressTimeout.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a stream to one address of a node after the other.
func (t *transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	p, addrs, err := t.reach(to)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		ctx, cancel := context.WithTimeout(t.ctx, timeout/time.Duration(len(addrs)))
		var conn net.Conn
		conn, err = t.fabric.dial(ctx, t.local[a.Is4()], netip.AddrPortFrom(a, uint16(t.config.Port)))
		cancel()
		if err == nil {
			t.stats.streams.Add(1)
			p.use(a, time.Now())
			return t.track(&stream{Conn: conn, gate: t.gate, node: p.name, from: a, answer: true}, nil)
		}
	}
	return nil, err
}

// track makes Shutdown close the stream; done is called when it is closed.
func (t *transport) track(s *stream, done func()) (net.Conn, error) {
	c := &tracked{stream: s, done: func() {
		t.mu.Lock()
		delete(t.conns, s.Conn)
		t.mu.Unlock()
		if done != nil {
			done()
		}
	}}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.ctx.Err(); err != nil {
		_ = s.Conn.Close()
		return nil, err
	}
	t.conns[s.Conn] = struct{}{}
	return c, nil
}

type tracked struct {
	*stream
	once sync.Once
	done func()
}

// Close closes once and says so.
func (c *tracked) Close() error {
	err := c.stream.Close()
	c.once.Do(c.done)
	return err
}

// accept lets streams in: few at once from one address, each from a node of the
// plan, each with its first message checked before memberlist hears of it.
func (t *transport) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if t.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil { // out of descriptors
			t.rest(100 * time.Millisecond)
			continue
		}
		t.stats.streams.Add(1)
		remote, ok := netip.AddrFromSlice(conn.RemoteAddr().(*net.TCPAddr).IP)
		from := remote.Unmap()
		node, no := t.gate.source(from)
		switch {
		case !ok || no != nil:
		case !t.enter(from):
			no = refuse(Flood, "more than %d streams at once", maxStreams)
		}
		if no != nil {
			t.stats.refused.Add(1)
			t.gate.strangers.report(no.cause, node, from, no.detail)
			_ = conn.Close()
			continue
		}
		c, err := t.track(&stream{Conn: conn, gate: t.gate, node: node, from: from}, func() { t.leave(from) })
		if err != nil {
			t.leave(from)
			continue
		}
		t.wg.Go(func() { t.greet(c.(*tracked)) })
	}
}

// greet waits for the first message and hands the stream to memberlist.
func (t *transport) greet(c *tracked) {
	_ = c.SetDeadline(time.Now().Add(patient))
	if err := c.check(); err != nil {
		t.stats.refused.Add(1)
		_ = c.Close()
		return
	}
	select {
	case t.streams <- c:
	case <-t.ctx.Done():
		_ = c.Close()
	}
}

func (t *transport) enter(from netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[from] >= maxStreams {
		return false
	}
	t.open[from]++
	return true
}

func (t *transport) leave(from netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[from]--; t.open[from] == 0 {
		delete(t.open, from)
	}
}

// Shutdown closes everything and waits until nobody reads any more.
func (t *transport) Shutdown() error {
	t.stop()
	for _, p := range t.packet {
		_ = p.Close()
	}
	for _, l := range t.listen {
		_ = l.Close()
	}
	t.mu.Lock()
	for c := range t.conns {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
	return nil
}
