package gossip

import (
	"math/rand/v2"
	"time"
)

const (
	seekFirst = time.Second // pause after the first try
	seekLast  = 15 * time.Second
	seekWidth = 16              // members tried at once; more come to know of us through these
	syncGap   = 2 * time.Second // between two exchanges with members that know other things
	joinLimit = 2               // tries of one member at the same time: a link that came up must not wait for the one before
)

// seek looks for members that are not there, for ever, with growing pauses that
// end at once when something changes; and exchanges everything with members that
// turn out to know something else.
func (g *Gossip) seek() {
	pause := seekFirst
	timer := time.NewTimer(0)
	defer timer.Stop()
	synced := map[string]time.Time{}
	for {
		select {
		case <-g.ctx.Done():
			return
		case name := <-g.differ:
			if now := time.Now(); now.Sub(synced[name]) >= syncGap {
				synced[name] = now
				g.join(name)
			}
			continue
		case news := <-g.kick:
			if news {
				pause = seekFirst
				break
			}
			pause = min(pause, seekFirst)
			timer.Reset(jitter(pause / 10))
			continue
		case <-timer.C:
		}
		absent := g.absent()
		if len(absent) == 0 {
			timer.Stop()
			pause = seekFirst
			continue
		}
		for _, name := range absent {
			g.join(name)
		}
		timer.Reset(jitter(pause))
		pause = min(2*pause, seekLast)
	}
}

// jitter keeps nodes that were started together from staying together.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5)
}

// absent returns some of the members that are not there.
func (g *Gossip) absent() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for name := range g.config.Members {
		if name != g.config.Node && !g.alive[name] {
			names = append(names, name)
		}
	}
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names[:min(len(names), seekWidth)]
}

// join exchanges everything with a member, in the background.
func (g *Gossip) join(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.joining[name] >= joinLimit {
		return
	}
	g.joining[name]++
	g.wg.Go(func() {
		_, err := g.list.Join([]string{name + "/" + g.address(name)})
		g.log.Debug("gossip: exchange", "node", name, "error", err)
		g.mu.Lock()
		g.joining[name]--
		g.mu.Unlock()
	})
}
