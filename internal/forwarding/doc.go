// Package forwarding computes, for every node of a mesh, forwarding tables with
// which any single cable may fail and every packet still arrives, as long as a
// way is left: without a daemon, a protocol or a message. Verify walks the
// tables and proves it for the mesh at hand.
//
// # Tables
//
// For a node and a destination there are three links ([Entry]): Primary, the way
// of failure-free times; Detour, taken while the node's own primary link is
// down, possibly back over the link the packet came from (a U-turn); and Return,
// for a packet that arrives over the very link it would leave by. Such an
// arrival is unusual: it tells that a link further on has failed, so the packet
// goes round the other way. This is interface-specific forwarding, FIFR:
// Nelakuditi, Lee, Yu, Zhang and Chuah, "Fast local rerouting for handling
// transient link failures", IEEE/ACM Transactions on Networking 15(2), 2007; the
// frame is IP fast reroute, RFC 5714. A Linux kernel holds Primary and Detour in
// its main table, by metric, and Return in one table per port, chosen by the
// incoming interface; without a usable Return the lookup falls through to main.
//
// # Construction and proof
//
// For a destination d let T be any tree of shortest paths to d, S(u) the nodes
// whose way to d leads over u (with u itself), and u's parent link its Primary.
// If that link fails, u's best way is: down the tree to some x in S(u), over one
// link e from x out of S(u), and then up the tree. Its length is D(x) - D(u) +
// w(e) + D(y), so the best e is the one with the least D(x) + w(e) + D(y), which
// does not depend on u: one sort of the links off the tree finds it for all u
// (the "best swap edge" of a tree). That way, P(u), gives Detour(u) and asks
// every node z below u on it to go on along P(u); where several P(u) pass z, the
// failure farthest from z, nearest to d, wins Return(z).
//
// A packet that meets the failed link of u goes down P(u). Wherever it leaves
// P(u), it is for P(v) of some v above u, which also passes that node, and from
// then on for nobody below v. Every step goes down the tree until a step leaves
// S(v) for some v at or above u; it enters the node there over a link that is
// not that node's Primary (otherwise the node would be in S(v)), so Primary
// links carry it from there to d, outside S(v), where the failed link is not.
// Hence no loop and no loss wherever the failed link is not a bridge. The proof
// needs a tree, not a particular one: the choice among equal ways is free for
// every destination, and parallel links and weights need no special case.
//
// # Spreading load
//
// Among the shortest ways those with the fewest hops are taken, and among these
// the one whose links carry the least so far, destination by destination. See
// spread.go for what was measured against simpler rules.
//
// Equal-cost multipath is left out. Over parallel cables of one pair of nodes it
// would keep the proof (a bundle acts as one link, whose detour is the rest of
// the bundle), but by default Linux picks the way by addresses only
// (net.ipv4.fib_multipath_hash_policy=0), so between two identities everything
// would use one cable all the same; and when one interface of a multipath route
// disappears the kernel removes the whole IPv4 route (fib_sync_down_dev in
// net/ipv4/fib_semantics.c), the plain detour included, until somebody puts it
// back. Destinations are spread over parallel cables instead.
package forwarding
