package forwarding

import (
	"fmt"
	"runtime"
	"testing"
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

// TestLarge walks every single cut of a mesh of 400 nodes, and holds how much
// memory that may take: the tables are the largest part, three numbers per pair
// of nodes. How long it takes is a matter of the benchmarks above.
func TestLarge(t *testing.T) {
	const nodes, limit = 400, 16 << 20 // bytes allocated in total, which is more than held at once
	g := regular(nodes, 4, 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := Verify(g, Compile(g), SingleLinks(g))
	runtime.ReadMemStats(&after)
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > limit {
		t.Errorf("%d bytes, want at most %d", bytes, limit)
	}
	if r.Delivered != r.Cases || r.Cases != nodes*(nodes-1)*2*nodes {
		t.Errorf("%d of %d cases delivered", r.Delivered, r.Cases)
	}
}
