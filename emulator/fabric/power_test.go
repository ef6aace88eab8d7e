package fabric_test

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/drivertest"
	"github.com/usb4mesh/usb4mesh/emulator/packet"
)

func TestPowerLoss(t *testing.T) {
	w, a, b := two(t, pair)
	w.must(w.PowerOff("b"))
	if w.cable("c").Up {
		t.Error("the link is up although one end has no power")
	}
	w.must(a.Plugged(a.Ports[0], false))
	if _, err := b.Ask(4, make([]byte, 16)); err == nil {
		t.Error("a host without power still answers")
	}
	if s := w.Stats().Hosts[1]; s.Powered || s.Connected {
		t.Errorf("host b: %+v", s)
	}
	w.waits("b") // a machine that comes too early
	w.must(w.PowerOn("b"))
	b = w.connect("b", 0)
	b.Start()
	w.linked(b)
	w.must(a.Plugged(a.Ports[0], true))
	for _, err := range []error{w.PowerOff("z"), w.PowerOn("z"), w.Plug("z"), w.Unplug("z"), w.Replug("z", 0)} {
		if err == nil || !strings.Contains(err.Error(), `"z"`) {
			t.Errorf("something unknown: %v", err)
		}
	}
}

// TestGuestDies hangs up without a word, as a killed QEMU does.
func TestGuestDies(t *testing.T) {
	w, a, b := two(t, pair)
	ta, _, _, _ := tunnel(a, b, 0)
	ta.Send(1, 2, []byte("waits"))
	b.Close()
	w.must(a.Plugged(a.Ports[0], false))
	w.until("what waited is given up", func() bool { return ta.Pending() == 0 })
	b = w.connect("b", 0)
	b.Start()
	w.linked(b)
	w.must(a.Plugged(a.Ports[0], true))
}

// TestDeviceReset is what a reboot of the guest does: links fall and are trained anew,
// rings and paths are gone.
func TestDeviceReset(t *testing.T) {
	w, a, b := two(t, pair)
	_, ra, tb, _ := tunnel(a, b, 4)
	a.Reset()
	w.must(b.Plugged(b.Ports[0], false))
	w.must(b.Plugged(b.Ports[0], true))
	tb.Send(1, 2, []byte("x"))
	w.must(tb.Wait())
	if _, ok := ra.Take(); ok {
		t.Error("a frame went over a path that a reset has ended")
	}
	a = w.connect2("a", a)
	a.Start()
	w.linked(a)
}

// connect2 replaces a driver: the machine has rebooted.
func (w *world) connect2(host string, old *drivertest.Driver) *drivertest.Driver {
	w.t.Helper()
	old.Close()
	return w.connect(host, 0)
}

// TestHostRouterReset is what the driver does to a USB4 v2 host interface before anything
// else (nhi_reset).
func TestHostRouterReset(t *testing.T) {
	w := build(t, strings.Replace(pair, "{name: a}", "{name: a, model: intel-v2}", 1))
	a, b := w.connect("a", 0), w.connect("b", 0)
	if caps := a.Read32(drivertest.Caps); caps>>16&0xff < 0x40 || caps&0x3ff != drivertest.Rings {
		t.Errorf("REG_CAPS %#x", caps)
	}
	b.Start()
	b.Settle()
	a.Write32(drivertest.HostReset, 1)
	if v := a.Read32(drivertest.HostReset); v != 0 {
		t.Errorf("REG_RESET reads %#x after a reset", v)
	}
	w.must(b.Plugged(b.Ports[0], false))
	w.must(b.Plugged(b.Ports[0], true))
	// The driver does not reset ports of such a host again: the plug event comes when it
	// enables hot plug on the adapter.
	a.StartControl()
	w.must(a.Silence(20 * time.Millisecond))
	a.Change(packet.SpaceAdapter, 1, 5, 1<<31, 0)
	w.must(a.Plugged(1, true))
}

// Offsets of the power management registers in the PCI configuration space.
const (
	pmcs          = 0x44
	d0, d3hot     = 0, 3
	pmeEnable     = 1 << 8
	pmeStatus     = 1 << 15
	portCS19      = 0x13
	wakeOnConnect = 1 << 16
)

func config16(d *drivertest.Driver, at uint64) uint16 {
	return binary.LittleEndian.Uint16(d.ReadRegion(7, at, 2))
}

