// Package status tells what an agent knows: to `usb4mesh status` over a unix
// socket, to monitoring over HTTP, and to a person as one screen.
//
// It holds both ends of the socket and the screen, so that what is sent and
// what is shown can't drift apart. It knows nothing of the agent but [Source]:
// whatever has a [mesh.Status] can be served, a file of a test too.
//
// Served, on the socket and on the address (HTTP/1.1, GET and HEAD only):
//
//	/status.json  the mesh.Status
//	/healthz      200 while the agent's loop turns, else 503, and why
//	/metrics      the same for Prometheus
//	/events       on the socket only: a status a line, at every change
//
// Whoever may connect reads everything and changes nothing: no request has an
// effect on the agent. The socket is for root and one group; an address is
// readable by all who reach it, and has no names or passwords of its own.
package status
