package hw

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// AddLive asks this machine's kernel for what is in no file: offload settings, and
// the kernel log, which may be closed to all but root.
func AddLive(h *mesh.Hardware) {
	for i := range h.Links {
		if l := &h.Links[i]; l.Interface != "" {
			l.Offloads, _ = Offloads(l.Interface) // gone just now: unknown
		}
	}
	if lines, err := KernelLog(); err == nil {
		h.Host.Log = lines
	}
}

// KernelLog returns the lines of the kernel log that are about USB4.
func KernelLog() ([]string, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/kmsg: %w", err)
	}
	defer unix.Close(fd)
	var text strings.Builder
	record := make([]byte, 8192) // CONSOLE_EXT_LOG_MAX
	for range 1 << 17 {          // more than the largest log buffer has
		n, err := unix.Read(fd, record)
		switch {
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR): // overwritten while we read
			continue
		case errors.Is(err, unix.EAGAIN):
			return logLines(text.String()), nil
		case err != nil:
			return nil, fmt.Errorf("/dev/kmsg: %w", err)
		}
		text.WriteString(kmsgText(string(record[:n])) + "\n")
	}
	return logLines(text.String()), nil
}

// Commands of SIOCETHTOOL that get one setting (include/uapi/linux/ethtool.h).
var offloadCommands = map[string]uint32{"tso": 0x1e, "gso": 0x23, "gro": 0x2b}

// Offloads asks an interface which offloads are on: tso, gso, gro.
func Offloads(name string) (map[string]bool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	out := map[string]bool{}
	for offload, command := range offloadCommands {
		value := struct{ command, data uint32 }{command: command} // struct ethtool_value
		request := struct {                                       // struct ifreq
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte
		}{data: unsafe.Pointer(&value)}
		copy(request.name[:unix.IFNAMSIZ-1], name)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
			return nil, fmt.Errorf("offload settings of %s: %w", name, errno)
		}
		out[offload] = value.data != 0
	}
	return out, nil
}
