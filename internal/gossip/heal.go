package gossip

import (
	"fmt"
	"time"
)

// patience is how long the end of a cable that comes second leaves the other
// end to itself, when it does not hear from it.
const patience = 2 * time.Minute

// MayHeal reports whether this node may work on its end of a cable that has been
// down for so long, and if not, why. Never both ends at once: an interface that
// is set down and up by one node kills the login that the other just began.
//
// There is no election and no lease on a clock. The end with the lower name goes
// first and says HealDone when it has done what it can; then it is the other's
// turn. A node that can't be heard of may be dead or only cut off, so the second
// end waits until the first must have finished.
//
// Ask; on yes announce HealActing; ask again a second later, when the
// announcement has arrived; on yes act, else take it back and try again later.
// An end that comes second is told yes only while the first one says HealDone,
// so the two can't keep stopping each other.
func (g *Gossip) MayHeal(cable string, down time.Duration) (bool, string) {
	ends, ok := g.config.Cables[cable]
	if !ok {
		return false, fmt.Sprintf("the plan has no cable %q", cable)
	}
	peer := ends[0]
	if peer == g.config.Node {
		peer = ends[1]
	}
	return mayHeal(g.config.Node, peer, g.isAlive(peer), g.heals(peer, cable), down)
}

// GoesFirst reports whether node a has its way where two say at the same moment that
// they are about to do what only one may: no clocks, no votes, all decide alike.
func GoesFirst(a, b string) bool { return a < b }

// mayHeal is the rule of MayHeal for node self, from what is known of its peer.
func mayHeal(self, peer string, alive bool, does Heal, down time.Duration) (bool, string) {
	first := GoesFirst(self, peer)
	switch {
	case does == HealActing && (alive || down < patience):
		return false, fmt.Sprintf("node %s works on its end", peer)
	case first, alive && does == HealDone:
		return true, ""
	case alive:
		return false, fmt.Sprintf("node %s goes first", peer)
	case down < patience:
		return false, fmt.Sprintf("node %s goes first; it is not heard of, so it has %s", peer, patience)
	}
	return true, ""
}
