package drivertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/fabric"
	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
	"github.com/usb4mesh/usb4mesh/emulator/scenario"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/hw"
)

// TestSee lets discover and diagnose judge machines of which we know what is wrong.
func TestSee(t *testing.T) {
	long(t)
	w := start(t, scenario.Spec{Cables: ring})
	w.appear(ring...)
	w.once("n1", "n2", "n3")
	for _, c := range ring {
		for _, host := range ends(c) {
			w.Carrier(c, host, true)
		}
	}
	w.works()
	first := ring[0] // from n1:1 to n2:2

	w.Step("healthy", func() {
		for _, h := range w.Hosts() {
			w.sees(h.Name, 2, 40)
			w.diagnoses(h.Name)
		}
		w.against()
	})
	w.Step("one lane", func() {
		w.retrain(first, fabric.Fault{Lanes: 1})
		w.trained(first, 1, 20)
		w.diagnoses("n1", "trained-one-lane")
		w.diagnoses("n2", "trained-one-lane")
		w.diagnoses("n3")
	})
	w.Step("10 Gb/s lanes", func() {
		w.retrain(first, fabric.Fault{Speed: 10})
		w.trained(first, 2, 10)
		w.diagnoses("n1", "trained-10x2")
	})
	w.Step("as before", func() {
		w.retrain(first, fabric.Fault{})
		w.trained(first, 2, 20)
		w.diagnoses("n1")
	})
	w.Step("peer interface down", func() {
		name := w.InterfaceOf(first, "n2").Name
		w.Must(w.Host("n2").SetLink(t.Context(), wire.SetLink{Name: name, Down: true}))
		w.Carrier(first, "n1", false)
		w.diagnoses("n1", "no-carrier")
		w.diagnoses("n2", "interface-down")
		w.Must(w.Host("n2").SetLink(t.Context(), wire.SetLink{Name: name, Up: true}))
		w.once("n2")
		w.Carrier(first, "n1", true)
		w.works()
	})
	w.Step("one way", func() {
		w.Fault(first, "n2", fabric.Fault{MuteData: true})
		// The neighbour at the other end is known, so what is sent goes out.
		stop := w.Probe(5*time.Millisecond, [2]string{"n1", "n2"})
		w.diagnosesWith("n1", []string{"--over", "3s"}, "one-way")
		stop()
		w.diagnoses("n3")
		w.Fault(first, "n2", fabric.Fault{})
		w.works()
	})
	w.Step("dead port", func() {
		w.Fault(first, "n1", fabric.Fault{Dead: true, Silent: true})
		for _, host := range ends(first) {
			w.Gone(first, host)
			w.sees(host, 1, 40)
		}
		w.against("missing-cable")
		w.Fault(first, "n1", fabric.Fault{})
		w.appear(first)
	})
}

// TestSeeSwapped has two cables plugged into each other's ports.
func TestSeeSwapped(t *testing.T) {
	long(t)
	w := start(t, scenario.Spec{Cables: []string{"n1:2-n2:2", "n2:1-n3:2", "n3:1-n1:1"}})
	w.appear("n1:2-n2:2", "n2:1-n3:2", "n3:1-n1:1")
	w.against("misplugged-cable", "misplugged-cable")
}

// TestSeeModule has a machine where nobody has loaded thunderbolt_net, as udev leaves it
// between two Linux hosts.
func TestSeeModule(t *testing.T) {
	long(t)
	cable := "n1:1-n2:2"
	w := start(t, scenario.Spec{Cables: []string{cable}, ModulesOf: map[string][]string{"n1": {"thunderbolt"}}})
	w.Until("the hosts see each other", time.Minute, func() error {
		for _, host := range ends(cable) {
			if all := w.links(host); len(all) != 1 {
				return fmt.Errorf("%s sees %d hosts", host, len(all))
			}
		}
		return nil
	})
	w.diagnoses("n1", "no-network-module")
	w.diagnoses("n2", "no-network-service")
}

// seen is one link in the answer of discover --json.
type seen struct {
	Interface string `json:"interface"`
	Peer      string `json:"peer_name"`
	Lanes     int    `json:"lanes"`
	Gbps      int    `json:"gbps"`
	PerLane   int    `json:"gbps_per_lane"`
	MAC       string `json:"mac"`
	Router    string `json:"router_uuid"`
	Port      int    `json:"port"`
}

