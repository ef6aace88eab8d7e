package remote

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

func (w *town) dial() net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", netip.AddrPortFrom(w.config.Members["n1"][0], uint16(w.config.Port)).String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(4 * helloTime))
	return c
}

// somebody returns TLS settings with a certificate of his own making.
func somebody(t *testing.T) *tls.Config {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}
}

// Who does not have the key gets nothing, whatever he tries: no answer to a request, and no
// program is run. The agent serves others meanwhile.
func TestStrangers(t *testing.T) {
	w := newTown(t, 2, keyA)
	ours, err := settings(w.config.Keys, w.config.Mesh, agentEnd, coordinatorEnd)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		tls  func(c *tls.Config)
	}{
		{"another key", func(*tls.Config) {}},
		{"no certificate", func(c *tls.Config) { c.Certificates = nil }},
		{"an old version", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		{"our certificate without the key", func(c *tls.Config) { c.Certificates[0].Certificate = ours.Certificates[0].Certificate }},
		{"the signature of the other end", func(c *tls.Config) { c.Certificates = ours.Certificates }},
		{"two certificates", func(c *tls.Config) {
			c.Certificates[0].Certificate = append(c.Certificates[0].Certificate, ours.Certificates[0].Certificate...)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := somebody(t)
			tt.tls(c)
			conn := tls.Client(w.dial(), c)
			defer conn.Close()
			r := request{Version: version, Mesh: "town", Digest: "abc", Session: strings.Repeat("a", sessionID), Limit: time.Second}
			_ = writeMessage(conn, frameRequest, r) // the error, if any, comes with the answer too
			var b [1]byte
			if n, err := conn.Read(b[:]); err == nil || n > 0 {
				t.Errorf("the agent says %q", b[:n])
			}
		})
	}
	for _, tt := range []struct {
		name string
		say  []byte
	}{
		{"a web browser", []byte("GET / HTTP/1.1\r\nHost: n1\r\n\r\n")},
		{"a request in the clear", append([]byte{frameRequest, 0, 0, 0, 2}, "{}"...)},
		{"noise", bytes.Repeat([]byte{0xff}, 64<<10)},
		{"a long hello", append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff}, make([]byte, 64<<10)...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := w.dial()
			go func() { _, _ = conn.Write(tt.say) }() // it may be cut off
			got, _ := io.ReadAll(conn)                // until it is closed, by a reset perhaps
			if len(got) > 7 {                         // a TLS alert
				t.Errorf("the agent says %d bytes: %q", len(got), got)
			}
		})
	}
	if w.args != nil {
		t.Errorf("something was run: %q", w.args)
	}
	k := w.mustHold(nil)
	if err := k.Missing()["n1"]; err != nil {
		t.Errorf("nobody is served any more: %v", err)
	}
}

// Silent strangers are sent away in time, and do not keep others out meanwhile.
func TestSilentStrangers(t *testing.T) {
	w := newTown(t, 1, keyA)
	begin := time.Now()
	var silent []net.Conn
	for range helloWaits {
		silent = append(silent, w.dial())
	}
	// From the same origin nobody else is let in, from a node of the mesh he is.
	var b [1]byte
	if _, err := w.dial().Read(b[:]); err == nil {
		t.Error("one more is let in")
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 7, 94, 1)}}
	raw, err := d.Dial("tcp", silent[0].RemoteAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err := settings(w.config.Keys, w.config.Mesh, coordinatorEnd, agentEnd)
	if err != nil {
		t.Fatal(err)
	}
	node := tls.Client(raw, ours)
	defer node.Close()
	if err := node.Handshake(); err != nil {
		t.Errorf("a node is kept out: %v", err)
	}
	for _, c := range silent {
		if _, err := c.Read(b[:]); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a silent stranger: %v", err)
		}
	}
	if passed := time.Since(begin); passed < helloTime-time.Second {
		t.Errorf("they were sent away after %s already", passed)
	}
}

func TestOriginsAreLimited(t *testing.T) {
	o := &origin{}
	now := time.Unix(1e9, 0)
	in := 0
	for range 10 * helloRate {
		if o.enter(now) {
			in++
			o.leave()
		}
	}
	if in != helloRate {
		t.Errorf("%d enter at once, want %d", in, helloRate)
	}
	if now = now.Add(time.Second / 2); !o.enter(now) {
		t.Error("nobody may enter half a second later")
	}
	for range helloWaits - 1 {
		o.enter(now)
	}
	if o.enter(now) {
		t.Errorf("more than %d wait", helloWaits)
	}
	o.leave()
	if !o.enter(now) {
		t.Error("nobody may enter after one has left")
	}
}

