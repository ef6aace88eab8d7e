package gossip

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// loopback is a mesh of so many nodes in this process, on loopback addresses.
func loopback(b *testing.B, n int, fast bool) []*Gossip {
	b.Helper()
	c := Config{Mesh: "bench", Keys: [][]byte{testKey}, Members: map[string][]netip.Addr{}, Fast: fast}
	for i := 1; i <= n; i++ {
		c.Members[name(i)] = []netip.Addr{netip.AddrFrom4([4]byte{127, 75, 62, byte(i)})}
	}
	var nodes []*Gossip
	b.Cleanup(func() {
		done := make(chan bool)
		for _, g := range nodes {
			go func() { _ = g.Close(); done <- true }()
		}
		for range nodes {
			<-done
		}
		time.Sleep(2 * time.Second) // a probe of memberlist's ends with its timer, not with Shutdown
	})
	for i := 1; i <= n; i++ {
		c.Node = name(i)
		g, err := Open(c)
		if err != nil {
			b.Fatal(err)
		}
		nodes = append(nodes, g)
		g.Announce([]LinkState{{Cable: "left", Up: true}, {Cable: "right", Up: true}})
	}
	settled := func() bool {
		for _, g := range nodes {
			if g.store.digest() != nodes[0].store.digest() || len(g.store.all(false)) != n {
				return false
			}
			for _, m := range g.Members() {
				if !m.Alive {
					return false
				}
			}
		}
		return true
	}
	for start := time.Now(); !settled(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			b.Fatal("the nodes do not come together")
		}
	}
	return nodes
}

// BenchmarkSpread is the time from a node's announcement until the last node of the
// mesh knows, over real sockets, all nodes on this machine.
func BenchmarkSpread(b *testing.B) {
	for _, n := range []int{3, 8, 32} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			nodes := loopback(b, n, false)
			time.Sleep(2 * time.Second)
			up, worst := true, time.Duration(0)
			for b.Loop() {
				up = !up
				start := time.Now()
				nodes[0].Announce([]LinkState{{Cable: "left", Up: up}, {Cable: "right", Up: true}})
				seq := nodes[0].store.get("01").Seq
				for _, g := range nodes {
					for g.store.get("01").Seq < seq {
						runtime.Gosched()
					}
				}
				worst = max(worst, time.Since(start))
				b.StopTimer()
				time.Sleep(100 * time.Millisecond) // no two at a time
				b.StartTimer()
			}
			b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
		})
	}
}

// BenchmarkIdle is what a node costs while nothing happens, as a share of ten
// seconds.
func BenchmarkIdle(b *testing.B) {
	for _, n := range []int{3, 8, 32} {
		for _, fast := range []bool{false, true} {
			b.Run(fmt.Sprintf("nodes=%d/fast=%v", n, fast), func(b *testing.B) {
				runtime.GC()
				before := resident(b)
				nodes := loopback(b, n, fast)
				time.Sleep(3 * time.Second)
				var bytes, packets uint64
				count := func() (bytes, packets uint64) {
					for _, g := range nodes {
						s := g.Stats()
						bytes, packets = bytes+s.SentBytes, packets+s.Sent
					}
					return bytes, packets
				}
				var cpu, wall time.Duration
				for b.Loop() {
					bytes0, packets0 := count()
					cpu0, start := cpuTime(b), time.Now()
					time.Sleep(10 * time.Second)
					cpu += cpuTime(b) - cpu0
					wall += time.Since(start)
					bytes1, packets1 := count()
					bytes, packets = bytes+bytes1-bytes0, packets+packets1-packets0
				}
				share := 1 / wall.Seconds() / float64(n)
				b.ReportMetric(100*cpu.Seconds()*share, "%core/node")
				b.ReportMetric(float64(bytes)*share, "B/s/node")
				b.ReportMetric(float64(packets)*share, "packets/s/node")
				b.ReportMetric(float64(resident(b)-before)/float64(n)/1024, "KiB/node")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkRefuse is the cost of a packet with a wrong key.
func BenchmarkRefuse(b *testing.B) {
	c := Config{Mesh: "bench", Node: "01", Port: DefaultPort, Keys: [][]byte{testKey}, Members: map[string][]netip.Addr{"01": {identity(1)}, "02": {identity(2)}}}
	if err := c.complete(); err != nil {
		b.Fatal(err)
	}
	g, err := newGate(&c, &strangers{log: c.Log, wake: func() {}, known: map[strangerKey]*strangerEntry{}})
	if err != nil {
		b.Fatal(err)
	}
	packet := seal(b, []byte("another key of thirty-two bytes!"), label("bench"), make([]byte, 200), 1)
	from := netip.AddrPortFrom(identity(2), DefaultPort)
	b.ReportAllocs()
	for b.Loop() {
		if _, no := g.packet(packet, from); no == nil {
			b.Fatal("let in")
		}
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the memory in use, in bytes.
func resident(b *testing.B) int64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(status))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
