package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// IPERF3 names further iperf3 binaries, separated by colons, that the client and
// the server are tried with; the one in PATH is always tried.
func iperf3s(t *testing.T) []string {
	t.Helper()
	var all []string
	if p, err := exec.LookPath("iperf3"); err == nil {
		all = append(all, p)
	}
	for _, p := range strings.Split(os.Getenv("IPERF3"), ":") {
		if p != "" {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		t.Skip("iperf3 is not installed (Debian: iperf3), and IPERF3 names none")
	}
	return all
}

func version(t *testing.T, program string) string {
	t.Helper()
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", program, err)
	}
	return strings.Fields(string(out))[1]
}

// arguments turns a test into the arguments of iperf3 --client.
func arguments(test Test) []string {
	args := []string{"--time", "1", "--json"}
	add := func(is bool, more ...string) {
		if is {
			args = append(args, more...)
		}
	}
	add(test.UDP, "--udp")
	add(test.Streams > 0, "--parallel", strconv.Itoa(test.Streams))
	add(test.Reverse, "--reverse")
	add(test.Bidirectional, "--bidir")
	add(test.Omit > 0, "--omit", "1")
	add(test.Window > 0, "--window", strconv.Itoa(test.Window))
	add(test.MSS > 0, "--set-mss", strconv.Itoa(test.MSS))
	add(test.Rate > 0, "--bitrate", strconv.FormatUint(test.Rate, 10))
	add(test.Length > 0, "--length", strconv.Itoa(test.Length))
	return args
}

// Our server serves iperf3 in all modes.
func TestServeIperf3(t *testing.T) {
	for _, program := range iperf3s(t) {
		for _, m := range modes {
			t.Run(version(t, program)+"/"+m.name, func(t *testing.T) {
				results := make(chan Event, 4)
				c := serve(t, &Server{Event: func(e Event) { results <- e }})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				args := append([]string{"--client", c.Server.Addr().String(), "--port", strconv.Itoa(int(c.Server.Port()))}, arguments(m.test)...)
				out, err := exec.CommandContext(ctx, program, args...).Output()
				type sum struct {
					Bits float64 `json:"bits_per_second"`
					Lost float64 `json:"lost_percent"`
				}
				var r struct {
					Error string
					End   struct {
						Sum      sum `json:"sum"`
						Received sum `json:"sum_received"`
						Back     sum `json:"sum_received_bidir_reverse"`
					}
				}
				if jerr := json.Unmarshal(out, &r); err != nil || jerr != nil || r.Error != "" {
					t.Fatalf("iperf3: %v %v %s", err, jerr, out)
				}
				if r.End.Received.Bits <= 0 && r.End.Sum.Bits <= 0 || m.test.Bidirectional && !m.test.UDP && r.End.Back.Bits <= 0 {
					t.Errorf("iperf3 measured nothing: %+v", r.End)
				}
				<-results // of the begin
				e := <-results
				if e.Err != nil || e.Result == nil || e.Result.Gbps <= 0 {
					t.Errorf("the server saw %+v", e)
				}
				// What iperf3 says was received is what we counted, or what we sent.
				if got, want := r.End.Received.Bits/1e9, e.Result.Gbps; !m.test.UDP && (got < 0.8*want || got > 1.25*want) {
					t.Errorf("iperf3 says %.3f Gbit/s, we say %.3f", got, want)
				}
			})
		}
	}
}

// Our client measures against iperf3 in all modes.
func TestMeasureIperf3(t *testing.T) {
	for _, program := range iperf3s(t) {
		for _, m := range modes {
			t.Run(version(t, program)+"/"+m.name, func(t *testing.T) {
				c := iperf3Server(t, program)
				test := m.test
				test.Duration, test.Interval = time.Second, 200*time.Millisecond
				if test.Omit > 0 {
					test.Omit = time.Second // iperf3 knows whole seconds
				}
				check(t, test, run(t, c, test))
			})
		}
		t.Run(version(t, program)+"/no echo", func(t *testing.T) {
			c := iperf3Server(t, program)
			_, err := c.Run(t.Context(), Test{Echo: true, Duration: short})
			if err == nil || !strings.Contains(err.Error(), "iperf3 has no echo") {
				t.Errorf("latency against iperf3: %v", err)
			}
		})
	}
}

// iperf3Server starts iperf3 for one test, on a port that was free a moment ago.
func iperf3Server(t *testing.T, program string) Client {
	t.Helper()
	s := &Server{Bind: []netip.Addr{loopback}}
	at, err := s.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	cmd := exec.CommandContext(ctx, program, "--server", "--one-off", "--bind", "127.0.0.1", "--port", fmt.Sprint(at[0].Port()), "--forceflush")
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	b := make([]byte, 4096)
	for text := ""; !strings.Contains(text, "listening"); {
		n, err := said.Read(b)
		if err != nil {
			t.Fatalf("%s --server: %v %s", program, err, text)
		}
		text += string(b[:n])
	}
	return Client{Server: at[0]}
}
