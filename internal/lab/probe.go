package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A probe run sends one UDP packet per spacing and flow, one way, with a
// sequence number, from identity to identity. The schedule is absolute: a sender
// that was late catches up, so that the number of probes is the time divided by
// the spacing. What does not arrive is lost, for whatever reason, a refused send
// included.

// Flow is a pair that is probed, and how often.
type Flow struct {
	Pair
	Spacing time.Duration
}

type probeArgs struct{ Flows []Flow }

// Phase counts the probes of a stretch of time.
type Phase struct {
	Sent       int `json:"sent"`
	Lost       int `json:"lost"`
	LongestRun int `json:"longest_run"` // of consecutive lost probes, with those of it sent before the phase
}

// FlowResult is what became of a flow's probes, phase by phase.
type FlowResult struct {
	Flow
	Phases     []Phase `json:"phases"`
	SendErrors int     `json:"send_errors"` // of the lost: refused by the sender's own kernel
}

// Gap returns the length of the longest run of lost probes of a phase.
func (f FlowResult) Gap(phase int) time.Duration {
	return time.Duration(f.Phases[phase].LongestRun) * f.Spacing
}

// Probes are what a probe run measured.
type Probes struct {
	Flows []FlowResult  `json:"flows"`
	Late  time.Duration `json:"late"` // the most that a probe was sent after its time
}

// Probing is a probe run under way.
type Probing struct {
	conn *conn
	stop func()
}

// Probe starts to probe flows. It returns when the senders run.
func (l *Lab) Probe(ctx context.Context, flows []Flow) (*Probing, error) {
	c, stop, err := l.request(ctx, opProbe, probeArgs{Flows: flows})
	if err != nil {
		return nil, err
	}
	var r reply
	if err := c.dec.Decode(&r); err != nil {
		stop()
		return nil, fmt.Errorf("probe: %w", err)
	}
	if r.Error != "" {
		stop()
		return nil, errors.New(r.Error)
	}
	return &Probing{conn: c, stop: stop}, nil
}

// Stop ends the run. Marks (CLOCK_MONOTONIC, ascending; see Moment) part it into
// len(marks)+1 phases by the time at which a probe was sent.
func (p *Probing) Stop(ctx context.Context, marks ...int64) (Probes, error) {
	defer p.stop()
	if err := p.conn.send(note{Stop: true, Marks: marks}); err != nil {
		return Probes{}, fmt.Errorf("stop probes: %w", err)
	}
	var r Probes
	err := p.conn.result(ctx, &r)
	return r, err
}

// Cancel ends the run without a result.
func (p *Probing) Cancel() { p.stop() }

const (
	probeMagic  = 0x75346d70 // "u4mp"
	probeLength = 16         // magic, run, flow, sequence
	// maxProbes of one flow end a run that nobody stops: ten minutes at 1 ms.
	maxProbes = 600_000
	// drain is how long receivers wait for the last probes.
	drain = 200 * time.Millisecond
)

// flow is a Flow at work. Its sender owns sent, its receiver owns got; both are
// read by others only when sender and receiver have ended.
type flow struct {
	Flow
	path     Path
	from, to *endpoint
	next     int64   // when the next probe is due
	sent     []int64 // when each probe was sent
	got      []bool
	errors   int
}

type prober struct {
	run   uint32
	flows []*flow
	stop  atomic.Bool
	late  atomic.Int64
}

var probeRuns atomic.Uint32

