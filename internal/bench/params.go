package bench

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// parameters is a test as it travels (send_parameters in iperf_api.c). Numbers are
// floats because that is what cJSON writes and reads.
type parameters struct {
	TCP           flag    `json:"tcp,omitempty"`
	UDP           flag    `json:"udp,omitempty"`
	SCTP          flag    `json:"sctp,omitempty"`
	Omit          float64 `json:"omit"`
	Time          float64 `json:"time"`
	Num           float64 `json:"num"`
	BlockCount    float64 `json:"blockcount"`
	MSS           float64 `json:"MSS,omitempty"`
	NoDelay       flag    `json:"nodelay,omitempty"`
	Parallel      float64 `json:"parallel"`
	Reverse       flag    `json:"reverse,omitempty"`
	Bidirectional flag    `json:"bidirectional,omitempty"`
	Window        float64 `json:"window,omitempty"`
	Len           float64 `json:"len"`
	Bandwidth     float64 `json:"bandwidth,omitempty"`
	PacingTimer   float64 `json:"pacing_timer"`
	TOS           float64 `json:"TOS,omitempty"`
	Congestion    string  `json:"congestion,omitempty"`
	Counters64    one     `json:"udp_counters_64bit,omitempty"`
	Version       string  `json:"client_version"`

	Extension *extension `json:"usb4mesh,omitempty"`
}

// extension is what iperf3 does not know and ignores.
type extension struct {
	Echo       bool    `json:"echo"`
	Millis     float64 `json:"duration_ms"` // exact, where Time has whole seconds
	OmitMillis float64 `json:"omit_ms"`
}

// flag is true for true and for any number: iperf3 writes both.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	switch s := string(b); {
	case s == "false", s == "null":
		*f = false
	case s == "true", strings.Trim(s, "0123456789") == "":
		*f = true
	default:
		return fmt.Errorf("%.20s is no flag", s)
	}
	return nil
}

// clientVersion is what an iperf3 server shows as the version of the client.
const clientVersion = "usb4mesh"

// one is a flag that is written as the number 1, which newer versions insist on.
type one bool

func (o one) MarshalJSON() ([]byte, error) { return []byte("1"), nil } // false is left out

func (o *one) UnmarshalJSON(b []byte) error { return (*flag)(o).UnmarshalJSON(b) }

func (t Test) parameters() parameters {
	return parameters{
		TCP: flag(!t.UDP), UDP: flag(t.UDP), Reverse: flag(t.Reverse), Bidirectional: flag(t.Bidirectional),
		Omit: math.Ceil(t.Omit.Seconds()), Time: math.Ceil(t.Duration.Seconds()),
		Parallel: float64(t.Streams), Len: float64(t.Length), MSS: float64(t.MSS), Window: float64(t.Window),
		Bandwidth: float64(t.Rate), TOS: float64(t.TOS), Congestion: t.Congestion,
		PacingTimer: 1000, Version: clientVersion,
		Counters64: one(t.UDP),
		Extension:  &extension{Echo: t.Echo, Millis: float64(t.Duration.Milliseconds()), OmitMillis: float64(t.Omit.Milliseconds())},
	}
}

// test turns parameters from the network into a checked Test.
func (p parameters) test() (Test, error) {
	if p.SCTP || p.TCP == p.UDP {
		return Test{}, errors.New("only TCP and UDP are served")
	}
	for _, f := range []float64{p.Omit, p.Time, p.MSS, p.Parallel, p.Window, p.Len, p.TOS} {
		if !(f >= 0 && f <= math.MaxInt32) { // NaN is neither
			return Test{}, errors.New("a number in the parameters is out of bounds")
		}
	}
	if !(p.Bandwidth >= 0 && p.Bandwidth <= math.MaxInt64/2) {
		return Test{}, errors.New("the rate is out of bounds")
	}
	t := Test{
		UDP: bool(p.UDP), Streams: int(p.Parallel), Reverse: bool(p.Reverse), Bidirectional: bool(p.Bidirectional),
		Duration: seconds(p.Time), Omit: seconds(p.Omit), Length: int(p.Len), Rate: uint64(p.Bandwidth),
		Window: int(p.Window), MSS: int(p.MSS), Congestion: p.Congestion, TOS: int(p.TOS),
	}
	if p.Num > 0 || p.BlockCount > 0 || t.Duration == 0 {
		t.Duration = MaxDuration // the client counts and ends the test
	}
	if e := p.Extension; e != nil {
		t.Echo = e.Echo
		t.noStreams = e.Echo && t.Streams == 0
		if e.Millis >= 1 && e.Millis <= float64(MaxDuration.Milliseconds()) {
			t.Duration = time.Duration(e.Millis) * time.Millisecond
		}
		if e.OmitMillis >= 0 && e.OmitMillis <= float64(MaxOmit.Milliseconds()) {
			t.Omit = time.Duration(e.OmitMillis) * time.Millisecond
		}
	}
	t = t.withDefaults()
	return t, t.check()
}

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }
