package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

// kernelLog collects the lines of /dev/kmsg since boot.
type kernelLog struct {
	mu    sync.Mutex
	lines []string
	grown chan struct{} // closed and replaced at each new line
}

func openLog() (*kernelLog, error) {
	f, err := os.Open("/dev/kmsg")
	if err != nil {
		return nil, err
	}
	l := &kernelLog{grown: make(chan struct{})}
	go l.follow(f)
	return l, nil
}

// follow reads one record a read, "priority,sequence,microseconds,flags;text\n key=value\n...":
// Documentation/ABI/testing/dev-kmsg. A message without a newline at its end is shown with the next one.
func (l *kernelLog) follow(f *os.File) {
	record := make([]byte, 16<<10)
	for {
		n, err := f.Read(record)
		if errors.Is(err, unix.EPIPE) {
			l.add("usb4emu: some messages were overwritten before they were read")
			continue
		}
		if err != nil {
			l.add("usb4emu: the kernel's log ended: " + err.Error())
			return
		}
		if line, ok := parseRecord(string(record[:n])); ok {
			l.add(line)
		}
	}
}

// parseRecord makes a line as dmesg prints it.
func parseRecord(record string) (line string, ok bool) {
	head, text, _ := strings.Cut(record, ";")
	text, _, _ = strings.Cut(text, "\n")
	fields := strings.Split(head, ",")
	if len(fields) < 3 {
		return "", false
	}
	µs, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return "", false
	}
	return fmt.Sprintf("[%12.6f] %s", float64(µs)/1e6, text), true
}

func (l *kernelLog) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	close(l.grown)
	l.grown = make(chan struct{})
}

// Kmsg returns what the kernel has said since, waiting a while if it is nothing.
func (g *Guest) Kmsg(in wire.Kmsg, out *wire.Messages) error {
	timeout := time.After(in.Wait)
	for {
		g.log.mu.Lock()
		lines, grown := g.log.lines, g.log.grown
		g.log.mu.Unlock()
		out.Next = len(lines)
		if in.After < len(lines) {
			out.Lines = lines[max(in.After, 0):]
			return nil
		}
		select {
		case <-grown:
		case <-timeout:
			return nil
		}
	}
}
