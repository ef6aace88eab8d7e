package bench

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The first datagram of a stream and the answer to it, little-endian as on every
// machine that matters (iperf.h: UDP_CONNECT_MSG and UDP_CONNECT_REPLY, with the
// values that versions before 3.10 used).
const (
	connectMessage = 0x36373839
	connectReply   = 0x39383736
	legacyReply    = 987654321
)

// isGreeting recognises a first datagram. It comes again if the answer got lost.
func isGreeting(b []byte) bool {
	return (len(b) == 4 || len(b) == 4+cookieSize) && binary.LittleEndian.Uint32(b) == connectMessage
}

func answerGreeting(s *socket) {
	_, _ = unix.Write(s.fd, binary.LittleEndian.AppendUint32(nil, connectReply)) // if it is lost, we are asked again
}

// losses is what a receiving UDP stream sees missing.
type losses struct {
	lost, disordered atomic.Int64
	highest          atomic.Int64 // counter of the last datagram in order
	jitter           atomic.Uint64
	transit          float64
}

// arrive notes a datagram: its counter, counted from 1, and how long it was on its
// way by two clocks that need not agree. Jitter is that of RFC 3550 section 6.4.1.
func (l *losses) arrive(counter int64, transit float64) {
	highest := l.highest.Load()
	switch {
	case counter > highest:
		l.lost.Add(counter - highest - 1)
		l.highest.Store(counter)
	default: // late or double; late ones were counted as lost
		l.disordered.Add(1)
		if l.lost.Load() > 0 {
			l.lost.Add(-1)
		}
	}
	if l.transit != 0 {
		j := math.Float64frombits(l.jitter.Load())
		l.jitter.Store(math.Float64bits(j + (math.Abs(transit-l.transit)-j)/16))
	}
	l.transit = transit
}

func (l *losses) jitterSeconds() float64 { return math.Float64frombits(l.jitter.Load()) }

// sendUDP sends datagrams at the rate of the test. Each begins with the time and
// a counter (iperf_udp_send).
func (s *stream) sendUDP(stop *atomic.Bool) error {
	b := payload(s.test.Length)
	pace := newPacer(s.test.Rate)
	for !stop.Load() {
		if !pace.due() {
			continue
		}
		n := s.count.packets.Load() + 1
		now := time.Now()
		binary.BigEndian.PutUint32(b, uint32(now.Unix()))
		binary.BigEndian.PutUint32(b[4:], uint32(now.Nanosecond()/1000))
		if s.wide {
			binary.BigEndian.PutUint64(b[8:], uint64(n))
		} else {
			binary.BigEndian.PutUint32(b[8:], uint32(n))
		}
		_, err := unix.Write(s.sock.fd, b)
		switch {
		case err == nil:
			s.count.packets.Store(n)
			s.count.bytes.Add(int64(len(b)))
			pace.add(len(b))
		case pauses(err) || err == unix.ENOBUFS || err == unix.ECONNREFUSED: // the peer may have ended a moment before us
		default:
			return fmt.Errorf("stream %d: send %d bytes: %w", s.id, len(b), err)
		}
	}
	return nil
}

func (s *stream) receiveUDP(stop *atomic.Bool) error {
	b := make([]byte, MaxDatagram+1)
	for !stop.Load() {
		n, err := unix.Read(s.sock.fd, b)
		if err != nil {
			if pauses(err) || err == unix.ECONNREFUSED {
				continue
			}
			return fmt.Errorf("stream %d: receive: %w", s.id, err)
		}
		if isGreeting(b[:n]) {
			answerGreeting(s.sock)
			continue
		}
		if sent, counter, ok := header(b[:n], s.wide); ok {
			s.count.bytes.Add(int64(n))
			s.count.packets.Add(1)
			s.loss.arrive(counter, float64(time.Now().UnixMicro()-sent)/1e6)
		}
	}
	return nil
}

// header reads the head of a datagram: when it was sent, in microseconds of the
// sender's clock, and its counter. What is too short or counts from 0 is no datagram
// of a test.
func header(b []byte, wide bool) (sent, counter int64, ok bool) {
	if len(b) < 12 || wide && len(b) < 16 {
		return 0, 0, false
	}
	sent = int64(binary.BigEndian.Uint32(b))*1e6 + int64(binary.BigEndian.Uint32(b[4:]))
	if wide {
		counter = int64(binary.BigEndian.Uint64(b[8:]))
	} else {
		counter = int64(binary.BigEndian.Uint32(b[8:]))
	}
	return sent, counter, counter > 0
}
