package bench

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// serve starts a server on loopback and returns a client for it. It ends with the test.
func serve(t *testing.T, s *Server) Client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if s.Bind == nil {
		s.Bind = []netip.Addr{loopback}
	}
	at, err := s.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the server ended with %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("the server did not end")
		}
	})
	return Client{Server: at[0]}
}

func run(t *testing.T, c Client, test Test) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := c.Run(ctx, test)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
