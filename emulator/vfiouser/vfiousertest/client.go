// Package vfiousertest has a vfio-user client for tests: what QEMU does, in as few lines
// as possible, and what no client should do.
package vfiousertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands, numbered as in docs/interop/vfio-user.rst.
const (
	Version       = 1
	DMAMap        = 2
	DMAUnmap      = 3
	GetInfo       = 4
	GetRegionInfo = 5
	GetIRQInfo    = 7
	SetIRQs       = 8
	RegionRead    = 9
	RegionWrite   = 10
	Reset         = 13
)

// patience is how long an answer may take on a busy machine.
const patience = 20 * time.Second

// Client is a machine with memory, connected to a device.
type Client struct {
	t      testing.TB
	conn   *net.UnixConn
	id     uint16
	Memory []byte // guest memory, at address Base
	memfd  int
	irqs   []int // eventfds by vector
}

// Base is the guest address of Client.Memory.
const Base = 0x100000

// Dial connects to a device's socket, agrees on a version and shares size bytes of memory.
func Dial(t testing.TB, path string, size int) *Client {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	return New(t, conn, size)
}

// New is Dial on a connection.
func New(t testing.TB, conn *net.UnixConn, size int) *Client {
	t.Helper()
	c := &Client{t: t, conn: conn, memfd: -1}
	t.Cleanup(c.Close)
	c.Must(Version, append([]byte{0, 0, 0, 0}, "{}\x00"...))
	if size > 0 {
		c.memfd, c.Memory = Memfd(t, size)
		c.Map(Base, uint64(size), c.memfd)
	}
	return c
}

// Memfd makes a file of memory that can be mapped and passed. Both end with the test.
func Memfd(t testing.TB, size int) (fd int, memory []byte) {
	t.Helper()
	fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		t.Fatal(err)
	}
	memory, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(memory) })
	return fd, memory
}

// Close hangs up, as a machine whose power is cut.
func (c *Client) Close() {
	_ = c.conn.Close()
	c.closeIRQs()
}

func (c *Client) closeIRQs() {
	for _, fd := range c.irqs {
		_ = unix.Close(fd)
	}
	c.irqs = nil
}

// Ask sends a command and returns the body of the answer.
func (c *Client) Ask(command uint16, body []byte, fds ...int) ([]byte, error) {
	c.id++
	message := make([]byte, 16, 16+len(body))
	binary.LittleEndian.PutUint16(message[0:], c.id)
	binary.LittleEndian.PutUint16(message[2:], command)
	binary.LittleEndian.PutUint32(message[4:], uint32(16+len(body)))
	if err := c.Send(append(message, body...), fds...); err != nil {
		return nil, err
	}
	return c.Answer(c.id, command)
}

// Send sends bytes as they are.
func (c *Client) Send(message []byte, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, _, err := c.conn.WriteMsgUnix(message, oob, nil)
	return err
}

// Answer reads the answer to a command; an error reply becomes a unix.Errno.
func (c *Client) Answer(id, command uint16) ([]byte, error) {
	var h [16]byte
	if err := c.read(h[:]); err != nil {
		return nil, err
	}
	gotID, gotCommand := binary.LittleEndian.Uint16(h[0:]), binary.LittleEndian.Uint16(h[2:])
	size, flags := binary.LittleEndian.Uint32(h[4:]), binary.LittleEndian.Uint32(h[8:])
	if gotID != id || gotCommand != command || flags&0xf != 1 || size < 16 || size > 1<<16 {
		return nil, fmt.Errorf("answer %d to command %d, flags %#x, %d bytes; expected %d to %d", gotID, gotCommand, flags, size, id, command)
	}
	body := make([]byte, size-16)
	if err := c.read(body); err != nil {
		return nil, err
	}
	if flags&(1<<5) != 0 {
		return nil, unix.Errno(binary.LittleEndian.Uint32(h[12:]))
	}
	return body, nil
}

