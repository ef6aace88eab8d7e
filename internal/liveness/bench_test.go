package liveness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkPacket reads and writes a packet.
func BenchmarkPacket(b *testing.B) {
	p := packet{state: stateUp, multiplier: 3, mine: 1, yours: 2, desiredMinTx: 50000, requiredMinRx: 50000}
	var wire [packetLen]byte
	b.ReportAllocs()
	for b.Loop() {
		p.marshal(&wire)
		var err error
		if p, err = parsePacket(wire[:]); err != nil {
			b.Fatal(err)
		}
	}
}

const fourLinks = 4

// BenchmarkFourSessions measures what four sessions at 50 ms cost: a process of ours
// and FRR's daemons, one after the other in the same namespace, with our engine at
// the far ends. Run it with -benchtime 1x.
func BenchmarkFourSessions(b *testing.B) {
	const window = 20 * time.Second
	ours := func(realTime bool) func(b *testing.B, n *node, links []Link) []*process {
		return func(_ *testing.B, n *node, links []Link) []*process {
			return []*process{n.start(Config{RealTime: realTime}, links...)}
		}
	}
	for _, c := range []struct {
		name  string
		start func(b *testing.B, n *node, links []Link) []*process
	}{
		{"usb4mesh", ours(false)},
		{"usb4mesh-realtime", ours(true)},
		{"frr", func(b *testing.B, n *node, links []Link) []*process {
			needFRR(b)
			config := "bfd\n"
			for _, l := range links {
				config += frrPeer(l, DefaultInterval, DefaultInterval, DefaultMultiplier)
			}
			return startDaemons(b, n, config).daemons
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b)
			var near, far []Link
			for k := range fourLinks {
				l := w.plug(k+1, false)
				near, far = append(near, l[0]), append(far, l[1])
			}
			e := w.nodes[1].engine(realTimeConfig, far...)
			processes := c.start(b, w.nodes[0], near)
			for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
				up := 0
				for _, s := range e.Sessions() {
					if s.State == Up && s.Interval == DefaultInterval {
						up++
					}
				}
				if up == fourLinks {
					break
				}
				if time.Now().After(end) {
					b.Fatalf("not up: %+v", e.Sessions())
				}
			}
			time.Sleep(time.Second)
			for b.Loop() {
				before, began := cpu(b, processes), time.Now()
				received := e.Sessions()[0].Received
				time.Sleep(window)
				took := time.Since(began)
				b.ReportMetric(100*float64(cpu(b, processes)-before)/float64(took), "%cpu")
				b.ReportMetric(float64(e.Sessions()[0].Received-received)/took.Seconds(), "packets/s/link")
			}
			b.ReportMetric(0, "ns/op")
			var kib int
			for _, p := range processes {
				kib += memory(b, p)
			}
			b.ReportMetric(float64(kib)/1024, "RSS-MiB")
		})
	}
}

// BenchmarkFalseAlarms counts how often sessions end on a good link while four
// processes keep all cores busy: at both ends ours, each in a process of its own. Run
// it with -benchtime 1x.
func BenchmarkFalseAlarms(b *testing.B) {
	const window = 30 * time.Second
	for _, realTime := range []bool{false, true} {
		for _, interval := range []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond} {
			name := fmt.Sprintf("normal/%s", interval)
			if realTime {
				name = fmt.Sprintf("realtime/%s", interval)
			}
			b.Run(name, func(b *testing.B) {
				w := newWorld(b)
				links := w.plug(1, false)
				e := w.nodes[0].engine(Config{Interval: interval, RealTime: realTime}, links[0])
				w.nodes[1].start(Config{Interval: interval, RealTime: realTime}, links[1])
				until(b, e, Alive)
				if realTime && !only(b, e).RealTime {
					b.Skip("no permission for a real-time thread")
				}
				for range 4 {
					w.nodes[0].run(exec.Command("sh", "-c", "while :; do :; done"))
				}
				time.Sleep(time.Second)
				for b.Loop() {
					before, absent := only(b, e), 0
					end := time.After(window)
					for waiting := true; waiting; {
						select {
						case ev := <-e.Events():
							if ev.Session.Verdict == Absent {
								absent++
							}
						case <-end:
							waiting = false
						}
					}
					after := only(b, e)
					b.ReportMetric(float64(after.Lost-before.Lost), "sessions-lost")
					b.ReportMetric(float64(absent), "absent")
					b.ReportMetric(float64(after.Flaps-before.Flaps), "dead")
					b.ReportMetric(float64(after.Late.Microseconds())/1000, "latest-ms")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// cpu returns the time that processes have been running on a core.
func cpu(b *testing.B, processes []*process) time.Duration {
	b.Helper()
	var sum time.Duration
	for _, p := range processes {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
		if err != nil || len(files) == 0 {
			b.Fatalf("%s has ended: %v", p.cmd.Path, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue // a thread that has just ended
			}
			if err != nil {
				b.Fatal(err)
			}
			ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(ns)
		}
	}
	return sum
}

// memory returns the resident memory of a process in KiB.
func memory(b *testing.B, p *process) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return kib
		}
	}
	b.Fatalf("no VmRSS of %s", p.cmd.Path)
	return 0
}
