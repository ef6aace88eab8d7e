package scenario

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/fabric"
	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

// Limits of steps. They are many times what a quiet machine needs, since tests may have to share theirs.
const (
	appearLimit  = 90 * time.Second
	carrierLimit = 60 * time.Second
	goneLimit    = 45 * time.Second
)

// Up waits until the interfaces of all cables are there, at both ends, configures them and waits for carrier
// and a first answer. It returns the time until the last interface was there, and until all worked.
func (w *World) Up() (appeared, working time.Duration) {
	w.T.Helper()
	start := time.Now()
	appeared = w.Appear()
	for _, c := range w.cables {
		w.configure(c)
	}
	for _, c := range w.cables {
		w.carry(c)
	}
	w.Report("all interfaces after %.1f s, all cables carry after %.1f s", appeared.Seconds(), time.Since(start).Seconds())
	return appeared, time.Since(start)
}

// Appear waits until the interfaces of all cables are there, at both ends, and returns how long that took.
func (w *World) Appear() time.Duration {
	w.T.Helper()
	start := time.Now()
	for _, c := range w.cables {
		w.appear(c)
	}
	return time.Since(start)
}

// UpCable does for one cable what Up does for all.
func (w *World) UpCable(name string) (appeared, working time.Duration) {
	w.T.Helper()
	start := time.Now()
	c := w.cable(name)
	w.appear(c)
	appeared = time.Since(start)
	w.configure(c)
	w.carry(c)
	return appeared, time.Since(start)
}

// appear waits for the interfaces of a cable.
func (w *World) appear(c cable) {
	w.T.Helper()
	for _, e := range c.ends {
		w.Until(fmt.Sprintf("interface at %s:%d", e.host, e.port), appearLimit, func() error {
			_, err := w.Host(e.host).Interface(e.port)
			return err
		})
	}
}

// configure sets up both ends of a cable: MTU, identities, a route to the peer, and one by way of the peer to
// everybody else whom the peer is cabled to.
func (w *World) configure(c cable) {
	w.T.Helper()
	for i, e := range c.ends {
		me, peer := w.Host(e.host), w.Host(c.ends[1-i].host)
		l, err := me.Interface(e.port)
		if err != nil {
			w.T.Fatal(err)
		}
		me.set(wire.SetLink{Name: l.Name, MTU: MTU, Up: true, Addresses: me.addresses()})
		w.route(me, peer, peer, l.Name, 10+w.twin(c))
		for _, other := range w.cables {
			for j := range other.ends {
				if other.name != c.name && other.ends[j].host == peer.Name && other.ends[1-j].host != me.Name {
					w.route(me, w.Host(other.ends[1-j].host), peer, l.Name, 20)
				}
			}
		}
	}
}

// twin counts the cables between the same hosts that come before c: their routes must differ in metric.
func (w *World) twin(c cable) int {
	n := 0
	for _, o := range w.cables {
		if o.name == c.name {
			break
		}
		if w.joins(o, c.ends[0].host, c.ends[1].host) {
			n++
		}
	}
	return n
}

func (w *World) joins(c cable, a, b string) bool {
	return c.ends[0].host == a && c.ends[1].host == b || c.ends[0].host == b && c.ends[1].host == a
}

func (w *World) route(me, to, via *Host, dev string, metric int) {
	w.T.Helper()
	for _, r := range []wire.Route{
		{To: to.V4 + "/32", Via: via.V4, Dev: dev, Source: me.V4, Metric: metric},
		{To: to.V6 + "/128", Via: via.V6, Dev: dev, Source: me.V6, Metric: metric},
	} {
		if to == via {
			r.Via = ""
		}
		if err := me.SetRoute(w.T.Context(), r); err != nil {
			w.T.Fatalf("%s: %v", me.Name, err)
		}
	}
}

// carry waits until both ends have carrier and a ping goes through, at the largest size.
func (w *World) carry(c cable) {
	w.T.Helper()
	for _, e := range c.ends {
		w.Carrier(c.name, e.host, true)
	}
	for i, e := range c.ends {
		w.Until("ping over "+c.name, carrierLimit, func() error { return w.ping(e.host, c.ends[1-i].host, 1) })
	}
}

