// Package flow computes how much traffic a network can carry: the maximum concurrent flow.
//
// Every demand is a pair of nodes and an amount. The answer is the largest factor by which
// all demands together can be multiplied such that they still fit, if every demand
// may be split over any number of ways. It is found from both sides at once: flows that
// fit (what is reached) and prices of arcs that prove that no more is possible (the
// limit), by the multiplicative weights of Garg and Könemann ("Faster and simpler algorithms for
// multicommodity flow", FOCS 1998) with one shortest-path tree per source as in Fleischer
// ("Approximating fractional multicommodity flow independent of the number of
// commodities", SIAM Journal on Discrete Mathematics 13(4), 2000), starting from an even split
// over all shortest ways. It ends when the two sides meet within epsilon; if it must end
// before, both sides still hold and are reported.
package flow
