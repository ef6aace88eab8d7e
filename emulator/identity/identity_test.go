package identity_test

import (
	"fmt"
	"testing"

	"github.com/usb4mesh/usb4mesh/emulator/identity"
)

// TestUID: the vendor stands where it does in real unique ids, and hosts differ.
func TestUID(t *testing.T) {
	seen := map[uint64]string{}
	for _, name := range identity.Models() {
		m, ok := identity.Lookup(name)
		if !ok || m.Name != name || m.About == "" || len(m.Functions) == 0 {
			t.Fatalf("model %q: %+v", name, m)
		}
		if m.Name == "amd-strix-halo" || m.Name == "intel-v2" {
			continue // the unique ids of the same family
		}
		for h := range 200 {
			for i := range m.Functions {
				host := fmt.Sprintf("host%d", h)
				uid := m.UID(host, i)
				if got := uint16(uid >> 16); got != m.RouterVendor {
					t.Errorf("%s: vendor %#x in %#x", name, got, uid)
				}
				if other, ok := seen[uid]; ok {
					t.Errorf("%s/%d and %s have the unique id %#x", host, i, other, uid)
				}
				seen[uid] = fmt.Sprintf("%s/%d", host, i)
				if again := m.UID(host, i); again != uid {
					t.Errorf("%s: %#x, then %#x", host, uid, again)
				}
			}
		}
	}
	if m, ok := identity.Lookup(""); !ok || m.Name != identity.Default {
		t.Errorf("no model named: %q", m.Name)
	}
	if _, ok := identity.Lookup("apple"); ok {
		t.Error("a model that is not there")
	}
}
