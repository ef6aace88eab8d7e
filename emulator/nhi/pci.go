package nhi

import "encoding/binary"

// Identity is what the PCI configuration space says of a function.
type Identity struct {
	Vendor, Device       uint16
	SubVendor, SubDevice uint16
	Revision             uint8
	// Version in REG_CAPS: CapsVersion2 or more for a host interface of USB4 v2.
	Version uint8
}

// Offsets in the configuration space (linux include/uapi/linux/pci_regs.h).
const (
	pciCommand      = 0x04
	pciStatus       = 0x06
	pciClass        = 0x08
	pciSubsystem    = 0x2c
	pciCapabilities = 0x34

	pciPM   = 0x40 // our place for the power management capability
	pciPMC  = pciPM + 2
	pciPMCS = pciPM + 4
	pciMSIX = 0x50 // our place for the MSI-X capability

	capPM   = 0x01
	capMSIX = 0x11

	statusCapabilities = 0x10
	classUSB4          = 0x0c0340 // PCI_CLASS_SERIAL_USB_USB4

	pmVersion3    = 0x3
	pmPMEFromD0   = 1 << 11
	pmPMEFromD3   = 1 << 14 // D3hot
	pmcsState     = 0x3
	pmcsNoReset   = 1 << 3 // No_Soft_Reset: D3hot keeps the registers
	pmcsPMEEnable = 1 << 8
	pmcsPMEStatus = 1 << 15 // ones clear it

	stateD3hot = 3

	configSize = 256
)

// pci is the configuration space. QEMU emulates the base addresses and the MSI-X table
// itself; what arrives here are the identity, the command register and PMCSR.
type pci struct {
	space [configSize]byte
}

func newPCI(id Identity) pci {
	var p pci
	put16 := func(at int, v uint16) { binary.LittleEndian.PutUint16(p.space[at:], v) }
	put32 := func(at int, v uint32) { binary.LittleEndian.PutUint32(p.space[at:], v) }
	put16(0, id.Vendor)
	put16(2, id.Device)
	put16(pciStatus, statusCapabilities)
	put32(pciClass, classUSB4<<8|uint32(id.Revision))
	put16(pciSubsystem, id.SubVendor)
	put16(pciSubsystem+2, id.SubDevice)
	p.space[pciCapabilities] = pciPM

	p.space[pciPM], p.space[pciPM+1] = capPM, pciMSIX
	put16(pciPMC, pmVersion3|pmPMEFromD0|pmPMEFromD3)
	put16(pciPMCS, pmcsNoReset)

	p.space[pciMSIX], p.space[pciMSIX+1] = capMSIX, 0
	put16(pciMSIX+2, Vectors-1)
	put32(pciMSIX+4, 0|2)          // table at the start of BAR 2
	put32(pciMSIX+8, msixSize/2|2) // pending bits in its second half
	return p
}

func (p *pci) pmcs() uint16     { return binary.LittleEndian.Uint16(p.space[pciPMCS:]) }
func (p *pci) setPMCS(v uint16) { binary.LittleEndian.PutUint16(p.space[pciPMCS:], v) }
func (p *pci) asleep() bool     { return p.pmcs()&pmcsState == stateD3hot }

// write stores the writable bytes: command, base addresses, PMCSR, MSI-X control.
func (p *pci) write(offset uint64, data []byte) {
	for i, b := range data {
		switch at := int(offset) + i; {
		case at == pciCommand, at == pciCommand+1, at >= 0x10 && at < 0x28, at == 0x3c, at == pciMSIX+3:
			p.space[at] = b
		case at == pciPMCS:
			p.space[at] = b&pmcsState | pmcsNoReset
		case at == pciPMCS+1:
			status := p.space[at] & (pmcsPMEStatus >> 8)
			if b&(pmcsPMEStatus>>8) != 0 {
				status = 0
			}
			p.space[at] = b&(pmcsPMEEnable>>8) | status
		}
	}
}

// wake sets PME status if the function sleeps and may wake: the kernel, which polls
// PMCSR of functions without an interrupt for it, resumes the function. It reports
// whether it has.
func (p *pci) wake() bool {
	v := p.pmcs()
	if !p.asleep() || v&pmcsPMEEnable == 0 {
		return false
	}
	p.setPMCS(v | pmcsPMEStatus)
	return true
}
