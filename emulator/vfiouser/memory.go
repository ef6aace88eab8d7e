package vfiouser

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sort"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Errors of Memory.
var (
	ErrUnmapped = errors.New("no memory of the guest there")
	ErrFault    = errors.New("the guest's memory is gone")
)

// Memory is the guest's memory as the client has mapped it for DMA.
type Memory struct {
	maps []mapping // sorted by address, without overlaps
	last int       // index of the mapping used last
}

type mapping struct {
	addr, size uint64
	data       []byte // nil: the client keeps this memory to itself
	writable   bool
}

func (m *mapping) end() uint64 { return m.addr + m.size }

// add maps size bytes of fd from offset at addr; fd is -1 for memory that the device
// may not reach. The caller keeps fd.
func (m *Memory) add(addr, size uint64, fd int, offset uint64, writable bool) error {
	switch {
	case size == 0, addr+size < addr:
		return unix.EINVAL
	case len(m.maps) >= maxMappings:
		return unix.ENOSPC
	}
	i := sort.Search(len(m.maps), func(i int) bool { return m.maps[i].end() > addr })
	if i < len(m.maps) && m.maps[i].addr < addr+size {
		return unix.EEXIST
	}
	n := mapping{addr: addr, size: size, writable: writable}
	if fd >= 0 {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		if offset+size < offset || offset+size > uint64(st.Size) {
			return unix.EINVAL // touching it would be a bus error
		}
		prot := unix.PROT_READ
		if writable {
			prot |= unix.PROT_WRITE
		}
		data, err := unix.Mmap(fd, int64(offset), int(size), prot, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		n.data = data
	}
	m.maps = append(m.maps, mapping{})
	copy(m.maps[i+1:], m.maps[i:])
	m.maps[i] = n
	return nil
}

// remove unmaps what lies within addr and size; mappings go whole or not at all.
func (m *Memory) remove(addr, size uint64) error {
	if addr+size < addr {
		return unix.EINVAL
	}
	kept := m.maps[:0]
	found := false
	for _, x := range m.maps {
		if x.addr >= addr && x.end() <= addr+size {
			x.unmap()
			found = true
			continue
		}
		kept = append(kept, x)
	}
	clear(m.maps[len(kept):])
	m.maps, m.last = kept, 0
	if !found {
		return unix.ENOENT
	}
	return nil
}

func (m *Memory) removeAll() {
	for _, x := range m.maps {
		x.unmap()
	}
	m.maps, m.last = nil, 0
}

func (m *mapping) unmap() {
	if m.data != nil {
		_ = unix.Munmap(m.data) // of our own mapping, whole: can't fail
	}
}

// slice finds n bytes at addr within one mapping. Guests' buffers never cross mappings:
// those are whole blocks of RAM.
func (m *Memory) slice(addr uint64, n int, write bool) ([]byte, error) {
	if m == nil {
		return nil, ErrUnmapped
	}
	if m.last >= len(m.maps) || addr < m.maps[m.last].addr || addr >= m.maps[m.last].end() {
		m.last = sort.Search(len(m.maps), func(i int) bool { return m.maps[i].end() > addr })
	}
	if m.last < len(m.maps) {
		x := &m.maps[m.last]
		if addr >= x.addr && uint64(n) <= x.end()-addr && x.data != nil && (x.writable || !write) {
			return x.data[addr-x.addr:][:n:n], nil
		}
	}
	return nil, fmt.Errorf("%d bytes at %#x: %w", n, addr, ErrUnmapped)
}

// Read copies from the guest's memory.
func (m *Memory) Read(addr uint64, p []byte) error {
	b, err := m.slice(addr, len(p), false)
	if err != nil {
		return err
	}
	return guard(func() { copy(p, b) })
}

// Write copies to the guest's memory.
func (m *Memory) Write(addr uint64, p []byte) error {
	b, err := m.slice(addr, len(p), true)
	if err != nil {
		return err
	}
	return guard(func() { copy(b, p) })
}

// Store32 writes one little-endian dword at once, after everything written before: a guest
// that sees it sees what it announces. The address must be a multiple of 4.
func (m *Memory) Store32(addr uint64, v uint32) error {
	b, err := m.slice(addr, 4, true)
	if err != nil {
		return err
	}
	if uintptr(unsafe.Pointer(&b[0]))%4 != 0 {
		return fmt.Errorf("dword at %#x is not aligned: %w", addr, ErrUnmapped)
	}
	return guard(func() { atomic.StoreUint32((*uint32)(unsafe.Pointer(&b[0])), v) })
}

// guard turns a bus error (a file that was shrunk after it was mapped) into an error.
func guard(access func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = ErrFault
		}
	}()
	access()
	return nil
}
