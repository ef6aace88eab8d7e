// Package gossip tells every node which links are down.
//
// Membership is hashicorp/memberlist's: who is there, found by probes, kept
// consistent by push/pull, encrypted with the mesh key. Link states have a form
// and a way of their own on top of it.
//
// # What is told
//
// An advert is all that a node says of itself: its links, up or down, and a few
// notes, under a number that rises with every change. It is always whole, so the
// one with the highest number wins and nothing is ever withdrawn. Numbers are per
// node and need no clock: a node that is started again with number 1 is told by
// whoever hears it what its former life said last, and goes above that. Adverts
// of nodes that are not in the plan are refused, and what a node says of a cable
// that it does not end is not believed. Names, counts and lengths are bounded.
//
// What a node said last stands when it dies. Who is alive looks different from
// different places; the numbers do not, and nodes that compile their routes from
// different facts make loops.
//
// # How it spreads
//
// A change goes to every node of the plan at once, as one datagram each, and again
// after 30, 100, 250 and 750 ms; whoever hears something new passes it on to three
// others (flood.go). memberlist's own broadcasts would wait for ticks. In virtual
// time, with 0.1 ms from node to node and 200 changes, until the last node knew:
//
//	nodes   memberlist, a tick every 50 ms          flood
//	    3   median  26 ms, worst  50 ms             within 1 ms
//	    8   median 107 ms, worst 978 ms             within 1 ms
//	   32   median 184 ms, worst 854 ms             within 1 ms
//
// What gets lost all the same is found with the next probe: its answer carries a
// digest of all adverts in eight bytes, and nodes that differ exchange everything.
//
// # Who is trusted
//
// Whoever has the mesh key is trusted, with everything. The key is one for all,
// so it proves membership and not identity, and as adverts are passed on, the
// address that a packet comes from says nothing about whose words are in it. A
// member that lies can speak for every node; the node in question hears it,
// contradicts within a round trip, and reports [Duplicate] when it does not end.
// It can also stop the mesh from working in simpler ways, being one of its
// routers. Keep the key file accordingly.
//
// Whoever has not the key can do little, and is seen:
//
//   - What is not from an identity of the plan, for this mesh, and encrypted with
//     a key of ours is dropped before memberlist or anything else parses it
//     (gate.go), at a microsecond each, and leaves a bounded table of [Stranger]s.
//   - Packets that are played again are dropped, 4096 back; older ones carry
//     numbers that were overtaken. Right after all nodes have been started anew,
//     numbers are low and old packets can be news: the node whose words they
//     hold goes above them. Old membership is refuted the same way by memberlist,
//     within a second or two, and no route depends on it.
//   - Nobody can read which links are down, but the number and length of packets
//     tell that something is. The name of the mesh is sent in the clear.
//   - A flood at the port, from forged addresses, can make the kernel drop good
//     packets. Announcements are repeated, and exchanged over streams.
//
// Plain gossip, without keys, has none of this but the check of addresses, which
// anybody at a cable can forge. It is for the lab.
//
// # Time
//
// Nothing here or in memberlist compares clocks of two nodes or stores a time of
// day: timers, tickers, deadlines and time.Since of times taken in this process,
// all of which Go measures on the monotonic clock. A clock that steps changes
// nothing. The Since of a [Member] is for display.
//
// # The network
//
// Sockets are bound to the node's identities, of both families where it has
// both, with IP_FREEBIND, so they outlive any port. memberlist knows one address
// of a node, the first in the plan; the transport uses the family that works.
// Nothing is multicast and no name is looked up. Paths between identities are
// the kernel's matter: gossip goes whatever way is left.
//
// A changed plan needs a new Gossip: Close the old one and Open another.
package gossip
