package drivertest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/guest"
	"github.com/usb4mesh/usb4mesh/emulator/scenario"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// TestAgentBesideNetworkd runs agents on two machines with a whole Debian 13: udev looks
// after the devices, and systemd-networkd 257 runs beside them: on n1 with the files that
// Debian ships, on n2 with one that gives these links link-local addresses of its own.
func TestAgentBesideNetworkd(t *testing.T) {
	long(t)
	if os.Getenv("USB4EMU_LEVEL") != "nightly" {
		t.Skip("runs with USB4EMU_LEVEL=nightly, as make test-drivers-nightly does: two machines with systemd take minutes")
	}
	const cable = "n1:1-n2:2"
	linkLocal := guest.File{Path: "/etc/systemd/network/80-usb4.network", Data: []byte("[Match]\nDriver=thunderbolt-net\n\n[Network]\nLinkLocalAddressing=yes\n")}
	w := start(t, scenario.Spec{Cables: []string{cable}, Systemd: true, FilesOf: map[string][]guest.File{"n2": {linkLocal}}})
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range w.Hosts() {
				w.keep(h.Name, "/agent.log")
			}
		}
	})
	w.Step("start", func() {
		for _, h := range w.Hosts() {
			h.Run("modprobe", "thunderbolt_net") // as the agent's unit does
			w.agent(h.Name)
		}
		w.Report("the link is in use after %.1f s", w.linked(cable).Seconds())
		w.named(cable)
	})
	w.Step("what networkd does", func() {
		for _, h := range w.Hosts() {
			w.Report("%s: %s", h.Name, strings.TrimSpace(h.Run("networkctl", "--no-pager", "--no-legend", "list")))
		}
		const tells = "169.254."
		w.Until("networkd gives n2 an address", time.Minute, func() error {
			if got := w.Host("n2").Run("ip", "-4", "address", "show", "dev", "tbt-n1"); !strings.Contains(got, tells) {
				return fmt.Errorf("it has none of %s: %s", tells, got)
			}
			return nil
		})
	})
	for _, h := range w.Hosts() {
		w.Step("networkd of "+h.Name+" starts again", func() {
			stop := w.Probe(spacing, across(cable)...)
			time.Sleep(500 * time.Millisecond)
			h.Run("systemctl", "restart", "systemd-networkd")
			time.Sleep(2 * time.Second)
			w.linked(cable)
			w.judge("networkd of "+h.Name+" starts again", stop(), inTime)
		})
	}
	w.Step("replug", func() {
		w.Unplug(cable)
		for _, host := range ends(cable) {
			w.Gone(cable, host)
		}
		w.Plug(cable)
		w.Report("the link is in use %.1f s after the plug", w.linked(cable).Seconds())
		w.named(cable)
	})
	w.Step("nobody fights", func() {
		for _, h := range w.Hosts() {
			s, err := w.status(h.Name)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range s.Findings {
				if f.Code == "foreign-changes" {
					t.Errorf("%s: %s", h.Name, f.Message)
				}
			}
		}
	})
}

// linked waits until both ends of a cable use it and reach each other, and returns how
// long that took.
func (w *world) linked(cable string) time.Duration {
	w.T.Helper()
	took := w.Until(cable+" is in use", 3*time.Minute, func() error {
		for _, host := range ends(cable) {
			s, err := w.status(host)
			if err != nil {
				return err
			}
			if s.State == mesh.StateFailed {
				return fmt.Errorf("%s has failed: %s", host, s.Why)
			}
			used := false
			for _, l := range s.Links {
				used = used || l.Usable
			}
			if !used {
				return fmt.Errorf("%s uses no link", host)
			}
		}
		return nil
	})
	return took + w.works()
}
