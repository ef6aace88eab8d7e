package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkAgainstIperf3 compares our client and server with those of iperf3, between
// two network namespaces: in turns, so that what else the machine does hurts both
// alike. Each iteration is a pair of runs, so -benchtime 5x gives medians of five.
//
// CONGESTION names a congestion control for both, where the kernel's own is not wanted.
//
// x-gbps is our throughput divided by that of iperf3 in the same pair, x-cpu/GB our
// CPU time per gigabyte divided by theirs, of client and server together.
func BenchmarkAgainstIperf3(b *testing.B) {
	programs := []string{}
	if p, err := exec.LookPath("iperf3"); err == nil {
		programs = append(programs, p)
	}
	if more := os.Getenv("IPERF3"); more != "" {
		programs = append(programs, strings.Split(more, ":")...)
	}
	if len(programs) == 0 {
		b.Skip("iperf3 is not installed (Debian: iperf3), and IPERF3 names none")
	}
	for _, mtu := range []int{1500, 65520} {
		n := newNamespaces(b, mtu)
		for _, program := range programs {
			out, err := exec.Command(program, "--version").Output()
			if err != nil {
				b.Fatal(err)
			}
			for _, streams := range []int{1, 4, 8} {
				b.Run(fmt.Sprintf("%s/mtu%d/P%d", strings.Fields(string(out))[1], mtu, streams), func(b *testing.B) {
					var gbps, theirs, cpu, moreGbps, moreCPU []float64
					for i := 0; b.Loop(); i++ {
						var ours, other load
						if i%2 == 0 {
							ours, other = n.own(b, streams), n.iperf3(b, program, streams)
						} else {
							other, ours = n.iperf3(b, program, streams), n.own(b, streams)
						}
						gbps, theirs, cpu = append(gbps, ours.gbps), append(theirs, other.gbps), append(cpu, ours.cpu)
						moreGbps, moreCPU = append(moreGbps, ours.gbps/other.gbps), append(moreCPU, ours.cpu/other.cpu)
					}
					b.ReportMetric(0, "ns/op") // says nothing here
					b.ReportMetric(middle(gbps), "gbps")
					b.ReportMetric(middle(theirs), "iperf3-gbps")
					b.ReportMetric(middle(cpu), "s/GB")
					b.ReportMetric(middle(moreGbps), "x-gbps")
					b.ReportMetric(middle(moreCPU), "x-cpu/GB")
				})
			}
		}
	}
}

func middle(all []float64) float64 {
	s := slices.Sorted(slices.Values(all))
	return s[len(s)/2]
}

// load is a throughput and what it cost, in seconds of CPU per gigabyte.
type load struct{ gbps, cpu float64 }

const (
	roleVariable       = "BENCH_TEST_ROLE"
	congestionVariable = "CONGESTION"
	pairTime           = time.Second
)

var here, there = "10.9.0.1", "10.9.0.2"

// namespaces are two of them, joined by a veth pair. Processes hold them, which die
// with the test.
type namespaces struct{ pids [2]int }

func newNamespaces(b *testing.B, mtu int) *namespaces {
	b.Helper()
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Skipf("%s is not installed (Debian: iproute2, util-linux)", tool)
		}
	}
	n := &namespaces{}
	for i := range n.pids {
		cmd := exec.Command("sleep", "3600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			b.Skipf("no network namespace: %v; run it as root", err)
		}
		b.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		n.pids[i] = cmd.Process.Pid
	}
	for i, args := range [][]string{
		{"link", "add", "cab0", "mtu", strconv.Itoa(mtu), "type", "veth", "peer", "name", "cab1", "mtu", strconv.Itoa(mtu), "netns", strconv.Itoa(n.pids[1])},
		{"addr", "add", here + "/30", "dev", "cab0"}, {"link", "set", "dev", "cab0", "up"}, {"link", "set", "dev", "lo", "up"},
		{"addr", "add", there + "/30", "dev", "cab1"}, {"link", "set", "dev", "cab1", "up"}, {"link", "set", "dev", "lo", "up"},
	} {
		if out, err := n.command(i/4, append([]string{"ip"}, args...)...).CombinedOutput(); err != nil {
			b.Fatalf("ip %s: %v %s", strings.Join(args, " "), err, out)
		}
	}
	return n
}

func (n *namespaces) command(end int, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	_ = cancel // the time limit is all that is wanted
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=/proc/" + strconv.Itoa(n.pids[end]) + "/ns/net"}, args...)...)
}

// run runs a server until it says that it listens, and then a client.
func (n *namespaces) run(b *testing.B, server, client *exec.Cmd) (answer []byte, cpu time.Duration) {
	b.Helper()
	said, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	buf, text := make([]byte, 1024), ""
	for !strings.Contains(text, "listening") {
		n, err := said.Read(buf)
		if err != nil {
			b.Fatalf("%v: %v %s", server.Args, err, text)
		}
		text += string(buf[:n])
	}
	answer, err = client.Output()
	if err != nil {
		b.Fatalf("%v: %v %s", client.Args, err, answer)
	}
	for err == nil {
		_, err = said.Read(buf)
	}
	if err := server.Wait(); err != nil {
		b.Fatalf("%v: %v", server.Args, err)
	}
	for _, c := range []*exec.Cmd{server, client} {
		cpu += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	}
	return answer, cpu
}

func (n *namespaces) own(b *testing.B, streams int) load {
	b.Helper()
	server, client := n.command(1, os.Args[0]), n.command(0, os.Args[0])
	server.Env = append(os.Environ(), roleVariable+"=server")
	client.Env = append(os.Environ(), roleVariable+"=client", "BENCH_TEST_STREAMS="+strconv.Itoa(streams))
	out, cpu := n.run(b, server, client)
	var r Result
	if err := json.Unmarshal(out, &r); err != nil {
		b.Fatal(err)
	}
	return load{r.Gbps, cpu.Seconds() / (r.Gbps / 8 * r.Seconds)}
}

func (n *namespaces) iperf3(b *testing.B, program string, streams int) load {
	b.Helper()
	args := []string{program, "--client", there, "--time", "1", "--json", "--parallel", strconv.Itoa(streams)}
	if name := os.Getenv(congestionVariable); name != "" {
		args = append(args, "--congestion", name)
	}
	out, cpu := n.run(b, n.command(1, program, "--server", "--one-off", "--bind", there, "--forceflush"),
		n.command(0, args...))
	var r struct {
		End struct {
			Received struct {
				Bytes float64
				Bits  float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal(bytes.TrimSpace(out), &r); err != nil {
		b.Fatal(err)
	}
	return load{r.End.Received.Bits / 1e9, cpu.Seconds() / (r.End.Received.Bytes / 1e9)}
}

// play is one end of a run, in a process of its own.
func play(role string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := errors.New("no such role")
	switch role {
	case "server":
		s := &Server{Bind: []netip.Addr{netip.MustParseAddr(there)}, Port: Port, Once: true}
		if _, err = s.Listen(ctx); err == nil {
			fmt.Println("listening")
			err = s.Serve(ctx)
		}
	case "latency":
		var d Distribution
		c := Client{Server: netip.AddrPortFrom(netip.MustParseAddr(there), Port)}
		if d, err = c.Latency(ctx, pairTime, -1); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(d)
		}
	case "client":
		var r Result
		streams, _ := strconv.Atoi(os.Getenv("BENCH_TEST_STREAMS")) // 0 is one
		c := Client{Server: netip.AddrPortFrom(netip.MustParseAddr(there), Port)}
		if r, err = c.Run(ctx, Test{Streams: streams, Duration: pairTime, Congestion: os.Getenv(congestionVariable)}); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
