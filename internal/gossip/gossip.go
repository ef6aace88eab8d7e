package gossip

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// Gossip is this node's part of it.
type Gossip struct {
	config    Config
	log       *slog.Logger
	store     *store
	strangers *strangers
	transport *transport
	gate      *gate
	keyring   *memberlist.Keyring // nil: plain
	list      *memberlist.Memberlist
	flood     *flood
	changed   chan struct{}
	kick      chan bool   // true: something came up, all are worth a try
	differ    chan string // a member that knows other things than we do

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
	once sync.Once // Close

	mu      sync.Mutex
	alive   map[string]bool
	since   map[string]time.Time
	joining map[string]int
	replied map[string]time.Time // when a stale word was last answered, by origin
}

// Open starts to gossip in the network namespace of the calling thread. The
// identities need not stand on an interface yet.
func Open(c Config) (*Gossip, error) { return open(c, kernel{}) }

func open(c Config, f fabric) (*Gossip, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	g := &Gossip{
		config: c, log: c.Log,
		changed: make(chan struct{}, 1), kick: make(chan bool, 1), differ: make(chan string, 1),
		alive: map[string]bool{}, since: map[string]time.Time{}, joining: map[string]int{}, replied: map[string]time.Time{},
	}
	var instance [8]byte
	_, _ = rand.Read(instance[:])
	g.store = newStore(&c, binary.BigEndian.Uint64(instance[:]))
	g.strangers = &strangers{log: c.Log, wake: g.wake, known: map[strangerKey]*strangerEntry{}}
	gate, err := newGate(&c, g.strangers)
	if err != nil {
		return nil, err
	}
	g.gate = gate
	if g.transport, err = newTransport(&g.config, f, gate, c.Log); err != nil {
		return nil, err
	}
	now := time.Now()
	for name := range c.Members {
		g.since[name] = now
	}
	g.flood = newFlood(g)
	g.ctx, g.stop = context.WithCancel(context.Background())
	conf := g.memberlist()
	if g.list, err = memberlist.Create(conf); err != nil {
		g.stop()
		_ = g.transport.Shutdown()
		return nil, fmt.Errorf("gossip: %w", err)
	}
	g.transport.serve()
	g.wg.Go(g.flood.run)
	g.wg.Go(g.seek)
	return g, nil
}

// complete fills in defaults and refuses what can't work.
func (c *Config) complete() error {
	c.Port = cmp.Or(c.Port, DefaultPort)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	own := c.Members[c.Node]
	if len(own) == 0 {
		return fmt.Errorf("gossip: node %q has no identity in the plan; add `identity:` to the cluster file", c.Node)
	}
	if c.Port < 1 || c.Port > 65535 {
		return fmt.Errorf("gossip: port %d is none", c.Port)
	}
	if c.Bind == nil {
		c.Bind = own
	}
	for node, addrs := range c.Members {
		if len(addrs) == 0 {
			return fmt.Errorf("gossip: node %q has no identity in the plan; add `identity:` to the cluster file", node)
		}
	}
	for _, a := range c.Bind {
		if !slices.Contains(own, a) {
			return fmt.Errorf("gossip: %s is no identity of node %s", a, c.Node)
		}
	}
	if len(c.Keys) == 0 && !c.Plain {
		return noKey("no key is given, and nothing says that gossip may be plain")
	}
	return nil
}

// memberlist configures the library. Its probes, suspicion and push/pull say who
// is there; link states have their own way (flood.go), so its broadcasts carry
// membership alone and have no hurry.
func (g *Gossip) memberlist() *memberlist.Config {
	d := &delegate{g}
	m := memberlist.DefaultLANConfig()
	m.Name = g.config.Node
	m.Transport = g.transport
	m.Label = label(g.config.Mesh)
	m.BindPort, m.AdvertisePort = g.config.Port, g.config.Port
	m.Delegate, m.Events, m.Alive, m.Ping = d, d, d, d
	m.Logger = log.New(&libraryLog{log: g.log}, "", 0)
	m.DNSConfigPath = "" // every address is one; nothing is looked up
	m.EnableCompression = false
	m.UDPBufferSize = 1280 - 40 - 8 // of a datagram in the smallest IPv6 packet that every cable takes
	m.TCPTimeout = 2 * time.Second
	m.PushPullInterval = 30 * time.Second
	m.GossipInterval, m.GossipNodes = 200*time.Millisecond, 3
	m.ProbeInterval, m.ProbeTimeout, m.SuspicionMult = time.Second, 300*time.Millisecond, 2
	m.AwarenessMaxMultiplier = 2 // a node that was cut off must not believe for long that it is slow
	if g.config.Fast {
		m.ProbeInterval, m.ProbeTimeout = 300*time.Millisecond, 150*time.Millisecond
		m.GossipInterval = 100 * time.Millisecond
	}
	if len(g.config.Keys) > 0 {
		m.SecretKey = g.config.Keys[0]
		g.keyring, _ = memberlist.NewKeyring(g.config.Keys[1:], g.config.Keys[0]) // the gate has seen that they are keys
		m.Keyring = g.keyring
	}
	return m
}

// Announce replaces what this node says of its links. Node and Seq are set by
// Gossip. An announcement that says nothing new costs nothing. Until the first
// one the words of a former life stand.
func (g *Gossip) Announce(links []LinkState) {
	if g.store.announce(links) {
		g.flood.own()
		g.wake()
	}
}

// Note keeps a small fact with this node's announcements; "" removes it.
func (g *Gossip) Note(key, value string) {
	if g.store.note(key, value) {
		g.flood.own()
		g.wake()
	}
}

