package bench

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// BenchmarkAgainstSockperf compares our round trips with those of `sockperf
// ping-pong`, between two network namespaces and in turns: 64 bytes of UDP, one
// probe after the other. Each iteration is a pair of runs of a second.
//
// The metrics are microseconds, and our percentile divided by sockperf's in the
// same pair; medians of all pairs.
func BenchmarkAgainstSockperf(b *testing.B) {
	program, err := exec.LookPath("sockperf")
	if err != nil {
		b.Skip("sockperf is not installed (Debian: sockperf)")
	}
	n := newNamespaces(b, 1500)
	server := n.command(1, program, "server", "--ip", there)
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	time.Sleep(200 * time.Millisecond) // it says nothing when it listens
	var ours, theirs, ratio [2][]float64
	for i := 0; b.Loop(); i++ {
		var own, other [2]float64
		if i%2 == 0 {
			own, other = n.ownLatency(b), n.sockperf(b, program)
		} else {
			other, own = n.sockperf(b, program), n.ownLatency(b)
		}
		for k := range own {
			ours[k], theirs[k], ratio[k] = append(ours[k], own[k]), append(theirs[k], other[k]), append(ratio[k], own[k]/other[k])
		}
	}
	b.ReportMetric(0, "ns/op") // says nothing here
	for k, name := range []string{"p50", "p99"} {
		b.ReportMetric(middle(ours[k]), name+"-us")
		b.ReportMetric(middle(theirs[k]), "sockperf-"+name+"-us")
		b.ReportMetric(middle(ratio[k]), "x-"+name)
	}
}

// ownLatency returns the median and the 99 % of our round trips in microseconds.
func (n *namespaces) ownLatency(b *testing.B) [2]float64 {
	b.Helper()
	server, client := n.command(1, os.Args[0]), n.command(0, os.Args[0])
	server.Env = append(os.Environ(), roleVariable+"=server")
	client.Env = append(os.Environ(), roleVariable+"=latency")
	out, _ := n.run(b, server, client)
	var d Distribution
	if err := json.Unmarshal(out, &d); err != nil {
		b.Fatal(err)
	}
	return [2]float64{d.P50 * 1e3, d.P99 * 1e3}
}

var percentile = regexp.MustCompile(`percentile (50|99)\.000 += +([0-9.]+)`)

// sockperf returns the same of sockperf.
func (n *namespaces) sockperf(b *testing.B, program string) (out [2]float64) {
	b.Helper()
	text, err := n.command(0, program, "ping-pong", "--ip", there, "--time", "1", "--msg-size", "64", "--full-rtt").CombinedOutput()
	found := percentile.FindAllSubmatch(text, -1)
	if err != nil || len(found) != 2 {
		b.Fatalf("sockperf: %v %s", err, text)
	}
	for _, f := range found {
		v, _ := strconv.ParseFloat(string(f[2]), 64) // the expression lets nothing else through
		if string(f[1]) == "50" {
			out[0] = v
		} else {
			out[1] = v
		}
	}
	return out
}
