package survey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/bench"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/remote"
)

// Options say how a survey is made.
type Options struct {
	Where    string // agents, lab or ssh, for the report
	Family   string // of the paths, for the report
	Task     Task
	Parallel bool
	Load     bool      // all pairs at once, after the pairs alone
	History  []Record  // earlier surveys, oldest first
	Now      time.Time // of the report
	Progress func(Progress)
	// Hardware reads what a node shows of its USB4, so that links are judged by their
	// trained speed and slow ones diagnosed; nil where there is none to read.
	Hardware func(ctx context.Context, node string) (mesh.Hardware, error)
}

// Progress tells how far a survey is.
type Progress struct {
	Stage       string
	Done, Total int
	Left        time.Duration // estimate; 0 unknown
}

// Run makes a survey. A pair that can't be measured is in the report; an error is
// about the whole.
func Run(ctx context.Context, plan *mesh.Plan, paths []Path, d Door, o Options) (Report, error) {
	s := &surveyor{plan: plan, door: d, o: o, begin: time.Now(), servers: map[string]*server{}, absent: map[string]error{}}
	for _, p := range paths {
		if len(p.Cables) > 0 {
			s.paths = append(s.paths, p)
		}
	}
	if len(s.paths) == 0 {
		return Report{}, errors.New("the plan has no pair of nodes with a way between them in this address family")
	}
	defer s.stop()
	s.report = newReport(plan, s.paths, o)
	if err := s.start(ctx); err != nil {
		return s.report, err
	}
	s.look(ctx)
	if err := s.pairs(ctx); err != nil {
		return s.report, err
	}
	if err := s.confirm(ctx); err != nil {
		return s.report, err
	}
	s.stop()
	if o.Load {
		if err := s.load(ctx); err != nil {
			return s.report, err
		}
	}
	s.report.judge(o.History)
	s.report.Seconds = time.Since(s.begin).Round(10 * time.Millisecond).Seconds()
	return s.report, nil
}

type surveyor struct {
	plan    *mesh.Plan
	paths   []Path
	door    Door
	o       Options
	begin   time.Time
	report  Report
	servers map[string]*server // by node
	absent  map[string]error   // nodes that take no part
	mu      sync.Mutex         // of report and progress while a round runs
}

func newReport(plan *mesh.Plan, paths []Path, o Options) Report {
	r := Report{
		plan: plan, hardware: map[string]mesh.Hardware{},
		Mesh: plan.Mesh, Time: o.Now.UTC().Truncate(time.Second), Where: o.Where,
		Settings: Settings{Family: o.Family, Streams: o.Task.Streams, Duration: o.Task.Duration.Seconds(), MTU: plan.MTU},
		Findings: []Verdict{}, Notes: []string{}, Cables: []Cable{},
	}
	for _, n := range plan.Nodes {
		r.Nodes = append(r.Nodes, n.Name)
	}
	for _, c := range plan.Cables {
		r.Cables = append(r.Cables, Cable{
			Name: c.Name, Ends: [2]string{c.Ends[0].String(), c.Ends[1].String()}, Nodes: [2]string{c.Ends[0].Node, c.Ends[1].Node},
		})
	}
	for _, p := range paths {
		nodes := p.nodes(plan)
		r.Pairs = append(r.Pairs, Pair{
			From: p.From, To: p.To, Cables: p.Cables, Via: append([]string{}, nodes[1:len(nodes)-1]...), Hops: len(p.Cables), Attempts: 1, Evidence: map[string]string{},
		})
	}
	return r
}

func (s *surveyor) progress(stage string, done, total int, left time.Duration) {
	if s.o.Progress != nil {
		s.o.Progress(Progress{stage, done, total, left})
	}
}

// Longest is how long a survey of paths may take, all hardship included.
func Longest(paths []Path, t Task, load bool) time.Duration {
	times := (len(paths) + 1) * (1 + confirmations)
	if load {
		times += 2
	}
	return time.Duration(times)*(t.Duration+t.Latency+30*time.Second) + 5*time.Minute
}

