// Package control steers a running fabric through a Unix socket, one line of words for
// each request and one line of JSON for each answer.
//
//	plug CABLE                 put a cable in
//	unplug CABLE               pull it
//	replug CABLE PAUSE         pull it, put it in after a pause ("2s")
//	fault CABLE END WORDS...   set the faults of an end ("host:port", "host", "both")
//	clear                      put all ends in order
//	power HOST on|off          power loss and return
//	sockets HOST               where QEMU finds the host's functions
//	stats                      states and counters of hosts and cables
//
// Whoever can connect may steer; the socket belongs to the user who runs the fabric.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/fabric"
)

// Limits of a connection.
const (
	maxLine  = 4096             // bytes of a request
	maxIdle  = 10 * time.Minute // a connection that says nothing is closed
	maxConns = 16
)

// Answer is the answer to a request.
type Answer struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// Serve answers requests until ctx ends, and closes the listener.
func Serve(ctx context.Context, l net.Listener, f *fabric.Fabric) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	places := make(chan struct{}, maxConns)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("control socket: %w", err)
		}
		select {
		case places <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		wait.Go(func() {
			defer func() { <-places }()
			answerAll(ctx, conn, f)
		})
	}
}

func answerAll(ctx context.Context, conn net.Conn, f *fabric.Fabric) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	for {
		if conn.SetDeadline(time.Now().Add(maxIdle)) != nil || !lines.Scan() {
			return
		}
		var a Answer
		result, err := Do(f, strings.Fields(lines.Text()))
		if err == nil && result != nil {
			a.Result, err = json.Marshal(result)
		}
		if err != nil {
			a = Answer{Error: err.Error()}
		}
		if json.NewEncoder(conn).Encode(a) != nil {
			return
		}
	}
}

// Do does one request.
func Do(f *fabric.Fabric, words []string) (any, error) {
	if len(words) == 0 {
		return nil, errors.New("an empty request")
	}
	verb, args := words[0], words[1:]
	need := func(n int, usage string) error {
		if len(args) < n {
			return fmt.Errorf("usage: %s %s", verb, usage)
		}
		return nil
	}
	switch verb {
	case "plug", "unplug":
		if err := need(1, "CABLE"); err != nil {
			return nil, err
		}
		if verb == "plug" {
			return nil, f.Plug(args[0])
		}
		return nil, f.Unplug(args[0])
	case "replug":
		if err := need(2, "CABLE PAUSE"); err != nil {
			return nil, err
		}
		pause, err := time.ParseDuration(args[1])
		if err != nil {
			return nil, err
		}
		return nil, f.Replug(args[0], pause)
	case "fault":
		if err := need(2, "CABLE END|both WORDS..."); err != nil {
			return nil, err
		}
		fault, err := fabric.ParseFault(strings.Join(args[2:], " "))
		if err != nil {
			return nil, err
		}
		end := args[1]
		if end == "both" {
			end = ""
		}
		return nil, f.Fault(args[0], end, fault)
	case "clear":
		f.ClearFaults()
		return nil, nil
	case "power":
		if err := need(2, "HOST on|off"); err != nil {
			return nil, err
		}
		switch args[1] {
		case "on":
			return nil, f.PowerOn(args[0])
		case "off":
			return nil, f.PowerOff(args[0])
		}
		return nil, fmt.Errorf("power is on or off, not %q", args[1])
	case "sockets":
		if err := need(1, "HOST"); err != nil {
			return nil, err
		}
		sockets := f.Sockets(args[0])
		if sockets == nil {
			return nil, fmt.Errorf("no host %q", args[0])
		}
		return sockets, nil
	case "stats":
		return f.Stats(), nil
	}
	return nil, fmt.Errorf("no verb %q: there are plug, unplug, replug, fault, clear, power, sockets, stats", verb)
}

// Ask sends one request to a control socket.
func Ask(ctx context.Context, path string, words ...string) (json.RawMessage, error) {
	for _, w := range words {
		if strings.ContainsAny(w, " \t\r\n") {
			return nil, fmt.Errorf("%q: a word has no white space", w)
		}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintln(conn, strings.Join(words, " ")); err != nil {
		return nil, err
	}
	var a Answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		return nil, fmt.Errorf("answer of %s: %w", path, err)
	}
	if a.Error != "" {
		return nil, errors.New(a.Error)
	}
	return a.Result, nil
}