// links asks discover in a guest.
func (w *world) links(host string) []seen {
	w.T.Helper()
	var a struct{ Links []seen }
	w.answer(host, &a, "discover", "--json")
	return a.Links
}

// sees checks how many links discover finds in a guest, and that all have the speed.
func (w *world) sees(host string, links, gbps int) {
	w.T.Helper()
	all := w.links(host)
	if len(all) != links {
		w.T.Errorf("%s: discover finds %d links, want %d: %+v", host, len(all), links, all)
	}
	for _, l := range all {
		if l.Gbps != gbps || l.Interface != "tbt-"+l.Peer || l.MAC != hw.MAC(l.Router, l.Port) {
			w.T.Errorf("%s: %+v, want %d Gb/s, the interface named for the peer, and the MAC address that UUID and port give", host, l, gbps)
		}
	}
}

// trained checks what discover says of a cable at both ends.
func (w *world) trained(cable string, lanes, perLane int) {
	w.T.Helper()
	e := ends(cable)
	for i, host := range e {
		all := w.links(host)
		at := slices.IndexFunc(all, func(l seen) bool { return l.Peer == e[1-i] })
		if at < 0 || all[at].Lanes != lanes || all[at].PerLane != perLane {
			w.T.Errorf("%s: %+v, want %d lanes of %d Gb/s towards %s", host, all, lanes, perLane, e[1-i])
		}
	}
}

// diagnoses checks which problems diagnose finds in a guest: exactly these above info.
func (w *world) diagnoses(host string, want ...string) {
	w.T.Helper()
	w.diagnosesWith(host, nil, want...)
}

// diagnosesWith does so with flags.
func (w *world) diagnosesWith(host string, flags []string, want ...string) {
	w.T.Helper()
	var a struct {
		Findings []struct {
			Code, Severity, Subject, Message string
			Evidence                         map[string]any
			Source                           string
		} `json:"findings"`
	}
	raw := w.answer(host, &a, append([]string{"diagnose", "--json"}, flags...)...)
	got := map[string]bool{}
	for _, f := range a.Findings {
		if f.Severity != finding.Info.String() {
			got[f.Code] = true
		}
		if len(f.Evidence) == 0 || f.Source == "" {
			w.T.Errorf("%s: %s has no evidence or no source: %+v", host, f.Code, f)
		}
	}
	if codes := slices.Sorted(maps.Keys(got)); !slices.Equal(codes, slices.Sorted(slices.Values(want))) {
		w.T.Errorf("%s: diagnose finds %v, want %v:\n%s", host, codes, want, raw)
	}
}

// against carries what all machines discover to the first one, and compares it there with the
// cluster file: exactly these problems must be found.
func (w *world) against(want ...string) {
	w.T.Helper()
	ctx := w.T.Context()
	first := w.Hosts()[0]
	args := []string{"discover", "--json", "--against", there}
	for _, h := range w.Hosts() {
		var any json.RawMessage
		file := "/tmp/" + h.Name + ".json"
		w.Must(first.WriteFile(ctx, file, w.answer(h.Name, &any, "discover", "--json"), 0o644))
		args = append(args, file)
	}
	var a struct {
		Findings []struct{ Code, Severity string }
	}
	raw := w.answer(first.Name, &a, args...)
	var got []string
	for _, f := range a.Findings {
		if f.Severity != finding.Info.String() {
			got = append(got, f.Code)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		w.T.Errorf("discover --against finds %v, want %v:\n%s", got, want, raw)
	}
}

// retrain changes how a cable trains, waits for the interfaces that come anew, and applies
// the plan to them.
func (w *world) retrain(cable string, f fabric.Fault) {
	w.T.Helper()
	e := ends(cable)
	before := [2]int{w.InterfaceOf(cable, e[0]).Index, w.InterfaceOf(cable, e[1]).Index}
	w.Fault(cable, "", f)
	for i, host := range e {
		w.Until("a new interface at "+host, 90*time.Second, func() error {
			l, err := w.Host(host).Interface(port(cable, host))
			if err == nil && l.Index == before[i] {
				err = errors.New("the old one is still there")
			}
			return err
		})
	}
	w.once(e[:]...)
	for _, host := range e {
		w.Carrier(cable, host, true)
	}
	w.works()
}