// start starts a server on each node that something is sent to. A node on which none
// starts takes no part; it is an error if no pair is left.
func (s *surveyor) start(ctx context.Context) error {
	s.progress("starting servers", 0, 0, 0)
	at, from := map[string]map[netip.Addr]bool{}, map[string]map[netip.Addr]bool{}
	add := func(m map[string]map[netip.Addr]bool, node string, a netip.Addr) {
		if m[node] == nil {
			m[node] = map[netip.Addr]bool{}
		}
		m[node][a] = true
	}
	for _, p := range s.paths {
		add(at, p.To, p.Destination)
		add(from, p.To, p.Source)
	}
	limit := Longest(s.paths, s.o.Task, false)
	var work sync.WaitGroup
	errs := make([]error, len(s.report.Nodes))
	for i, node := range s.report.Nodes {
		if at[node] == nil {
			continue
		}
		work.Go(func() {
			v, err := startServer(ctx, s.door, node, sorted(at[node]), sorted(from[node]), limit)
			s.mu.Lock()
			defer s.mu.Unlock()
			if errs[i] = err; err == nil {
				s.servers[node] = v
			} else {
				s.absent[node] = err
			}
		})
	}
	work.Wait()
	if !slices.ContainsFunc(s.paths, func(p Path) bool { return s.missing(p) == nil }) {
		return errors.Join(errs...)
	}
	return ctx.Err()
}

// missing says why a pair can't be measured from the beginning.
func (s *surveyor) missing(p Path) error {
	return cmp.Or(s.absent[p.From], s.absent[p.To])
}

func sorted(set map[netip.Addr]bool) []netip.Addr {
	return slices.SortedFunc(maps.Keys(set), netip.Addr.Compare)
}

func (s *surveyor) stop() {
	for _, v := range s.servers {
		v.end()
	}
	clear(s.servers)
}

// pairs measures all pairs, round by round.
func (s *surveyor) pairs(ctx context.Context) error {
	all := rounds(s.plan, s.paths, s.o.Parallel)
	begin, done := time.Now(), 0
	for r, round := range all {
		var left time.Duration
		if r > 0 {
			left = time.Duration(float64(time.Since(begin)) / float64(r) * float64(len(all)-r))
		}
		s.progress(s.name(round), done+1, len(s.paths), left)
		var work sync.WaitGroup
		for _, i := range round {
			work.Go(func() { s.pair(ctx, i) })
		}
		work.Wait()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		done += len(round)
	}
	return nil
}

// confirmations is how often a pair that seems slow is measured again before it is
// called slow: another program may have taken the CPU just then.
const confirmations = 2

// confirm measures again what seems slow, and keeps the best.
func (s *surveyor) confirm(ctx context.Context) error {
	for range confirmations {
		trial := s.report
		trial.Pairs, trial.Cables = slices.Clone(trial.Pairs), slices.Clone(trial.Cables)
		trial.judge(nil)
		slow := []int{}
		for i, p := range trial.Pairs {
			if p.Result != nil && p.Expected != nil && p.Result.Gbps < p.Expected.Low {
				slow = append(slow, i)
			}
		}
		for n, i := range slow {
			s.progress(s.name([]int{i})+" again, it seems slow", n+1, len(slow), 0)
			before := s.report.Pairs[i]
			s.report.Pairs[i].Evidence = map[string]string{}
			s.pair(ctx, i)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			now := &s.report.Pairs[i]
			now.Attempts = before.Attempts + 1
			if now.Result == nil || now.Result.Gbps < before.Result.Gbps {
				before.Attempts = now.Attempts
				*now = before
			}
		}
	}
	return nil
}

