package hw

import (
	"errors"
	"fmt"
	"strings"
)

// Uevent is a message of the kernel: something about a device changed.
type Uevent struct {
	Action string            // add, remove, change, bind, unbind, move
	Device string            // path of the device, without /sys
	Env    map[string]string // SUBSYSTEM, DEVTYPE, INTERFACE, ...
}

// About reports whether the event concerns USB4 links: something on the thunderbolt
// bus, or an interface below it.
func (e Uevent) About() bool {
	return e.Env["SUBSYSTEM"] == "thunderbolt" || e.Env["SUBSYSTEM"] == "net" && strings.Contains(e.Device, "/domain")
}

// ueventLimit is the size of the kernel's buffer for the variables of one event
// (UEVENT_BUFFER_SIZE in include/linux/kobject.h is 2048), and its head.
const ueventLimit = 8192

// ParseUevent reads a message of NETLINK_KOBJECT_UEVENT: "add@/devices/...", then
// variables, each ended by a zero byte (lib/kobject_uevent.c).
//
// Paths without /devices are right too: the event for a changed XDomain comes before
// the device has its place (change@/0-2).
func ParseUevent(b []byte) (Uevent, error) {
	if len(b) > ueventLimit {
		return Uevent{}, fmt.Errorf("uevent of %d bytes, longer than %d", len(b), ueventLimit)
	}
	parts := strings.Split(string(b), "\x00")
	action, device, ok := strings.Cut(parts[0], "@")
	if !ok || action == "" || strings.Trim(action, "abcdefghijklmnopqrstuvwxyz") != "" || !strings.HasPrefix(device, "/") {
		return Uevent{}, errors.New("not a uevent of the kernel: no action@/path at its head")
	}
	e := Uevent{Action: action, Device: Clean(device), Env: map[string]string{}}
	for _, p := range parts[1:] {
		if key, value, ok := strings.Cut(p, "="); ok && key != "" {
			e.Env[Clean(key)] = Clean(value)
		}
	}
	return e, nil
}
