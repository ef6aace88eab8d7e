package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/bench"
)

// oneTest is what bench client asks for.
type oneTest struct {
	test    bench.Test
	rate    string
	window  string
	length  string
	latency time.Duration
	mtu     int
	none    bool // no throughput
}

func newBenchClientCommand() *cobra.Command {
	var (
		o      oneTest
		port   uint16
		from   string
		asJSON bool
		v4, v6 bool
	)
	cmd := &cobra.Command{
		Use:   "client HOST",
		Short: "Measure to one host that runs bench server or iperf3 --server",
		Long: `client measures throughput to a host, over TCP or UDP, from here to there or, with
--reverse and --bidir, the other way and both. With --latency it also measures round
trips, idle and beside the streams, and with --mtu the largest packet that arrives there;
both need usb4mesh bench server at the other end. Against iperf3 --server, durations are
whole seconds.

--skip-copy drops what is received in the kernel instead of copying it out, and
--zero-copy sends without copying. Both cost less than any real program, so the result
says that they were used.`,
		Example: `  usb4mesh bench client 10.7.1.2 --duration 3s --streams 4
  usb4mesh bench client 10.7.1.2 --udp --rate 1G --reverse --json
  usb4mesh bench client 10.7.1.2 --latency 1s --mtu 65520`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := benchTarget(cmd.Context(), args[0], port, from, v4, v6)
			if err != nil {
				return err
			}
			if err := o.parse(); err != nil {
				return err
			}
			if !asJSON {
				c.Report = func(i bench.Interval) { sayInterval(cmd.ErrOrStderr(), i) }
			}
			r, err := o.run(cmd.Context(), c)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			return writeResult(cmd.OutOrStdout(), r, o.none)
		},
	}
	f := cmd.Flags()
	t := &o.test
	f.Uint16Var(&port, "port", bench.Port, "port of the server")
	f.StringVar(&from, "bind", "", "source address")
	f.BoolVarP(&v4, "ipv4", "4", false, "IPv4 only")
	f.BoolVarP(&v6, "ipv6", "6", false, "IPv6 only")
	f.DurationVar(&t.Duration, "duration", 10*time.Second, "how long to measure")
	f.DurationVar(&t.Omit, "omit", 0, "warm-up that does not count")
	f.IntVar(&t.Streams, "streams", 1, "parallel streams")
	f.BoolVar(&t.Reverse, "reverse", false, "the server sends")
	f.BoolVar(&t.Bidirectional, "bidir", false, "both send at once")
	f.BoolVar(&t.UDP, "udp", false, "UDP, with loss and jitter")
	f.StringVar(&o.rate, "rate", "", "bit/s of each stream, such as 500M or 2.5G; UDP has 1M if not given")
	f.StringVar(&o.length, "length", "", "bytes of a write or datagram, such as 64K")
	f.StringVar(&o.window, "window", "", "bytes of the socket buffers")
	f.IntVar(&t.MSS, "mss", 0, "TCP maximum segment size")
	f.IntVar(&t.TOS, "tos", 0, "DSCP and ECN byte")
	f.StringVar(&t.Congestion, "congestion", "", "TCP congestion control")
	f.DurationVar(&t.Interval, "interval", time.Second, "time between reports")
	f.BoolVar(&t.SkipCopy, "skip-copy", false, "drop received payload in the kernel")
	f.BoolVar(&t.ZeroCopy, "zero-copy", false, "send without copying")
	f.DurationVar(&o.latency, "latency", 0, "measure round trips: idle for this long, and beside the streams")
	f.DurationVar(&t.Spacing, "probe-interval", time.Millisecond, "time between round trips; 0 sends one after the other")
	f.IntVar(&o.mtu, "mtu", 0, "find the largest packet that arrives, up to this many bytes")
	f.BoolVar(&o.none, "no-throughput", false, "only what --latency and --mtu ask for")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// benchTarget resolves a host. The first address of the wanted family is taken.
func benchTarget(ctx context.Context, host string, port uint16, from string, v4, v6 bool) (bench.Client, error) {
	var c bench.Client
	family := "ip"
	switch {
	case v4 && v6:
		return c, usageError("--ipv4 and --ipv6 exclude each other")
	case v4:
		family = "ip4"
	case v6:
		family = "ip6"
	}
	if from != "" {
		a, err := netip.ParseAddr(from)
		if err != nil {
			return c, usageError("--bind %s is not an IP address", from)
		}
		c.From = a
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, family, host)
	if err != nil {
		return c, fmt.Errorf("%w; HOST is a name or an address", err)
	}
	c.Server = netip.AddrPortFrom(all[0].Unmap(), port)
	return c, nil
}