// States returns what every node said last of its links, this one included,
// sorted by node and cable, also of nodes that are not alive any more: who is
// alive looks different from everywhere, and nodes that compile routes from
// different facts make loops.
func (g *Gossip) States() []LinkState {
	all := []LinkState{}
	for _, a := range g.store.all(false) {
		for _, l := range a.Links {
			if g.store.speaksFor(a.Origin, l.Cable) {
				l.Node, l.Seq = a.Origin, a.Seq
				all = append(all, l)
			}
		}
	}
	return all
}

// Members returns all nodes of the plan, this one included, by name.
func (g *Gossip) Members() []Member {
	all := make([]Member, 0, len(g.config.Members))
	for _, name := range slices.Sorted(maps.Keys(g.config.Members)) {
		m := Member{Node: name, Address: g.transport.peers[name].current(), Notes: map[string]string{}}
		if name == g.config.Node {
			m.Address = g.config.Bind[0]
		}
		if a := g.store.get(name); a != nil {
			m.Digest = a.note(DigestNote)
			for _, n := range a.Notes {
				m.Notes[n.Key] = n.Value
			}
		}
		g.mu.Lock()
		m.Alive, m.Since = g.alive[name], g.since[name]
		g.mu.Unlock()
		all = append(all, m)
	}
	return all
}

// Strangers returns who was kept out in the last ten minutes, in the order of
// first sight.
func (g *Gossip) Strangers() []Stranger { return g.strangers.list() }

// Changed gets a value after States, Members or Strangers changed. Several
// changes may make one value.
func (g *Gossip) Changed() <-chan struct{} { return g.changed }

// Stats counts packets.
func (g *Gossip) Stats() Stats { return g.transport.stats.snapshot() }

// Kick makes gossip look for absent members now, and say again what it has to
// say. Call it when a link came up.
func (g *Gossip) Kick() {
	g.flood.own()
	select {
	case g.kick <- true:
	default:
	}
}

// Close leaves: the others learn at once that this node's agent has ended. What
// it said of its links stands. It takes half a second; a goroutine of
// memberlist's may outlive it by two.
func (g *Gossip) Close() error {
	var err error
	g.once.Do(func() {
		g.flood.flush()
		g.stop()
		_ = g.list.Leave(500 * time.Millisecond) // an error says that nobody heard it
		err = g.list.Shutdown()
		g.wg.Wait()
	})
	return err
}

func (g *Gossip) wake() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

func (g *Gossip) isAlive(node string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.alive[node]
}

func (g *Gossip) setAlive(node string, alive bool) {
	g.mu.Lock()
	changed := g.alive[node] != alive
	if changed {
		g.alive[node], g.since[node] = alive, time.Now()
	}
	g.mu.Unlock()
	if changed {
		g.log.Info("gossip: member", "node", node, "alive", alive)
		g.wake()
		select {
		case g.kick <- false:
		default:
		}
	}
}

// heals returns what a node says it does about its end of a cable.
func (g *Gossip) heals(node, cable string) Heal {
	if a := g.store.get(node); a != nil {
		for _, l := range a.Links {
			if l.Cable == cable && !l.Up {
				return l.Heal
			}
		}
	}
	return HealNone
}

// address is what memberlist calls the address of a node.
func (g *Gossip) address(node string) string {
	return netip.AddrPortFrom(g.config.Members[node][0], uint16(g.config.Port)).String()
}

// consider takes in what one node says, from whoever it came. Streams answer with
// their own state, so stale words in them need no other answer.
func (g *Gossip) consider(a *advert, stream bool) {
	v, twin := g.store.take(a)
	if twin {
		g.strangers.report(Duplicate, a.Origin, netip.Addr{}, "another machine announces as this node")
	}
	switch v {
	case fresh:
		for _, l := range a.Links {
			if !g.store.speaksFor(a.Origin, l.Cable) {
				g.strangers.report(ForeignCable, a.Origin, netip.Addr{}, fmt.Sprintf("it speaks of cable %q, which does not end there", l.Cable))
				break
			}
		}
		g.flood.relay(a)
		g.wake()
		if !g.isAlive(a.Origin) { // it may be back
			select {
			case g.kick <- false:
			default:
			}
		}
	case stale:
		if !stream {
			g.correct(a.Origin)
		}
	case outbid:
		g.log.Debug("gossip: words of another life of this node are replaced", "seq", a.Seq)
		g.flood.own()
		g.wake()
	case refused:
		g.strangers.report(UnknownName, a.Origin, netip.Addr{}, "it announces links, and is not in this node's plan")
	}
}

// correct tells a node which of its words are newer than those that it says, so
// that it goes above them.
func (g *Gossip) correct(origin string) {
	const gap = 50 * time.Millisecond
	now := time.Now()
	g.mu.Lock()
	soon := now.Sub(g.replied[origin]) < gap
	if !soon {
		g.replied[origin] = now
	}
	g.mu.Unlock()
	if a := g.store.get(origin); a != nil && !soon {
		g.flood.send(origin, a.encode(), false)
	}
}

// libraryLog turns memberlist's lines into records. It says a lot about members
// that are not there, which Members tells as well, so its warnings are worth a
// debug line; what is worth more is said by this package.
type libraryLog struct{ log *slog.Logger }

var _ io.Writer = (*libraryLog)(nil)

// Write takes one line.
func (l *libraryLog) Write(b []byte) (int, error) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("memberlist", "line", clean(strings.TrimSpace(string(b)), 400))
	}
	return len(b), nil
}

func noKey(format string, args ...any) finding.Finding {
	return finding.New(badKey, format, args...).Hinted("make one with `head -c 32 /dev/urandom | base64 > FILE`, mode 0600, and give every node the same")
}
