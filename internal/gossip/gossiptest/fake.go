// Package gossiptest holds a mesh of gossips without sockets, goroutines and
// timers, for tests of what uses them, also under testing/synctest.
package gossiptest

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/gossip"
)

// Mesh joins fakes. What one announces the others know at once, unless they are
// parted.
type Mesh struct {
	// Delay is how long after a node has said something the others know it, at most.
	// Set it before use; a test with it runs under testing/synctest.
	Delay time.Duration

	mu     sync.Mutex
	config gossip.Config
	nodes  map[string]*Fake
	part   map[string]int // of a node; all 0 unless parted
}

// Fake has the methods of gossip.Gossip.
type Fake struct {
	mesh      *Mesh
	node      string
	changed   chan struct{}
	seq       uint64
	known     map[string][]gossip.LinkState // by origin
	notes     map[string]map[string]string  // by origin
	since     map[string]time.Time
	alive     map[string]bool
	strangers []gossip.Stranger
	kicks     int
	keys      [][]byte
}

// NewMesh returns a mesh whose nodes, addresses and cables are those of c.
func NewMesh(c gossip.Config) *Mesh {
	return &Mesh{config: c, nodes: map[string]*Fake{}, part: map[string]int{}}
}

// Open starts the gossip of a node. As in life, a restarted node knows nothing
// but goes on with higher numbers.
func (m *Mesh) Open(node string) *Fake {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &Fake{
		mesh: m, node: node, changed: make(chan struct{}, 1),
		known: map[string][]gossip.LinkState{}, notes: map[string]map[string]string{},
		since: map[string]time.Time{}, alive: map[string]bool{},
	}
	for name := range m.config.Members {
		f.since[name] = time.Now()
	}
	for _, other := range m.nodes {
		for _, s := range other.known[node] {
			f.seq = max(f.seq, s.Seq)
		}
	}
	m.nodes[node] = f
	m.sync()
	return f
}

// Part cuts the mesh into groups; nodes that are in none form one more. Part()
// heals it.
func (m *Mesh) Part(groups ...[]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.part = map[string]int{}
	for i, group := range groups {
		for _, node := range group {
			m.part[node] = i + 1
		}
	}
	m.sync()
}

// spread is sync, after the delay. The lock is held.
func (m *Mesh) spread() {
	if m.Delay == 0 {
		m.sync()
		return
	}
	time.AfterFunc(m.Delay, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sync()
	})
}

// sync brings everybody up to date who is not parted. The lock is held.
func (m *Mesh) sync() {
	for _, to := range m.nodes {
		dirty := false
		for name := range m.config.Members {
			from := m.nodes[name]
			alive := from != nil && m.part[from.node] == m.part[to.node]
			if alive != to.alive[name] {
				to.alive[name], to.since[name] = alive, time.Now()
				dirty = true
			}
			if !alive || from == to {
				continue
			}
			for origin, states := range from.known {
				mine := to.known[origin]
				if len(mine) == 0 && len(states) > 0 || len(states) > 0 && states[0].Seq > mine[0].Seq {
					to.known[origin] = states
					dirty = true
				}
			}
			if !maps.Equal(to.notes[name], from.notes[name]) {
				to.notes[name] = maps.Clone(from.notes[name])
				dirty = true
			}
		}
		if dirty {
			to.wake()
		}
	}
}

func (f *Fake) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// Announce is gossip.Gossip's.
func (f *Fake) Announce(links []gossip.LinkState) {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	f.seq++
	mine := slices.Clone(links)
	for i := range mine {
		mine[i].Node, mine[i].Seq = f.node, f.seq
	}
	f.known[f.node] = mine
	f.mesh.spread()
}

// States is gossip.Gossip's.
func (f *Fake) States() []gossip.LinkState {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	var all []gossip.LinkState
	for _, states := range f.known {
		all = append(all, states...)
	}
	slices.SortFunc(all, func(a, b gossip.LinkState) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Cable, b.Cable))
	})
	return all
}

// Changed is gossip.Gossip's.
func (f *Fake) Changed() <-chan struct{} { return f.changed }

// Members is gossip.Gossip's.
func (f *Fake) Members() []gossip.Member {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	var all []gossip.Member
	for _, name := range slices.Sorted(maps.Keys(f.mesh.config.Members)) {
		m := gossip.Member{
			Node: name, Alive: f.alive[name], Since: f.since[name],
			Digest: f.notes[name][gossip.DigestNote], Notes: maps.Clone(f.notes[name]),
		}
		if addrs := f.mesh.config.Members[name]; len(addrs) > 0 && (m.Alive || m.Notes != nil) {
			m.Address = addrs[0]
		}
		all = append(all, m)
	}
	return all
}

// Note is gossip.Gossip's.
func (f *Fake) Note(key, value string) {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	if f.notes[f.node] == nil {
		f.notes[f.node] = map[string]string{}
	}
	f.notes[f.node][key] = value
	if value == "" {
		delete(f.notes[f.node], key)
	}
	f.mesh.spread()
}

// MayHeal is gossip.Gossip's; the fake lets the end with the lower name work, and
// the other when that one has done what it can or is not alive.
func (f *Fake) MayHeal(cable string, _ time.Duration) (bool, string) {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	ends := f.mesh.config.Cables[cable]
	peer := ends[0]
	if peer == f.node {
		peer = ends[1]
	}
	if f.node < peer || !f.alive[peer] {
		return true, ""
	}
	for _, s := range f.known[peer] {
		if s.Cable == cable && s.Heal == gossip.HealDone {
			return true, ""
		}
	}
	return false, "node " + peer + " goes first"
}

// Strangers is gossip.Gossip's.
func (f *Fake) Strangers() []gossip.Stranger {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	return slices.Clone(f.strangers)
}

// SetStrangers makes the fake report them.
func (f *Fake) SetStrangers(s ...gossip.Stranger) {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	f.strangers = s
	f.wake()
}

// Kick is gossip.Gossip's; the fake counts.
func (f *Fake) Kick() {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	f.kicks++
}

// Kicks returns how often Kick was called.
func (f *Fake) Kicks() int {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	return f.kicks
}

// SetKeys is gossip.Gossip's; the fake remembers them.
func (f *Fake) SetKeys(keys [][]byte) error {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	f.keys = keys
	return nil
}

// Keys returns what SetKeys was told last.
func (f *Fake) Keys() [][]byte {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	return f.keys
}

// Close takes the node out of the mesh. What it said stays known.
func (f *Fake) Close() error {
	f.mesh.mu.Lock()
	defer f.mesh.mu.Unlock()
	if f.mesh.nodes[f.node] == f {
		delete(f.mesh.nodes, f.node)
		f.mesh.sync()
	}
	return nil
}
