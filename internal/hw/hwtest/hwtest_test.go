package hwtest

import (
	"strings"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/hw"
)

// An interface keeps its place and its values when it is renamed, and goes with its cable.
func TestRename(t *testing.T) {
	a, b := New("a"), New("b")
	c := Plug(a.AddDomain("0000:00:0d.2", Intel).Port(1), b.AddDomain("0000:c7:00.5", AMD).Port(2))
	if got := c.Interface(0); got != "thunderbolt0" {
		t.Fatalf("interface %q", got)
	}
	before, fs := hw.Scan(a.FS)
	if len(fs) > 0 || len(before.Links) != 1 {
		t.Fatalf("%d links, findings %v", len(before.Links), fs)
	}
	c.Rename(0, "tbt-b")
	c.SetInterface(0, "mtu", "65520")
	after, fs := hw.Scan(a.FS)
	if len(fs) > 0 || len(after.Links) != 1 {
		t.Fatalf("%d links, findings %v", len(after.Links), fs)
	}
	if l := after.Links[0]; l.Interface != "tbt-b" || l.MAC != before.Links[0].MAC || l.MTU != 65520 || c.Interface(0) != "tbt-b" || c.Interface(1) != "thunderbolt0" {
		t.Errorf("after the rename: %+v", l)
	}
	c.Unplug()
	for name := range a.FS {
		if strings.Contains(name, "thunderbolt0") || strings.Contains(name, "tbt-b") || strings.Contains(name, "0-1") {
			t.Errorf("%s is left after the cable was unplugged", name)
		}
	}
	if c.Interface(0) != "" {
		t.Errorf("an interface %q is left", c.Interface(0))
	}
}
