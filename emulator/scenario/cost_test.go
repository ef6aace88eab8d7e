package scenario_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/scenario"
)

// cost reports what a world takes when nothing happens: memory, and time of the processor.
func cost(w *scenario.World) {
	w.T.Helper()
	const span = 10 * time.Second
	pids := map[string]int{"emulator and test": os.Getpid()}
	for _, h := range w.Hosts() {
		pids["QEMU of "+h.Name] = h.PID()
	}
	before := map[string]time.Duration{}
	for name, pid := range pids {
		before[name] = busy(w, pid)
	}
	time.Sleep(span)
	for name, pid := range pids {
		share := 100 * (busy(w, pid) - before[name]).Seconds() / span.Seconds()
		mb := resident(w, pid)
		w.Report("idle: %s takes %d MB beside the guests' memory, and %.1f %% of a processor", name, mb, share)
		if mb == 0 || mb > 1024 {
			w.T.Errorf("%s takes %d MB", name, mb)
		}
	}
}

// busy is the time of the processor that a process has used (proc(5): utime and stime, in ticks of 10 ms).
func busy(w *scenario.World, pid int) time.Duration {
	w.T.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		w.T.Fatal(err)
	}
	// The name, in brackets, may have blanks in it.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			w.T.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident is the memory of a process, in MB, without what it shares: the guests' memory, which the emulator has mapped.
func resident(w *scenario.World, pid int) int {
	w.T.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		w.T.Fatal(err)
	}
	sum := 0
	for line := range strings.Lines(string(text)) {
		for _, name := range []string{"RssAnon:", "RssFile:"} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				kb, err := strconv.Atoi(strings.Fields(rest)[0])
				if err != nil {
					w.T.Fatal(err)
				}
				sum += kb
			}
		}
	}
	return sum / 1000
}
