package mesh_test

import (
	"net/netip"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func TestLinkLocal(t *testing.T) {
	for _, c := range []struct{ identity, want string }{
		{"fd75:7362:3400::1", "fe80::1"},
		{"fd75:7362:3400:0:1:2:3:4", "fe80::1:2:3:4"},
		{"10.7.1.3", "fe80::7562:a07:103"},
		{"::ffff:10.7.1.3", "fe80::7562:a07:103"},
	} {
		got := mesh.LinkLocal(netip.MustParseAddr(c.identity))
		if got != netip.MustParseAddr(c.want) {
			t.Errorf("LinkLocal(%s) = %s, want %s", c.identity, got, c.want)
		}
		if !got.IsLinkLocalUnicast() {
			t.Errorf("LinkLocal(%s) = %s is not link-local", c.identity, got)
		}
	}
	if got := mesh.LinkLocal(netip.Addr{}); got.IsValid() {
		t.Errorf("no identity gives %s", got)
	}
}
