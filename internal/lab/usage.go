package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what the processes of a lab's nodes use of the machine. The kernel's
// own work (forwarding, routes in memory) belongs to no process and is not in it.
type Usage struct {
	Nodes []NodeUsage `json:"nodes"`
}

// NodeUsage is a node and the processes that live in its network namespace.
type NodeUsage struct {
	Node      string         `json:"node"`
	Processes []ProcessUsage `json:"processes"`
}

// ProcessUsage is a process at one moment.
type ProcessUsage struct {
	Name string `json:"name"`
	// RSS is the memory that the process has mapped and in use, shared pages
	// included; PSS counts a page that n processes share as one n-th. In bytes.
	RSS int64 `json:"rss_bytes"`
	PSS int64 `json:"pss_bytes"`
	// CPU is the time it has computed since it was started, to 10 ms.
	CPU time.Duration `json:"cpu_ns"`
}

// RSS sums the memory of a node's processes.
func (n NodeUsage) RSS() (sum int64) {
	for _, p := range n.Processes {
		sum += p.RSS
	}
	return sum
}

// PSS sums the memory of a node's processes, each shared page counted once.
func (n NodeUsage) PSS() (sum int64) {
	for _, p := range n.Processes {
		sum += p.PSS
	}
	return sum
}

// CPU sums the time of a node's processes.
func (n NodeUsage) CPU() (sum time.Duration) {
	for _, p := range n.Processes {
		sum += p.CPU
	}
	return sum
}

// Usage looks at the processes of every node.
func (l *Lab) Usage(ctx context.Context) (Usage, error) {
	var u Usage
	err := l.call(ctx, opUsage, nil, &u)
	return u, err
}

// usage finds a node's processes by their network namespace, so it does not
// matter who started them. The keeper itself is none of them, although its first
// thread, whose namespace stands for the process, may be visiting one.
func (w *world) usage() (Usage, error) {
	node := map[string]int{} // by network namespace
	u := Usage{Nodes: make([]NodeUsage, len(w.nodes))}
	for i, n := range w.nodes {
		ns, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", n.NetNS()))
		if err != nil {
			return Usage{}, err
		}
		node[ns] = i
		u.Nodes[i] = NodeUsage{Node: n.Name, Processes: []ProcessUsage{}}
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return Usage{}, err
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err != nil || pid == os.Getpid() {
			continue
		}
		dir := "/proc/" + e.Name()
		ns, err := os.Readlink(dir + "/ns/net")
		i, ours := node[ns]
		if err != nil || !ours {
			continue // gone by now, or somebody else's
		}
		p, err := processUsage(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return Usage{}, err
		}
		u.Nodes[i].Processes = append(u.Nodes[i].Processes, p)
	}
	return u, nil
}

// processUsage reads /proc/PID, proc(5).
func processUsage(dir string) (ProcessUsage, error) {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return ProcessUsage{}, err
	}
	memory, err := os.ReadFile(dir + "/smaps_rollup")
	if err != nil {
		return ProcessUsage{}, err
	}
	p, err := parseStat(string(stat))
	if err != nil {
		return p, fmt.Errorf("%s/stat: %w", dir, err)
	}
	p.RSS, p.PSS = kilobytes(memory, "Rss:"), kilobytes(memory, "Pss:")
	return p, nil
}

// userHZ is the unit of times in /proc: the kernel shows them to programs in
// 1/100 s on every architecture that Go runs on, whatever its own clock does.
const userHZ = 100

// parseStat reads the name and the CPU time of /proc/PID/stat: pid (comm) state
// ppid ..., where utime and stime are the fields 14 and 15.
func parseStat(stat string) (ProcessUsage, error) {
	head, rest, _ := cutLast(stat, ") ")
	_, name, _ := strings.Cut(head, "(")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return ProcessUsage{}, fmt.Errorf("%d fields behind the name, want 13 at least", len(f))
	}
	var ticks int64
	for _, field := range f[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return ProcessUsage{}, err
		}
		ticks += n
	}
	return ProcessUsage{Name: name, CPU: time.Duration(ticks) * time.Second / userHZ}, nil
}

// kilobytes returns the value of a line "Key:   123 kB" in bytes, 0 for none.
func kilobytes(text []byte, key string) int64 {
	for line := range bytes.Lines(text) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == key {
			n, _ := strconv.ParseInt(string(f[1]), 10, 64)
			return n << 10
		}
	}
	return 0
}
