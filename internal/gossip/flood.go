package gossip

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// flood spreads adverts. memberlist's own broadcasts wait for the next tick of
// its gossip interval and then reach three nodes; a mesh has few nodes, and
// every millisecond of a wrong table loses packets. So a node that has something
// to say sends it to every node of the plan at once, and again a few times, as
// the first packets may run into the very fault that they tell of. Whoever hears
// something new passes it on to a few others: that reaches nodes whom the origin
// can't reach yet. Every second round takes the other address family, should one
// fail. What is lost all the same is found by comparing digests with
// every probe (delegate.go). Nothing ticks while nothing is said.
type flood struct {
	g    *Gossip
	poke chan struct{}

	mu    sync.Mutex
	waves map[string]*wave // by origin: a newer advert takes the place of an older one
	last  time.Time        // when an own wave had its first round
}

// wave is an advert on its way.
type wave struct {
	own   bool
	msg   []byte
	round int
	due   time.Time
}

var (
	// Rounds after the first, each after the one before.
	ownRounds   = []time.Duration{30 * time.Millisecond, 70 * time.Millisecond, 150 * time.Millisecond, 500 * time.Millisecond}
	relayRounds = []time.Duration{60 * time.Millisecond}
)

const (
	floodLimit = 64 // nodes that one round goes to
	relayWidth = 3
	ownGap     = 10 * time.Millisecond // between the first rounds of two own waves
)

func newFlood(g *Gossip) *flood {
	return &flood{g: g, poke: make(chan struct{}, 1), waves: map[string]*wave{}}
}

// own spreads what this node says.
func (f *flood) own() {
	a := f.g.store.get(f.g.config.Node)
	if a == nil {
		return
	}
	now := time.Now()
	f.mu.Lock()
	due := now
	if next := f.last.Add(ownGap); next.After(now) {
		due = next
	}
	f.waves[a.Origin] = &wave{own: true, msg: a.encode(), due: due}
	f.mu.Unlock()
	f.wakeUp()
}

// relay passes on what another node says.
func (f *flood) relay(a *advert) {
	f.mu.Lock()
	f.waves[a.Origin] = &wave{msg: a.encode(), due: time.Now()}
	f.mu.Unlock()
	f.wakeUp()
}

func (f *flood) wakeUp() {
	select {
	case f.poke <- struct{}{}:
	default:
	}
}

// run sends what is due until gossip ends.
func (f *flood) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if next := f.round(time.Now()); next > 0 {
			timer.Reset(next)
		} else {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-f.poke:
		case <-f.g.ctx.Done():
			return
		}
	}
}

// round sends what is due and returns how long it is to the next; 0 for ever.
func (f *flood) round(now time.Time) time.Duration {
	type job struct {
		origin string
		wave
	}
	var jobs []job
	var next time.Time
	f.mu.Lock()
	for origin, w := range f.waves {
		if !w.due.After(now) {
			jobs = append(jobs, job{origin, *w})
			if w.own && w.round == 0 {
				f.last = now
			}
			rounds := relayRounds
			if w.own {
				rounds = ownRounds
			}
			if w.round == len(rounds) {
				delete(f.waves, origin)
				continue
			}
			w.due = now.Add(rounds[w.round])
			w.round++
		}
		if next.IsZero() || w.due.Before(next) {
			next = w.due
		}
	}
	f.mu.Unlock()
	for _, j := range jobs {
		for _, to := range f.targets(j.origin, j.own) {
			f.send(to, j.msg, j.wave.round%2 == 1)
		}
	}
	if next.IsZero() {
		return 0
	}
	return max(time.Until(next), time.Microsecond)
}

// targets chooses whom a round goes to: own words to everybody, also to those
// who seem to be absent; of other nodes' words to a few of those who are there.
func (f *flood) targets(origin string, own bool) []string {
	var names []string
	for name := range f.g.config.Members {
		if name != f.g.config.Node && name != origin && (own || f.g.isAlive(name)) {
			names = append(names, name)
		}
	}
	most := floodLimit
	if !own {
		most = relayWidth
	}
	if len(names) > most {
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		slices.SortStableFunc(names, func(a, b string) int { // those who are there first
			switch one, two := f.g.isAlive(a), f.g.isAlive(b); {
			case one == two:
				return 0
			case one:
				return -1
			}
			return 1
		})
		names = names[:most]
	}
	return names
}

// flush sends what waits for its first round.
func (f *flood) flush() { f.round(time.Now().Add(ownGap)) }

// send sends one datagram to a node, if it is asked for and there is one to its
// other address. Where there is no way there is nothing to say: the node is told
// again when there is one.
func (f *flood) send(to string, msg []byte, other bool) {
	a := memberlist.Address{Name: to, Addr: f.g.address(to)}
	if addrs := f.g.transport.peers[to].choose(); other && len(addrs) > 1 {
		a = memberlist.Address{Addr: netip.AddrPortFrom(addrs[1], uint16(f.g.config.Port)).String()}
	}
	_ = f.g.list.SendToAddress(a, msg)
}
