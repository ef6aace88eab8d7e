// Package survey measures every pair of a mesh and says whether it is good.
//
// It has this very program run in the nodes, through a Door: a server where data
// arrives, a client where it leaves, and a reading of the kernel's counters before
// and after. Pairs are scheduled so that no two tests share a node or a cable.
// What was measured is judged against the trained speed of the link, against the
// other cables of the mesh, against what was stored before, and against what
// the planned paths allow; a pair that falls short becomes a finding that names
// the cable or the node, with the evidence.
package survey
