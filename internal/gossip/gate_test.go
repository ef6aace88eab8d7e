package gossip

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"testing"
)

func testGate(t testing.TB) *gate {
	t.Helper()
	c := Config{Mesh: "test", Node: "01", Keys: [][]byte{testKey}, Members: map[string][]netip.Addr{"01": {identity(1)}, "02": {identity(2)}}}
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	s := &strangers{log: slog.New(slog.DiscardHandler), wake: func() {}, known: map[strangerKey]*strangerEntry{}}
	g, err := newGate(&c, s)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The memory of packets has an end, and only that one.
func TestReplayMemory(t *testing.T) {
	g := testGate(t)
	number := func(i int) (n nonce) {
		n[0], n[1], n[2] = byte(i>>16), byte(i>>8), byte(i)
		return n
	}
	for i := range memory {
		if !g.fresh(number(i + 1)) {
			t.Fatalf("packet %d is known", i)
		}
	}
	for i := range memory {
		if g.fresh(number(i + 1)) {
			t.Fatalf("packet %d is forgotten", i)
		}
	}
	if g.fresh(number(memory+1)) != true || g.fresh(number(1)) != true {
		t.Error("the oldest packet does not make room")
	}
	if len(g.nonces) > memory {
		t.Errorf("%d packets are remembered", len(g.nonces))
	}
}

// What memberlist seals passes; a stream ends behind its first message.
func TestGateStream(t *testing.T) {
	g := testGate(t)
	b := sealStream(t, testKey, g.label, []byte("state"), 1)
	got, err := g.message(bytes.NewReader(append(b, "more"...)), false)
	if err != nil || !bytes.Equal(got, b) {
		t.Errorf("%v: %q, want %q", err, got, b)
	}
	if _, err := g.message(bytes.NewReader(b[:len(b)-1]), false); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a stream that is cut off: %v", err)
	}
}

// FuzzGate: whatever arrives without the key is refused, as packet and as stream.
func FuzzGate(f *testing.F) {
	wrong := []byte("another key of thirty-two bytes!")
	f.Add(seal(f, wrong, label("test"), []byte("x"), 1))
	f.Add(sealStream(f, wrong, label("test"), []byte("x"), 1))
	f.Add(seal(f, testKey, label("other"), []byte("x"), 1))
	f.Add([]byte{244, 0})
	g := testGate(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, no := g.packet(b, netip.AddrPortFrom(identity(2), DefaultPort)); no == nil {
			t.Fatalf("packet %x is let in", b)
		}
		for _, answer := range []bool{false, true} {
			if m, err := g.message(bytes.NewReader(b), answer); err == nil {
				t.Fatalf("stream %x is let in as %x", b, m)
			}
		}
		if n := len(g.strangers.known); n > strangerLimit {
			t.Fatalf("%d strangers", n)
		}
	})
}