func (c *Client) read(p []byte) error {
	for len(p) > 0 {
		n, err := c.conn.Read(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// Must is Ask that ends the test when it fails.
func (c *Client) Must(command uint16, body []byte, fds ...int) []byte {
	c.t.Helper()
	answer, err := c.Ask(command, body, fds...)
	if err != nil {
		c.t.Fatalf("command %d: %v", command, err)
	}
	return answer
}

// MapBody is the body of a DMA_MAP.
func MapBody(addr, size, offset uint64) []byte {
	b := words(32, 3)
	return longs(b, offset, addr, size)
}

// UnmapBody is the body of a DMA_UNMAP.
func UnmapBody(addr, size uint64) []byte { return longs(words(24, 0), addr, size) }

// Map shares a file's memory.
func (c *Client) Map(addr, size uint64, fd int) {
	c.t.Helper()
	c.Must(DMAMap, MapBody(addr, size, 0), fd)
}

// Access is the start of a region access.
func Access(region int, offset uint64, count int) []byte {
	return words4(longs(nil, offset), uint32(region), uint32(count))
}

// ReadRegion reads n bytes.
func (c *Client) ReadRegion(region int, offset uint64, n int) []byte {
	c.t.Helper()
	return c.Must(RegionRead, Access(region, offset, n))[16:]
}

// WriteRegion writes bytes.
func (c *Client) WriteRegion(region int, offset uint64, p []byte) {
	c.t.Helper()
	c.Must(RegionWrite, append(Access(region, offset, len(p)), p...))
}

// Read32 reads a register of region 0.
func (c *Client) Read32(at uint64) uint32 {
	c.t.Helper()
	return binary.LittleEndian.Uint32(c.ReadRegion(0, at, 4))
}

// Write32 writes a register of region 0.
func (c *Client) Write32(at uint64, v uint32) {
	c.t.Helper()
	c.WriteRegion(0, at, words4(nil, v))
}

// Reset resets the device.
func (c *Client) Reset() {
	c.t.Helper()
	c.Must(Reset, nil)
}

// Listen gives eventfds to the first n MSI-X vectors.
func (c *Client) Listen(n int) {
	c.t.Helper()
	c.closeIRQs()
	for range n {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			c.t.Fatal(err)
		}
		c.irqs = append(c.irqs, fd)
	}
	c.Must(SetIRQs, words(20, 4|32, 2, 0, uint32(n)), c.irqs...)
}

// SetIRQsBody is the body of a SET_IRQS.
func SetIRQsBody(flags, index, start, count uint32) []byte {
	return words(20, flags, index, start, count)
}

// Interrupts takes the number of interrupts of a vector since the last call.
func (c *Client) Interrupts(vector int) int {
	var b [8]byte
	if _, err := unix.Read(c.irqs[vector], b[:]); err != nil {
		return 0 // EAGAIN: none
	}
	return int(binary.LittleEndian.Uint64(b[:]))
}

// Wait waits for an interrupt of a vector.
func (c *Client) Wait(vector int, limit time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(c.irqs[vector]), Events: unix.POLLIN}}
	deadline := time.Now().Add(limit)
	for {
		n, err := unix.Poll(fds, int(max(0, time.Until(deadline).Milliseconds())))
		switch {
		case n > 0:
			return nil
		case err == nil || !errors.Is(err, unix.EINTR):
			return errors.Join(err, fmt.Errorf("no interrupt on vector %d within %v", vector, limit))
		}
	}
}

// Load32 reads a dword of memory that the device writes.
func (c *Client) Load32(addr uint64) uint32 {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&c.Memory[addr-Base])))
}

func words(v ...uint32) []byte { return words4(nil, v...) }

func words4(b []byte, v ...uint32) []byte {
	for _, w := range v {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

func longs(b []byte, v ...uint64) []byte {
	for _, w := range v {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}