// Carrier waits until a cable's interface at a host has carrier, or has none.
func (w *World) Carrier(name, host string, want bool) time.Duration {
	w.T.Helper()
	e := w.end(name, host)
	return w.Until(fmt.Sprintf("carrier %v at %s:%d", want, e.host, e.port), carrierLimit, func() error {
		l, err := w.Host(host).Interface(e.port)
		if err == nil && l.Carrier != want {
			err = fmt.Errorf("%s: %s has carrier %v", host, l.Name, l.Carrier)
		}
		return err
	})
}

// InterfaceOf returns the interface of a cable at a host, which must be there.
func (w *World) InterfaceOf(name, host string) wire.Link {
	w.T.Helper()
	l, err := w.Host(host).Interface(w.end(name, host).port)
	if err != nil {
		w.T.Fatal(err)
	}
	return l
}

func (w *World) end(name, host string) end {
	w.T.Helper()
	c := w.cable(name)
	for _, e := range c.ends {
		if e.host == host {
			return e
		}
	}
	w.T.Fatalf("cable %s does not end at %s", name, host)
	return end{}
}

// Gone waits until a cable's interface at a host is removed, and returns how long that took.
func (w *World) Gone(name, host string) time.Duration {
	w.T.Helper()
	e := w.end(name, host)
	return w.Until(fmt.Sprintf("interface at %s:%d goes", e.host, e.port), goneLimit, func() error {
		l, err := w.Host(host).Interface(e.port)
		if err == nil {
			return fmt.Errorf("%s: %s is still there", host, l.Name)
		}
		return nil
	})
}

// Plug and Unplug put a cable in and pull it.
func (w *World) Plug(name string) {
	w.T.Helper()
	w.Must(w.Fabric.Plug(name))
}

// Unplug pulls a cable at both ends.
func (w *World) Unplug(name string) {
	w.T.Helper()
	w.Must(w.Fabric.Unplug(name))
}

// Fault sets the faults of a cable, at the end of a host, or at both if host is "".
func (w *World) Fault(name, host string, f fabric.Fault) {
	w.T.Helper()
	w.Must(w.Fabric.Fault(name, host, f))
}

// Must ends the test if there is an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// PowerOff cuts the power of a host: cables go dead, the guest ends at once.
func (w *World) PowerOff(host string) {
	w.T.Helper()
	h := w.Host(host)
	if err := h.healthy(); err != nil {
		w.T.Error(err)
	}
	h.off = true
	w.Must(w.Fabric.PowerOff(host))
	w.Must(h.Machine.Close())
}

// PowerOn boots a host again after PowerOff. Its logs begin anew.
func (w *World) PowerOn(host string) {
	w.T.Helper()
	w.Must(w.Fabric.PowerOn(host))
	h := w.Host(host)
	h.Machine, h.off, h.ready = nil, false, false
	w.boot([]*Host{h})
}

// Cut says what pulling a cable and putting it in again did to traffic between its ends.
type Cut struct {
	Cable string
	// Gone is the time until the interface was removed at both ends; Back from the plug until it was there again.
	Gone, Back time.Duration
	// Out is the time from the pull until the cable worked again: what would be lost if there were no other way.
	Out time.Duration
	// Probes between the ends, in both directions and families, sent all the time.
	Probes map[string]wire.Probed
}

// Worst returns the probe with the longest gap, and its name.
func (c Cut) Worst() (name string, p wire.Probed) {
	for n, q := range c.Probes {
		if name == "" || q.Longest() > p.Longest() || q.Longest() == p.Longest() && n < name {
			name, p = n, q
		}
	}
	return name, p
}

// Spacing of the probes that go on while a cable is cut.
const Spacing = 20 * time.Millisecond

