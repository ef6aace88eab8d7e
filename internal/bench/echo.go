package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// An echo datagram: magic, counter, how to answer, and in the answer the length of
// what arrived; all big-endian, padded to the wanted length.
const (
	echoMagic  = 0x75346d65 // "u4me"
	echoHeader = 16
	echoSize   = 64 // of a latency probe, payload
	echoBack   = 0  // answer with the same length
	echoShort  = 1  // answer with the header alone

	probeSpacing = time.Millisecond
	probeWait    = 50 * time.Millisecond // then a probe counts as lost
)

// Distribution is a set of round trips, in milliseconds.
type Distribution struct {
	Samples int     `json:"samples"`
	Lost    int     `json:"lost"`
	Min     float64 `json:"min_ms"`
	Mean    float64 `json:"mean_ms"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	P999    float64 `json:"p99_9_ms"`
	Max     float64 `json:"max_ms"`
}

// Latency is the round trip of 64-byte datagrams from program to program.
type Latency struct {
	Idle   *Distribution `json:"idle"`   // nothing else sent by this test
	Loaded *Distribution `json:"loaded"` // beside its streams
}

// distribution sorts the samples. A percentile is the smallest sample that at least
// that share of all is not above (nearest rank).
func distribution(all []time.Duration, lost int) Distribution {
	d := Distribution{Samples: len(all), Lost: lost}
	if len(all) == 0 {
		return d
	}
	s := slices.Sorted(slices.Values(all))
	ms := func(t time.Duration) float64 { return round(float64(t) / 1e6) }
	rank := func(share float64) float64 {
		return ms(s[max(0, int(math.Ceil(share*float64(len(s))))-1)])
	}
	var sum time.Duration
	for _, t := range s {
		sum += t
	}
	d.Min, d.Max, d.Mean = ms(s[0]), ms(s[len(s)-1]), ms(sum/time.Duration(len(s)))
	d.P50, d.P99, d.P999 = rank(0.5), rank(0.99), rank(0.999)
	return d
}

// prober is the client's end of an echo.
type prober struct {
	sock *socket
	v6   bool
	stop atomic.Bool
	work sync.WaitGroup
	done chan struct{} // closed when a search has ended

	counter uint32
	buf     []byte
	round   []time.Duration
	lost    int
	mtu     *PathMTU
}

// dialEcho connects to the echo of the server.
func (s *clientSession) dialEcho(ctx context.Context) (*prober, error) {
	conn, err := s.dial(ctx, net.Dialer{}, "udp")
	if err != nil {
		return nil, err
	}
	sock, err := greet(conn.(*net.UDPConn), s.cookie[:])
	if err != nil {
		return nil, fmt.Errorf("echo: %w (latency and path MTU need `usb4mesh bench server` at the other end; iperf3 has no echo)", err)
	}
	return &prober{sock: sock, v6: !s.Server.Addr().Unmap().Is4(), done: make(chan struct{}), buf: make([]byte, 1<<16)}, nil
}

// finished is closed when the prober has nothing more to do; never for latency.
func (p *prober) finished() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.done
}

// start begins to measure latency after the warm-up or, if search is not 0, to
// look for the path MTU.
func (p *prober) start(t Test, search int) {
	roomFor(1)
	p.work.Go(func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		if search > 0 {
			p.mtu = p.searchMTU(search)
			close(p.done)
			return
		}
		p.ping(t.Omit, max(0, t.Spacing))
	})
}

func (p *prober) close() {
	p.stop.Store(true)
	p.work.Wait()
	p.sock.close()
}

// ping sends one probe per spacing and waits for each.
func (p *prober) ping(omit, spacing time.Duration) {
	from := time.Now().Add(omit)
	next := time.Now()
	for !p.stop.Load() {
		t, err := p.exchange(echoSize, echoBack, probeWait)
		if next.After(from) && !p.stop.Load() {
			if err == nil {
				p.round = append(p.round, t)
			} else {
				p.lost++
			}
		}
		next = next.Add(spacing)
		if now := time.Now(); next.Before(now) {
			next = now // late: no burst to catch up
		}
		if wait := time.Until(next); wait > 0 {
			time.Sleep(wait)
		}
	}
}

var errNoEcho = errors.New("no echo")

// exchange sends one datagram of size payload bytes and waits for its answer.
func (p *prober) exchange(size int, how byte, wait time.Duration) (time.Duration, error) {
	p.counter++
	b := p.buf[:size]
	binary.BigEndian.PutUint32(b, echoMagic)
	binary.BigEndian.PutUint32(b[4:], p.counter)
	binary.BigEndian.PutUint32(b[8:], uint32(how))
	begin := time.Now()
	if _, errno := p.sock.put(b); errno != 0 {
		return 0, errno
	}
	for {
		n, errno := p.sock.get(p.buf)
		took := time.Since(begin)
		switch {
		case errno == 0 && n >= echoHeader && binary.BigEndian.Uint32(p.buf) == echoMagic &&
			binary.BigEndian.Uint32(p.buf[4:]) == p.counter && int(binary.BigEndian.Uint32(p.buf[12:])) == size:
			return took, nil
		case errno != 0 && !pauses(errno):
			return 0, errno
		case took > wait || p.stop.Load():
			return 0, errNoEcho
		}
	}
}

// found returns what was measured.
func (p *prober) found(t Test) (*Latency, *PathMTU) {
	if p.mtu != nil {
		return nil, p.mtu
	}
	d := distribution(p.round, p.lost)
	if t.noStreams {
		return &Latency{Idle: &d}, nil
	}
	return &Latency{Loaded: &d}, nil
}

// serveEcho answers probes until stop. An answer is never longer than the question.
func serveEcho(sock *socket, stop *atomic.Bool) {
	b := make([]byte, 1<<16)
	for !stop.Load() {
		n, errno := sock.get(b)
		if errno == 0 && isGreeting(b[:n]) {
			answerGreeting(sock)
			continue
		}
		if errno != 0 || n < echoHeader || binary.BigEndian.Uint32(b) != echoMagic {
			continue // not ours, or a pause; errors of a connected UDP socket pass
		}
		binary.BigEndian.PutUint32(b[12:], uint32(n))
		if binary.BigEndian.Uint32(b[8:]) == echoShort {
			n = echoHeader
		}
		_, _ = sock.put(b[:n]) // lost answers are the client's to count
	}
}