// Who has the key and talks nonsense is told so, or cut off; nothing is run.
func TestNonsense(t *testing.T) {
	w := newTown(t, 1, keyA)
	ours, err := settings(w.config.Keys, w.config.Mesh, coordinatorEnd, agentEnd)
	if err != nil {
		t.Fatal(err)
	}
	good := request{Version: version, Mesh: "town", Digest: "abc", Session: strings.Repeat("a", sessionID), Coordinator: "me"}
	with := func(change func(*request)) []byte {
		r := good
		change(&r)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, tt := range []struct {
		name string
		kind byte
		body []byte
		code string
	}{
		{"no request", frameOutput, []byte("{}"), codeBad},
		{"no JSON", frameRequest, []byte("hello"), codeBad},
		{"another version", frameRequest, []byte(`{"version": 2, "news": []}`), codeVersion},
		{"an unknown field", frameRequest, bytes.Replace(with(func(*request) {}), []byte(`"limit"`), []byte(`"command":"sh","limit"`), 1), codeBad},
		{"two requests", frameRequest, append(with(func(*request) {}), "{}"...), codeBad},
		{"a session that is no number", frameRequest, with(func(r *request) { r.Session = strings.Repeat("x", sessionID) }), codeBad},
		{"a long name", frameRequest, with(func(r *request) { r.Coordinator = strings.Repeat("x", maxName+1) }), codeBad},
		{"for ever", frameRequest, with(func(r *request) { r.Limit = 2 * MaxSurvey }), codeBad},
		{"a job of no session", frameRequest, with(func(r *request) { r.Job = &Job{Do: Evidence} }), codeSession},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := tls.Client(w.dial(), ours)
			defer conn.Close()
			if err := writeFrame(conn, tt.kind, tt.body); err != nil {
				t.Fatal(err)
			}
			kind, body, err := readFrame(conn, maxRequest)
			var e ending
			if err != nil || kind != frameEnd || json.Unmarshal(body, &e) != nil || e.Code != tt.code || e.Text == "" {
				t.Errorf("%q %q %v, want code %s", kind, body, err, tt.code)
			}
		})
	}
	conn := tls.Client(w.dial(), ours)
	defer conn.Close()
	if _, err := conn.Write([]byte{frameRequest, 0, 1, 0, 1}); err != nil { // more would follow, but is not waited for
		t.Fatal(err)
	}
	if kind, body, err := readFrame(conn, maxRequest); kind != frameEnd || !strings.Contains(string(body), "a message of 65537 bytes; at most 65536") {
		t.Errorf("a long request: %q %q %v", kind, body, err)
	}
	if w.args != nil {
		t.Errorf("something was run: %q", w.args)
	}
}

// FuzzRequest feeds an agent what somebody might send who has the key: what is accepted
// is within bounds, and its arguments are what this program takes for values, never more
// of them.
func FuzzRequest(f *testing.F) {
	add := func(r request) {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	a, b := netip.MustParseAddr("10.7.1.1"), netip.MustParseAddr("10.7.1.2")
	good := request{Version: version, Mesh: "m", Digest: "abc", Session: strings.Repeat("0", sessionID), Coordinator: "01"}
	for _, j := range []*Job{
		{Do: Evidence}, {Do: Hardware}, {Do: Serve, Server: &Server{At: []netip.Addr{a}, From: []netip.Addr{b}, Limit: time.Minute}},
		{Do: Measure, Client: &Client{From: a, To: b, Port: 5201, Streams: 4, Duration: time.Second, Interval: time.Second, Latency: time.Second, MTU: 65520}},
	} {
		good.Job = j
		add(good)
	}
	good.Job, good.Limit = nil, time.Hour
	add(good)
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`null`))
	f.Add([]byte(strings.Repeat("[", 10000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil || r.Version != version {
			return
		}
		if r.Job == nil {
			if r.Limit < time.Second || r.Limit > MaxSurvey {
				t.Errorf("held for %s", r.Limit)
			}
			return
		}
		for i, arg := range r.Job.Args() {
			if arg == "" || len(arg) > 64 || strings.Trim(arg, "abcdefghijklmnopqrstuvwxyz0123456789.:-µ") != "" {
				t.Errorf("argument %d is %q", i, arg)
			}
		}
		if c := r.Job.Client; c != nil && (c.Streams < 1 || c.Streams > maxStreams || c.Duration > maxDuration || c.Port < minPort) {
			t.Errorf("accepted: %+v", c)
		}
		if d := r.Job.time(); d <= 0 || d > MaxSurvey+time.Minute {
			t.Errorf("it may take %s", d)
		}
	})
}

// FuzzAnswers feeds a coordinator what an agent might send: it ends, and what is shown
// obeys no terminal.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte("o\x00\x00\x00\x02hie\x00\x00\x00\x02{}"))
	f.Add([]byte("e\x00\x00\x00\x1d" + `{"code":"busy","text":"\u001b"}`))
	f.Add([]byte("o\xff\xff\xff\xff"))
	k := &Coordinator{}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			kind, body, err := readFrame(r, maxRequest)
			if err != nil {
				return
			}
			if len(body) > maxRequest {
				t.Fatalf("%d bytes", len(body))
			}
			if kind == frameEnd {
				if err := k.failure("n1", body); err != nil && strings.ContainsAny(err.Error(), "\x1b\x07\r\n") {
					t.Errorf("%q", err)
				}
			}
		}
	})
}

// Only so much is read of somebody before he has proven the key.
func TestLittleIsReadBefore(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	go func() {
		for {
			if _, err := there.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
	}()
	f := &frugal{Conn: here, left: helloBytes}
	if n, err := io.Copy(io.Discard, f); n != helloBytes || !errors.Is(err, errTooMuch) {
		t.Errorf("%d bytes, %v; want %d", n, err, helloBytes)
	}
	f.proven = true
	if _, err := io.ReadFull(f, make([]byte, 2*helloBytes)); err != nil {
		t.Error(err)
	}
}
