package design

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/catalog"
	"github.com/usb4mesh/usb4mesh/internal/cost"
	"github.com/usb4mesh/usb4mesh/internal/search"
)

// Limits of a request.
const (
	MaxNodes = 10000
	MaxPorts = 16
)

// DefaultGbps is what a cable carries unless the request says more: one TCP stream between
// two UM790 Pro, as measured by the author of the story that the project began with.
const DefaultGbps = 11.8

// DefaultForward is the Gbit/s that Linux forwards in one flow between two veth pairs at MTU
// 65520 on two shared cores, at its best of 11 to 25.
const DefaultForward = 25

// Request is what is wanted.
type Request struct {
	Nodes, Ports int
	Gbps         float64 // what a cable carries per direction; DefaultGbps if 0
	Traffic      Traffic // AllToAll if ""
	Budget       float64 // dollars for the network; 0 for no limit
	Layout       *Layout // where the boxes stand; nil if any cable is long enough
	Forward      float64 // Gbit/s that a node can forward for others, for Grow; DefaultForward if 0
	HubPorts     int     // of a host that only forwards; 0 for no such candidate
	Prices       catalog.Prices

	Seed     uint64
	Rounds   int // of the search; 0 for as many as Stop allows
	Workers  int
	Stop     func() bool // says when the search has to end; nil for never
	Progress func(found Found)

	bound search.Bound // of the problem, with short cables if there is a layout
}

// Found tells of a better wiring while the search goes on.
type Found struct {
	Diameter, Rounds       int
	Average, Bound         float64
	Symmetry, ProvenReason string
}

// Layout is boxes in rows and columns. A cable takes the way along them, not the diagonal,
// and some slack at its ends.
type Layout struct {
	Rows, Columns  int
	Across, Upward float64 // metres from one box to the next in a row, and between rows
	Slack          float64 // metres
}

// Default distances of boxes, in metres: mini PCs in a shelf.
const (
	DefaultAcross = 0.2
	DefaultUpward = 0.15
	DefaultSlack  = 0.15
)

// Length is how long a cable between two places must be, in metres.
func (l *Layout) Length(a, b int) float64 {
	abs := func(x int) float64 { return math.Abs(float64(x)) }
	return l.Slack + l.Across*abs(a%l.Columns-b%l.Columns) + l.Upward*abs(a/l.Columns-b/l.Columns)
}

// ParseLayout reads "4x6", rows by columns, with default distances.
func ParseLayout(text string) (*Layout, error) {
	l := &Layout{Across: DefaultAcross, Upward: DefaultUpward, Slack: DefaultSlack}
	rows, columns, _ := strings.Cut(text, "x")
	var errs [2]error
	l.Rows, errs[0] = strconv.Atoi(rows)
	l.Columns, errs[1] = strconv.Atoi(columns)
	if errors.Join(errs[:]...) != nil || min(l.Rows, l.Columns) < 1 || max(l.Rows, l.Columns) > MaxNodes {
		return nil, fmt.Errorf("layout %q: want rows by columns, such as 3x4", text)
	}
	return l, nil
}

// Traffic says who sends how much to whom.
type Traffic string

// Kinds of traffic. Throughput is always in Gbit/s of what one node sends (AllToAll, AllReduce),
// writes (Ceph) or reads (Hot), while all others do the same.
const (
	AllToAll  Traffic = "all-to-all" // every node sends as much to each other
	AllReduce Traffic = "all-reduce" // every node sends to the next on a ring, laid along cables if there is one
	Ceph      Traffic = "ceph"       // every node writes, with replication 3, to OSDs spread over all nodes
	Hot       Traffic = "hot"        // every node reads from the one with the most cables
)

// Traffics returns all kinds.
func Traffics() []string {
	return []string{string(AllToAll), string(AllReduce), string(Ceph), string(Hot)}
}

// check fills in defaults and says which number is out of range.
func (r *Request) check() error {
	if r.Nodes < 2 || r.Nodes > MaxNodes {
		return fmt.Errorf("%d nodes: want 2 to %d", r.Nodes, MaxNodes)
	}
	if r.Ports < 1 || r.Ports > MaxPorts {
		return fmt.Errorf("%d ports: want 1 to %d", r.Ports, MaxPorts)
	}
	if r.Gbps == 0 {
		r.Gbps = DefaultGbps
	}
	if !(r.Gbps > 0 && r.Gbps <= 1000) {
		return fmt.Errorf("%v Gbit/s per cable: want a number above 0, up to 1000", r.Gbps)
	}
	if r.Forward == 0 {
		r.Forward = DefaultForward
	}
	if !(r.Forward > 0) {
		return fmt.Errorf("%v Gbit/s forwarded: want a number above 0", r.Forward)
	}
	if r.Traffic == "" {
		r.Traffic = AllToAll
	}
	if !slices.Contains(Traffics(), string(r.Traffic)) {
		return fmt.Errorf("unknown traffic %q: one of %s", r.Traffic, strings.Join(Traffics(), ", "))
	}
	if !(r.Budget >= 0) {
		return fmt.Errorf("a budget of %v dollars", r.Budget)
	}
	if r.Stop == nil {
		r.Stop = func() bool { return false }
	}
	if len(r.Prices.Parts) == 0 {
		r.Prices = catalog.DefaultPrices()
	}
	if l := r.Layout; l != nil {
		if l.Rows*l.Columns != r.Nodes {
			return fmt.Errorf("%d rows of %d boxes are %d boxes, not %d", l.Rows, l.Columns, l.Rows*l.Columns, r.Nodes)
		}
		if r.Nodes > maxPlaced {
			return fmt.Errorf("a layout of %d boxes: at most %d", r.Nodes, maxPlaced)
		}
		if cost.Longest(r.Prices) == 0 {
			return fmt.Errorf("the price list has no USB4 cable")
		}
	}
	return nil
}
