package vfiouser_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/vfiouser"
	"github.com/usb4mesh/usb4mesh/emulator/vfiouser/vfiousertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// device is a device that remembers.
type device struct {
	sync.Mutex
	memory   *vfiouser.Memory
	irqs     *vfiouser.Interrupts
	space    [256]byte
	resets   int
	attached int
}

func (d *device) RegionSize(region int) uint64 {
	return map[int]uint64{vfiouser.RegionBAR0: uint64(len(d.space))}[region]
}
func (d *device) Vectors() int { return 4 }
func (d *device) Attach(m *vfiouser.Memory, i *vfiouser.Interrupts) {
	d.memory, d.irqs = m, i
	d.attached++
}
func (d *device) Detach()                                    { d.memory, d.irqs = nil, nil }
func (d *device) ReadRegion(_ int, offset uint64, p []byte)  { copy(p, d.space[offset:]) }
func (d *device) WriteRegion(_ int, offset uint64, p []byte) { copy(d.space[offset:], p) }
func (d *device) Reset()                                     { d.resets++ }
func (d *device) locked(do func(*vfiouser.Memory) error) error {
	d.Lock()
	defer d.Unlock()
	return do(d.memory)
}

// serve starts a server on one end of a socket pair and returns the other.
func serve(t testing.TB, d *device) (conn *net.UnixConn, ended chan error) {
	t.Helper()
	a, b := pair(t)
	ended = make(chan error, 1)
	done := make(chan struct{})
	t.Cleanup(func() { <-done }) // t.Context has ended by then
	go func() {
		defer close(done)
		s := vfiouser.Server{Device: d, Lock: d}
		ended <- s.Serve(t.Context(), a)
	}()
	return b, ended
}

func pair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		conns[i] = c.(*net.UnixConn)
	}
	return conns[0], conns[1]
}

func TestSession(t *testing.T) {
	d := &device{}
	conn, ended := serve(t, d)
	c := vfiousertest.New(t, conn, 8192)

	if got, want := c.Must(vfiousertest.GetInfo, make([]byte, 16)), []byte{16, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0}; !bytes.Equal(got, want) {
		t.Errorf("GET_INFO %v, expected %v", got, want)
	}
	for region, size := range []uint64{256, 0, 0, 0, 0, 0, 0, 0, 0} {
		body := make([]byte, 32)
		body[8] = byte(region)
		info := c.Must(vfiousertest.GetRegionInfo, body)
		if got := binary.LittleEndian.Uint64(info[16:]); got != size || (info[4] != 0) != (size > 0) {
			t.Errorf("region %d: size %d, flags %d; expected size %d", region, got, info[4], size)
		}
	}
	for kind, count := range []byte{0, 0, 4, 0, 0} {
		body := make([]byte, 16)
		body[8] = byte(kind)
		if got := c.Must(vfiousertest.GetIRQInfo, body)[12]; got != count {
			t.Errorf("interrupts of kind %d: %d, expected %d", kind, got, count)
		}
	}

	c.WriteRegion(0, 16, []byte("hello"))
	if got := c.ReadRegion(0, 16, 5); string(got) != "hello" {
		t.Errorf("read %q", got)
	}
	c.Reset()
	if d.resets != 1 {
		t.Errorf("%d resets", d.resets)
	}

	// DMA both ways.
	copy(c.Memory[100:], "from the guest")
	got := make([]byte, 14)
	if err := d.locked(func(m *vfiouser.Memory) error {
		return errors.Join(m.Read(vfiousertest.Base+100, got), m.Write(vfiousertest.Base+8000, []byte("from the device")), m.Store32(vfiousertest.Base+4, 7))
	}); err != nil {
		t.Error(err)
	}
	if string(got) != "from the guest" || string(c.Memory[8000:8015]) != "from the device" || c.Load32(vfiousertest.Base+4) != 7 {
		t.Errorf("DMA: %q %q %d", got, c.Memory[8000:8015], c.Memory[4])
	}

	// Interrupts: all vectors, then the second one without.
	c.Listen(4)
	trigger := func(v int) (ok bool) {
		_ = d.locked(func(*vfiouser.Memory) error { ok = d.irqs.Trigger(v); return nil })
		return ok
	}
	if !trigger(3) || c.Interrupts(3) != 1 || c.Interrupts(2) != 0 {
		t.Error("vector 3 did not interrupt, or another did")
	}
	c.Must(vfiousertest.SetIRQs, vfiousertest.SetIRQsBody(4|32, 2, 1, 1))
	if trigger(1) || !trigger(0) {
		t.Error("vector 1 has no eventfd any more, vector 0 has")
	}
	c.Must(vfiousertest.SetIRQs, vfiousertest.SetIRQsBody(1|32, 2, 2, 1)) // QEMU's own trigger
	if c.Interrupts(2) != 1 {
		t.Error("vector 2 was not triggered by the client")
	}
	c.Must(vfiousertest.SetIRQs, vfiousertest.SetIRQsBody(1|32, 2, 0, 0))
	if trigger(0) || trigger(-1) || trigger(4) {
		t.Error("there are no eventfds any more")
	}

	c.Close()
	if err := <-ended; err != nil {
		t.Errorf("the client has left: %v", err)
	}
	if d.memory != nil || d.attached != 1 {
		t.Error("the device was not detached")
	}
}

