package status

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// collector turns the status into metrics when it is asked. Labels are taken
// from the plan and from fixed lists of words, so their number is bounded by the
// cluster file; text that a stranger could choose is no label.
type collector struct {
	source Source
	turns  prometheus.Histogram
	last   atomic.Uint64 // turn that was observed last
}

func newCollector(source Source) *collector {
	return &collector{source: source, turns: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "usb4mesh_turn_duration_seconds",
		Help:    "How long turns of the agent's loop took. Turns that follow each other within moments may be counted as one; usb4mesh_turns_total has all.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	})}
}

// registry returns a registry of its own, so that two servers can live in one process.
func (c *collector) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(c, c.turns, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// follow observes turns until ctx ends.
func (c *collector) follow(ctx context.Context) {
	for range c.source.Subscribe(ctx) {
		s := c.source.Status()
		if s.Turn != c.last.Swap(s.Turn) {
			c.turns.Observe(s.LastTurn.Millis / 1000)
		}
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("usb4mesh_"+name, help, labels, nil)
}

// Labels of a port; no two ports of a node share an interface name.
var link = []string{"interface", "cable", "peer"}

var (
	buildInfo = desc("build_info", "Version of the agent; always 1.", "version", "goversion")
	nodeInfo  = desc("node_info", "Which node of which mesh this is, and the plan it runs; always 1.", "mesh", "node", "plan_digest")

	agentState   = desc("agent_state", "The state of the agent: 1 for the one it is in.", "state")
	agentHealthy = desc("agent_healthy", "Whether the agent's loop turns (1) or not (0).")
	agentStart   = desc("agent_start_timestamp_seconds", "When the agent began.")
	kernelBusy   = desc("kernel_busy", "Whether a change has been waiting for the kernel for more than a second (1) or not (0).")
	rebootOK     = desc("reboot_allowed", "Whether this node may reboot now without parting the mesh (1) or not (0).")

	turnsTotal  = desc("turns_total", "Turns of the agent's loop.")
	turnTime    = desc("last_turn_timestamp_seconds", "When the last turn began.")
	turnSuccess = desc("last_turn_success", "Whether all changes of the last turn could be made (1) or not (0).")

	linkUp      = desc("link_up", "Whether traffic may take the link (1) or not (0).", link...)
	linkPlugged = desc("link_plugged", "Whether a peer host is seen at the port (1) or not (0).", link...)
	linkCarrier = desc("link_carrier", "Whether the interface has carrier (1) or not (0); no proof that it carries anything.", link...)
	linkForeign = desc("link_stranger", "Whether another host than the planned peer is plugged into the port (1) or not (0).", link...)
	linkTrained = desc("link_trained_bytes_per_second", "Lanes times speed per lane that the cable trained at, per direction; 0 unknown. Not what IP can carry.", link...)
	linkPlanned = desc("link_planned_bytes_per_second", "What the cable should train at, per direction.", link...)
	linkSince   = desc("link_changed_timestamp_seconds", "When the link last became usable or ceased to be.", link...)
	linkFlaps   = desc("link_flaps_total", "Times the link became unusable.", link...)
	linkRx      = desc("link_receive_bytes_total", "Bytes received. A replug makes a new interface, which counts from 0.", link...)
	linkTx      = desc("link_transmit_bytes_total", "Bytes sent. A replug makes a new interface, which counts from 0.", link...)

	bfdUp        = desc("bfd_session_up", "Whether the BFD session of the link is up (1) or not (0).", link...)
	bfdVerdict   = desc("bfd_verdict", "What liveness says of the link: 1 for the verdict that holds. absent: the peer's kernel answers, its agent does not.", append(link, "verdict")...)
	bfdInterval  = desc("bfd_interval_seconds", "Time between two BFD packets to the peer; 0 without a session.", link...)
	bfdDetection = desc("bfd_detection_time_seconds", "Silence after which the link is called down; 0 without a session.", link...)
	bfdFlaps     = desc("bfd_flaps_total", "Times the BFD session went down.", link...)
	bfdSent      = desc("bfd_sent_packets_total", "BFD packets sent.", link...)
	bfdReceived  = desc("bfd_received_packets_total", "BFD packets received and taken.", link...)
	bfdDropped   = desc("bfd_dropped_packets_total", "BFD packets received and refused: malformed, from elsewhere, or forged.", link...)

	memberUp        = desc("member_up", "Whether gossip hears of the node (1) or not (0).", "node")
	memberReachable = desc("member_reachable", "Whether the cabling that is left leads to the node (1) or not (0).", "node")
	memberPlan      = desc("member_plan_equal", "Whether the node runs the same plan (1) or not (0); absent where that is not known.", "node")
	cableUp         = desc("cable_up", "Whether neither end of the cable calls it down (1) or one does (0), as this node knows it.", "cable")

	detours   = desc("detours_active", "Nodes that are reached another way than planned.")
	routeHops = desc("route_hops", "Cables on the way to the node; 0 unreachable.", "node")
	findings  = desc("findings", "Findings that hold, by severity and code.", "severity", "code")
)

// Words of fixed lists; a word that the status adds later shows up by itself.
var (
	states   = []mesh.AgentState{mesh.StateStarting, mesh.StateConverged, mesh.StateDegraded, mesh.StateFailed}
	verdicts = []string{"unknown", "alive", "dead", "absent"}
)

// Describe sends nothing: which labels there are depends on the plan (an
// "unchecked" collector, see prometheus.Collector).
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics of the status as it is now.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.source.Status()
	send := sender(out)
	send.gauge(buildInfo, 1, s.Version, runtime.Version())
	send.gauge(nodeInfo, 1, s.Mesh, s.Node, s.PlanDigest)
	for _, word := range states {
		send.flag(agentState, word == s.State, string(word))
	}
	send.flag(agentHealthy, c.source.Healthy() == nil)
	send.stamp(agentStart, s.Since)
	send.flag(kernelBusy, s.KernelBusy)
	send.flag(rebootOK, s.Reboot.OK)
	send.count(turnsTotal, s.Turn)
	if s.Turn > 0 {
		send.stamp(turnTime, s.LastTurn.Started)
		send.flag(turnSuccess, s.LastTurn.Error == "")
	}
	for i := range s.Links {
		send.link(&s.Links[i])
	}
	n := 0
	for _, r := range s.Routes {
		send.gauge(routeHops, float64(r.Hops), r.Node)
		if r.Detour {
			n++
		}
	}
	send.gauge(detours, float64(n))
	for _, m := range s.Members {
		send.flag(memberUp, m.Alive, m.Node)
		send.flag(memberReachable, m.Reachable, m.Node)
		if m.PlanDigest != "" {
			send.flag(memberPlan, m.PlanDigest == s.PlanDigest, m.Node)
		}
	}
	for _, cable := range s.Cables {
		send.flag(cableUp, cable.Usable, cable.Cable)
	}
	type kind struct {
		severity finding.Severity
		code     string
	}
	count := map[kind]int{}
	for _, f := range s.Findings {
		count[kind{f.Severity, f.Code}]++
	}
	for k, n := range count {
		send.gauge(findings, float64(n), k.severity.String(), k.code)
	}
}

type sender chan<- prometheus.Metric

func (out sender) link(l *mesh.LinkStatus) {
	labels := []string{l.Interface, l.Cable, l.Peer}
	out.flag(linkUp, l.Usable, labels...)
	out.flag(linkPlugged, l.Plugged, labels...)
	out.flag(linkCarrier, l.Carrier, labels...)
	out.flag(linkForeign, l.Stranger != "", labels...)
	out.gauge(linkTrained, float64(l.Gbps)*1e9/8, labels...)
	out.gauge(linkPlanned, float64(l.PlannedGbps)*1e9/8, labels...)
	out.stamp(linkSince, l.Since, labels...)
	out.count(linkFlaps, uint64(max(0, l.Flaps)), labels...)
	out.count(linkRx, l.RxBytes, labels...)
	out.count(linkTx, l.TxBytes, labels...)

	b := &l.Liveness
	out.flag(bfdUp, b.State == "up", labels...)
	for _, word := range verdicts {
		out.flag(bfdVerdict, word == b.Verdict, append(labels, word)...)
	}
	out.gauge(bfdInterval, b.IntervalMillis/1000, labels...)
	out.gauge(bfdDetection, b.DetectionMillis/1000, labels...)
	out.count(bfdFlaps, uint64(max(0, b.Flaps)), labels...)
	out.count(bfdSent, b.Sent, labels...)
	out.count(bfdReceived, b.Received, labels...)
	out.count(bfdDropped, b.Dropped, labels...)
}

func (out sender) gauge(d *prometheus.Desc, v float64, labels ...string) {
	out.send(d, prometheus.GaugeValue, v, labels)
}

func (out sender) count(d *prometheus.Desc, v uint64, labels ...string) {
	out.send(d, prometheus.CounterValue, float64(v), labels)
}

// send makes labels valid UTF-8 first: Prometheus refuses others, and one bad
// name must not cost all metrics.
func (out sender) send(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels []string) {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\uFFFD")
	}
	out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
}

func (out sender) flag(d *prometheus.Desc, on bool, labels ...string) {
	v := 0.0
	if on {
		v = 1
	}
	out.gauge(d, v, labels...)
}

// stamp sends nothing where there was no such time.
func (out sender) stamp(d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		out.gauge(d, float64(t.UnixMilli())/1000, labels...)
	}
}