// probe does a probe run for a client.
func (w *world) probe(ctx context.Context, s *session, a probeArgs) (Probes, error) {
	p := &prober{run: probeRuns.Add(1)}
	pairs := make([]Pair, len(a.Flows))
	for i, f := range a.Flows {
		if f.Spacing < 100*time.Microsecond {
			return Probes{}, fmt.Errorf("probe spacing %s is below 0.1 ms", f.Spacing)
		}
		pairs[i] = f.Pair
	}
	paths, err := w.pathsOf(pairs)
	if err != nil {
		return Probes{}, err
	}
	if len(a.Flows) == 0 {
		paths = nil // pathsOf took it for all
	}
	ends, err := w.endpoints(paths)
	if err != nil {
		return Probes{}, err
	}
	for i, path := range paths {
		p.flows = append(p.flows, &flow{Flow: a.Flows[i], path: path,
			from: ends[endpointKey{path.From, path.Source}], to: ends[endpointKey{path.To, path.Destination}]})
	}

	// A sender that sleeps in the kernel holds a P of the Go scheduler until
	// the monitor takes it away, up to 10 ms later: give each sender its own.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + len(w.nodes)))

	var senders, receivers sync.WaitGroup
	for _, e := range ends {
		receivers.Go(func() { p.receive(e) })
	}
	begin := now() + int64(5*time.Millisecond)
	for i, n := range w.nodes {
		mine := slices.DeleteFunc(slices.Clone(p.flows), func(f *flow) bool { return f.from.node != n })
		for j, f := range mine {
			// Nodes send at different moments; slow flows at different ticks.
			tick := int64(j) * int64(time.Millisecond) % int64(f.Spacing)
			f.next = begin + tick + int64(i)*int64(time.Millisecond)/int64(len(w.nodes))
		}
		if len(mine) > 0 {
			senders.Go(func() { p.sendAll(mine) })
		}
	}
	err = s.send(reply{Started: true})
	var end note
	if err == nil {
		select {
		case end = <-s.notes:
		case <-ctx.Done():
		}
	}
	p.stop.Store(true)
	senders.Wait()
	time.Sleep(drain)
	closeEndpoints(ends)
	receivers.Wait()
	return p.result(end.Marks), err
}

// sendAll sends the probes of one node's flows.
func (p *prober) sendAll(flows []*flow) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	packet := make([]byte, probeLength)
	binary.BigEndian.PutUint32(packet, probeMagic)
	binary.BigEndian.PutUint32(packet[4:], p.run)
	index := map[*flow]uint32{}
	for i, f := range p.flows {
		index[f] = uint32(i)
	}
	for !p.stop.Load() {
		next := flows[0].next
		for _, f := range flows {
			next = min(next, f.next)
		}
		ts := unix.NsecToTimespec(next)
		if err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil); err != nil {
			continue // EINTR: the schedule is absolute
		}
		t := now()
		if late := t - next; late > p.late.Load() {
			p.late.Store(late)
		}
		for _, f := range flows {
			for ; f.next <= t && len(f.sent) < maxProbes; f.next += int64(f.Spacing) {
				binary.BigEndian.PutUint32(packet[8:], index[f])
				binary.BigEndian.PutUint32(packet[12:], uint32(len(f.sent)))
				f.sent = append(f.sent, now())
				if _, err := f.from.conn.WriteToUDPAddrPort(packet, f.to.port); err != nil {
					f.errors++
				}
			}
			if len(f.sent) == maxProbes {
				return
			}
		}
	}
}

// receive notes the probes that arrive at a socket.
func (p *prober) receive(e *endpoint) {
	b := make([]byte, 64)
	for {
		n, _, err := e.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return // closed: the run is over
		}
		if n != probeLength || binary.BigEndian.Uint32(b) != probeMagic || binary.BigEndian.Uint32(b[4:]) != p.run {
			continue
		}
		i, seq := int(binary.BigEndian.Uint32(b[8:])), int(binary.BigEndian.Uint32(b[12:]))
		if i >= len(p.flows) || p.flows[i].to != e || seq >= maxProbes {
			continue
		}
		f := p.flows[i]
		for len(f.got) <= seq {
			f.got = append(f.got, false)
		}
		f.got[seq] = true
	}
}

// result parts each flow's probes into phases and counts.
func (p *prober) result(marks []int64) Probes {
	r := Probes{Late: time.Duration(p.late.Load())}
	for _, f := range p.flows {
		r.Flows = append(r.Flows, FlowResult{Flow: f.Flow, SendErrors: f.errors, Phases: phases(f.sent, f.got, marks)})
	}
	return r
}

// phases counts the probes sent before the first mark, between marks, and after
// the last.
func phases(sent []int64, got []bool, marks []int64) []Phase {
	out := make([]Phase, len(marks)+1)
	phase, run := 0, 0
	for seq, at := range sent {
		for phase < len(marks) && at >= marks[phase] {
			phase++
		}
		o := &out[phase]
		o.Sent++
		if seq < len(got) && got[seq] {
			run = 0
			continue
		}
		run++
		o.Lost++
		o.LongestRun = max(o.LongestRun, run)
	}
	return out
}
