package scenario_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/guest"
	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
	"github.com/usb4mesh/usb4mesh/emulator/scenario"
)

// TestSystemd has two machines with a whole Debian: modules, names and addresses are the work of udev and networkd
// alone.
func TestSystemd(t *testing.T) {
	level(t, "nightly")
	for _, k := range guest.Kernels() {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			systemd(t, k)
		})
	}
}

func systemd(t *testing.T, k guest.Kernel) {
	const cable = "a:1-b:1"
	w := scenario.Start(t, scenario.Spec{
		Cables: []string{cable}, Systemd: true, Kernel: k,
		FilesOf: map[string][]guest.File{"a": networkd("b", 1), "b": networkd("a", 2)},
	})
	a, b := w.Host("a"), w.Host("b")
	w.Step("running", func() {
		for _, h := range w.Hosts() {
			if got := strings.TrimSpace(h.Run("systemctl", "is-system-running")); got != "running" {
				w.T.Errorf("%s is %s:\n%s", h.Name, got, h.Run("systemctl", "--failed", "--no-pager"))
			}
		}
	})
	// udev loads thunderbolt for the host interface, and the peers see each other; but none announces a network
	// service before somebody loads the driver for it.
	w.Step("no interface by itself", func() {
		for _, h := range w.Hosts() {
			w.Until("the peer of "+h.Name, time.Minute, func() error {
				_, err := h.ReadFile(w.T.Context(), "/sys/bus/thunderbolt/devices/0-2/device_name")
				return err
			})
		}
		time.Sleep(5 * time.Second)
		for _, h := range w.Hosts() {
			if l, err := h.Interface(1); err == nil {
				w.T.Errorf("%s has %s, although nobody has loaded thunderbolt_net", h.Name, l.Name)
			}
		}
	})
	w.Step("loaded on one", func() {
		a.Run("modprobe", "thunderbolt_net")
		named(w)
		if got := b.Read("/sys/module/thunderbolt_net/initstate"); got != "live" {
			w.T.Errorf("thunderbolt_net in b is %q, want it loaded by udev", got)
		}
		reach(w)
	})
	w.Step("replug", func() {
		w.Unplug(cable)
		w.Gone(cable, "a")
		w.Gone(cable, "b")
		w.Plug(cable)
		named(w)
		reach(w)
	})
	w.Step("reboot", func() {
		w.PowerOff("b")
		w.Gone(cable, "a")
		w.PowerOn("b")
		named(w)
		reach(w)
	})
}

// networkd is the configuration of the interface to a peer: name by PCI address, which tells AMD's ports apart, MTU
// and addresses.
func networkd(peer string, number int) []guest.File {
	return []guest.File{
		{Path: "/etc/systemd/network/50-tbt.link", Data: fmt.Appendf(nil,
			"[Match]\nPath=pci-0000:c7:00.5\nDriver=thunderbolt-net\n\n[Link]\nName=tbt-%s\nMTUBytes=%d\n", peer, scenario.MTU)},
		{Path: "/etc/systemd/network/50-tbt.network", Data: fmt.Appendf(nil,
			"[Match]\nName=tbt-%s\n\n[Network]\nAddress=10.9.0.%d/30\nAddress=fd09::%d/64\nIPv6AcceptRA=no\n", peer, number, number)},
	}
}

// named waits for both interfaces, with the names and the MTU of the files.
func named(w *scenario.World) {
	w.T.Helper()
	for name, peer := range map[string]string{"a": "b", "b": "a"} {
		w.Until("tbt-"+peer+" in "+name, 2*time.Minute, func() error {
			l, err := w.Host(name).Interface(1)
			if err == nil && (l.Name != "tbt-"+peer || l.MTU != scenario.MTU) {
				err = fmt.Errorf("it is %s with MTU %d", l.Name, l.MTU)
			}
			return err
		})
	}
}

// reach waits for a ping of the largest size over the addresses of the files.
func reach(w *scenario.World) {
	w.T.Helper()
	for to, overhead := range map[string]int{"10.9.0.2": 28, "fd09::2": 48} {
		w.Until("ping "+to, 2*time.Minute, func() error {
			p, err := w.Host("a").Machine.Ping(w.T.Context(), wire.Ping{To: to, Size: scenario.MTU - overhead, Count: 1, Wait: time.Second})
			if err == nil && p.Received != 1 {
				err = errors.New(p.Error)
			}
			return err
		})
	}
}
