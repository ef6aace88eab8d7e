package fabric_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/emulator/drivertest"
	"github.com/usb4mesh/usb4mesh/emulator/fabric"
	"github.com/usb4mesh/usb4mesh/emulator/packet"
)

// request is an XDomain request as a driver sends it through a port: UUID_REQUEST.
func request(port int, seq uint32) packet.Packet {
	return packet.Packet{PDF: packet.XDomReq, Words: []uint32{0, uint32(port), 5 | seq<<27, 0x0ed738b6, 0xbb40ff42, 0xe290c297, 0x07ffb2c0, 12}}
}

func TestRequestIsWhatLinuxSends(t *testing.T) {
	if got := request(1, 2).String(); got != "XDomain UUID request #2" {
		t.Errorf("the test's own request reads %q", got)
	}
}

func TestDiscovery(t *testing.T) {
	w, a, b := two(t, pair)
	// Behind the port is no router: the read fails at once (tb_scan_port).
	_, err := a.Config(packet.Read, uint64(a.Ports[0]), packet.Address{Space: packet.SpaceRouter, Length: 1})
	if want := (drivertest.ConfigError{Code: packet.NotConnected, Adapter: a.Ports[0]}); !errors.Is(err, want) {
		t.Errorf("read behind the port: %v, expected %v", err, want)
	}
	// An XDomain request arrives at the other host with that one's route, the answer here.
	a.SendControl(request(a.Ports[0], 1))
	got, err := b.Next()
	w.must(err)
	want := request(b.Ports[0], 1)
	want.Words[0] = 1 << 31
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the request arrived as (-want +got):\n%s", diff)
	}
	answer := request(b.Ports[0], 1)
	answer.PDF, answer.Words[7] = packet.XDomResp, 2
	b.SendControl(answer)
	got, err = a.Next()
	w.must(err)
	if got.PDF != packet.XDomResp || got.Route() != uint64(a.Ports[0]) {
		t.Errorf("the answer arrived as %v from %x", got, got.Route())
	}
	// A route through an adapter that is no USB4 port leads nowhere.
	a.SendControl(request(a.Upstream, 1))
	if got, err = a.Next(); err != nil || got.PDF != packet.Error || packet.Code(got.Words[2]&0xf) != packet.NoSuchPort {
		t.Errorf("request to the host interface: %v, %v", got, err)
	}
	for _, line := range []string{"XDomain UUID request #1", "XDomain UUID response #1", "plug event, adapter 2", "LANE_ADP_CS_1", "PORT_CS_19 = reset"} {
		if !strings.Contains(w.trace.String(), line) {
			t.Errorf("the trace does not have %q", line)
		}
	}
}

// TestDeadPort pulls the cable: one kind of port answers requests with an error, the other
// keeps silent.
func TestDeadPort(t *testing.T) {
	for _, fault := range []string{"none", "silent"} {
		t.Run(fault, func(t *testing.T) {
			w, a, b := two(t, pair)
			x, err := fabric.ParseFault(fault)
			w.must(err)
			w.must(w.Fault("c", "", x))
			w.must(w.Unplug("c"))
			for _, d := range []*drivertest.Driver{a, b} {
				w.must(d.Plugged(d.Ports[0], false))
				if got := d.Lane(d.Ports[0]); got.State != unplugged {
					t.Errorf("lane: %+v", got)
				}
				d.SendControl(request(d.Ports[0], 1))
				if fault == "silent" {
					w.must(d.Silence(20 * time.Millisecond))
				} else if p, err := d.Next(); err != nil || p.String() != fmt.Sprintf("error: port not connected, adapter %d", d.Ports[0]) {
					t.Errorf("request through a dead port: %v, %v", p, err)
				}
			}
			w.must(w.Plug("c"))
			w.must(a.Plugged(a.Ports[0], true))
			w.must(b.Plugged(b.Ports[0], true))
		})
	}
}

// tunnel makes paths both ways on ring 1 and returns the rings; RX rings have n buffers.
func tunnel(a, b *drivertest.Driver, n int) (ta, ra, tb, rb *drivertest.Ring) {
	ta, ra, tb, rb = a.NewRing(1, 256, true), a.NewRing(1, 256, false), b.NewRing(1, 256, true), b.NewRing(1, 256, false)
	ra.Post(n)
	rb.Post(n)
	a.Tunnel(a.Ports[0], 1, 8, 9)
	b.Tunnel(b.Ports[0], 1, 9, 8)
	return ta, ra, tb, rb
}

