package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Tools that measure throughput.
const (
	Iperf3 = "iperf3" // one TCP stream of iperf3
	Stream = "stream" // one TCP stream of our own
)

type rateArgs struct {
	Pair     Pair
	Duration time.Duration
	Tool     string // "" is iperf3 if installed, else Stream
}

// Rate is a measured throughput.
type Rate struct {
	Gbps float64 `json:"gbps"` // received TCP payload, 10^9 bit/s
	Tool string  `json:"tool"`
}

// Throughput measures one TCP stream from From to To of a pair. Tool is Iperf3,
// Stream, or "" for iperf3 if it is installed and else Stream. iperf3 measures
// whole seconds: d is rounded up.
func (l *Lab) Throughput(ctx context.Context, pair Pair, d time.Duration, tool string) (Rate, error) {
	var r Rate
	err := l.call(ctx, opRate, rateArgs{Pair: pair, Duration: d, Tool: tool}, &r)
	return r, err
}

func (w *world) rate(ctx context.Context, a rateArgs) (Rate, error) {
	paths, err := w.pathsOf([]Pair{a.Pair})
	if err != nil {
		return Rate{}, err
	}
	return rateBetween(ctx, w.byName[a.Pair.From], w.byName[a.Pair.To], paths[0], a)
}

func rateBetween(ctx context.Context, from, to *Node, p Path, a rateArgs) (Rate, error) {
	if a.Duration <= 0 {
		a.Duration = time.Second
	}
	if a.Tool == "" {
		a.Tool = Stream
		if _, err := exec.LookPath(Iperf3); err == nil {
			a.Tool = Iperf3
		}
	}
	measure := iperf
	switch a.Tool {
	case Iperf3:
	case Stream:
		measure = stream
	default:
		return Rate{}, fmt.Errorf("no throughput tool is called %q: use iperf3 or stream", a.Tool)
	}
	ctx, cancel := context.WithTimeout(ctx, a.Duration+10*time.Second)
	defer cancel()
	bits, err := measure(ctx, from, to, p, a.Duration)
	if err != nil {
		return Rate{}, fmt.Errorf("throughput %s to %s (%s, %s): %w", from.Name, to.Name, p.Family, a.Tool, err)
	}
	return Rate{Gbps: math.Round(bits/1e6) / 1e3, Tool: a.Tool}, nil
}

// iperf runs iperf3 between two nodes and returns the received bits per second.
func iperf(ctx context.Context, from, to *Node, p Path, d time.Duration) (float64, error) {
	server := exec.Command(Iperf3, "--server", "--one-off", "--forceflush", "--bind", p.Destination.String())
	said, err := server.StdoutPipe()
	if err != nil {
		return 0, err
	}
	s, err := to.Start(server)
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.End(time.Second) }()
	if err := waitForLine(ctx, said, "Server listening"); err != nil {
		return 0, fmt.Errorf("iperf3 server on %s: %w", to.Name, err)
	}
	seconds := strconv.Itoa(int(math.Ceil(d.Seconds())))
	out, err := from.Run(ctx, Iperf3, "--client", p.Destination.String(), "--bind", p.Source.String(), "--time", seconds, "--json")
	var r struct {
		Error string `json:"error"`
		End   struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if jerr := json.Unmarshal(out, &r); jerr != nil {
		return 0, errors.Join(err, fmt.Errorf("iperf3 wrote no JSON: %w", jerr))
	}
	if r.Error != "" {
		return 0, errors.New(r.Error)
	}
	return r.End.Received.BitsPerSecond, err
}

// waitForLine reads until a line holds text, then goes on reading in the
// background so that the writer does not block.
func waitForLine(ctx context.Context, r io.Reader, text string) error {
	found := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				found <- nil
				_, _ = io.Copy(io.Discard, r)
				return
			}
		}
		found <- errors.Join(lines.Err(), errors.New("it ended"))
	}()
	select {
	case err := <-found:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stream sends one TCP stream between two nodes and returns the received bits
// per second, counted from the first byte that arrives to the last.
func stream(ctx context.Context, from, to *Node, p Path, d time.Duration) (float64, error) {
	listener, err := to.listenTCP(ctx, p.Destination)
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()

	type received struct {
		bits float64
		err  error
	}
	got := make(chan received, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			got <- received{err: err}
			return
		}
		defer c.Close()
		buf := make([]byte, 1<<20)
		_, err = c.Read(buf)
		begin := time.Now()
		var bytes int64
		for err == nil {
			var n int
			n, err = c.Read(buf)
			bytes += int64(n)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		got <- received{float64(8*bytes) / time.Since(begin).Seconds(), err}
	}()

	c, err := from.dialTCP(ctx, p.Source, listener.Addr().String())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(d)); err != nil {
		return 0, err
	}
	buf := make([]byte, 1<<20)
	for err == nil {
		_, err = c.Write(buf)
	}
	if !isTimeout(err) {
		return 0, err
	}
	c.Close()
	select {
	case r := <-got:
		return r.bits, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() || errors.Is(err, unix.ETIMEDOUT)
}
