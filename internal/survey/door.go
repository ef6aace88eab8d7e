package survey

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/bench"
	"github.com/usb4mesh/usb4mesh/internal/remote"
)

// Door has this program run in the nodes of a mesh: by their agents, over ssh, or in a
// lab.
type Door interface {
	// Run has a node do a job until it is done, ctx ends, or (for a server) in ends. The
	// error holds what the program said.
	Run(ctx context.Context, node string, job remote.Job, in io.Reader, out io.Writer) error
}

// Limits of what a node may answer.
const (
	maxAnswer = 16 << 20
	startWait = 20 * time.Second
)

// limited collects an answer up to maxAnswer.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxAnswer {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return l.Buffer.Write(p)
}

// ask has a job done and decodes its JSON answer.
func ask(ctx context.Context, d Door, node string, job remote.Job, v any) error {
	var out limited
	if err := d.Run(ctx, node, job, strings.NewReader(""), &out); err != nil {
		return err
	}
	if err := json.Unmarshal(out.Bytes(), v); err != nil {
		return fmt.Errorf("node %s: the answer to %q is no JSON: %w", node, strings.Join(job.Args(), " "), err)
	}
	return nil
}

// server is a running `bench server` on a node.
type server struct {
	port uint16
	end  func()       // ends it and waits
	lost func() error // why it ended before it was told to; nil if it runs
}

// startServer starts a server on a node's addresses, which takes tests only from
// the given ones. It ends with its standard input, so also when a connection breaks,
// and after limit in any case.
func startServer(ctx context.Context, d Door, node string, at, from []netip.Addr, limit time.Duration) (*server, error) {
	job := remote.Job{Do: remote.Serve, Server: &remote.Server{At: at, From: from, Limit: limit}}
	ctx, cancel := context.WithCancel(ctx)
	in, hold := io.Pipe()
	said, out := io.Pipe()
	ended, failure := make(chan struct{}), error(nil)
	go func() {
		defer close(ended)
		failure = d.Run(ctx, node, job, in, out)
		out.CloseWithError(errors.Join(failure, io.EOF))
		in.Close()
	}()
	var once sync.Once
	s := &server{lost: func() error {
		select {
		case <-ended:
			return fmt.Errorf("node %s: the server ended early: %w", node, cmp.Or(failure, io.EOF))
		default:
			return nil
		}
	}, end: func() {
		once.Do(func() {
			hold.Close()
			select {
			case <-ended:
			case <-time.After(2 * time.Second):
				cancel()
				<-ended
			}
			cancel()
		})
	}}
	line := make(chan string, 1)
	go func() {
		r := bufio.NewReader(io.LimitReader(said, 1<<16))
		text, _ := r.ReadString('\n') // an end without a line is seen below
		line <- text
		_, _ = io.Copy(io.Discard, said)
	}()
	select {
	case text := <-line:
		var v struct{ Listening []netip.AddrPort }
		if err := json.Unmarshal([]byte(text), &v); err == nil && len(v.Listening) > 0 {
			s.port = v.Listening[0].Port()
			return s, nil
		}
	case <-time.After(startWait):
	case <-ctx.Done():
	}
	hold.Close()
	cancel()
	<-ended
	if failure == nil {
		failure = errors.New("it does not say where it listens")
	}
	return nil, fmt.Errorf("node %s: the server does not start: %w", node, failure)
}

// Task is one measurement.
type Task struct {
	Streams  int
	Duration time.Duration
	Latency  time.Duration // idle; 0 measures none, not even beside the streams
	MTU      int           // largest packet to try; 0 tries none
	Interval time.Duration
}

// measure runs a client on a node.
func measure(ctx context.Context, d Door, node string, from, to netip.Addr, port uint16, t Task) (bench.Result, error) {
	job := remote.Job{Do: remote.Measure, Client: &remote.Client{
		From: from, To: to, Port: port, Streams: t.Streams, Duration: t.Duration, Interval: t.Interval, Latency: t.Latency, MTU: t.MTU,
	}}
	ctx, cancel := context.WithTimeout(ctx, t.Duration+t.Latency+time.Minute)
	defer cancel()
	var r bench.Result
	err := ask(ctx, d, node, job, &r)
	return r, err
}
