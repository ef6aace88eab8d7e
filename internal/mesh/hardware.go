package mesh

// Hardware is what one machine shows of its USB4: read from /sys and /proc,
// never written. What could not be read is left at its zero value.
type Hardware struct {
	Node        string       // host name
	Release     string       // kernel release: 6.12.107+deb13-amd64
	Version     string       // /proc/version, which names the distribution's package
	Machine     string       // vendor and product as the firmware says
	Controllers []Controller // by PCI address
	Links       []USB4Link   // one for each peer host, by domain and route
	Modules     []Module     // thunderbolt and thunderbolt_net, where loaded
	Host        HostFacts
}

// Controller is an NHI with its domain and host router.
type Controller struct {
	PCI            string // address: 0000:c7:00.5
	Vendor, Device int    // PCI ids
	Driver         string // "" where none is bound
	IOMMU          string // type of the IOMMU group: DMA, DMA-FQ, identity; "" without
	PCIeWidth      int    // lanes of the PCIe link in use, 0 unknown

	Domain        int    // -1 where the driver made none
	Security      string // none, user, secure, dponly, usbonly, nopcie
	DMAProtection bool   // firmware promises that the IOMMU guards against DMA
	FirmwareCM    bool   // Intel's firmware manages connections, not the kernel

	UUID       string // of the host router
	Generation int    // 3 Thunderbolt 3, 4 USB4
	Name       string // vendor and device name, "" where the router has none
	Ports      []USB4Port
	Interrupts []Interrupt
}

// USB4Port is a connector as the kernel's software connection manager shows it.
type USB4Port struct {
	Adapter  int      // lane 0 adapter on the host router
	Link     string   // usb4, tbt, none
	Retimers []string // device names
	Partner  bool     // USB Type-C sees something plugged; false also where firmware does not tell
}

// Interrupt is one of an NHI's.
type Interrupt struct {
	Number int
	Count  uint64 // since boot, over all CPUs
	CPUs   string // list of CPUs that may take it: 0-15
}

// USB4Link is a peer host at the end of a cable, and the interface towards it.
type USB4Link struct {
	XDomain    string // kernel name of the peer host: 0-2
	PCI        string // of the NHI it hangs from
	RouterUUID string // our host router
	Port       int    // lane adapter of our host router
	Hops       int    // hubs in between
	Peer       PeerHost

	RxLanes, TxLanes int
	RxSpeed, TxSpeed int // Gbit/s per lane

	Services []Service
	Parent   string // the network service, what thunderbolt_net binds to: 0-2.0; "" without

	// The network interface; Interface is "" where the driver made none.
	Interface string
	MAC       string
	MTU       int
	Up        bool // administratively
	Carrier   bool
	Master    string // bridge or bond it is a port of
	Neighbour string // MAC address of who answers at the other end; "" unknown, or several
	Stats     map[string]uint64
	Offloads  map[string]bool // tso, gso, gro; nil where nobody asked the driver
}

// Gbps is the trained speed in Gbit/s per direction: lanes times speed per lane,
// of the slower direction.
func (l USB4Link) Gbps() int { return min(l.RxLanes*l.RxSpeed, l.TxLanes*l.TxSpeed) }

// PeerHost is the other end as it introduced itself.
type PeerHost struct {
	UUID             string // of the peer's host router; may change when it reboots
	Name             string // its host name at the time; may be (none) or stale
	Vendor           string
	VendorID, Device int // vendor ids tell the peer's system
}

// Service is a protocol that a peer offers.
type Service struct {
	Name     string // 0-2.0
	Key      string // network, stream
	Settings uint32 // prtcstns; see E2E
	Driver   string // "" where none is bound
}

// E2E is the bit of a network service's settings by which the peer asks for
// end-to-end flow control (TBNET_E2E, drivers/net/thunderbolt/main.c).
const E2E = 1 << 0

// Module is a loaded kernel module.
type Module struct {
	Name       string
	Parameters map[string]string
}

// Parameter returns a parameter of a module, "" where the module is not loaded or
// has none of that name.
func (h *Hardware) Parameter(module, name string) string {
	for _, m := range h.Modules {
		if m.Name == module {
			return m.Parameters[name]
		}
	}
	return ""
}

// Loaded reports whether a module is there.
func (h *Hardware) Loaded(module string) bool {
	for _, m := range h.Modules {
		if m.Name == module {
			return true
		}
	}
	return false
}

// HostFacts is what else of the machine decides how the links do.
type HostFacts struct {
	Governors      []string    // in use, without repetition
	IdleStates     []IdleState // of CPU 0, shallow to deep
	LatencyLimit   int         // strictest resume latency asked of a CPU, µs; 0 none
	EfficiencyCPUs string      // list of CPUs of the slower kind on hybrid machines: 8-15

	Sysctls    []Sysctl          // those that matter to forwarding
	Counters   map[string]uint64 // of /proc/net: Ip.FragFails, TcpExt.IPReversePathFilter, Softnet.Squeezed
	Managers   []string          // running programs that configure networks
	LinkLocal  []string          // interfaces with a 169.254.0.0/16 route
	Firewalls  []string          // tables and modules of packet filters in use
	Interfaces []HostInterface   // all that are up
	UdevRules  []UdevRule        // that authorize devices
	Log        []string          // lines of the kernel log about USB4; nil where not readable
}

// IdleState is a C-state.
type IdleState struct {
	Name     string
	Latency  int // µs to leave it
	Disabled bool
}

// HostInterface is a network interface of any kind.
type HostInterface struct {
	Name   string
	MTU    int
	Master string
}

// UdevRule is a line of a udev rule file.
type UdevRule struct {
	File string
	Line int
	Text string
}
