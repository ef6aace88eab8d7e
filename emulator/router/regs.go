package router

// Offsets in dwords and fields of the configuration spaces, from linux
// drivers/thunderbolt/tb_regs.h and the functions named.

// Router configuration space.
const (
	routerCS1  = 0x01 // first capability, upstream adapter, number of adapters, depth
	routerCS2  = 0x02 // route
	routerCS3  = 0x03 // route, valid
	routerCS4  = 0x04
	routerCS5  = 0x05
	routerCS6  = 0x06
	routerCS7  = 0x07 // UID, two dwords (usb4_switch_read_uid)
	routerCS9  = 0x09 // data of router operations, 16 dwords
	routerCS25 = 0x19
	routerCS26 = 0x1a // router operations (usb4_native_switch_op)

	cs1UpstreamShift = 8
	cs1MaxShift      = 14
	cs1Depth         = 0x7 << 20
	cs4Writable      = 0xffff // plug events delay, version of the connection manager
	cs4VersionShift  = 24
	cs5Sleep         = 1 << 0  // ROUTER_CS_5_SLP
	cs5Valid         = 1 << 31 // ROUTER_CS_5_CV
	cs6SleepReady    = 1 << 0  // ROUTER_CS_6_SLPR
	cs6Ready         = 1 << 24 // ROUTER_CS_6_RR
	cs6Configured    = 1 << 25 // ROUTER_CS_6_CR
	cs26NotSupported = 1 << 30 // ROUTER_CS_26_ONS
	cs26Valid        = 1 << 31 // ROUTER_CS_26_OV

	routerTMU  = 0x20    // our place for the time management capability
	tmuOneWay  = 1 << 30 // TMU_RTR_CS_0_UCAP
	routerSize = 0x40
)

// Adapter configuration space.
const (
	adpCS1 = 0x01 // first capability
	adpCS2 = 0x02 // type
	adpCS3 = 0x03 // number
	adpCS4 = 0x04 // buffers, lock
	adpCS5 = 0x05 // largest HopIDs, hot plug

	adpNumberShift  = 20
	adpBuffersShift = 20
	adpNFC          = 0x3ff   // ADP_CS_4_NFC_BUFFERS_MASK
	adpLock         = 1 << 31 // ADP_CS_4_LCK
	adpOutShift     = 11
	adpNoHotPlug    = 1 << 31 // ADP_CS_5_DHP

	typeLane = 0x000001 // TB_TYPE_PORT
	typeNHI  = 0x000002 // TB_TYPE_NHI

	adapterSize = 0x40
)

// Lane capability, our place for it and its fields (tb_port_state and following).
const (
	laneCap = 0x10
	laneCS0 = laneCap
	laneCS1 = laneCap + 1

	speedShift      = 16 // supported speeds in CS_0, current speed in CS_1
	widthShift      = 20 // supported widths in CS_0, current width in CS_1
	speedGen2       = 0x8
	speedGen3       = 0x4
	targetGen3      = 0xc // LANE_ADP_CS_1_TARGET_SPEED_GEN3
	targetWidth     = 0x3 << 4
	targetSingle    = 0x1 << 4
	targetDual      = 0x3 << 4
	laneDisable     = 1 << 14 // LANE_ADP_CS_1_LD
	laneBond        = 1 << 15 // LANE_ADP_CS_1_LB
	laneStateShift  = 26
	laneReadOnly    = 0x3fff << 16 // current speed and width, state
	stateUp         = 2            // TB_PORT_UP
	stateUnplugged  = 7            // TB_PORT_UNPLUGGED
	stateDisabled   = 0            // TB_PORT_DISABLED
	stateTraining   = 1            // TB_PORT_CONNECTING
	widthSingle     = 1
	widthDual       = 2
	laneReserveMask = 1 << 31
)

// USB4 port capability, our place for it and its fields.
const (
	portCap  = 0x20
	portCS1  = portCap + 0x01 // access to sideband registers (usb4_port_sb_read)
	portCS18 = portCap + 0x12
	portCS19 = portCap + 0x13

	sidebandNoResponse = 1 << 25 // PORT_CS_1_NR
	sidebandPending    = 1 << 31 // PORT_CS_1_PND
	portBonding        = 1 << 8  // PORT_CS_18_BE
	wokeOnConnect      = 1 << 16 // PORT_CS_18_WOCS
	wokeOnDisconnect   = 1 << 17 // PORT_CS_18_WODS
	portReset          = 1 << 0  // PORT_CS_19_DPR
	portConfigured     = 1 << 3  // PORT_CS_19_PC
	portOtherHost      = 1 << 4  // PORT_CS_19_PID
	portWakeOnConnect  = 1 << 16 // PORT_CS_19_WOC
	portWakeDisconnect = 1 << 17 // PORT_CS_19_WOD
	portWakeUSB4       = 1 << 18 // PORT_CS_19_WOU4
)

// Capabilities (enum tb_switch_cap, enum tb_port_cap).
const (
	capTMU   = 0x03
	capLane  = 0x01
	capPort  = 0x06
	capShift = 8
)

// Path configuration space: two dwords an entry, the entry's number is the HopID of the
// frames that arrive (struct tb_regs_hop).
const (
	pathNextHop      = 0x7ff
	pathOutShift     = 11
	pathOut          = 0x3f
	pathCreditsShift = 17
	pathEnable       = 1 << 31
	pathPending      = 1 << 28 // in the second dword: never set, there is nothing to drain

	controlCredits = 2
	laneBuffers    = 90 // credits of a lane adapter, as many USB4 host routers have
)