func TestFrames(t *testing.T) {
	w, a, b := two(t, pair)
	ta, ra, tb, rb := tunnel(a, b, 255)
	for _, way := range []struct{ tx, rx *drivertest.Ring }{{ta, rb}, {tb, ra}} {
		for i, n := range []int{1, 12, 1500, 4095, 4096} {
			data := bytes.Repeat([]byte{byte(i + 1)}, n)
			way.tx.Send(1, 2, data)
			w.must(way.rx.Wait())
			f, _ := way.rx.Take()
			if diff := cmp.Diff(drivertest.Frame{SOF: 1, EOF: 2, Data: data}, f); diff != "" {
				t.Fatalf("frame of %d bytes (-sent +received):\n%s", n, diff)
			}
			w.must(way.tx.Wait())
			if way.tx.Reap() != 1 {
				t.Error("the sender's descriptor is not completed")
			}
		}
	}
	// Without a path frames are lost, and the ring goes on.
	a.Path(a.Upstream, 1, a.Ports[0], 8, false)
	ta.Send(1, 2, []byte("nowhere"))
	w.must(ta.Wait())
	if _, ok := rb.Take(); ok || w.Stats().Hosts[0].NHIs[0].Lost != 1 {
		t.Errorf("a frame without a path arrived, or was not counted: %+v", w.Stats().Hosts[0].NHIs[0])
	}
	// The same when the far end has none.
	a.Path(a.Upstream, 1, a.Ports[0], 8, true)
	b.Path(b.Ports[0], 8, b.Upstream, 1, false)
	ta.Reap()
	ta.Send(1, 2, []byte("nowhere"))
	w.must(ta.Wait())
	if _, ok := rb.Take(); ok {
		t.Error("a frame without a path at the far end arrived")
	}
}

// TestBackpressure fills the receiver: the sender's descriptors wait, none is lost, and
// the order stays.
func TestBackpressure(t *testing.T) {
	for _, fault := range []fabric.Fault{{}, {Latency: time.Millisecond}} {
		t.Run(fault.String(), func(t *testing.T) {
			w, a, b := two(t, pair)
			w.must(w.Fault("c", "a", fault))
			ta, _, _, rb := tunnel(a, b, 3)
			const frames = 200
			for i := range frames {
				ta.Send(1, 2, []byte{byte(i)})
			}
			w.until("three frames", func() bool { return rb.Pending() == 0 })
			for i := range frames {
				w.must(rb.Wait())
				f, ok := rb.Take()
				if !ok || f.Data[0] != byte(i) {
					t.Fatalf("frame %d: %v %v", i, f, ok)
				}
				rb.Post(1)
			}
			w.until("all sent", func() bool { return ta.Pending() == 0 })
			if s := w.Stats().Hosts[0].NHIs[0]; s.Lost != 0 || (fault == fabric.Fault{} && s.Stalls == 0) {
				t.Errorf("lost %d, stalled %d", s.Lost, s.Stalls)
			}
		})
	}
}

// TestPulledWhileWaiting lets frames wait for the receiver and pulls the cable: they are
// completed as lost, so that the driver gets its buffers back.
func TestPulledWhileWaiting(t *testing.T) {
	w, a, b := two(t, pair)
	ta, _, _, _ := tunnel(a, b, 0)
	for range 10 {
		ta.Send(1, 2, []byte("x"))
	}
	if ta.Pending() != 10 {
		t.Fatalf("%d of 10 frames wait", ta.Pending())
	}
	w.must(w.Unplug("c"))
	w.until("frames are given up", func() bool { return ta.Pending() == 0 })
	if lost := w.Stats().Hosts[0].NHIs[0].Lost; lost != 10 {
		t.Errorf("%d frames lost, expected 10", lost)
	}
}

// bond does what both drivers do to bond the lanes (xdomain.c).
func bond(d *drivertest.Driver, start bool) {
	lane0, lane1 := d.Ports[0], d.Ports[0]+1
	at := d.Capability(lane0, drivertest.CapLane) + 1
	d.Change(packet.SpaceAdapter, lane0, at, 3<<4, 3<<4)
	d.Change(packet.SpaceAdapter, lane1, at, 3<<4, 3<<4)
	if start {
		d.Change(packet.SpaceAdapter, lane0, at, 0, 1<<15)
	}
}

