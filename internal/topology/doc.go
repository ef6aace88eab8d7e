// Package topology turns the shape of a mesh into cables between ports, and
// measures what a wiring is worth: parts, bridges, articulation nodes, hops.
//
// Nodes and ports are numbers here: node i has the free ports 0 to
// Request.Ports[i]-1, in the order in which a person counts them. Cables come in
// the order in which a person plugs them. Equal requests give equal cables.
package topology
