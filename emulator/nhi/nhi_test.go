package nhi_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/usb4mesh/usb4mesh/emulator/drivertest"
	"github.com/usb4mesh/usb4mesh/emulator/nhi"
	"github.com/usb4mesh/usb4mesh/emulator/packet"
	"github.com/usb4mesh/usb4mesh/emulator/vfiouser"
	"github.com/usb4mesh/usb4mesh/emulator/vfiouser/vfiousertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a router that remembers what it was given.
type recorder struct {
	control []packet.Packet
	frames  []nhi.Frame
	outcome nhi.Outcome
	posted  map[int]int
	resets  int
	awake   int
}

func (r *recorder) Control(p packet.Packet) { r.control = append(r.control, p) }
func (r *recorder) Transmit(_ int, f nhi.Frame) nhi.Outcome {
	if r.outcome == nhi.Sent {
		f.Data = bytes.Clone(f.Data)
		r.frames = append(r.frames, f)
	}
	return r.outcome
}
func (r *recorder) Posted(ring int) { r.posted[ring]++ }
func (r *recorder) Reset()          { r.resets++ }
func (r *recorder) Attached(bool)   {}
func (r *recorder) Awake()          { r.awake++ }

// machine is an NHI with a driver at its socket.
type machine struct {
	*drivertest.Driver
	mu     sync.Mutex
	nhi    *nhi.NHI
	router *recorder
}

