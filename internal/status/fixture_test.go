package status

import (
	"time"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// noon is when the statuses of the tests were written.
var noon = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return noon.Add(-d) }

// healthy is the status of node 01 of the three-node mesh of examples/seed-identity.
// Each call makes a new one.
func healthy() mesh.Status {
	began := before(27*time.Hour + 12*time.Minute)
	alive := mesh.LivenessStatus{State: "up", Verdict: "alive", Remote: "up", Since: began, IntervalMillis: 50, DetectionMillis: 150, Sent: 1958400, Received: 1958377}
	return mesh.Status{
		Mesh: "homelab", Node: "01", Version: "v0.3.0", PlanDigest: "3f9a1c27", State: mesh.StateConverged,
		Since: began, StateSince: began.Add(2 * time.Second), Now: noon,
		Turn: 19642, LastTurn: mesh.TurnStatus{Started: before(1200 * time.Millisecond), Millis: 7.6, Cause: "timer"},
		Links: []mesh.LinkStatus{
			{Interface: "tbt-03", Cable: "2", Peer: "03", Port: "left", Kernel: "tbt-03", Parent: "0-2.0", Plugged: true, Carrier: true,
				Lanes: 2, Gbps: 40, PlannedGbps: 40, Liveness: alive, Usable: true, Since: began, RxBytes: 7e12, TxBytes: 6e12},
			{Interface: "tbt-02", Cable: "3", Peer: "02", Port: "right", Kernel: "tbt-02", Parent: "1-2.0", Plugged: true, Carrier: true,
				Lanes: 2, Gbps: 20, PlannedGbps: 40, Liveness: alive, Usable: true, Since: before(5 * time.Minute), Flaps: 2, RxBytes: 5e9, TxBytes: 4e9},
		},
		Members: []mesh.MemberStatus{
			{Node: "01", Address: "10.7.1.1", Alive: true, Since: began, PlanDigest: "3f9a1c27", Reachable: true},
			{Node: "02", Address: "10.7.1.2", Alive: true, Since: began, PlanDigest: "3f9a1c27", Reachable: true},
			{Node: "03", Address: "10.7.1.3", Alive: true, Since: began, PlanDigest: "3f9a1c27", Reachable: true},
		},
		Cables: []mesh.CableStatus{
			{Cable: "1", Ends: [2]string{"03:left", "02:right"}, Usable: true},
			{Cable: "2", Ends: [2]string{"03:right", "01:left"}, Usable: true},
			{Cable: "3", Ends: [2]string{"01:right", "02:left"}, Usable: true},
		},
		Routes: []mesh.RouteStatus{
			{Node: "02", Destination: "10.7.1.2", Planned: "tbt-02", InUse: "tbt-02", Hops: 1, PlannedHops: 1, Since: began},
			{Node: "03", Destination: "10.7.1.3", Planned: "tbt-03", InUse: "tbt-03", Hops: 1, PlannedHops: 1, Since: began},
		},
		Findings: []mesh.StatusFinding{},
		Healing:  []mesh.HealStep{},
		Reboot:   mesh.RebootVerdict{OK: true, Reason: "every other pair has a way that does not lead over 01"},
	}
}

