package bench

import (
	"crypto/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// stream is one direction of data over a socket of its own.
type stream struct {
	id     int
	sender bool
	sock   *socket
	test   Test
	count  counter
	loss   losses // of a receiving UDP stream
	wide   bool   // UDP: 64 bit counters
}

// counter is what both directions count. The stream's goroutine adds, others read.
type counter struct {
	bytes, packets atomic.Int64
}

// run moves data until stop is set or the peer ends the stream.
func (s *stream) run(stop *atomic.Bool) error {
	switch {
	case s.test.UDP && s.sender:
		return s.sendUDP(stop)
	case s.test.UDP:
		return s.receiveUDP(stop)
	case s.sender:
		return s.sendTCP(stop)
	}
	return s.receiveTCP(stop)
}

// sample is a reading of a stream's counters.
type sample struct {
	bytes, packets int64
	lost, highest  int64 // UDP receiver
	retransmits    int64 // TCP sender; -1 unknown
	cwnd           int64 // bytes
	rtt            time.Duration
	mss            int
}

func (s *stream) sample() sample {
	out := sample{bytes: s.count.bytes.Load(), packets: s.count.packets.Load(), retransmits: -1,
		lost: s.loss.lost.Load(), highest: s.loss.highest.Load()}
	if !s.test.UDP {
		if info, err := unix.GetsockoptTCPInfo(s.sock.fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			out.cwnd, out.mss = int64(info.Snd_cwnd)*int64(info.Snd_mss), int(info.Snd_mss)
			out.rtt = time.Duration(info.Rtt) * time.Microsecond
			if s.sender {
				out.retransmits = int64(info.Total_retrans)
			}
		}
	}
	return out
}

// group runs streams together and ends them together.
type group struct {
	streams []*stream
	stop    atomic.Bool
	work    sync.WaitGroup
	once    sync.Once
	failed  chan error // the first error of a stream
}

func newGroup(streams []*stream) *group { return &group{streams: streams, failed: make(chan error, 1)} }

func (g *group) start() {
	roomFor(len(g.streams))
	for _, s := range g.streams {
		g.work.Go(func() {
			if err := s.run(&g.stop); err != nil && !g.stop.Load() {
				select {
				case g.failed <- err:
				default:
				}
			}
		})
	}
}

// roomFor lets more goroutines run than there are CPUs. A stream spends its time in
// system calls, and must not wait for another's when it comes back from one, or before
// its first: on two CPUs this brings 4 to 11 % of throughput with 4 and 8 streams.
func roomFor(streams int) {
	if want := 2*streams + 2; runtime.GOMAXPROCS(0) < want {
		runtime.GOMAXPROCS(want)
	}
}

// halt stops senders first, so that what is on its way still counts.
func (g *group) halt() { g.stop.Store(true) }

// close ends the streams for good and waits for them.
func (g *group) close() {
	g.once.Do(func() {
		g.stop.Store(true)
		for _, s := range g.streams {
			s.sock.shut()
		}
		g.work.Wait()
		for _, s := range g.streams {
			s.sock.close()
		}
	})
}

func (g *group) samples() []sample {
	out := make([]sample, len(g.streams))
	for i, s := range g.streams {
		out[i] = s.sample()
	}
	return out
}

// payload returns n bytes that no link can compress.
func payload(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// mostBehind is how much of the past a pacer makes up for.
const mostBehind = 10 * time.Millisecond

// pacer holds a stream to a rate.
type pacer struct {
	rate  float64 // bytes per second; 0 is no limit
	begin time.Time
	sent  float64
}

func newPacer(bits uint64) *pacer { return &pacer{rate: float64(bits) / 8, begin: time.Now()} }

// due reports whether more may be sent now. If not, it has slept a while: only when
// a millisecond ahead, since sleeping less costs more than it brings, and never for
// so long that the end of the test is missed.
func (p *pacer) due() bool {
	if p.rate == 0 {
		return true
	}
	ahead := time.Duration(p.sent/p.rate*float64(time.Second)) - time.Since(p.begin)
	if ahead <= time.Millisecond {
		if -ahead > mostBehind { // what was missed is not sent in a burst
			p.begin = p.begin.Add(-ahead - mostBehind)
		}
		return true
	}
	time.Sleep(min(ahead, stopGrain))
	return ahead <= stopGrain
}

// add notes that n bytes were sent.
func (p *pacer) add(n int) { p.sent += float64(n) }