func (o *oneTest) parse() error {
	rate, err := parseSize(o.rate, 1000)
	if err != nil {
		return usageError("--rate %s: %v", o.rate, err)
	}
	length, err := parseSize(o.length, 1024)
	if err != nil {
		return usageError("--length %s: %v", o.length, err)
	}
	window, err := parseSize(o.window, 1024)
	if err != nil {
		return usageError("--window %s: %v", o.window, err)
	}
	o.test.Rate, o.test.Length, o.test.Window = rate, int(length), int(window)
	if o.test.Spacing == 0 {
		o.test.Spacing = -1
	}
	o.test.Echo = o.latency > 0 && !o.test.UDP
	if o.none && o.latency == 0 && o.mtu == 0 {
		return usageError("--no-throughput leaves nothing to measure: add --latency or --mtu")
	}
	return nil
}

// parseSize reads a number with an optional K, M or G.
func parseSize(text string, unit float64) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	digits, factor := text, 1.0
	for i, suffix := range "KMG" {
		if d, ok := strings.CutSuffix(strings.ToUpper(text), string(suffix)); ok {
			digits = d
			for range i + 1 {
				factor *= unit
			}
		}
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(f >= 0 && f*factor < 1<<50) {
		return 0, errors.New("want a number, with K, M or G behind it if you like")
	}
	return uint64(f * factor), nil
}

// run makes all tests that were asked for and joins what they found.
func (o *oneTest) run(ctx context.Context, c bench.Client) (bench.Result, error) {
	var r bench.Result
	var idle *bench.Distribution
	var mtu *bench.PathMTU
	if o.mtu > 0 {
		found, err := c.PathMTU(ctx, o.mtu)
		if err != nil {
			return r, err
		}
		mtu = &found
	}
	if o.latency > 0 {
		d, err := c.Latency(ctx, o.latency, o.test.Spacing)
		if err != nil {
			return r, err
		}
		idle = &d
	}
	if !o.none {
		var err error
		if r, err = c.Run(ctx, o.test); err != nil {
			return r, err
		}
	} else {
		r.Streams, r.Intervals = []bench.Flow{}, []bench.Interval{}
	}
	if idle != nil {
		if r.Latency == nil {
			r.Latency = &bench.Latency{}
		}
		r.Latency.Idle = idle
	}
	r.PathMTU = mtu
	return r, nil
}

func sayInterval(w io.Writer, i bench.Interval) {
	moved := i.SentGbps
	if i.ReceivedGbps > 0 {
		moved = i.ReceivedGbps
	}
	fmt.Fprintf(w, "%5.1f-%-5.1f s  %8.3f Gbit/s", i.Begin, i.End, moved)
	if i.SentGbps > 0 && i.ReceivedGbps > 0 {
		fmt.Fprintf(w, " received, %.3f sent", i.SentGbps)
	}
	if i.Retransmits > 0 {
		fmt.Fprintf(w, ", %d retransmits", i.Retransmits)
	}
	if i.Lost > 0 {
		fmt.Fprintf(w, ", %d lost", i.Lost)
	}
	fmt.Fprintln(w)
}

// writeResult prints a result for people.
func writeResult(w io.Writer, r bench.Result, noThroughput bool) error {
	var t table
	if !noThroughput {
		t.row("throughput\t%.3f Gbit/s received, %s %s, %d streams, %.1f s", r.Gbps, r.Protocol, r.Direction, len(r.Streams), r.Seconds)
		if r.ReverseGbps != nil {
			t.row("reverse\t%.3f Gbit/s", *r.ReverseGbps)
		}
		if r.Retransmits != nil {
			t.row("retransmits\t%d", *r.Retransmits)
		}
		if r.LossPercent != nil {
			t.row("loss\t%.3f %%, jitter %.3f ms", *r.LossPercent, *r.JitterMs)
		}
		if r.RTTMillis != nil {
			t.row("TCP round trip\t%.3f ms while data flowed", *r.RTTMillis)
		}
		t.row("CPU\t%.0f %% of a core here, %.0f %% there", r.CPU.LocalPercent, r.CPU.RemotePercent)
	}
	if r.Latency != nil {
		for _, d := range []struct {
			name string
			*bench.Distribution
		}{{"latency, idle", r.Latency.Idle}, {"latency, loaded", r.Latency.Loaded}} {
			if d.Distribution != nil {
				t.row("%s\tmin %.3f, p50 %.3f, p99 %.3f, p99.9 %.3f ms of %d; %d lost", d.name, d.Min, d.P50, d.P99, d.P999, d.Samples, d.Lost)
			}
		}
	}
	if r.PathMTU != nil {
		t.row("path MTU\t%d bytes pass, %d tried", r.PathMTU.Passes, r.PathMTU.Tried)
	}
	for _, used := range []struct {
		is   bool
		text string
	}{{r.SkipCopy, "received payload was not copied out of the kernel"}, {r.ZeroCopy, "sent payload was not copied into the kernel"}} {
		if used.is {
			t.row("note\t%s", used.text)
		}
	}
	return t.flush(w)
}

// writeJSONLine writes a value as one line.
func writeJSONLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
