package bench

import (
	"errors"
	"math"
)

// results is what both sides tell each other at the end (send_results in
// iperf_api.c). Everything is a float: iperf3 3.12 writes -1 as 2^64-1.
type results struct {
	CPUTotal       float64        `json:"cpu_util_total"`
	CPUUser        float64        `json:"cpu_util_user"`
	CPUSystem      float64        `json:"cpu_util_system"`
	HasRetransmits float64        `json:"sender_has_retransmits"`
	Congestion     string         `json:"congestion_used,omitempty"`
	Streams        []streamResult `json:"streams"`
}

type streamResult struct {
	ID             float64 `json:"id"`
	Bytes          float64 `json:"bytes"`
	Retransmits    float64 `json:"retransmits"`
	Jitter         float64 `json:"jitter"`
	Errors         float64 `json:"errors"`
	OmittedErrors  float64 `json:"omitted_errors"`
	Packets        float64 `json:"packets"`
	OmittedPackets float64 `json:"omitted_packets"`
	Start          float64 `json:"start_time"`
	End            float64 `json:"end_time"`
}

// retransmits is nil where the sender did not know.
func (r streamResult) retransmits() *int64 {
	if r.Retransmits < 0 || r.Retransmits > math.MaxUint32 {
		return nil
	}
	n := int64(r.Retransmits)
	return &n
}

// check refuses results that are not of this test.
func (r results) check(streams int) error {
	if len(r.Streams) != streams {
		return errors.New("the results are of another number of streams")
	}
	for i, s := range r.Streams {
		if s.ID != float64(streamID(i)) {
			return errors.New("the results name a stream that the test does not have")
		}
		for _, f := range []float64{s.Bytes, s.Jitter, s.Errors, s.Packets, s.End, s.OmittedErrors, s.OmittedPackets} {
			if math.IsNaN(f) || math.IsInf(f, 0) || f < 0 || f > 1e18 {
				return errors.New("the results hold an impossible number")
			}
		}
	}
	return nil
}

// Result is what a test found. Its JSON form is a promise (docs/cli.md).
type Result struct {
	Gbps        float64  `json:"gbps"`         // received payload in the direction asked for, 10^9 bit/s
	ReverseGbps *float64 `json:"reverse_gbps"` // bidirectional: server to client
	Retransmits *int64   `json:"retransmits"`  // TCP, all senders that know
	RTTMillis   *float64 `json:"rtt_ms"`       // mean of the kernel's smoothed round trip, while data flowed
	LossPercent *float64 `json:"loss_percent"` // UDP
	JitterMs    *float64 `json:"jitter_ms"`    // UDP

	Protocol  string  `json:"protocol"`
	Direction string  `json:"direction"`
	Seconds   float64 `json:"seconds"`
	Streams   []Flow  `json:"streams"`
	// Intervals of all streams together, as this side saw them.
	Intervals []Interval `json:"intervals"`
	CPU       CPU        `json:"cpu"`
	SkipCopy  bool       `json:"skip_copy"`
	ZeroCopy  bool       `json:"zero_copy"`

	Latency *Latency `json:"latency,omitempty"`  // with an echo
	PathMTU *PathMTU `json:"path_mtu,omitempty"` // where it was asked for
}

// Flow is one stream.
type Flow struct {
	ID          int      `json:"id"`
	Sender      string   `json:"sender"` // client or server
	Sent        int64    `json:"sent_bytes"`
	Received    int64    `json:"received_bytes"`
	Gbps        float64  `json:"gbps"`
	Retransmits *int64   `json:"retransmits"`
	Packets     int64    `json:"packets,omitempty"`
	Lost        int64    `json:"lost,omitempty"`
	JitterMs    *float64 `json:"jitter_ms,omitempty"`
}