func TestBonding(t *testing.T) {
	w, a, b := two(t, pair)
	lane1 := a.Ports[0] + 1
	if got, want := a.Lane(lane1), (drivertest.Lane{State: up, Speed: 4, Width: 1}); got != want {
		t.Errorf("lane 1 before bonding: %+v, expected %+v", got, want)
	}
	bond(a, true)
	if got := a.Lane(a.Ports[0]).Width; got != 1 {
		t.Errorf("one end alone has bonded: width %d", got)
	}
	a.Change(packet.SpaceAdapter, a.Ports[0], a.Capability(a.Ports[0], drivertest.CapLane)+1, 1<<15, 0)
	bond(b, false)
	if got := a.Lane(a.Ports[0]).Width; got != 1 {
		t.Errorf("bonded although nobody has started it: width %d", got)
	}
	bond(a, true)
	for _, d := range []*drivertest.Driver{a, b} {
		for _, lane := range []int{d.Ports[0], d.Ports[0] + 1} {
			if got, want := d.Lane(lane), (drivertest.Lane{State: up, Speed: 4, Width: 2}); got != want {
				t.Errorf("bonded lane: %+v, expected %+v", got, want)
			}
		}
	}
	if c := w.cable("c"); c.Lanes != 2 || c.Speed != 20 {
		t.Errorf("cable: %+v", c)
	}
	// Disabling lane 1 at one end ends it at both.
	at := b.Capability(b.Ports[0]+1, drivertest.CapLane) + 1
	b.Change(packet.SpaceAdapter, b.Ports[0]+1, at, 0, 1<<14)
	if got := a.Lane(a.Ports[0]).Width; got != 1 {
		t.Errorf("width %d after the other end has disabled its lane 1", got)
	}
	if got := b.Lane(b.Ports[0] + 1).State; got != 0 {
		t.Errorf("lane 1 in state %d, expected disabled", got)
	}
}

func TestTwoPortsOneHostInterface(t *testing.T) {
	w := build(t, `
hosts: [{name: a, model: intel}, {name: b}, {name: c}]
cables: [{name: ab, a: "a:1", b: "b:1"}, {name: ac, a: "a:2", b: "c:2"}]
`)
	a, b, c := w.connect("a", 0), w.connect("b", 0), w.connect("c", 1)
	for _, d := range []*drivertest.Driver{a, b, c} {
		d.Start()
	}
	if diff := cmp.Diff([]int{1, 3}, a.Ports); diff != "" {
		t.Fatalf("ports of an Intel host (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{2}, b.Ports); diff != "" {
		t.Fatalf("port of an AMD host (-want +got):\n%s", diff)
	}
	for i, peer := range []*drivertest.Driver{b, c} {
		w.until("link", func() bool { return a.Lane(a.Ports[i]).State == up && peer.Lane(peer.Ports[0]).State == up })
		a.Settle()
		peer.Settle()
		ring, in := i+1, 8+i
		ta, rp := a.NewRing(ring, 16, true), peer.NewRing(1, 16, false)
		rp.Post(4)
		a.Tunnel(a.Ports[i], ring, in, in)
		peer.Tunnel(peer.Ports[0], 1, 8, in)
		ta.Send(1, 2, []byte{byte(i)})
		w.must(rp.Wait())
		if f, _ := rp.Take(); len(f.Data) != 1 || f.Data[0] != byte(i) {
			t.Errorf("port %d: %v", i, f)
		}
	}
	w.must(w.Unplug("ac"))
	w.must(a.Plugged(3, false))
	if got := a.Lane(1).State; got != up {
		t.Errorf("the other port is in state %d", got)
	}
}

func TestUnknownSpaces(t *testing.T) {
	_, a, _ := two(t, pair)
	for _, x := range []struct {
		a    packet.Address
		want packet.Code
	}{
		{packet.Address{Space: packet.SpaceRouter, Offset: 0x3f, Length: 2}, packet.BadSpace},
		{packet.Address{Space: packet.SpaceRouter, Length: 0}, packet.BadSpace},
		{packet.Address{Space: packet.SpaceRouter, Length: 61}, packet.BadSpace},
		{packet.Address{Space: packet.SpaceAdapter, Adapter: 0, Length: 1}, packet.NoSuchPort},
		{packet.Address{Space: packet.SpaceAdapter, Adapter: 4, Length: 1}, packet.NoSuchPort},
		{packet.Address{Space: packet.SpaceAdapter, Adapter: 63, Length: 1}, packet.NoSuchPort},
		{packet.Address{Space: packet.SpaceAdapter, Adapter: 1, Offset: 0x1fff, Length: 1}, packet.BadSpace},
		{packet.Address{Space: packet.SpacePath, Adapter: 3, Length: 2}, packet.BadSpace}, // lane 1
		{packet.Address{Space: packet.SpacePath, Adapter: 2, Offset: 2 * 20, Length: 2}, packet.BadSpace},
	} {
		_, err := a.Config(packet.Read, 0, x.a)
		var got drivertest.ConfigError
		if !errors.As(err, &got) || got.Code != x.want {
			t.Errorf("%v: %v, expected %v", x.a, err, x.want)
		}
	}
	// A write whose data does not fit its length.
	a.SendControl(packet.NewRequest(packet.Write, 0, packet.Address{Space: packet.SpaceRouter, Offset: 2, Length: 3}, 1))
	if p, err := a.Next(); err != nil || p.PDF != packet.Error {
		t.Errorf("short write: %v, %v", p, err)
	}
}
