package forwarding

import (
	"cmp"
	"slices"
)

// MaxUnprotected is how many unprotected pairs a Report lists; it counts all.
const MaxUnprotected = 10_000

// Case is one packet's fate: from Source to Dest while Failure stands.
type Case struct {
	Source, Dest int
	Failure      int // index into the failures given to Verify
	Outcome      Outcome
	Separated    bool // the failure leaves no way between the two
}

// Report is what Verify saw. Cases = Delivered + Dropped + Looped, and of the
// lost ones Dropped + Looped = Separated + Avoidable.
type Report struct {
	Failures                          int64
	Cases, Delivered, Dropped, Looped int64
	Separated                         int64 // lost because no way was left: unavoidable
	Avoidable                         int64 // lost although a way was left
	LongestPath                       int   // hops, over all delivered cases
	LongestDetour                     int   // hops more than without the failure, likewise
	UnprotectedPairs, AvoidablePairs  int64 // ordered pairs that some failure loses; of these, with a way left
	Unprotected                       []Case
}

// Verify sends a packet from every node to every other node under every failure
// and reports what became of them. It walks the tables and knows nothing of how
// they were made. Failed nodes neither send nor receive.
//
// Unprotected holds one case for each ordered pair that is lost under some
// failure, by source and destination: the first that was avoidable, else the
// first.
func Verify(g Graph, t *Tables, failures []Failure) Report {
	v := newVerifier(g, t, failures)
	for dest := range int32(g.Nodes) {
		v.destination(dest)
	}
	r := v.report
	r.Failures = int64(len(failures))
	r.UnprotectedPairs = int64(len(v.lost))
	for _, c := range v.lost {
		if !c.Separated {
			r.AvoidablePairs++
		}
	}
	slices.SortFunc(v.lost, func(a, b Case) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Dest, b.Dest))
	})
	r.Unprotected = slices.Clone(v.lost[:min(len(v.lost), MaxUnprotected)])
	return r
}
