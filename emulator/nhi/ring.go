package nhi

import "encoding/binary"

// ring is one descriptor ring. Indexes count descriptors and are below size.
type ring struct {
	base    uint64 // address of the descriptors
	size    uint16 // descriptors, 0 while the ring is not set up
	frame   uint16 // RX: largest frame, 0 is MaxFrame
	driver  uint16 // first descriptor that the driver has not posted
	device  uint16 // first descriptor that the device has not completed
	options uint32
	mask    uint32 // second dword of the options
}

func (r *ring) enabled() bool { return r.options&optionEnable != 0 && r.size > 0 }

// posted reports whether the driver has given a descriptor that is not completed yet.
func (r *ring) posted() bool { return r.enabled() && r.device != r.driver }

// setDriver moves the driver's index; an index beyond the ring is taken modulo its size.
func (r *ring) setDriver(index uint16) {
	if r.size > 0 {
		index %= r.size
	}
	r.driver = index
}

func (r *ring) advance() { r.device = (r.device + 1) % r.size }

func (r *ring) address() uint64 { return r.base + uint64(r.device)*descSize }

// setSize sets the size register; indexes beyond a smaller ring start anew.
func (r *ring) setSize(v uint32) {
	r.size, r.frame = uint16(v), uint16(v>>16)
	if r.size == 0 || r.driver >= r.size || r.device >= r.size {
		r.driver, r.device = 0, 0
	}
}

// descriptor is one descriptor as the driver has written it.
type descriptor struct {
	buffer uint64
	word   uint32 // length, eof, sof, flags
}

func parseDescriptor(b []byte) descriptor {
	return descriptor{buffer: binary.LittleEndian.Uint64(b), word: binary.LittleEndian.Uint32(b[8:])}
}

func (d descriptor) length() int {
	if n := int(d.word & descLength); n > 0 {
		return n
	}
	return MaxFrame
}

func (d descriptor) eof() uint8      { return uint8(d.word >> descEOFShift & 0xf) }
func (d descriptor) sof() uint8      { return uint8(d.word >> descSOFShift & 0xf) }
func (d descriptor) interrupt() bool { return d.word>>descFlagShift&descInterrupt != 0 }
