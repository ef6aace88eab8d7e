package fabric

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"
)

// Options of a fabric.
type Options struct {
	// Dir is where the sockets are made: one folder of one's own, at most 70 bytes
	// of path. It must exist.
	Dir string
	// Trace receives one line for each control packet and event, nil for none.
	Trace io.Writer
	// Log receives what goes wrong, nil for nothing.
	Log *slog.Logger
}

// Socket is where QEMU finds one host interface.
type Socket struct {
	// Path of the Unix socket, for
	// -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":PATH},...}'.
	Path string
	// Address is the place on the guest's root bus that the real machine's function has
	// or comes nearest to, as QEMU's "addr" takes it: "0d.2". Functions of one device need
	// "multifunction":true on function 0, if there is one, and on each other.
	Address string
	// Model is the PCI identity: "1022:1668".
	Model string
}

// Fault says how one end of a cable misbehaves. The zero value is an end in order.
type Fault struct {
	// Dead: the port is there but the link never comes up.
	Dead bool `json:"dead,omitempty"`
	// Silent: packets to a port without a link vanish. Otherwise they are answered with
	// the error "port not connected" at once. It matters at an unplug: the driver's
	// logout then takes 0.5 s or 10.5 s.
	Silent bool `json:"silent,omitempty"`
	// MuteControl: the link is up, but no XDomain packet leaves this end.
	MuteControl bool `json:"mute_control,omitempty"`
	// MuteData: the link is up, but no data frame leaves this end. Control packets do.
	MuteData bool `json:"mute_data,omitempty"`
	// DropRequests: every nth XDomain packet that leaves this end is lost, 0 none.
	DropRequests int `json:"drop_requests,omitempty"`
	// Lanes and Speed (Gb/s) limit what is trained, 0 is what the cable has. A change
	// takes the link down and up.
	Lanes int `json:"lanes,omitempty"`
	Speed int `json:"speed,omitempty"`
	// Bandwidth limits the frames that leave this end, in bits per second; 0 is as fast as can be.
	Bandwidth int64 `json:"bandwidth,omitempty"`
	// Latency is added to each data frame and XDomain packet that leaves this end.
	Latency time.Duration `json:"latency,omitempty"`
	// FlapUp and FlapDown: the link goes down after FlapUp and up after FlapDown, again
	// and again; both must be set.
	FlapUp   time.Duration `json:"flap_up,omitempty"`
	FlapDown time.Duration `json:"flap_down,omitempty"`
}

// Fabric is a set of hosts and the cables between them. All methods may be called
// from any goroutine.
type Fabric struct{}

var errNotYet = errors.New("not built yet")

// New makes the hosts, unpowered, and the cables, and listens on the sockets. The
// sockets exist when New returns.
func New(t Topology, o Options) (*Fabric, error) { return nil, errNotYet }

// Start serves the sockets until ctx ends or Close is called; it does not block. A host
// is powered from then on: it is there once its guest has connected all its sockets.
func (f *Fabric) Start(ctx context.Context) {}

// Sockets of a host, one for each host interface, in PCI order; nil for an unknown host.
func (f *Fabric) Sockets(host string) []Socket { return nil }

// Plug puts a cable in at both ends. Cables are named as in the topology.
func (f *Fabric) Plug(cable string) error { return errNotYet }

// Unplug pulls a cable at both ends.
func (f *Fabric) Unplug(cable string) error { return errNotYet }

// Replug pulls a cable and puts it in again after a pause.
func (f *Fabric) Replug(cable string, pause time.Duration) error { return errNotYet }

// Fault sets the faults of one end, replacing what was set before. End is "host:port" as
// in the topology, or the host's name, or "" for both ends.
func (f *Fabric) Fault(cable, end string, fault Fault) error { return errNotYet }

// ClearFaults puts all ends of all cables in order.
func (f *Fabric) ClearFaults() {}

// PowerOff cuts the host's power: its links go down at once, its guest is no longer
// served. Kill the guest before or after.
func (f *Fabric) PowerOff(host string) error { return errNotYet }

// PowerOn makes the host's sockets ready for a new guest.
func (f *Fabric) PowerOn(host string) error { return errNotYet }

// Stats is what the fabric has seen, in the order of the topology.
func (f *Fabric) Stats() Stats { return Stats{} }

// Close ends the service, closes and removes the sockets.
func (f *Fabric) Close() error { return nil }

// Stats counts and shows states.
type Stats struct {
	Hosts  []HostStats  `json:"hosts"`
	Cables []CableStats `json:"cables"`
}

// HostStats is the state of one host.
type HostStats struct {
	Name      string     `json:"name"`
	Powered   bool       `json:"powered"`
	Connected bool       `json:"connected"` // a guest is connected to every host interface
	NHIs      []NHIStats `json:"nhis"`
}

// NHIStats is the state of one host interface.
type NHIStats struct {
	Socket    string `json:"socket"`
	Connected bool   `json:"connected"`
	PowerD3   bool   `json:"d3"`        // asleep: PCI power state D3hot
	Control   uint64 `json:"control"`   // control packets from the driver
	Events    uint64 `json:"events"`    // plug and unplug events to the driver
	TxFrames  uint64 `json:"tx_frames"` // data frames taken from the driver
	RxFrames  uint64 `json:"rx_frames"` // data frames given to the driver
	Dropped   uint64 `json:"dropped"`   // data frames without a path or a link
	Stalls    uint64 `json:"stalls"`    // times that a frame waited for a receive buffer
	Irqs      uint64 `json:"irqs"`
	Resets    uint64 `json:"resets"`
	DMAErrors uint64 `json:"dma_errors"` // addresses that the guest has not mapped
}

// CableStats is the state of one cable.
type CableStats struct {
	Name    string `json:"name"`
	Plugged bool   `json:"plugged"`
	Up      bool   `json:"up"`
	Lanes   int    `json:"lanes"` // bonded lanes in use
	Speed   int    `json:"speed"` // Gb/s of a lane
	Trained uint64 `json:"trained"`
	Ends    [2]End `json:"ends"`
}

// End is one end of a cable: what left it, and its faults.
type End struct {
	Port    string `json:"port"`
	Control uint64 `json:"control"` // XDomain packets
	Frames  uint64 `json:"frames"`
	Bytes   uint64 `json:"bytes"`
	Lost    uint64 `json:"lost"` // packets and frames lost to faults
	Fault   Fault  `json:"fault"`
}
