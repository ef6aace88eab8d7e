package nhi

// Registers in BAR 0, from linux drivers/thunderbolt/nhi_regs.h. A ring has 16 bytes of
// registers and 32 bytes of options; rings are counted from 0, ring 0 is for control.
const (
	regTxRing    = 0x00000 // REG_TX_RING_BASE
	regRxRing    = 0x08000 // REG_RX_RING_BASE
	regTxOptions = 0x19800 // REG_TX_OPTIONS_BASE
	regRxOptions = 0x29800 // REG_RX_OPTIONS_BASE

	ringStride    = 16
	optionsStride = 32

	regNotify    = 0x37800 // REG_RING_NOTIFY_BASE: status, one bit a ring
	regIntClear  = 0x37808 // REG_RING_INT_CLEAR: ones clear status bits
	regIntEnable = 0x38200 // REG_RING_INTERRUPT_BASE: one bit a ring
	regMaskClear = 0x38208 // REG_RING_INTERRUPT_MASK_CLEAR_BASE: ones clear enable bits
	regThrottle  = 0x38c00 // REG_INT_THROTTLING_RATE, one dword a vector
	regVectors   = 0x38c40 // REG_INT_VEC_ALLOC_BASE: the vector of each bit, 4 bits each
	regCaps      = 0x39640 // REG_CAPS: number of rings, version
	regDMAMisc   = 0x39864 // REG_DMA_MISC
	regReset     = 0x39898 // REG_RESET
)

// Offsets in a ring's registers.
const (
	ringBaseLow  = 0
	ringBaseHigh = 4
	ringIndexes  = 8 // consumer in the low half, producer in the high half
	ringSize     = 12
)

// Fields.
const (
	capsVersionShift = 16 // REG_CAPS_VERSION_MASK

	// CapsVersion2 is the version from which on the driver resets the host router
	// through REG_RESET when it binds (REG_CAPS_VERSION_2).
	CapsVersion2 = 0x40

	miscAutoClear        = 1 << 2  // REG_DMA_MISC_INT_AUTO_CLEAR, Intel only
	miscDisableAutoClear = 1 << 17 // REG_DMA_MISC_DISABLE_AUTO_CLEAR

	resetHostRouter = 1 << 0 // REG_RESET_HRR

	optionEnable = 1 << 31 // RING_FLAG_ENABLE
	optionRaw    = 1 << 30 // RING_FLAG_RAW
)

// A descriptor has 16 bytes: the address of the buffer (8), a dword of length, end and
// start of frame and flags, and a time that is not used (struct ring_desc).
const (
	descSize      = 16
	descEOFShift  = 12
	descSOFShift  = 16
	descFlagShift = 20
	descLength    = 1<<12 - 1 // 0 stands for MaxFrame

	descCompleted = 0x2 // RING_DESC_COMPLETED
	descInterrupt = 0x8 // RING_DESC_INTERRUPT
)

// Sizes.
const (
	// Rings of an NHI: 12, the number of Linux' own notes and of most controllers. With
	// 12, all interrupt bits fit into one dword.
	Rings = 12
	// MaxFrame is the size of the largest data frame in bytes.
	MaxFrame = 4096
	// MaxControl is the size of the largest control packet with its checksum
	// (TB_FRAME_SIZE).
	MaxControl = 256
	// Vectors of MSI-X (MSIX_MAX_VECS).
	Vectors = 16

	barSize  = 0x40000
	msixSize = 0x1000
)
