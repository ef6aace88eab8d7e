package fabric

import (
	"io"
	"log/slog"

	"github.com/usb4mesh/usb4mesh/emulator/nhi"
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
	// Address is the place on the guest's root bus, as QEMU's "addr" takes it. AMD's two
	// functions are "08.5" and "08.6", as on the real machines: give both
	// "multifunction":"on", and put some other device with "multifunction":"on" at "08.0",
	// without which a guest does not look at the other functions.
	Address string
	// Model is the PCI identity, vendor and device: "1022:1668".
	Model string
}

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
	Asleep    bool   `json:"asleep"` // PCI power state D3hot
	Events    uint64 `json:"events"` // plug and unplug events to the driver
	nhi.Stats
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
