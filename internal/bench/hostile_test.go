package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// FuzzParameters feeds the server what a client might send instead of parameters:
// whatever is accepted must be within bounds.
func FuzzParameters(f *testing.F) {
	good, err := json.Marshal(Test{}.withDefaults().parameters())
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		string(good), `{}`, `null`, `[]`, `{"tcp":true,"omit":0,"time":10,"num":0,"blockcount":0,"parallel":1,"len":131072,"pacing_timer":1000}`,
		`{"udp":true,"time":1,"parallel":1,"len":1448,"bandwidth":1e18,"udp_counters_64bit":1}`, `{"tcp":true,"parallel":-1}`,
		`{"tcp":true,"parallel":1e300}`, `{"tcp":true,"time":-0.5}`, `{"tcp":true,"parallel":1,"usb4mesh":{"echo":true,"duration_ms":1e12}}`,
		`{"tcp":1,"parallel":1,"reverse":true,"bidirectional":true}`, strings.Repeat("[", 5000),
	} {
		f.Add(frame(s))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var p parameters
		if decodeFrame(bytes.NewReader(b), &p, maxParams) != nil {
			return
		}
		test, err := p.test()
		if err != nil {
			return
		}
		if err := test.check(); err != nil {
			t.Errorf("accepted although %v: %q", err, b)
		}
		if test.Streams > MaxStreams || test.Duration > MaxDuration || test.Length > MaxLength || test.Length < 1 || test.Omit < 0 {
			t.Errorf("accepted: %+v", test)
		}
	})
}

// FuzzResults feeds a side what the other might send instead of results: whatever
// is accepted must make a result that is JSON.
func FuzzResults(f *testing.F) {
	f.Add([]byte(`{"cpu_util_total":1,"cpu_util_user":1,"cpu_util_system":0,"sender_has_retransmits":18446744073709551615,"streams":[{"id":1,"bytes":5,"retransmits":18446744073709551615,"jitter":0,"errors":0,"packets":0,"start_time":0,"end_time":1}]}`), false)
	f.Add([]byte(`{"streams":[{"id":1,"bytes":1e17,"end_time":-1}]}`), true)
	f.Add([]byte(`{"streams":[{"id":2}]}`), true)
	f.Add([]byte(`{"streams":[{"id":1,"packets":9,"omitted_packets":10,"end_time":1e-300,"bytes":1e18}]}`), true)
	f.Fuzz(func(t *testing.T, b []byte, udp bool) {
		var theirs results
		if decodeFrame(bytes.NewReader(frame(string(b))), &theirs, maxResults) != nil || theirs.check(1) != nil {
			return
		}
		test := Test{UDP: udp}.withDefaults()
		m := &meter{test: test, group: newGroup([]*stream{{id: 1, sender: true, test: test}}), base: []sample{{}}, final: []sample{{}}}
		m.ended = m.begin.Add(time.Second)
		r := m.result(m.results(), theirs)
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%q: %v", b, err)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(make([]byte, 16), true)
	f.Add([]byte("0123456789abcdef"), false)
	f.Fuzz(func(t *testing.T, b []byte, wide bool) {
		if _, n, ok := header(b, wide); ok && n <= 0 {
			t.Errorf("counter %d was taken", n)
		}
	})
}

// Clients that misbehave at any step cost the server nothing but that test.
func TestHostileClients(t *testing.T) {
	c := serve(t, &Server{})
	cookie := newCookie()
	params := frame(`{"tcp":true,"omit":0,"time":1,"num":0,"blockcount":0,"parallel":1,"len":131072}`)
	for _, tt := range []struct {
		name string
		send []byte
		want []byte // what the server answers, as far as it goes
	}{
		{"nothing", nil, []byte{}},
		{"half a cookie", cookie[:10], []byte{}},
		{"a web browser", []byte("GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: x\r\n\r\n"), []byte{9}},
		{"huge parameters", append(cookie[:], 0xff, 0xff, 0xff, 0xff), []byte{9, 0xfe}},
		{"just too long", append(cookie[:], 0, 0, 0x20, 1), []byte{9, 0xfe}},
		{"not JSON", append(cookie[:], frame("xxxx")...), []byte{9, 0xfe}},
		{"too many streams", append(cookie[:], frame(`{"tcp":true,"time":1,"parallel":100000,"len":1000}`)...), []byte{9, 0xfe}},
		{"neither TCP nor UDP", append(cookie[:], frame(`{"time":1,"parallel":1,"len":1000}`)...), []byte{9, 0xfe}},
		{"no streams come", append(cookie[:], params...), []byte{9, 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := talk(t, c, bytes.Clone(tt.send), len(tt.want))
			for bytes.Equal(got, []byte{0xff}) { // the test before has not ended yet
				got = talk(t, c, bytes.Clone(tt.send), len(tt.want))
			}
			if !bytes.Equal(got, tt.want) {
				t.Errorf("the server said %v, want %v", got, tt.want)
			}
			eventually(t, c)
		})
	}
}

// talk says something to the server, hears up to n bytes, and hangs up.
func talk(t *testing.T, c Client, say []byte, n int) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", c.Server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(say); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, n)
	_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	n, _ = io.ReadFull(conn, got)
	return got[:n]
}

// A stream with a wrong cookie is turned away, and the test is not disturbed.
func TestForeignStream(t *testing.T) {
	c := serve(t, &Server{})
	c.Report = func(Interval) {
		conn, err := net.Dial("tcp", c.Server.String())
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		stranger := newCookie()
		fmt.Fprint(conn, string(stranger[:]))
		answer, _ := io.ReadAll(conn)
		if !bytes.Equal(answer, []byte{0xff}) {
			t.Errorf("a stranger heard %v, want access denied", answer)
		}
	}
	test := Test{Duration: short, Interval: 100 * time.Millisecond}
	check(t, test, run(t, c, test))
}

// eventually wants the server to serve a well-behaved client soon.
func eventually(t *testing.T, c Client) {
	t.Helper()
	var err error
	for begin := time.Now(); time.Since(begin) < patience+5*time.Second; {
		if _, err = c.Run(t.Context(), Test{Duration: 50 * time.Millisecond}); err == nil {
			return
		}
	}
	t.Errorf("the server does not recover: %v", err)
}

// A server that lies gets an error for an answer, soon.
func TestHostileServers(t *testing.T) {
	for _, tt := range []struct {
		name string
		say  []byte
	}{
		{"closes", nil},
		{"denies", []byte{0xff}},
		{"nonsense", []byte{77}},
		{"error", []byte{0xfe, 0, 0, 0, 1, 0, 0, 0, 2}},
		{"half an error", []byte{0xfe, 0}},
		{"ends at once", []byte{9, 11}},
		{"starts without streams", []byte{9, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = io.CopyN(io.Discard, conn, cookieSize)
					_, _ = conn.Write(tt.say)
					_ = conn.(*net.TCPConn).CloseWrite()
					_, _ = io.CopyN(io.Discard, conn, 4)
					conn.Close()
				}
			}()
			c := Client{Server: l.Addr().(*net.TCPAddr).AddrPort()}
			if _, err := c.Run(t.Context(), Test{Duration: short}); err == nil {
				t.Error("no error")
			}
			l.Close()
			<-ended
		})
	}
}
