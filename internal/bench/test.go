package bench

import (
	"fmt"
	"math"
	"time"
)

// Port is the port of iperf3.
const Port = 5201

// Limits of a test, kept by client and server alike.
const (
	MaxStreams  = 128 // per direction; iperf3's own limit
	MaxDuration = time.Hour
	MaxOmit     = time.Minute
	MaxLength   = 1 << 20 // bytes of a TCP write; iperf3's own limit
	MaxDatagram = 65507   // UDP payload over IPv4
	minDatagram = 16      // time and a 64 bit counter
	maxWindow   = 512 << 20
	maxMSS      = 65495
)

// Defaults of a test.
const (
	DefaultDuration = 10 * time.Second
	DefaultLength   = 128 << 10
	DefaultRate     = 1e6  // bit/s of a UDP stream, as iperf3 has it
	defaultDatagram = 1448 // fits an MTU of 1500 with IPv6 and timestamps
)

// Test says what is measured. The zero value is one TCP stream from client to
// server for DefaultDuration.
type Test struct {
	UDP           bool
	Streams       int           // per direction; 0 is 1
	Reverse       bool          // the server sends
	Bidirectional bool          // both send
	Duration      time.Duration // without Omit; sent to an iperf3 server in whole seconds
	Omit          time.Duration // warm-up that does not count
	Length        int           // bytes per write or datagram; 0 is the default
	Rate          uint64        // bit/s per stream; 0 is no limit for TCP and DefaultRate for UDP
	Window        int           // bytes of the socket buffers; 0 leaves them to the kernel
	MSS           int           // 0 leaves it to the kernel
	Congestion    string        // TCP congestion control; "" leaves it to the kernel
	TOS           int           // DSCP and ECN byte

	// SkipCopy lets receivers on this side drop payload in the kernel instead of
	// copying it out (MSG_TRUNC, tcp(7)). Less work than any real reader has, so
	// results say that it was used.
	SkipCopy bool
	// ZeroCopy lets senders on this side send pages of a file in memory
	// (sendfile(2)) instead of copying from a buffer, as iperf3 -Z does.
	ZeroCopy bool

	// Echo adds latency beside the streams; it needs this program as server.
	Echo     bool
	Spacing  time.Duration // between echo probes; 0 is a millisecond, less is one after the other
	Interval time.Duration // of reports and samples; 0 is a second

	noStreams bool // nothing but the echo
}

// withDefaults fills in what was left open.
func (t Test) withDefaults() Test {
	if t.Streams == 0 && !t.noStreams {
		t.Streams = 1
	}
	if t.Duration == 0 {
		t.Duration = DefaultDuration
	}
	if t.Interval == 0 {
		t.Interval = time.Second
	}
	if t.Spacing == 0 {
		t.Spacing = probeSpacing
	}
	if t.Length == 0 {
		t.Length = DefaultLength
		if t.UDP {
			t.Length = defaultDatagram
		}
	}
	if t.UDP && t.Rate == 0 {
		t.Rate = DefaultRate
	}
	return t
}

// check refuses what is out of bounds. It runs on the client for what the user
// asked, and on the server for what came over the network.
func (t Test) check() error {
	longest, shortest := MaxLength, 1
	if t.UDP {
		longest, shortest = MaxDatagram, minDatagram
	}
	for _, b := range []struct {
		what     string
		is       int64
		min, max int64
	}{
		{"streams", int64(t.Streams), 0, MaxStreams},
		{"duration in ms", t.Duration.Milliseconds(), 1, MaxDuration.Milliseconds()},
		{"omit in ms", t.Omit.Milliseconds(), 0, MaxOmit.Milliseconds()},
		{"length in bytes", int64(t.Length), int64(shortest), int64(longest)},
		{"window in bytes", int64(t.Window), 0, maxWindow},
		{"MSS", int64(t.MSS), 0, maxMSS},
		{"TOS", int64(t.TOS), 0, 255},
		{"interval in ms", t.Interval.Milliseconds(), 10, MaxDuration.Milliseconds()},
	} {
		if b.is < b.min || b.is > b.max {
			return fmt.Errorf("%s %d is not within %d to %d", b.what, b.is, b.min, b.max)
		}
	}
	switch {
	case t.Rate > math.MaxInt64:
		return fmt.Errorf("rate %d is too high", t.Rate)
	case len(t.Congestion) > 15: // TCP_CA_NAME_MAX
		return fmt.Errorf("congestion control %.20q: the kernel knows no name this long", t.Congestion)
	case t.Reverse && t.Bidirectional:
		return fmt.Errorf("reverse and bidirectional exclude each other")
	case t.Echo && t.UDP:
		return fmt.Errorf("latency is measured beside TCP streams, not beside UDP")
	case t.Streams == 0 && !t.noStreams:
		return fmt.Errorf("a test needs a stream")
	}
	return nil
}

// directions returns how many streams the client sends and receives.
func (t Test) directions() (sends, receives int) {
	switch {
	case t.Bidirectional:
		return t.Streams, t.Streams
	case t.Reverse:
		return 0, t.Streams
	}
	return t.Streams, 0
}

// streamID returns the id of the i-th stream, counted from 0: iperf3 numbers
// them 1, 3, 4, 5 (iperf_add_stream).
func streamID(i int) int {
	if i == 0 {
		return 1
	}
	return i + 2
}
