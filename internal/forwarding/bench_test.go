package forwarding

import (
	"fmt"
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