// TestFullPipe passes a pipe that nobody reads as an eventfd: triggering fails, and does
// not wait.
func TestFullPipe(t *testing.T) {
	d := &device{}
	conn, _ := serve(t, d)
	c := vfiousertest.New(t, conn, 0)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(r.Close(), w.Close()) }()
	raw, err := unix.Dup(int(w.Fd())) // blocking
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(raw) }()
	c.Must(vfiousertest.SetIRQs, vfiousertest.SetIRQsBody(4|32, 2, 0, 1), raw)
	triggered := 0
	_ = d.locked(func(*vfiouser.Memory) error {
		for triggered < 1<<20 && d.irqs.Trigger(0) {
			triggered++
		}
		return nil
	})
	if triggered == 0 || triggered == 1<<20 {
		t.Errorf("triggered %d times", triggered)
	}
}

// TestMappings maps, overlaps, unmaps; addresses that are not mapped are errors.
func TestMappings(t *testing.T) {
	d := &device{}
	conn, _ := serve(t, d)
	c := vfiousertest.New(t, conn, 0)
	fd, _ := vfiousertest.Memfd(t, 3*4096)
	c.Map(0x10000, 4096, fd)
	c.Map(0x20000, 2*4096, fd)
	c.Must(vfiousertest.DMAMap, vfiousertest.MapBody(0x30000, 4096, 0)) // without a file: not for us
	refused := func(name string, command uint16, body []byte, want unix.Errno, fds ...int) {
		t.Helper()
		if _, err := c.Ask(command, body, fds...); !errors.Is(err, want) {
			t.Errorf("%s: %v, expected %v", name, err, want)
		}
	}
	refused("same place", vfiousertest.DMAMap, vfiousertest.MapBody(0x10000, 4096, 0), unix.EEXIST, fd)
	refused("overlap from below", vfiousertest.DMAMap, vfiousertest.MapBody(0xf000, 2*4096, 0), unix.EEXIST, fd)
	refused("overlap from above", vfiousertest.DMAMap, vfiousertest.MapBody(0x21000, 2*4096, 0), unix.EEXIST, fd)
	refused("more than the file has", vfiousertest.DMAMap, vfiousertest.MapBody(0x50000, 4*4096, 0), unix.EINVAL, fd)
	refused("offset beyond the file", vfiousertest.DMAMap, vfiousertest.MapBody(0x50000, 4096, 1<<63), unix.EINVAL, fd)
	refused("end of the address space", vfiousertest.DMAMap, vfiousertest.MapBody(1<<64-4096, 2*4096, 0), unix.EINVAL, fd)
	refused("nothing", vfiousertest.DMAMap, vfiousertest.MapBody(0x50000, 0, 0), unix.EINVAL, fd)
	refused("two files", vfiousertest.DMAMap, vfiousertest.MapBody(0x50000, 4096, 0), unix.EINVAL, fd, fd)
	refused("unmap what is not there", vfiousertest.DMAUnmap, vfiousertest.UnmapBody(0x90000, 4096), unix.ENOENT)
	refused("unmap a part", vfiousertest.DMAUnmap, vfiousertest.UnmapBody(0x20000, 4096), unix.ENOENT)

	try := func(name string, addr uint64, n int, ok bool) {
		t.Helper()
		err := d.locked(func(m *vfiouser.Memory) error { return m.Write(addr, make([]byte, n)) })
		if (err == nil) != ok || (!ok && !errors.Is(err, vfiouser.ErrUnmapped)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	try("first mapping", 0x10000, 4096, true)
	try("beyond its end", 0x10001, 4096, false)
	try("second mapping", 0x21fff, 1, true)
	try("between", 0x18000, 1, false)
	try("kept by the client", 0x30000, 1, false)
	try("end of the address space", 1<<64-1, 4096, false)
	c.Must(vfiousertest.DMAUnmap, vfiousertest.UnmapBody(0x10000, 4096))
	try("unmapped", 0x10000, 1, false)
	all := vfiousertest.UnmapBody(0, 0)
	all[4] = 2 // VFIO_DMA_UNMAP_FLAG_ALL
	c.Must(vfiousertest.DMAUnmap, all)
	try("all unmapped", 0x20000, 1, false)
	if err := d.locked(func(m *vfiouser.Memory) error { return m.Store32(0x20002, 1) }); err == nil {
		t.Error("a dword that is not aligned was stored")
	}
}

// TestShrunkMemory takes the memory away behind a mapping: an error, no bus error.
func TestShrunkMemory(t *testing.T) {
	d := &device{}
	conn, _ := serve(t, d)
	c := vfiousertest.New(t, conn, 0)
	fd, _ := vfiousertest.Memfd(t, 2*4096)
	c.Map(0, 2*4096, fd)
	if err := unix.Ftruncate(fd, 4096); err != nil {
		t.Fatal(err)
	}
	err := d.locked(func(m *vfiouser.Memory) error { return m.Read(4096, make([]byte, 8)) })
	if !errors.Is(err, vfiouser.ErrFault) {
		t.Errorf("read: %v", err)
	}
	if err := d.locked(func(m *vfiouser.Memory) error { return m.Write(4096, make([]byte, 8)) }); !errors.Is(err, vfiouser.ErrFault) {
		t.Errorf("write: %v", err)
	}
	if err := d.locked(func(m *vfiouser.Memory) error { return m.Read(0, make([]byte, 8)) }); err != nil {
		t.Errorf("what is left: %v", err)
	}
}

// TestDescriptorsAreClosed counts the process's descriptors around a session that passes
// many, refused ones too.
func TestDescriptorsAreClosed(t *testing.T) {
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	fd, _ := vfiousertest.Memfd(t, 4096)
	before := count()
	conn, ended := serve(t, &device{})
	c := vfiousertest.New(t, conn, 0)
	for range 3 {
		c.Listen(4)
		_, _ = c.Ask(vfiousertest.DMAMap, vfiousertest.MapBody(0, 1<<40, 0), fd)
		_, _ = c.Ask(vfiousertest.SetIRQs, vfiousertest.SetIRQsBody(4|32, 2, 0, 3), fd, fd)
		_, _ = c.Ask(99, nil, fd, fd, fd)
	}
	c.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// TestBadClients says what no client should, one thing for each connection.
func TestBadClients(t *testing.T) {
	version := []byte{1, 0, 1, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	head := func(command byte, size uint32, flags byte) []byte {
		b := []byte{2, 0, command, 0, 0, 0, 0, 0, flags, 0, 0, 0, 0, 0, 0, 0}
		binary.LittleEndian.PutUint32(b[4:], size)
		return b
	}
	for name, message := range map[string][]byte{
		"a command before the version": head(4, 16, 0),
		"another major version":        append(head(1, 20, 0), 1, 0, 0, 0),
		"smaller than a header":        append(version, head(4, 15, 0)...),
		"too large":                    append(version, head(4, 1<<30, 0)...),
		"a reply":                      append(version, head(4, 16, 1)...),
	} {
		t.Run(name, func(t *testing.T) {
			conn, ended := serve(t, &device{})
			defer func() { _ = conn.Close() }()
			if _, err := conn.Write(message); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the server says that all is well")
				}
			case <-time.After(20 * time.Second):
				t.Error("the server waits for more")
			}
		})
	}
	for name, x := range map[string]struct {
		command uint16
		body    []byte
	}{
		"unknown command":      {99, nil},
		"short info":           {vfiousertest.GetRegionInfo, []byte{1}},
		"region 9":             {vfiousertest.GetRegionInfo, append(make([]byte, 8), append([]byte{9}, make([]byte, 23)...)...)},
		"interrupt kind 5":     {vfiousertest.GetIRQInfo, append(make([]byte, 8), append([]byte{5}, make([]byte, 7)...)...)},
		"vectors beyond":       {vfiousertest.SetIRQs, vfiousertest.SetIRQsBody(1|32, 2, 3, 2)},
		"vectors far beyond":   {vfiousertest.SetIRQs, vfiousertest.SetIRQsBody(1|32, 2, 1<<32-1, 2)},
		"read beyond":          {vfiousertest.RegionRead, vfiousertest.Access(0, 250, 8)},
		"read far beyond":      {vfiousertest.RegionRead, vfiousertest.Access(0, 1<<64-1, 8)},
		"read too much":        {vfiousertest.RegionRead, vfiousertest.Access(0, 0, 1<<20)},
		"read a missing part":  {vfiousertest.RegionRead, vfiousertest.Access(3, 0, 1)},
		"write without data":   {vfiousertest.RegionWrite, vfiousertest.Access(0, 0, 4)},
		"short map":            {vfiousertest.DMAMap, make([]byte, 31)},
		"short unmap":          {vfiousertest.DMAUnmap, make([]byte, 23)},
		"short access":         {vfiousertest.RegionRead, make([]byte, 15)},
		"short set interrupts": {vfiousertest.SetIRQs, make([]byte, 19)},
		"descriptors' region":  {6, make([]byte, 32)},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _ := serve(t, &device{})
			c := vfiousertest.New(t, conn, 0)
			var errno unix.Errno
			if _, err := c.Ask(x.command, x.body); !errors.As(err, &errno) {
				t.Errorf("%v, expected an error reply", err)
			}
			c.ReadRegion(0, 0, 1) // the connection goes on
		})
	}
}

// TestQuiet sends a write that wants no reply: the next answer is that of the next command.
func TestQuiet(t *testing.T) {
	conn, _ := serve(t, &device{})
	c := vfiousertest.New(t, conn, 0)
	message := append([]byte{9, 0, vfiousertest.RegionWrite, 0, 33, 0, 0, 0, 1 << 4, 0, 0, 0, 0, 0, 0, 0}, vfiousertest.Access(0, 5, 1)...)
	if err := c.Send(append(message, 'x')); err != nil {
		t.Fatal(err)
	}
	if got := c.ReadRegion(0, 5, 1); string(got) != "x" {
		t.Errorf("read %q", got)
	}
}
