package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/status"
)

// fakeAgent is a program of the stories: fakeagent STATUS.json SOCKET [ADDRESS] answers
// like an agent with the status of a file, until it is killed. It touches no kernel
// and knows nothing; when the file changes, so does the answer. The status server and
// the socket are the real ones.
func fakeAgent() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: fakeagent STATUS.json SOCKET [ADDRESS]")
		os.Exit(2)
	}
	f := &statusFile{name: os.Args[1]}
	o := status.Options{Source: f, Socket: os.Args[2]}
	if len(os.Args) > 3 {
		o.Listen = os.Args[3]
	}
	if _, err := status.Open(o); err != nil {
		fmt.Fprintln(os.Stderr, "fakeagent:", err)
		os.Exit(1)
	}
	select {} // a signal ends it
}

// statusFile is a status.Source that reads a file.
type statusFile struct {
	name string
	mu   sync.Mutex
	last mesh.Status
}

func (f *statusFile) Status() mesh.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	var s mesh.Status
	if b, err := os.ReadFile(f.name); err == nil && json.Unmarshal(b, &s) == nil { // half a file is not read
		f.last = s
	}
	return f.last
}

func (f *statusFile) Healthy() error { return nil }

// Subscribe looks at the file twenty times a second.
func (f *statusFile) Subscribe(ctx context.Context) <-chan struct{} {
	wake := make(chan struct{}, 1)
	go func() {
		defer close(wake)
		var seen time.Time
		for ctx.Err() == nil {
			if info, err := os.Stat(f.name); err == nil && info.ModTime() != seen {
				seen = info.ModTime()
				select {
				case wake <- struct{}{}:
				default: // one is waiting already
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return wake
}