// Cut pulls a cable, waits until both ends have noticed, checks that packets go another way if there is one, and
// puts it in again, while probes run between its ends. It reports to the test's log.
func (w *World) Cut(name string) Cut {
	w.T.Helper()
	c := w.cable(name)
	a, b := w.Host(c.ends[0].host), w.Host(c.ends[1].host)
	stop := w.Probe(Spacing, [2]string{a.Name, b.Name}, [2]string{b.Name, a.Name})
	const before = 500 * time.Millisecond
	time.Sleep(before)
	cut := Cut{Cable: name}
	w.Unplug(name)
	start := time.Now()
	for _, e := range c.ends {
		w.Gone(name, e.host)
	}
	cut.Gone = time.Since(start)
	if w.roundabout(c) {
		w.Until("the way round "+name, carrierLimit, func() error { return w.ping(a.Name, b.Name, 1) })
	}
	time.Sleep(500 * time.Millisecond)
	w.Plug(name)
	cut.Back, _ = w.UpCable(name)
	cut.Out = time.Since(start)
	cut.Probes = stop()
	worst, p := cut.Worst()
	from, gap := p.Worst()
	for _, stream := range slices.Sorted(maps.Keys(cut.Probes)) {
		w.T.Logf("lost from %s, first packet and number, one each %v: %v", stream, Spacing, cut.Probes[stream].Gaps)
	}
	w.Report("cut of %s: interfaces gone after %.1f s, back %.1f s after the plug; worst probe %s: %d of %d lost, longest gap %d ms, %.1f s after the pull",
		name, cut.Gone.Seconds(), cut.Back.Seconds(), worst, p.Lost(), p.Sent, gap.Milliseconds(), (from - before).Seconds())
	return cut
}

// roundabout says whether the routes that configure sets lead from one end of a cable to the other without it: over
// a second cable, or over one host between.
func (w *World) roundabout(c cable) bool {
	joined := func(a, b string) bool {
		for _, o := range w.cables {
			if o.name != c.name && w.joins(o, a, b) {
				return true
			}
		}
		return false
	}
	a, b := c.ends[0].host, c.ends[1].host
	if joined(a, b) {
		return true
	}
	for _, h := range w.hosts {
		if joined(a, h.Name) && joined(h.Name, b) {
			return true
		}
	}
	return false
}

// Probe starts streams of numbered UDP packets from hosts to others, which echo them, in both families. It returns
// what ends them all and reports by name: "a to b IPv4".
func (w *World) Probe(spacing time.Duration, pairs ...[2]string) func() map[string]wire.Probed {
	w.T.Helper()
	streams := map[string][2]string{}
	for _, p := range pairs {
		to := w.Host(p[1])
		streams[p[0]+" to "+p[1]+" IPv4"] = [2]string{p[0], to.V4}
		streams[p[0]+" to "+p[1]+" IPv6"] = [2]string{p[0], to.V6}
	}
	type running struct {
		name string
		stop func() (wire.Probed, error)
	}
	var all []running
	for name, s := range streams {
		to := fmt.Sprintf("[%s]:%d", s[1], EchoPort)
		stop, err := w.Host(s[0]).Machine.Probe(w.T.Context(), to, spacing)
		if err != nil {
			w.T.Fatal(err)
		}
		all = append(all, running{name, stop})
	}
	return func() map[string]wire.Probed {
		w.T.Helper()
		var (
			mu   sync.Mutex
			wg   sync.WaitGroup
			errs []error
			out  = map[string]wire.Probed{}
		)
		for _, r := range all {
			wg.Go(func() {
				p, err := r.stop()
				mu.Lock()
				defer mu.Unlock()
				out[r.name] = p
				errs = append(errs, err)
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			w.T.Fatal(err)
		}
		return out
	}
}

// Transfer sends so many pseudo-random bytes over TCP, in both directions at once, and compares what
// arrives. It returns the slower one's bytes per second.
func (w *World) Transfer(from, to string, size int64) float64 {
	w.T.Helper()
	a, b := w.Host(from), w.Host(to)
	var (
		wg    sync.WaitGroup
		errs  [2]error
		rates [2]float64
	)
	for i, pair := range [][2]*Host{{a, b}, {b, a}} {
		wg.Go(func() {
			to := fmt.Sprintf("%s:%d", pair[1].V4, 5000+i)
			got, err := pair[0].Machine.Transfer(w.T.Context(), pair[1].Machine, to, size, 2*time.Minute)
			errs[i], rates[i] = err, float64(got.Bytes)/got.Took.Seconds()
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		w.T.Fatalf("%d bytes between %s and %s: %v", size, from, to, err)
	}
	rate := min(rates[0], rates[1])
	w.Report("%d bytes each way between %s and %s are identical, %.0f Mbit/s each", size, from, to, rate*8/1e6)
	return rate
}