func setConfig16(d *drivertest.Driver, at uint64, v uint16) {
	d.WriteRegion(7, at, binary.LittleEndian.AppendUint16(nil, v))
}

// TestWake suspends a host interface without a cable, as the driver does after 15 s, and
// plugs one in: PME status is set, and the event comes when the driver is back.
func TestWake(t *testing.T) {
	for _, armed := range []bool{true, false} {
		t.Run(map[bool]string{true: "armed", false: "not armed"}[armed], func(t *testing.T) {
			w, a, b := two(t, pair)
			w.must(w.Unplug("c"))
			w.must(a.Plugged(a.Ports[0], false))
			w.must(b.Plugged(b.Ports[0], false))
			if armed {
				a.Change(packet.SpaceAdapter, a.Ports[0], a.Capability(a.Ports[0], drivertest.CapPort)+portCS19, 0, wakeOnConnect)
			}
			a.Change(packet.SpaceRouter, 0, 5, 0, 1)
			if v := a.Read(packet.SpaceRouter, 0, 6, 1)[0]; v&1 == 0 {
				t.Errorf("ROUTER_CS_6 %#x: the router is not ready to sleep", v)
			}
			a.StopControl()
			setConfig16(a, pmcs, d3hot|pmeEnable)
			w.must(w.Plug("c"))
			w.must(b.Plugged(b.Ports[0], true))
			if got := config16(a, pmcs)&pmeStatus != 0; got != armed {
				t.Errorf("PME status %v, expected %v", got, armed)
			}
			setConfig16(a, pmcs, d0|pmeStatus)
			if got := config16(a, pmcs); got&(pmeStatus|3) != 0 {
				t.Errorf("PMCSR %#x after waking", got)
			}
			a.StartControl()
			w.must(a.Plugged(a.Ports[0], true))
			if v := a.Read(packet.SpaceRouter, 0, 6, 1)[0]; v&1 != 0 {
				t.Errorf("ROUTER_CS_6 %#x: the router still sleeps", v)
			}
		})
	}
}

func TestPCIIdentity(t *testing.T) {
	w := build(t, `hosts: [{name: a}, {name: i, model: intel}]`)
	for _, x := range []struct {
		host   string
		index  int
		id     uint32
		vendor uint32
	}{{"a", 0, 0x16681022, 0x0438}, {"a", 1, 0x16691022, 0x0438}, {"i", 0, 0x57818086, 0x8087}} {
		d := w.connect(x.host, x.index)
		space := d.ReadRegion(7, 0, 256)
		if got := binary.LittleEndian.Uint32(space); got != x.id {
			t.Errorf("%s/%d: id %#x, expected %#x", x.host, x.index, got, x.id)
		}
		if class := binary.LittleEndian.Uint32(space[8:]) >> 8; class != 0x0c0340 {
			t.Errorf("class %#x", class)
		}
		var caps []byte
		for at := space[0x34]; at != 0 && len(caps) < 48; at = space[at+1] {
			caps = append(caps, space[at])
		}
		if string(caps) != "\x01\x11" { // power management, MSI-X
			t.Errorf("capabilities %x", caps)
		}
		d.StartControl()
		if uid := d.Read(packet.SpaceRouter, 0, 7, 2); uid[0]>>16 != x.vendor {
			t.Errorf("UID %#x: the vendor is not %#x", uid, x.vendor)
		}
	}
}

// TestOneGuestAtATime lets a second machine wait until the first is gone.
func TestOneGuestAtATime(t *testing.T) {
	w := build(t, pair)
	first := w.connect("a", 0)
	w.waits("a")
	first.Close()
	w.connect("a", 0).Read32(drivertest.Caps)
}

// waits checks that a machine that connects to a host's first socket gets no answer.
func (w *world) waits(host string) {
	w.t.Helper()
	conn, err := net.Dial("unix", w.Sockets(host)[0].Path)
	w.must(err)
	defer func() { _ = conn.Close() }()
	version := []byte{1, 0, 1, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	_, err = conn.Write(version)
	w.must(errors.Join(err, conn.SetReadDeadline(time.Now().Add(20*time.Millisecond))))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Errorf("a machine that should wait got %d bytes, %v", n, err)
	}
}

func TestStartStop(t *testing.T) {
	w, _, _ := two(t, pair)
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	w.Start(t.Context()) // does nothing
	w.must(w.Plug("c"))
}
