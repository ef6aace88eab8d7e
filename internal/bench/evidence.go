package bench

import (
	"bufio"
	"bytes"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Evidence is what a node's kernel has counted, as far as it bears on throughput.
// The difference of two readings, around a test, says why the test went as it did.
type Evidence struct {
	Counters map[string]int64    `json:"counters"` // of the network namespace, by the kernel's names
	CPUs     []CPUTime           `json:"cpus"`     // of the whole machine
	Links    map[string]LinkStat `json:"links"`    // by interface
	// IdleExitMicros is how long the deepest sleep that the CPU may take needs to
	// end: it adds to the latency of an idle link. -1 where the kernel does not say.
	IdleExitMicros int     `json:"idle_exit_us"`
	Queues         []Queue `json:"queues"`
}

// CPUTime is what a CPU has done so far, in ticks.
type CPUTime struct {
	SoftIRQ int64 `json:"softirq"`
	Idle    int64 `json:"idle"`
	Total   int64 `json:"total"`
}

// LinkStat is one interface.
type LinkStat struct {
	MTU      int              `json:"mtu"`
	Counters map[string]int64 `json:"counters"` // as in /sys/class/net/*/statistics
}

// Queue is a queueing discipline with what it has counted.
type Queue struct {
	Interface  string  `json:"interface"`
	Kind       string  `json:"kind"`
	RateGbps   float64 `json:"rate_gbps,omitempty"` // of a shaper
	Drops      int64   `json:"drops"`
	Requeues   int64   `json:"requeues"`
	Overlimits int64   `json:"overlimits"`
}

// Counters that are read, by file below /proc/net. snmp has a line of names and a
// line of numbers for each protocol, snmp6 a name and a number a line.
var (
	snmpCounters  = []string{"IpFragFails", "IpInDiscards", "IpOutNoRoutes", "TcpRetransSegs", "TcpOutSegs", "UdpRcvbufErrors"}
	snmp6Counters = []string{"Ip6FragFails", "Ip6InTooBigErrors", "Icmp6OutPktTooBigs", "Ip6OutNoRoutes"}
	linkCounters  = []string{"rx_errors", "rx_dropped", "rx_crc_errors", "rx_over_errors", "rx_missed_errors", "rx_packets", "tx_packets", "tx_dropped", "tx_errors"}
)

const maxEvidence = 1 << 20 // bytes of a file, and more links than a node has ports by far

// ReadEvidence reads what the files below root say (os.DirFS("/") on a machine).
// What a kernel does not have is left out.
func ReadEvidence(root fs.FS) Evidence {
	e := Evidence{Counters: map[string]int64{}, Links: map[string]LinkStat{}, IdleExitMicros: -1, Queues: []Queue{}, CPUs: []CPUTime{}}
	snmp(read(root, "proc/net/snmp"), e.Counters)
	for line := range strings.Lines(read(root, "proc/net/snmp6")) {
		if f := strings.Fields(line); len(f) == 2 && slices.Contains(snmp6Counters, f[0]) {
			e.Counters[f[0]] = number(f[1])
		}
	}
	for line := range strings.Lines(read(root, "proc/net/softnet_stat")) {
		if f := strings.Fields(line); len(f) > 2 { // processed, dropped, time_squeeze; hexadecimal
			for i, name := range map[int]string{1: "softnet_dropped", 2: "softnet_time_squeeze"} {
				n, _ := strconv.ParseInt(f[i], 16, 64) // nonsense is 0
				e.Counters[name] += n
			}
		}
	}
	e.CPUs = cpus(read(root, "proc/stat"))
	e.links(root)
	e.idle(root)
	return e
}

func read(root fs.FS, name string) string {
	f, err := root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxEvidence))
	if err != nil {
		return ""
	}
	return string(b)
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(s), 10, 64) // nonsense is 0
	return n
}

