package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
)

// checkArgs asks for a check of pairs (all if none is given).
type checkArgs struct {
	Pairs []Pair
	// Planned asks whether the pair uses its planned path: the route lookup of
	// From names the planned interface, and a packet whose hop limit is the
	// planned number of hops arrives. Otherwise an answer to a packet with the
	// usual hop limit is all that is asked.
	Planned bool
	// Hops, where given, is the hop limit of each pair's packet, which then has to
	// arrive; nobody answers.
	Hops []int
	Wait time.Duration
}

// oneWay says that arrival is what counts, not an answer.
func (a checkArgs) oneWay() bool { return a.Planned || a.Hops != nil }

// Checked is what a check found out about a pair.
type Checked struct {
	Pair
	Good   bool    `json:"good"`
	Millis float64 `json:"rtt_ms"` // until the answer, of the attempt that was answered
	Why    string  `json:"why"`    // it is not good
}

// Check sends a packet from From to To of every given pair (nil: of all pairs)
// and waits for the answers, repeating what was lost, for as long as wait.
func (l *Lab) Check(ctx context.Context, wait time.Duration, pairs ...Pair) ([]Checked, error) {
	var r []Checked
	err := l.call(ctx, opCheck, checkArgs{Pairs: pairs, Wait: wait}, &r)
	return r, err
}

// OnPlannedPath checks that pairs use the path of the plan and no detour.
func (l *Lab) OnPlannedPath(ctx context.Context, wait time.Duration, pairs ...Pair) ([]Checked, error) {
	var r []Checked
	err := l.call(ctx, opCheck, checkArgs{Pairs: pairs, Planned: true, Wait: wait}, &r)
	return r, err
}

const (
	checkMagic  = 0x75346d63 // "u4mc"
	checkEvery  = 10 * time.Millisecond
	usualHops   = 64
	checkLength = 12 // magic, index of the path, kind
	kindAsk     = 0
	kindAnswer  = 1
)

// checker holds the state of one check.
type checker struct {
	// ownPaths says that the engine picks one of several shortest paths by
	// itself: the number of hops must be the planned one, the interface need not.
	ownPaths bool

	paths []Path
	args  checkArgs
	ends  map[endpointKey]*endpoint

	mu      sync.Mutex
	sent    []time.Time
	arrived []time.Duration // answer, or arrival if that is what counts; 0 is not yet
}

func (w *world) check(ctx context.Context, a checkArgs) ([]Checked, error) {
	paths, err := w.pathsOf(a.Pairs)
	if err != nil {
		return nil, err
	}
	ends, err := w.endpoints(paths)
	if err != nil {
		return nil, err
	}
	k := &checker{paths: paths, args: a, ends: ends, sent: make([]time.Time, len(paths)), arrived: make([]time.Duration, len(paths))}
	_, k.ownPaths = w.engine.(*frrEngine)
	var readers sync.WaitGroup
	for _, e := range ends {
		readers.Go(func() { k.read(e) })
	}
	why, err := k.run(ctx)
	closeEndpoints(ends)
	readers.Wait()
	if err != nil {
		return nil, err
	}
	out := make([]Checked, len(paths))
	for i, p := range paths {
		out[i] = Checked{Pair: p.Pair, Good: why[i] == "", Why: why[i], Millis: millis(k.arrived[i])}
	}
	return out, nil
}

// pathsOf returns the paths of pairs, or all paths.
func (w *world) pathsOf(pairs []Pair) ([]Path, error) {
	if len(pairs) == 0 {
		return w.paths, nil
	}
	known := map[Pair]Path{}
	for _, p := range w.paths {
		known[p.Pair] = p
	}
	out := make([]Path, 0, len(pairs))
	for _, p := range pairs {
		path, ok := known[p]
		if !ok {
			return nil, fmt.Errorf("nodes %s and %s have no %s addresses for each other in this plan", p.From, p.To, p.Family)
		}
		out = append(out, path)
	}
	return out, nil
}

// run sends until all is well or time is up, and says what is wrong with each path.
func (k *checker) run(ctx context.Context) ([]string, error) {
	deadline := time.Now().Add(k.args.Wait)
	why := make([]string, len(k.paths))
	for {
		for i := range k.paths {
			if !k.has(i) {
				why[i] = k.ask(i)
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(checkEvery):
		}
		good := true
		for i := range k.paths {
			switch has := k.has(i); {
			case has && k.args.Planned && !k.ownPaths:
				why[i] = k.lookup(i)
			case has:
				why[i] = ""
			case why[i] == "":
				why[i] = "no answer"
			}
			good = good && why[i] == ""
		}
		if good || time.Now().After(deadline) {
			return why, nil
		}
	}
}

func (k *checker) has(i int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.arrived[i] != 0
}

// ask sends the packet of a path and returns why that was not possible.
func (k *checker) ask(i int) string {
	p := k.paths[i]
	from, to := k.ends[endpointKey{p.From, p.Source}], k.ends[endpointKey{p.To, p.Destination}]
	hops := usualHops
	if k.args.Planned {
		if hops = p.Hops(); hops == 0 {
			return "the plan has no path"
		}
	}
	if k.args.Hops != nil {
		hops = k.args.Hops[i]
	}
	if err := setHopLimit(from.conn, p.Family == IPv6, hops); err != nil {
		return err.Error()
	}
	k.mu.Lock()
	k.sent[i] = time.Now()
	k.mu.Unlock()
	if err := send(from, to.port, i, kindAsk); err != nil {
		return err.Error()
	}
	return ""
}

func send(from *endpoint, to netip.AddrPort, index int, kind uint32) error {
	var b [checkLength]byte
	binary.BigEndian.PutUint32(b[0:], checkMagic)
	binary.BigEndian.PutUint32(b[4:], uint32(index))
	binary.BigEndian.PutUint32(b[8:], kind)
	_, err := from.conn.WriteToUDPAddrPort(b[:], to)
	return err
}

// read answers what comes in at a socket and notes the answers.
func (k *checker) read(e *endpoint) {
	b := make([]byte, 64)
	for {
		n, from, err := e.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return // closed: the check is over
		}
		index := binary.BigEndian.Uint32(b[4:])
		if n != checkLength || binary.BigEndian.Uint32(b) != checkMagic || int(index) >= len(k.paths) {
			continue
		}
		asked := binary.BigEndian.Uint32(b[8:]) == kindAsk
		if asked && !k.args.oneWay() {
			if err := setHopLimit(e.conn, !e.addr.Is4(), usualHops); err == nil {
				_ = send(e, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), int(index), kindAnswer) // a lost answer is asked for again
			}
			continue
		}
		k.mu.Lock()
		if k.arrived[index] == 0 {
			k.arrived[index] = max(time.Since(k.sent[index]), 1)
		}
		k.mu.Unlock()
	}
}

// lookup asks the kernel of From by which interface it would send.
func (k *checker) lookup(i int) string {
	p := k.paths[i]
	from := k.ends[endpointKey{p.From, p.Source}].node
	routes, err := from.handle.RouteGetWithOptions(p.Destination.AsSlice(), &netlink.RouteGetOptions{SrcAddr: p.Source.AsSlice()})
	if err != nil {
		return fmt.Sprintf("route lookup: %v", err)
	}
	if len(routes) == 0 {
		return "no route"
	}
	l, err := from.handle.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return fmt.Sprintf("route lookup: %v", err)
	}
	if name := l.Attrs().Name; name != p.Interface {
		return fmt.Sprintf("%s sends by %s instead of %s", p.From, name, p.Interface)
	}
	return ""
}
