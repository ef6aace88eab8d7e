package bench

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role)) // see BenchmarkAgainstIperf3
	}
	goleak.VerifyTestMain(m)
}

const short = 300 * time.Millisecond

// modes are the tests that every pair of client and server must manage.
var modes = []struct {
	name string
	test Test
}{
	{"tcp", Test{}},
	{"four streams", Test{Streams: 4}},
	{"reverse", Test{Reverse: true}},
	{"bidirectional", Test{Bidirectional: true, Streams: 2}},
	{"omit", Test{Omit: 200 * time.Millisecond}},
	{"window", Test{Window: 256 << 10}},
	{"mss", Test{MSS: 1000}},
	{"limited", Test{Rate: 50e6}},
	{"small writes", Test{Length: 4096}},
	{"udp", Test{UDP: true, Rate: 20e6}},
	{"udp reverse", Test{UDP: true, Rate: 20e6, Reverse: true}},
	{"udp bidirectional", Test{UDP: true, Rate: 10e6, Streams: 2, Bidirectional: true}},
}

func TestModes(t *testing.T) {
	for _, m := range append(modes,
		struct {
			name string
			test Test
		}{"zero copy", Test{ZeroCopy: true}},
		struct {
			name string
			test Test
		}{"skip copy", Test{SkipCopy: true, Reverse: true}},
	) {
		t.Run(m.name, func(t *testing.T) {
			events := make(chan Event, 8)
			s := &Server{Event: func(e Event) { events <- e }}
			test := m.test
			test.Duration, test.Interval = short, 100*time.Millisecond
			check(t, test, run(t, serve(t, s), test))
			if e := <-events; e.Err != nil || e.Result != nil || e.Client != loopback {
				t.Errorf("at the begin the server says %+v", e)
			}
		})
	}
}

// check wants of a result what any run of the test must show.
func check(t *testing.T, test Test, r Result) {
	t.Helper()
	test = test.withDefaults()
	sends, receives := test.directions()
	if len(r.Streams) != sends+receives {
		t.Errorf("%d streams, want %d", len(r.Streams), sends+receives)
	}
	for i, f := range r.Streams {
		want := "client"
		if i >= sends {
			want = "server"
		}
		if f.ID != streamID(i) || f.Sender != want || f.Received <= 0 || f.Sent <= 0 {
			t.Errorf("stream %d: %+v, sender should be %s", i, f, want)
		}
		// Both ends count after their own warm-up, so the ends differ by what is
		// on its way and by their clocks' distance.
		if f.Received > 2*f.Sent || f.Sent > 2*f.Received+64<<20 {
			t.Errorf("stream %d: %d bytes sent, %d received", f.ID, f.Sent, f.Received)
		}
	}
	if r.Gbps <= 0 || test.Bidirectional != (r.ReverseGbps != nil) {
		t.Errorf("gbps %v, reverse %v", r.Gbps, r.ReverseGbps)
	}
	if off := math.Abs(r.Seconds - test.Duration.Seconds()); off > 0.5*test.Duration.Seconds()+0.3 {
		t.Errorf("%v s, want %v", r.Seconds, test.Duration)
	}
	if test.Rate > 0 {
		want := float64(test.Rate) * float64(test.Streams) / 1e9
		if r.Gbps > 1.3*want || r.Gbps < 0.4*want {
			t.Errorf("%v Gbit/s although the rate is %v", r.Gbps, want)
		}
	}
	if (r.LossPercent != nil) != test.UDP || (r.Retransmits != nil) == test.UDP {
		t.Errorf("loss %v, retransmits %v", r.LossPercent, r.Retransmits)
	}
	if len(r.Intervals) == 0 {
		t.Error("no intervals")
	}
}