func start(t testing.TB, id nhi.Identity) *machine {
	t.Helper()
	m := &machine{router: &recorder{posted: map[int]int{}}}
	m.nhi = nhi.New(id, m.router)
	dir, err := os.MkdirTemp("", "nhi")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		conn, err := l.AcceptUnix()
		if err == nil {
			s := vfiouser.Server{Device: m.nhi, Lock: &m.mu}
			err = s.Serve(t.Context(), conn)
		}
		ended <- err
	}()
	m.Driver = drivertest.Connect(t, path)
	t.Cleanup(func() {
		m.Close()
		if err := errors.Join(<-ended, l.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return m
}

// seen is what the NHI has counted, and what its router was given.
func (m *machine) seen() (s nhi.Stats, control []packet.Packet, frames []nhi.Frame) {
	m.device(func(n *nhi.NHI) { s, control, frames = n.Stats, m.router.control, m.router.frames })
	return s, control, frames
}

// answer says what becomes of frames from now on.
func (m *machine) answer(o nhi.Outcome) { m.device(func(*nhi.NHI) { m.router.outcome = o }) }

// device calls the NHI as its router does.
func (m *machine) device(do func(*nhi.NHI)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do(m.nhi)
}

func (m *machine) receive(ring int, data string) (o nhi.Outcome) {
	m.device(func(n *nhi.NHI) { o = n.Receive(ring, nhi.Frame{SOF: 1, EOF: 2, Data: []byte(data)}) })
	return o
}

const rxBit = 1 << (drivertest.Rings + 1) // of ring 1

// TestInterruptOnce: while the driver has not cleared an interrupt, further frames do not
// interrupt again.
func TestInterruptOnce(t *testing.T) {
	m := start(t, nhi.Identity{})
	r := m.NewRing(1, 16, false)
	r.Post(8)
	m.receive(1, "a")
	m.receive(1, "b")
	if got := m.Interrupts(r.Vector()); got != 1 {
		t.Errorf("%d interrupts for two frames at once, expected 1", got)
	}
	if got := m.Read32(drivertest.Notify); got != rxBit {
		t.Errorf("status %#x, expected %#x", got, rxBit)
	}
	m.Write32(drivertest.IntClear, rxBit)
	if got := m.Read32(drivertest.Notify); got != 0 {
		t.Errorf("status %#x after it was cleared", got)
	}
	m.receive(1, "c")
	if got := m.Interrupts(r.Vector()); got != 1 {
		t.Errorf("%d interrupts after clearing, expected 1", got)
	}
}

// TestMasked is what the network driver's polling relies on: a frame that arrives while its
// interrupt is masked interrupts when it is unmasked.
func TestMasked(t *testing.T) {
	for name, misc := range map[string]uint32{"AMD": drivertest.DisableAutoClear, "Intel": drivertest.AutoClear} {
		t.Run(name, func(t *testing.T) {
			m := start(t, nhi.Identity{})
			m.Write32(drivertest.DMAMisc, misc)
			r := m.NewRing(1, 16, false)
			r.Post(8)
			enabled := m.Read32(drivertest.IntEnable)
			m.Write32(drivertest.IntEnable, enabled&^rxBit)
			m.receive(1, "a")
			if got := m.Interrupts(r.Vector()); got != 0 {
				t.Errorf("%d interrupts while masked", got)
			}
			m.Write32(drivertest.IntEnable, enabled)
			if got := m.Interrupts(r.Vector()); got != 1 {
				t.Errorf("%d interrupts after unmasking, expected 1", got)
			}
		})
	}
}

// TestAutoClear: Intel's NHI clears the status when it interrupts, so that every frame
// does.
func TestAutoClear(t *testing.T) {
	m := start(t, nhi.Identity{Vendor: 0x8086})
	m.Write32(drivertest.DMAMisc, drivertest.AutoClear)
	r := m.NewRing(1, 16, false)
	r.Post(8)
	m.receive(1, "a")
	m.receive(1, "b")
	if got := m.Interrupts(r.Vector()); got != 2 {
		t.Errorf("%d interrupts, expected 2", got)
	}
	if got := m.Read32(drivertest.Notify); got != 0 {
		t.Errorf("status %#x", got)
	}
}

// TestStatusIsReadOnce: reading clears the status unless the driver has switched that off.
func TestStatusIsReadOnce(t *testing.T) {
	m := start(t, nhi.Identity{})
	m.NewRing(1, 16, false).Post(8)
	m.Write32(drivertest.DMAMisc, 0)
	m.receive(1, "a")
	if first, second := m.Read32(drivertest.Notify), m.Read32(drivertest.Notify); first != rxBit || second != 0 {
		t.Errorf("status %#x, then %#x; expected %#x, then 0", first, second, rxBit)
	}
}

// TestVectors: each ring's interrupt goes to the vector that the driver has chosen for it.
func TestVectors(t *testing.T) {
	m := start(t, nhi.Identity{})
	for _, ring := range []int{1, 5, 11} {
		tx, rx := m.NewRing(ring, 16, true), m.NewRing(ring, 16, false)
		rx.Post(1)
		m.receive(ring, "a")
		tx.Send(1, 2, []byte("b"))
		for v := range nhi.Vectors {
			want := 0
			if v == rx.Vector() || v == tx.Vector() {
				want = 1
			}
			if got := m.Interrupts(v); got != want {
				t.Errorf("ring %d: %d interrupts on vector %d, expected %d", ring, got, v, want)
			}
		}
		tx.Stop()
		rx.Stop()
		m.Write32(drivertest.IntClear, 0xffffffff)
	}
}

// TestControlWaits: packets wait for buffers, in order; those that nobody fetches end at a
// limit.
func TestControlWaits(t *testing.T) {
	m := start(t, nhi.Identity{})
	m.device(func(n *nhi.NHI) {
		n.Deliver(packet.NewPlug(1, false)) // nobody listens: lost
	})
	r := m.NewRing(0, 100, false)
	m.device(func(n *nhi.NHI) {
		for i := range 100 {
			n.Deliver(packet.NewPlug(i%64, false))
		}
	})
	r.Post(99)
	for i := range 64 {
		f, ok := r.Take()
		if !ok {
			t.Fatalf("packet %d is missing", i)
		}
		p, err := packet.Parse(packet.PDF(f.EOF), f.Data)
		if err != nil || p.Words[2] != uint32(i) {
			t.Fatalf("packet %d: %v, %v", i, p, err)
		}
	}
	if s, _, _ := m.seen(); s.Overflow != 36 {
		t.Errorf("%d packets beyond the limit, expected 36", s.Overflow)
	}
	if _, ok := r.Take(); ok {
		t.Error("a packet beyond the limit arrived")
	}
}

// TestWaitingFrame: a frame without a way now stays in the ring until it is retried, and
// those behind it wait.
func TestWaitingFrame(t *testing.T) {
	m := start(t, nhi.Identity{})
	tx := m.NewRing(1, 16, true)
	m.answer(nhi.Waiting)
	tx.Send(1, 2, []byte("a"))
	tx.Send(1, 2, []byte("b"))
	if got := tx.Pending(); got != 2 {
		t.Fatalf("%d wait, expected 2", got)
	}
	m.answer(nhi.Sent)
	m.device(func(n *nhi.NHI) { n.Retry(1) })
	if _, _, frames := m.seen(); tx.Pending() != 0 || len(frames) != 2 || string(frames[0].Data) != "a" {
		t.Errorf("%d wait, %d frames sent", tx.Pending(), len(frames))
	}
}

// TestRestart: a ring that is stopped and started begins at its first descriptor.
func TestRestart(t *testing.T) {
	m := start(t, nhi.Identity{})
	for round := range 3 {
		r := m.NewRing(1, 8, false)
		r.Post(5)
		for range round + 1 {
			if m.receive(1, "x") != nhi.Sent {
				t.Fatalf("round %d: no room", round)
			}
			if _, ok := r.Take(); !ok {
				t.Fatalf("round %d: the frame is not where the driver looks", round)
			}
		}
		r.Stop()
		if got := m.receive(1, "x"); got != nhi.Lost {
			t.Errorf("a stopped ring: outcome %v", got)
		}
	}
	// Disabling alone is enough, too.
	r := m.NewRing(1, 8, false)
	r.Post(5)
	m.receive(1, "x")
	options := uint64(0x29800 + 32)
	enabled := m.Read32(options)
	m.Write32(options, 0)
	m.Write32(options, enabled)
	if got := m.Read32(0x8010 + 8); got != 0 {
		t.Errorf("indexes %#x after a restart", got)
	}
	if m.receive(0, "x") != nhi.Lost || m.receive(12, "x") != nhi.Lost || m.receive(-1, "x") != nhi.Lost {
		t.Error("frames for rings that are not for data")
	}
}

// TestHostileDescriptors gives addresses that the guest has no memory at: they are
// counted, and the device goes on.
func TestHostileDescriptors(t *testing.T) {
	m := start(t, nhi.Identity{})
	tx, rx := m.NewRing(1, 16, true), m.NewRing(1, 16, false)
	const nowhere = 0x7fff_ffff_f000
	expect := func(what string, bad uint64) {
		t.Helper()
		if s, _, frames := m.seen(); s.BadAddress != bad || len(frames) != 0 {
			t.Errorf("%s: %d bad addresses, %d frames; expected %d, 0", what, s.BadAddress, len(frames), bad)
		}
	}
	tx.SendFrom(nowhere, 100)
	rx.PostTo(nowhere)
	m.receive(1, "x")
	expect("buffers nowhere", 2)
	if got := tx.Pending(); got != 0 {
		t.Errorf("%d frames are stuck", got)
	}
	tx.SendFrom(vfiousertest.Base+uint64(len(m.Memory))-4, 100)
	expect("a buffer that ends beyond the memory", 3)
	m.Write32(0x10+4, 0x7fff)
	tx.Send(1, 2, []byte("x"))
	expect("descriptors nowhere", 4)
	m.Write32(0x10+8, 0xffff0000)
	expect("an index beyond the ring", 5)
	m.Write32(0x10+12, 0)
	m.Write32(0x10+8, 0x00050000)
	expect("a ring of size 0", 5)

	ctl := m.NewRing(0, 10, true)
	ctl.Send(1, 1, make([]byte, 16)) // the checksum is wrong
	ctl.Send(1, 1, packet.NewRequest(packet.Read, 0, packet.Address{Length: 1}).Append(nil))
	if s, control, _ := m.seen(); s.BadFrame != 1 || len(control) != 1 {
		t.Errorf("%d bad control packets, %d good ones; expected one each", s.BadFrame, len(control))
	}
}

// TestOddAccess: single bytes can be read; writes that are not whole dwords are ignored.
func TestOddAccess(t *testing.T) {
	m := start(t, nhi.Identity{Version: nhi.CapsVersion2})
	if got := m.ReadRegion(0, drivertest.Caps+2, 1); got[0] != nhi.CapsVersion2 {
		t.Errorf("third byte of REG_CAPS: %#x", got)
	}
	if got := m.ReadRegion(0, drivertest.Caps-2, 8); !bytes.Equal(got, []byte{0, 0, 12, 0, 0x40, 0, 0, 0}) {
		t.Errorf("unaligned read: %x", got)
	}
	m.Write32(drivertest.IntEnable, 0x10)
	m.WriteRegion(0, drivertest.IntEnable, []byte{1, 2})
	m.WriteRegion(0, drivertest.IntEnable+1, []byte{1, 2, 3, 4})
	if got := m.Read32(drivertest.IntEnable); got != 0x10 {
		t.Errorf("enable %#x after writes that are not dwords", got)
	}
	m.WriteRegion(0, drivertest.IntEnable-4, []byte{0, 0, 0, 0, 0x20, 0, 0, 0}) // eight bytes
	if got := m.Read32(drivertest.IntEnable); got != 0x20 {
		t.Errorf("enable %#x after a write of eight bytes", got)
	}
}