// situations are what a person may come to see.
var situations = map[string]func() mesh.Status{
	"healthy": healthy,
	"cable-out": func() mesh.Status {
		s := detoured(healthy())
		l := &s.Links[1]
		l.Kernel, l.Parent, l.Plugged, l.Carrier, l.Lanes, l.Gbps, l.Liveness = "", "", false, false, 0, 0, mesh.LivenessStatus{}
		l.Why = "no peer host is seen at the port: the cable is unplugged, or 02 is off"
		s.Cables[2].Why = "01: unplugged; 02: unplugged"
		s.Findings = []mesh.StatusFinding{found("link-unplugged", finding.Warning, 12*time.Second,
			"cable 3 (01:right to 02:left) is not plugged", "plug it into the ports that `usb4mesh plan` names")}
		return s
	},
	"dead-link": deadLink,
	"peer-agent-absent": func() mesh.Status {
		s := healthy()
		s.State, s.StateSince, s.Why = mesh.StateDegraded, before(40*time.Second), "the agent of 02 does not answer"
		s.Links[1].Why = "02 answers echo requests over it, its agent does not: a silent break would be noticed late"
		s.Links[1].Liveness = mesh.LivenessStatus{State: "down", Verdict: "absent", Remote: "admin-down", Since: before(40 * time.Second), IntervalMillis: 1000, DetectionMillis: 3000}
		s.Members[1].Alive, s.Members[1].Since = false, before(38*time.Second)
		s.Findings = []mesh.StatusFinding{found("agent-absent", finding.Warning, 40*time.Second,
			"02 is there, its agent is not", "on 02: `systemctl status usb4mesh`")}
		return s
	},
	"stranger": func() mesh.Status {
		s := detoured(healthy())
		l := &s.Links[1]
		l.Kernel, l.Stranger, l.Liveness = "thunderbolt1", "macbook\x1b[2Jpro", mesh.LivenessStatus{}
		l.Why = "not in the plan: no address, no forwarding"
		s.Cables[2].Why = "01: stranger"
		s.Findings = []mesh.StatusFinding{found("stranger", finding.Error, 12*time.Second,
			"a host that calls itself \"macbook\x1b[2Jpro\" is plugged into right, where 02 belongs", "unplug it, or add it to the cluster file on every node")}
		return s
	},
	"kernel-busy": func() mesh.Status {
		s := deadLink()
		s.KernelBusy, s.BusySince = true, before(7*time.Second)
		s.LastTurn = mesh.TurnStatus{Started: before(8 * time.Second), Millis: 41.3, Cause: "liveness", Changes: 4}
		s.Healing = nil
		return s
	},
	"starting": func() mesh.Status {
		return mesh.Status{Mesh: "homelab", Node: "01", Version: "v0.3.0", State: mesh.StateStarting, Since: before(2 * time.Second),
			StateSince: before(2 * time.Second), Now: noon, Why: "waiting for the modules thunderbolt and thunderbolt_net"}
	},
	"failed": func() mesh.Status {
		s := healthy()
		s.State, s.StateSince = mesh.StateFailed, before(30*time.Second)
		s.Why = "2 of 5 changes did not stand"
		s.LastTurn = mesh.TurnStatus{Started: before(4 * time.Second), Millis: 12, Cause: "kernel", Changes: 3,
			Error: "add route 10.7.1.2 dev tbt-02 table main: operation not permitted"}
		s.Findings = []mesh.StatusFinding{
			found("change-refused", finding.Error, 30*time.Second, "the kernel refused a route to 10.7.1.2: operation not permitted", "give the agent CAP_NET_ADMIN; the unit of the package does"),
			found("default-credits", finding.Info, 3*time.Hour, "tbt-03: 14 receive credits where the router grants 32", "add thunderbolt.dma_credits=32 to the kernel's command line"),
			found("kernel-login-leak", finding.Info, 3*time.Hour, "kernel 6.12.107 has a known defect", "the fix is in kernel 7.2"),
			found("default-credits", finding.Info, 3*time.Hour, "tbt-02: 14 receive credits where the router grants 32", "add thunderbolt.dma_credits=32 to the kernel's command line"),
		}
		return s
	},
}

func situation(name string) mesh.Status { return situations[name]() }

// detoured makes of a status one in which cable 3 is out of use.
func detoured(s mesh.Status) mesh.Status {
	s.State, s.StateSince, s.Why = mesh.StateDegraded, before(12*time.Second), "1 of 2 links is not usable"
	s.LastTurn.Cause, s.LastTurn.Changes = "hardware", 3
	l := &s.Links[1]
	l.Usable, l.Since, l.Flaps = false, before(12*time.Second), 3
	s.Cables[2].Usable = false
	s.Routes[0].InUse, s.Routes[0].Hops, s.Routes[0].Detour, s.Routes[0].Since = "tbt-03", 2, true, before(12*time.Second)
	s.Reboot = mesh.RebootVerdict{Reason: "02 and 03 would be left with cable 1 alone"}
	return s
}

func found(code string, severity finding.Severity, ago time.Duration, message, hint string) mesh.StatusFinding {
	return mesh.StatusFinding{JSON: finding.JSON{Code: code, Severity: severity, Message: message, Hint: hint}, Since: before(ago)}
}

// deadLink: a link that has carrier and carries nothing.
func deadLink() mesh.Status {
	s := detoured(healthy())
	l := &s.Links[1]
	l.Why = "carrier is up, but nothing came from 02 for 150 ms"
	l.Liveness = mesh.LivenessStatus{State: "down", Verdict: "dead", Remote: "up", Diagnostic: "control detection time expired",
		Since: before(12 * time.Second), IntervalMillis: 50, DetectionMillis: 150, Flaps: 1, Sent: 9, Received: 7, Dropped: 1}
	s.Cables[2].Why = "01: dead"
	s.Healing = []mesh.HealStep{
		{Time: before(9 * time.Second), Link: "tbt-02", Step: "set-down-up", Reason: "the link has been dead for 3 s although it has carrier"},
		{Time: before(2 * time.Second), Link: "tbt-02", Step: "rebind", Reason: "set-down-up did not bring it back in 5 s", Error: "write /sys/bus/thunderbolt/drivers/thunderbolt-net/unbind: permission denied"},
		{Time: before(time.Second), Link: "tbt-02", Step: "replug", Reason: "nothing else is left to try"},
	}
	s.Findings = []mesh.StatusFinding{found("link-dead", finding.Error, 12*time.Second,
		"tbt-02 is up and carries nothing", "pull cable 3 at 01:right, wait a second, and plug it again")}
	s.Reboot = mesh.RebootVerdict{Reason: "without 01 nothing joins 02 and 03 but cable 1, which 02 has seen flap 4 times in the last hour"}
	return s
}