func TestLatencyAndPathMTU(t *testing.T) {
	c := serve(t, &Server{})
	d, err := c.Latency(t.Context(), short, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d.Samples < 50 || !(d.Min > 0 && d.Min <= d.P50 && d.P50 <= d.P99 && d.P99 <= d.P999 && d.P999 <= d.Max) {
		t.Errorf("idle: %+v", d)
	}
	r := run(t, c, Test{Echo: true, Duration: short})
	if r.Latency == nil || r.Latency.Loaded == nil || r.Latency.Loaded.Samples == 0 || r.Gbps <= 0 {
		t.Errorf("loaded: %+v", r)
	}
	mtu, err := c.PathMTU(t.Context(), 9000)
	if err != nil {
		t.Fatal(err)
	}
	if !mtu.Reached || mtu.Passes != 9000 || mtu.Tried != 9000 || mtu.Silent {
		t.Errorf("path MTU of loopback: %+v", mtu)
	}
}

func TestIPv6(t *testing.T) {
	c := serve(t, &Server{Bind: []netip.Addr{netip.MustParseAddr("::1")}})
	check(t, Test{Duration: short}, run(t, c, Test{Duration: short}))
	if d, err := c.Latency(t.Context(), short, 0); err != nil || d.Samples == 0 {
		t.Errorf("latency: %+v, %v", d, err)
	}
}

func TestDistribution(t *testing.T) {
	var all []time.Duration
	for i := range 1000 {
		all = append(all, time.Duration(1000-i)*time.Millisecond)
	}
	want := Distribution{Samples: 1000, Lost: 3, Min: 1, Mean: 500.5, P50: 500, P99: 990, P999: 999, Max: 1000}
	if diff := cmp.Diff(want, distribution(all, 3)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := distribution(nil, 7); got != (Distribution{Lost: 7}) {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestLosses(t *testing.T) {
	for _, tt := range []struct {
		name                      string
		arrive                    []int64
		lost, disordered, highest int64
	}{
		{"all", []int64{1, 2, 3}, 0, 0, 3},
		{"first lost", []int64{3, 4}, 2, 0, 4},
		{"gap", []int64{1, 5}, 3, 0, 5},
		{"late is not lost", []int64{1, 3, 2, 4}, 0, 1, 4},
		{"double", []int64{1, 1, 2}, 0, 1, 2},
		{"hostile", []int64{1, math.MaxInt64}, math.MaxInt64 - 2, 0, math.MaxInt64},
	} {
		var l losses
		for _, n := range tt.arrive {
			l.arrive(n, 0.001)
		}
		if l.lost.Load() != tt.lost || l.disordered.Load() != tt.disordered || l.highest.Load() != tt.highest {
			t.Errorf("%s: lost %d, disordered %d, highest %d", tt.name, l.lost.Load(), l.disordered.Load(), l.highest.Load())
		}
	}
	var l losses
	l.arrive(1, 0.010)
	l.arrive(2, 0.026) // 16 ms more: a sixteenth of it is jitter
	if got := l.jitterSeconds(); math.Abs(got-0.001) > 1e-9 {
		t.Errorf("jitter %v, want 0.001", got)
	}
}

func TestStreamIDs(t *testing.T) {
	var got []int
	for i := range 5 {
		got = append(got, streamID(i))
	}
	if diff := cmp.Diff([]int{1, 3, 4, 5, 6}, got); diff != "" {
		t.Errorf("iperf3 leaves out 2 (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []Test{
		{Streams: MaxStreams + 1}, {Streams: -1}, {Duration: 2 * MaxDuration}, {Omit: 2 * MaxOmit}, {Length: MaxLength + 1},
		{UDP: true, Length: 8}, {UDP: true, Length: MaxDatagram + 1}, {Reverse: true, Bidirectional: true}, {TOS: 256},
		{Congestion: "a name far too long for it"}, {UDP: true, Echo: true}, {Rate: math.MaxUint64}, {Interval: time.Millisecond},
	} {
		if _, err := (Client{Server: netip.AddrPortFrom(loopback, 1)}).Run(t.Context(), tt); err == nil || errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%+v: %v, want a refusal before anything is sent", tt, err)
		}
	}
	c := serve(t, &Server{})
	if _, err := c.Run(t.Context(), Test{Duration: short, Congestion: "nosuch"}); err == nil {
		t.Error("a congestion control that does not exist was taken")
	}
}

// One client at a time; the second is told, and is served once the first is gone.
func TestBusy(t *testing.T) {
	c := serve(t, &Server{})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	running := make(chan struct{})
	go func() {
		c := c
		c.Report = func(Interval) {
			select {
			case running <- struct{}{}:
			default:
			}
		}
		_, err := c.Run(ctx, Test{Duration: 20 * time.Second, Rate: 1e6, Interval: 20 * time.Millisecond})
		first <- err
	}()
	<-running
	if _, err := c.Run(t.Context(), Test{Duration: short}); !errors.Is(err, ErrBusy) {
		t.Errorf("second client: %v, want ErrBusy", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first client: %v", err)
	}
	check(t, Test{Duration: short}, run(t, c, Test{Duration: short}))
}

func TestOnceAndAllow(t *testing.T) {
	s := &Server{Bind: []netip.Addr{loopback}, Once: true}
	at, err := s.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context()) }()
	run(t, Client{Server: at[0]}, Test{Duration: short})
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it goes on after one test")
	}
	if _, err := (Client{Server: at[0]}).Run(t.Context(), Test{Duration: short}); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("after its one test: %v", err)
	}
	c := serve(t, &Server{Allow: func(a netip.Addr) bool { return a != loopback }})
	if _, err := c.Run(t.Context(), Test{Duration: short}); err == nil {
		t.Error("a client that is not allowed was served")
	}
}
