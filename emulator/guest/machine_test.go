package guest_test

import (
	"testing"

	"github.com/usb4mesh/usb4mesh/emulator/guest"
)

func TestBoot(t *testing.T) {
	m, err := guest.Start(t.Context(), guest.Config{Name: "a", Logs: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	t.Log(m.Release, m.Booted)
	t.Log(m.Links(t.Context()))
	t.Log(m.Check())
}