// Interval is a stretch of time. Sending and receiving are those of this side.
type Interval struct {
	Begin         float64  `json:"begin"` // seconds since counting began
	End           float64  `json:"end"`
	SentGbps      float64  `json:"sent_gbps"`
	ReceivedGbps  float64  `json:"received_gbps"`
	Retransmits   int64    `json:"retransmits"`
	RTTMillis     *float64 `json:"rtt_ms"`
	WindowBytes   int64    `json:"cwnd_bytes"`
	Lost          int64    `json:"lost"`
	LatencyMillis *float64 `json:"latency_ms,omitempty"`
}

// CPU is what the test cost. Seconds are of this process alone, percent of one core.
type CPU struct {
	LocalSeconds  float64 `json:"local_seconds"`
	LocalPercent  float64 `json:"local_percent"`
	RemotePercent float64 `json:"remote_percent"`
}

// direction names who sends, for reports.
func (t Test) direction() string {
	switch {
	case t.Bidirectional:
		return "bidirectional"
	case t.Reverse:
		return "reverse"
	}
	return "forward"
}

func (t Test) protocol() string {
	if t.UDP {
		return "udp"
	}
	return "tcp"
}

func gbps(bytes int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return round(float64(bytes) * 8 / seconds / 1e9)
}

// round keeps six significant digits: more is noise, and fewer hide slow links.
func round(f float64) float64 {
	if f == 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0
	}
	scale := math.Pow(10, 5-math.Floor(math.Log10(math.Abs(f))))
	return math.Round(f*scale) / scale
}

// result joins what both sides counted.
func (m *meter) result(ours, theirs results) Result {
	t := m.test
	r := Result{
		Protocol: t.protocol(), Direction: t.direction(), Intervals: m.intervals,
		SkipCopy: t.SkipCopy, ZeroCopy: t.ZeroCopy, Streams: []Flow{},
		CPU: CPU{LocalSeconds: round(m.cpu.total), LocalPercent: round(ours.CPUTotal), RemotePercent: round(theirs.CPUTotal)},
	}
	var forward, backward, lost, packets, retransmits int64
	var forwardTime, backwardTime float64
	var jitter float64
	known := false
	for i, s := range m.group.streams {
		sender, receiver := theirs.Streams[i], ours.Streams[i]
		f := Flow{ID: s.id, Sender: "server"}
		if s.sender {
			sender, receiver = ours.Streams[i], theirs.Streams[i]
		}
		fromClient := s.sender != m.atServer
		if fromClient {
			f.Sender = "client"
		}
		span := receiver.End - receiver.Start
		if span <= 0 {
			span = ours.Streams[i].End
		}
		f.Sent, f.Received = int64(sender.Bytes), int64(receiver.Bytes)
		f.Gbps = gbps(f.Received, span)
		if !t.UDP {
			f.Retransmits = sender.retransmits()
		} else {
			f.Packets = int64(max(0, receiver.Packets-receiver.OmittedPackets))
			f.Lost = int64(max(0, receiver.Errors-receiver.OmittedErrors))
			j := round(receiver.Jitter * 1e3)
			f.JitterMs = &j
			lost, packets, jitter = lost+f.Lost, packets+f.Packets, jitter+j
		}
		if f.Retransmits != nil {
			known, retransmits = true, retransmits+*f.Retransmits
		}
		if fromClient {
			forward, forwardTime = forward+f.Received, max(forwardTime, span)
		} else {
			backward, backwardTime = backward+f.Received, max(backwardTime, span)
		}
		r.Seconds = max(r.Seconds, round(span))
		r.Streams = append(r.Streams, f)
	}
	r.Gbps = gbps(forward, forwardTime)
	if back := gbps(backward, backwardTime); t.Bidirectional {
		r.ReverseGbps = &back
	} else if t.Reverse {
		r.Gbps = back
	}
	if known {
		r.Retransmits = &retransmits
	}
	if t.UDP && len(r.Streams) > 0 {
		mean, percent := round(jitter/float64(len(r.Streams))), 0.0
		if packets > 0 {
			percent = round(100 * float64(lost) / float64(packets))
		}
		r.LossPercent, r.JitterMs = &percent, &mean
	}
	r.RTTMillis = m.meanRTT()
	return r
}
