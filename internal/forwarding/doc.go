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
// Why no packet is lost: where the failed link of u is met, the packet sets out
// along P(u), down the tree. Every node below that it comes to received it over
// its Primary and sends it along P(v), where v is u or lies above u; a node
// further down never takes it back to a v nearer to u, since the P(v) it follows
// passes there too and only a farther failure could overrule it. So the packet
// goes down the tree, each step to a node not seen before, until it leaves some
// S(v). It enters the node there over a link that is not this node's Primary
// (else the node would be in S(v)), and Primary links take it from there to d,
// all outside S(v), while the failed link is inside or right above it. Hence
// neither loop nor loss, unless P(u) does not exist: the failed link is a bridge.
// The proof needs some tree, not a particular one; so the choice among equal ways
// is free for every destination, and parallel links and weights are no special
// case.
//
// A failed node, or two failures at once, are not promised: a packet may then be
// dropped, or go round until its TTL ends, although a way is left. Verify counts
// these cases too, and tells them from those where no way is left.
//
// # Spreading load
//
// Among the shortest ways those with the fewest hops are taken, and among these
// the one whose links carry the least so far, destination by destination. See
// spread.go for what was measured against simpler rules.
//
// Equal-cost multipath is left out, also over parallel cables, where it would
// keep the proof (a bundle acts as one link whose detour is the rest of it). By
// default Linux picks the way by addresses alone
// (net.ipv4.fib_multipath_hash_policy=0), so all traffic between two identities
// would use one cable all the same. When one interface of a multipath route
// disappears, the kernel removes the whole IPv4 route (fib_sync_down_dev in
// net/ipv4/fib_semantics.c), not only the one hop, so a detour route would be
// needed as now. And IPv6 takes no multipath route to a direct peer without a
// gateway. Instead, destinations are spread over parallel cables: of two cables
// between two nodes each carries one direction.
//
// # Cost
//
// With N nodes and L links Compile takes O(N L log L) time and three numbers of
// four bytes for each pair of nodes; Verify of all single links takes time in
// proportion to the cases whose path the failure touches. Go's benchmarks of
// random graphs with four links per node (BenchmarkCompile, BenchmarkVerify) show
// growth; TestBudget holds the limits.
package forwarding
