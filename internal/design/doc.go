// Package design answers, before anything is bought, how so many nodes with so many ports
// should be wired: it gathers the classical wirings, searches for better ones, and says
// of each what it gives (hops, what a cut does, throughput) and what it costs.
//
// It is pure: the clock is the caller's, who passes a function that says when to stop.
// Equal requests that were not stopped give equal answers.
package design
