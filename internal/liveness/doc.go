// Package liveness tells whether the peer at the other end of a link is really there.
// Carrier is not enough: a driver may hang, a cable may carry one direction only, and
// the kernel may be slow to notice.
//
// Each link has a BFD session in asynchronous mode (RFC 5880) over one hop (RFC 5881),
// between two addresses known from the plan; FRR and BIRD are good peers. Whoever is
// not a direct neighbour is kept out by the hop limit of 255 (RFC 5881, section 5), and
// of the neighbours all but the peer by the address and by sockets that are bound to
// the interface, by its index. There is no authentication: at the other end of a cable
// is one machine. The demand bit is ignored, and there is no echo function.
//
// # Verdicts
//
// BFD says that two BFD engines hear each other. What is asked is whether a link carries
// packets, and an agent that is restarted, stopped or missing is not a dead link. So
// when packets are missing the peer's kernel is asked too, by ICMP echo requests over
// the same link, from the first missing packet on:
//
//	Alive    the session is up
//	Absent   the session is down, the kernel answers: the link is good, the agent away
//	Dead     the session is down, and the kernel does not answer
//	Unknown  the interface has just appeared
//
// With an interval of 50 ms and a multiplier of 3 a link that carries nothing is Dead
// after 150 ms. Where one direction still works, the end that hears nothing knows after
// 150 ms and tells the other; that asks, since what it hears might as well be a peer that
// was asleep, and when three requests are lost within 40 ms it is sure, after 190 ms at most. A
// link that falls silent while the agent of the peer is absent is Dead after 200 ms. A
// session that was never up, on a link whose peer does not answer, is Dead after three
// seconds.
//
// A link that was Dead is Alive again when it has been good for ten intervals, and for
// twice as long after each further death within a minute, up to ten seconds: packets of
// a session that is up or, while it is not, answers of the peer's kernel. Nobody holds
// it down beside that, and a new interface is Alive when its session is.
//
// Over IPv4, which is for nodes without IPv6, the answer to an echo request takes the way
// that the peer's routes say. Two nodes with two cables between them may so send the
// answer over the other one, where it does not count: Absent may then look like Dead.
//
// # The loop
//
// All links are watched by one goroutine that takes no locks and leaves no garbage. It
// sleeps in Go's poller or, if it is to be a real-time thread, bound to that and in ppoll.
// While all is well it wakes once in an interval for all links: to send, and to read what
// has come meanwhile. Nothing it does takes the kernel's RTNL lock, which a driver may
// hold for ten seconds while it waits for a dead port. What the readers of events do, and
// how slowly, is nothing to it.
//
// machine and judge have no clock and no sockets: they are given the time and say
// what they want next. So they are tried in simulated time.
package liveness