func (s *surveyor) name(round []int) string {
	var names []string
	for _, i := range round {
		names = append(names, s.paths[i].From+" to "+s.paths[i].To)
	}
	return strings.Join(names, ", ")
}

// pair measures one pair, with the counters of all nodes on its way.
func (s *surveyor) pair(ctx context.Context, i int) {
	p := s.paths[i]
	if err := s.missing(p); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.report.Pairs[i].Error, s.report.Pairs[i].Verdict = err.Error(), failed
		return
	}
	nodes := p.nodes(s.plan)
	before := s.evidence(ctx, nodes)
	r, err := s.measure(ctx, p)
	after := s.evidence(ctx, nodes)
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &s.report.Pairs[i]
	if err != nil {
		out.Error, out.Verdict = err.Error(), failed
	} else {
		out.Result = &r
	}
	for n, node := range nodes {
		if before[n] != nil && after[n] != nil {
			telling(node, s.plan, p, after[n].Since(*before[n]), out.Evidence)
		}
	}
}

// measure has a client run. Where that fails because the server is gone, the server's
// end says more than the client's words.
func (s *surveyor) measure(ctx context.Context, p Path) (bench.Result, error) {
	to := s.servers[p.To]
	if err := to.lost(); err != nil {
		return bench.Result{}, err
	}
	r, err := measure(ctx, s.door, p.From, p.Source, p.Destination, to.port, s.o.Task)
	if err != nil && ctx.Err() == nil {
		time.Sleep(lostGrain) // both ends see it at about the same time
		err = cmp.Or(to.lost(), err)
	}
	return r, err
}

// lostGrain is what the news of a server's end may take.
const lostGrain = 100 * time.Millisecond

// evidence reads the counters of nodes; nil for a node that does not answer.
func (s *surveyor) evidence(ctx context.Context, nodes []string) []*bench.Evidence {
	out := make([]*bench.Evidence, len(nodes))
	var work sync.WaitGroup
	for i, node := range nodes {
		work.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, startWait)
			defer cancel()
			var e bench.Evidence
			if ask(ctx, s.door, node, remote.Job{Do: remote.Evidence}, &e) == nil {
				out[i] = &e
			}
		})
	}
	work.Wait()
	return out
}

// telling notes those counters of a node that say something about a path.
func telling(node string, plan *mesh.Plan, p Path, e bench.Evidence, into map[string]string) {
	note := func(name string, format string, args ...any) { into[node+" "+name] = fmt.Sprintf(format, args...) }
	for name, n := range e.Counters {
		if n > 0 && name != "TcpOutSegs" {
			note(name, "%d", n)
		}
	}
	if busy := e.BusiestSoftIRQ(); busy >= 50 {
		note("busiest CPU", "%.0f %% softirq", busy)
	}
	if e.IdleExitMicros >= 50 { // less does not show in a round trip
		note("idle exit latency", "%d µs", e.IdleExitMicros)
	}
	np := plan.Node(node)
	if np == nil {
		return
	}
	for _, l := range np.Links {
		if !slices.Contains(p.Cables, l.Cable) {
			continue
		}
		if s, ok := e.Links[l.Interface]; ok {
			if s.MTU != 0 && s.MTU != l.MTU {
				note(l.Interface+" mtu", "%d", s.MTU)
			}
			for name, n := range s.Counters {
				if n > 0 && name != "rx_packets" && name != "tx_packets" {
					note(l.Interface+" "+name, "%d", n)
				}
			}
		}
		for _, q := range e.Queues {
			if q.Interface != l.Interface {
				continue
			}
			if q.RateGbps > 0 {
				note(l.Interface+" qdisc", "%s limits to %.3g Gbit/s, %d drops", q.Kind, q.RateGbps, q.Drops)
			} else if q.Requeues > 0 || q.Drops > 0 {
				note(l.Interface+" qdisc", "%s, %d requeues, %d drops", q.Kind, q.Requeues, q.Drops)
			}
		}
	}
}
