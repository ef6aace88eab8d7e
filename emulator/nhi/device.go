package nhi

import (
	"encoding/binary"

	"github.com/usb4mesh/usb4mesh/emulator/vfiouser"
)

var _ vfiouser.Device = (*NHI)(nil)

// RegionSize implements vfiouser.Device: BAR 0 has the registers, BAR 2 the MSI-X table.
func (n *NHI) RegionSize(region int) uint64 {
	switch region {
	case vfiouser.RegionBAR0:
		return barSize
	case vfiouser.RegionBAR2:
		return msixSize
	case vfiouser.RegionConfig:
		return configSize
	}
	return 0
}

// Vectors implements vfiouser.Device.
func (n *NHI) Vectors() int { return Vectors }

// Attach implements vfiouser.Device: the machine is powered.
func (n *NHI) Attach(m *vfiouser.Memory, i *vfiouser.Interrupts) {
	n.clear()
	n.memory, n.irqs = m, i
	n.router.Attached(true)
}

// Detach implements vfiouser.Device: the machine has lost its power.
func (n *NHI) Detach() {
	n.memory, n.irqs = nil, nil
	n.clear()
	n.router.Attached(false)
}

// Reset implements vfiouser.Device: the machine restarts, or resumes from S3.
func (n *NHI) Reset() {
	n.Stats.Resets++
	n.clear()
	n.router.Reset()
}

// ReadRegion implements vfiouser.Device.
func (n *NHI) ReadRegion(region int, offset uint64, p []byte) {
	clear(p)
	switch region {
	case vfiouser.RegionConfig:
		copy(p, n.pci.space[offset:])
	case vfiouser.RegionBAR0:
		var word [4]byte
		for len(p) > 0 {
			binary.LittleEndian.PutUint32(word[:], n.read(uint32(offset)&^3))
			c := copy(p, word[offset&3:])
			p, offset = p[c:], offset+uint64(c)
		}
	}
}

// WriteRegion implements vfiouser.Device. The driver writes whole dwords; other accesses
// to the registers are ignored, as by the hardware.
func (n *NHI) WriteRegion(region int, offset uint64, p []byte) {
	switch region {
	case vfiouser.RegionConfig:
		slept := n.pci.asleep()
		n.pci.write(offset, p)
		if slept && !n.pci.asleep() {
			n.router.Awake()
		}
	case vfiouser.RegionBAR0:
		if offset%4 != 0 || len(p)%4 != 0 {
			return
		}
		for ; len(p) > 0; p, offset = p[4:], offset+4 {
			n.write(uint32(offset), binary.LittleEndian.Uint32(p))
		}
	}
}

// ringAt finds the ring that a register belongs to.
func (n *NHI) ringAt(at uint32) (r *ring, index int, tx bool, offset uint32) {
	for _, s := range []struct {
		base, stride uint32
		rings        *[Rings]ring
		tx           bool
	}{
		{regTxRing, ringStride, &n.tx, true},
		{regRxRing, ringStride, &n.rx, false},
		{regTxOptions, optionsStride, &n.tx, true},
		{regRxOptions, optionsStride, &n.rx, false},
	} {
		if at >= s.base && at < s.base+Rings*s.stride {
			i := int((at - s.base) / s.stride)
			return &s.rings[i], i, s.tx, (at - s.base) % s.stride
		}
	}
	return nil, 0, false, 0
}

func (n *NHI) read(at uint32) uint32 {
	switch {
	case at == regCaps:
		return Rings | uint32(n.id.Version)<<capsVersionShift
	case at == regNotify:
		v := n.status
		if n.misc&miscDisableAutoClear == 0 {
			n.status = 0 // cleared by reading, unless the driver has switched that off
		}
		return v
	case at == regIntEnable:
		return n.enable
	case at == regDMAMisc:
		return n.misc
	case at >= regThrottle && at < regThrottle+4*Vectors:
		return n.throttle[(at-regThrottle)/4]
	case at >= regVectors && at < regVectors+uint32(4*len(n.vectors)):
		return n.vectors[(at-regVectors)/4]
	}
	r, _, tx, offset := n.ringAt(at)
	switch {
	case r == nil:
		return 0
	case at >= regTxOptions:
		return [...]uint32{0: r.options, 4: r.mask, 28: 0}[offset]
	}
	switch offset {
	case ringBaseLow:
		return uint32(r.base)
	case ringBaseHigh:
		return uint32(r.base >> 32)
	case ringIndexes:
		if tx {
			return uint32(r.driver)<<16 | uint32(r.device)
		}
		return uint32(r.device)<<16 | uint32(r.driver)
	}
	return uint32(r.frame)<<16 | uint32(r.size)
}

func (n *NHI) write(at, v uint32) {
	switch {
	case at == regIntClear:
		n.status &^= v
		return
	case at == regIntEnable:
		n.setEnable(v)
		return
	case at == regMaskClear:
		n.enable &^= v
		return
	case at == regDMAMisc:
		n.misc = v
		return
	case at == regReset:
		if v&resetHostRouter != 0 {
			n.Stats.Resets++
			n.clearRings()
			n.router.Reset()
		}
		return
	case at >= regThrottle && at < regThrottle+4*Vectors:
		n.throttle[(at-regThrottle)/4] = v
		return
	case at >= regVectors && at < regVectors+uint32(4*len(n.vectors)):
		n.vectors[(at-regVectors)/4] = v
		return
	}
	r, i, tx, offset := n.ringAt(at)
	if r == nil {
		return
	}
	if at >= regTxOptions {
		n.writeOptions(r, i, tx, offset, v)
		return
	}
	switch offset {
	case ringBaseLow:
		r.base = r.base&^0xffffffff | uint64(v)
	case ringBaseHigh:
		r.base = r.base&0xffffffff | uint64(v)<<32
	case ringSize:
		r.setSize(v)
	case ringIndexes:
		if tx {
			r.setDriver(uint16(v >> 16))
			n.transmit(i)
			return
		}
		r.setDriver(uint16(v))
		n.posted(i)
	}
}

func (n *NHI) writeOptions(r *ring, i int, tx bool, offset, v uint32) {
	switch offset {
	case 0:
		if (r.options^v)&optionEnable != 0 {
			r.driver, r.device = 0, 0 // the driver starts and stops with empty rings
			if i == 0 && !tx {
				n.pending = nil
			}
		}
		r.options = v
		if !tx {
			n.posted(i) // frames for a ring that was stopped have a way, or none, now
		}
	case 4:
		r.mask = v
	}
}

// posted says that an RX ring has changed.
func (n *NHI) posted(i int) {
	if n.memory == nil {
		return
	}
	if i == 0 {
		n.deliverPending()
	}
	n.router.Posted(i)
}
