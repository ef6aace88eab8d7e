// Package liveness tells whether the peer at the other end of a link is really
// there, by BFD (RFC 5880, RFC 5881) and by asking the peer's kernel.
package liveness
