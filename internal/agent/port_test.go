package agent

import (
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/agent/match"
	"github.com/usb4mesh/usb4mesh/internal/liveness"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

func plugged(index int) match.Port {
	return match.Port{Kernel: mesh.Link{Name: "tbt-b", Index: index, Up: true, Carrier: true}}
}

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		port   func(p *port)
		alone  bool // nothing watches the link
		usable bool
		why    string
		again  time.Time
	}{
		{name: "nothing there", port: func(*port) {}, why: "unplugged"},
		{name: "a stranger", port: func(p *port) { m := plugged(1); m.Stranger = "x"; p.see(at(0), m, false) }, why: "stranger"},
		{name: "set down", port: func(p *port) { m := plugged(1); m.Kernel.Up = false; p.see(at(0), m, false) }, why: "set down"},
		{name: "no carrier", port: func(p *port) { m := plugged(1); m.Kernel.Carrier = false; p.see(at(0), m, false) }, why: "no carrier"},
		{name: "new", port: func(p *port) { p.see(at(9), plugged(1), false) }, why: "not alive yet", again: at(14)},
		{name: "new, and nobody to ask", alone: true, port: func(p *port) { p.see(at(9), plugged(1), false) }, usable: true},
		{name: "in use before we came", port: func(p *port) { p.see(at(9), plugged(1), true) }, usable: true},
		{name: "no verdict for long", port: func(p *port) { p.see(at(1), plugged(1), false) }, usable: true},
		{name: "alive", port: func(p *port) { p.see(at(9), plugged(1), false); p.hear(1, liveness.Alive) }, usable: true},
		{name: "absent", port: func(p *port) { p.see(at(9), plugged(1), false); p.hear(1, liveness.Absent) }, usable: true, why: whyAbsent},
		{name: "dead", port: func(p *port) { p.see(at(1), plugged(1), true); p.hear(1, liveness.Dead) }, why: "dead"},
		{name: "another interface was dead", port: func(p *port) {
			p.see(at(1), plugged(1), true)
			p.hear(1, liveness.Dead)
			p.see(at(9), plugged(2), false)
		}, why: "not alive yet", again: at(14)},
		{name: "a verdict about the interface before", port: func(p *port) { p.see(at(9), plugged(2), true); p.hear(1, liveness.Dead) }, usable: true},
		{name: "alive again after many deaths", port: func(p *port) {
			p.see(at(1), plugged(1), false)
			for range 5 {
				p.hear(1, liveness.Alive)
				p.hear(1, liveness.Dead)
			}
			p.hear(1, liveness.Alive)
		}, usable: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p port
			tt.port(&p)
			again, changed := p.judge(at(10), !tt.alone)
			if p.usable != tt.usable || p.why != tt.why || !again.Equal(tt.again) || !changed {
				t.Errorf("usable %t, why %q, again %s, changed %t", p.usable, p.why, again, changed)
			}
			if _, changed := p.judge(at(10), !tt.alone); changed {
				t.Error("asked twice, it is new twice")
			}
		})
	}
}

func TestFlapsAreCounted(t *testing.T) {
	var p port
	p.judge(at(0), true)
	for i := range 3 {
		p.see(at(float64(i)), plugged(i+1), true)
		p.judge(at(float64(i)), true)
		p.see(at(float64(i)+0.5), match.Port{}, false)
		p.judge(at(float64(i)+0.5), true)
	}
	if p.flaps != 3 {
		t.Errorf("%d flaps, want 3", p.flaps)
	}
}
