// Package wire is what the harness and the guest's init say to each other: net/rpc over a
// virtio-serial port. All calls of the service Guest end in the time that they are given.
package wire

import "time"

// Service is the name under which init registers its methods.
const Service = "Guest"

// Port is the name of the virtio-serial port; init finds it in /sys/class/virtio-ports.
const Port = "usb4emu"

// BootModules is the file in the initramfs that lists, one path a line, the modules that init loads
// before it opens the port.
const BootModules = "/modules/boot"

// None is the argument or answer of a call that needs none.
type None struct{}

// Hello is the first answer.
type Hello struct {
	Release string        // of the kernel
	Uptime  time.Duration // of the kernel when init was ready
}

// Command is a program to run. Timeout must be set; the program and its children are killed then.
type Command struct {
	Args    []string
	Env     []string // added to init's own
	Dir     string
	Stdin   []byte
	Timeout time.Duration
}

// Result is what a command left. Output is cut at MaxOutput.
type Result struct {
	Stdout, Stderr []byte
	Code           int // -1 if a signal ended it
	TimedOut       bool
}

// MaxOutput bounds each output of a command, in bytes.
const MaxOutput = 8 << 20

// Daemon is a program that runs until it ends or is stopped; both outputs go into Log.
type Daemon struct {
	Args []string
	Env  []string
	Log  string // path in the guest
}

// Stop ends a daemon: the signal, then after Grace SIGKILL for its process group.
type Stop struct {
	Pid    int
	Signal int
	Grace  time.Duration
}

// File is a file's path and content.
type File struct {
	Path string
	Data []byte
	Mode uint32
}

// Tree asks for everything below some folders.
type Tree struct {
	Roots []string
	// Skip are last elements of paths that are neither read nor entered.
	Skip []string
	Max  int // files at most
}

// Entry is one path of a tree. Symbolic links are not followed.
type Entry struct {
	Path  string
	Link  string // target, if it is a symbolic link
	Data  []byte
	Error string // why a file could not be read, e.g. "invalid argument"
}

// Link is a network interface, as rtnetlink shows it.
type Link struct {
	Name, MAC string
	Index     int
	MTU       int
	Up        bool // administratively
	Carrier   bool
	Parent    string // IFLA_PARENT_DEV_NAME: "0-1.0"
	ParentBus string // "thunderbolt"
	Addresses []string
}

// SetLink changes an interface: only what is not zero.
type SetLink struct {
	Name      string
	Rename    string
	MTU       int
	Up, Down  bool
	Addresses []string // to be added, with prefix length
}

// Route is one to add, or to replace if there is one to the same destination with the same metric.
type Route struct {
	To     string // with prefix length
	Via    string // gateway, empty for a direct one
	Dev    string
	Source string
	Metric int
}

// Ping asks for ICMP echo requests, one after the other.
type Ping struct {
	To       string // may have a zone: "fe80::1%thunderbolt0"
	Size     int    // payload in bytes; fragments are forbidden
	Count    int
	Interval time.Duration
	Wait     time.Duration // for each answer
}

// Pinged is what became of them.
type Pinged struct {
	Sent, Received int
	Min, Max       time.Duration
	Error          string // the last one
}

// Probe is a stream of numbered UDP packets to the echo service of another guest.
type Probe struct {
	To       string // address:port
	Interval time.Duration
}

// Probed says what became of a probe's packets. Lost are those whose echo did not come within a
// second after the last one was sent.
type Probed struct {
	Sent, Received int
	Interval       time.Duration
	Gaps           []Gap
}

// Gap is a run of lost packets.
type Gap struct {
	First int // number of the first one, from 0
	Count int
}

// Longest returns the length of the longest gap.
func (p Probed) Longest() time.Duration {
	_, length := p.Worst()
	return length
}

// Worst returns when the longest gap began, counted from the first packet, and how long it was.
func (p Probed) Worst() (from, length time.Duration) {
	for _, g := range p.Gaps {
		if l := time.Duration(g.Count) * p.Interval; l > length {
			from, length = time.Duration(g.First)*p.Interval, l
		}
	}
	return from, length
}

// Lost returns the number of lost packets.
func (p Probed) Lost() int { return p.Sent - p.Received }

// Transfer is a TCP transfer of Size pseudo-random bytes that Seed determines.
type Transfer struct {
	To      string
	Size    int64
	Seed    [32]byte
	Timeout time.Duration
}

// Transferred is what one end has seen of a transfer.
type Transferred struct {
	Bytes  int64
	SHA256 string
	Took   time.Duration
}

// Kmsg asks for the kernel's messages from number After on; it waits at most Wait for one.
type Kmsg struct {
	After int
	Wait  time.Duration
}

// Messages are lines of the kernel's log, "[    1.234567] text", and the number for the next call.
type Messages struct {
	Lines []string
	Next  int
}
