package vfiouser

import (
	"encoding/binary"
	"fmt"
)

// Commands; names and numbers as in docs/interop/vfio-user.rst.
const (
	cmdVersion       = 1
	cmdDMAMap        = 2
	cmdDMAUnmap      = 3
	cmdGetInfo       = 4
	cmdGetRegionInfo = 5
	cmdGetRegionFDs  = 6
	cmdGetIRQInfo    = 7
	cmdSetIRQs       = 8
	cmdRegionRead    = 9
	cmdRegionWrite   = 10
	cmdDMARead       = 11
	cmdDMAWrite      = 12
	cmdReset         = 13
)

var commandNames = map[uint16]string{
	cmdVersion: "VERSION", cmdDMAMap: "DMA_MAP", cmdDMAUnmap: "DMA_UNMAP",
	cmdGetInfo: "DEVICE_GET_INFO", cmdGetRegionInfo: "DEVICE_GET_REGION_INFO",
	cmdGetRegionFDs: "DEVICE_GET_REGION_IO_FDS", cmdGetIRQInfo: "DEVICE_GET_IRQ_INFO",
	cmdSetIRQs: "DEVICE_SET_IRQS", cmdRegionRead: "REGION_READ", cmdRegionWrite: "REGION_WRITE",
	cmdDMARead: "DMA_READ", cmdDMAWrite: "DMA_WRITE", cmdReset: "DEVICE_RESET",
}

func commandName(cmd uint16) string {
	if name, ok := commandNames[cmd]; ok {
		return name
	}
	return fmt.Sprintf("command %d", cmd)
}

// Header flags.
const (
	typeMask  = 0xf
	typeReply = 1
	flagQuiet = 1 << 4 // the client wants no reply
	flagError = 1 << 5
)

// Flags of the structures in linux/vfio.h.
const (
	deviceReset = 1 << 0 // VFIO_DEVICE_FLAGS_RESET
	devicePCI   = 1 << 1 // VFIO_DEVICE_FLAGS_PCI

	regionRead  = 1 << 0 // VFIO_REGION_INFO_FLAG_READ
	regionWrite = 1 << 1 // VFIO_REGION_INFO_FLAG_WRITE

	irqEventfd  = 1 << 0 // VFIO_IRQ_INFO_EVENTFD
	irqNoResize = 1 << 3 // VFIO_IRQ_INFO_NORESIZE

	setDataNone      = 1 << 0 // VFIO_IRQ_SET_DATA_NONE
	setDataBool      = 1 << 1 // VFIO_IRQ_SET_DATA_BOOL
	setDataEventfd   = 1 << 2 // VFIO_IRQ_SET_DATA_EVENTFD
	setActionMask    = 1 << 3 // VFIO_IRQ_SET_ACTION_MASK
	setActionUnmask  = 1 << 4 // VFIO_IRQ_SET_ACTION_UNMASK
	setActionTrigger = 1 << 5 // VFIO_IRQ_SET_ACTION_TRIGGER

	unmapAll = 1 << 1 // VFIO_DMA_UNMAP_FLAG_ALL
)

// Regions of a PCI device: VFIO_PCI_BAR0_REGION_INDEX and following.
const (
	RegionBAR0   = 0
	RegionBAR2   = 2
	RegionConfig = 7
	numRegions   = 9
)

// Interrupts of a PCI device: VFIO_PCI_MSIX_IRQ_INDEX and the number of kinds.
const (
	irqMSIX = 2
	numIRQs = 5
)

// Limits on what a client may send.
const (
	headerSize  = 16
	maxTransfer = 4096            // bytes of one region access
	maxMessage  = 2 * maxTransfer // bytes after the header
	maxFDs      = 16              // descriptors with one message
	maxMappings = 512
)

type header struct {
	id, command uint16
	size        uint32 // of the whole message
	flags       uint32
	errno       uint32
}

func parseHeader(b []byte) header {
	return header{
		id:      binary.LittleEndian.Uint16(b[0:]),
		command: binary.LittleEndian.Uint16(b[2:]),
		size:    binary.LittleEndian.Uint32(b[4:]),
		flags:   binary.LittleEndian.Uint32(b[8:]),
		errno:   binary.LittleEndian.Uint32(b[12:]),
	}
}

func (h header) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, h.id)
	b = binary.LittleEndian.AppendUint16(b, h.command)
	b = binary.LittleEndian.AppendUint32(b, h.size)
	b = binary.LittleEndian.AppendUint32(b, h.flags)
	return binary.LittleEndian.AppendUint32(b, h.errno)
}

// words appends 32-bit fields.
func words(b []byte, v ...uint32) []byte {
	for _, w := range v {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}
