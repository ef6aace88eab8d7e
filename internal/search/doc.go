// Package search looks for the wiring with the fewest hops: the order/degree problem.
//
// Given how many nodes there are and how many cables each can take, it wants the graph
// with the smallest diameter and, of these, the smallest average distance. Nobody knows a
// formula for it; there is a lower bound (Cerf, Cowan, Mullin and Stanton, "A lower bound
// on the average shortest path length in regular graphs", Networks 4, 1974), and a
// competition for the best graphs known (Graph Golf, research.nii.ac.jp/graphgolf).
//
// The way here: small cases are settled by trying every graph; all others by simulated
// annealing over graphs with a symmetry. A graph of n = q*s nodes that turns into itself
// under a rotation of order s is described by q nodes, and hops need be counted from
// these q only; 64 of them at a time, one bit each. Symmetric graphs are also better than
// random ones, and nobody gives up a good graph for looking regular.
//
// Nodes and links are numbers. Nothing here tells the time or throws dice: equal problems
// with equal seeds and rounds give equal graphs, whatever the number of workers.
package search
