package forwarding

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{16, 64, 256, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			g := regular(n, 4, 1)
			b.ReportAllocs()
			for b.Loop() {
				Compile(g)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{16, 64, 256, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			g := regular(n, 4, 1)
			t, failures := Compile(g), SingleLinks(g)
			b.ReportAllocs()
			for b.Loop() {
				if r := Verify(g, t, failures); r.Delivered != r.Cases {
					b.Fatalf("lost: %+v", r)
				}
			}
		})
	}
}

// TestBudget holds the limits the project promises, on two cores: 64 nodes in
// 0.2 seconds, 1,000 nodes of four ports in 20 seconds and 1 GiB.
func TestBudget(t *testing.T) {
	for _, test := range []struct {
		nodes int
		time  time.Duration
		bytes uint64 // allocated in total, which is more than held at once
	}{{64, 200 * time.Millisecond, 1 << 30}, {1000, 20 * time.Second, 1 << 30}} {
		g := regular(test.nodes, 4, 1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		r := Verify(g, Compile(g), SingleLinks(g))
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		bytes := after.TotalAlloc - before.TotalAlloc
		t.Logf("%d nodes: %v, %d KiB, %d cases", test.nodes, took, bytes>>10, r.Cases)
		if took > test.time || bytes > test.bytes {
			t.Errorf("%d nodes: %v and %d bytes, want at most %v and %d", test.nodes, took, bytes, test.time, test.bytes)
		}
		if r.Delivered != r.Cases || r.Cases != int64(test.nodes*(test.nodes-1)*2*test.nodes) {
			t.Errorf("%d nodes: %d of %d cases delivered", test.nodes, r.Delivered, r.Cases)
		}
	}
}