func snmp(text string, into map[string]int64) {
	names := map[string][]string{}
	lines := bufio.NewScanner(bytes.NewBufferString(text))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 0 {
			continue
		}
		protocol := strings.TrimSuffix(f[0], ":")
		if names[protocol] == nil {
			names[protocol] = f
			continue
		}
		for i, v := range f[1:] {
			if i+1 < len(names[protocol]) {
				if name := protocol + names[protocol][i+1]; slices.Contains(snmpCounters, name) {
					into[name] = number(v)
				}
			}
		}
	}
}

// cpus reads lines such as "cpu0 user nice system idle iowait irq softirq steal ...".
func cpus(text string) []CPUTime {
	out := []CPUTime{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 9 || !strings.HasPrefix(f[0], "cpu") || f[0] == "cpu" {
			continue
		}
		c := CPUTime{Idle: number(f[4]), SoftIRQ: number(f[7])}
		for _, v := range f[1:9] {
			c.Total += number(v)
		}
		out = append(out, c)
	}
	return out
}

func (e *Evidence) links(root fs.FS) {
	all, err := fs.ReadDir(root, "sys/class/net")
	if err != nil {
		return
	}
	for _, l := range all {
		if !strings.HasPrefix(l.Name(), "tbt-") && !strings.HasPrefix(l.Name(), "thunderbolt") {
			continue
		}
		dir := path.Join("sys/class/net", l.Name())
		s := LinkStat{MTU: int(number(read(root, dir+"/mtu"))), Counters: map[string]int64{}}
		for _, c := range linkCounters {
			s.Counters[c] = number(read(root, path.Join(dir, "statistics", c)))
		}
		e.Links[l.Name()] = s
	}
}

func (e *Evidence) idle(root fs.FS) {
	states, err := fs.Glob(root, "sys/devices/system/cpu/cpu0/cpuidle/state*")
	if err != nil {
		return
	}
	for _, s := range states {
		if strings.TrimSpace(read(root, s+"/disable")) != "1" {
			e.IdleExitMicros = max(e.IdleExitMicros, int(number(read(root, s+"/latency"))))
		}
	}
}

// Since returns what was counted after an earlier reading of the same node.
func (e Evidence) Since(before Evidence) Evidence {
	out := e
	out.Counters = since(e.Counters, before.Counters)
	out.Links = map[string]LinkStat{}
	for name, l := range e.Links {
		out.Links[name] = LinkStat{l.MTU, since(l.Counters, before.Links[name].Counters)}
	}
	out.CPUs = slices.Clone(e.CPUs)
	for i := range out.CPUs {
		if i < len(before.CPUs) {
			b := before.CPUs[i]
			out.CPUs[i] = CPUTime{out.CPUs[i].SoftIRQ - b.SoftIRQ, out.CPUs[i].Idle - b.Idle, out.CPUs[i].Total - b.Total}
		}
	}
	out.Queues = slices.Clone(e.Queues)
	for i := range out.Queues {
		q := &out.Queues[i]
		for _, b := range before.Queues {
			if b.Interface == q.Interface && b.Kind == q.Kind {
				q.Drops, q.Requeues, q.Overlimits = q.Drops-b.Drops, q.Requeues-b.Requeues, q.Overlimits-b.Overlimits
				break
			}
		}
	}
	return out
}

func since(now, before map[string]int64) map[string]int64 {
	out := maps.Clone(now)
	for k, v := range before {
		if _, ok := out[k]; ok {
			out[k] -= v
		}
	}
	return out
}

// BusiestSoftIRQ is the largest share of its time, in percent, that a CPU spent on
// softirqs; 0 for no time at all.
func (e Evidence) BusiestSoftIRQ() float64 {
	most := 0.0
	for _, c := range e.CPUs {
		if c.Total > 0 {
			most = max(most, 100*float64(c.SoftIRQ)/float64(c.Total))
		}
	}
	return round(most)
}
