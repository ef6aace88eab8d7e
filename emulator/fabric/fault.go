package fabric

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Fault says how one end of a cable misbehaves. The zero value is an end in order.
//
// As text it is a list of words, which ParseFault reads and String writes: "silent
// lanes=1 latency=5ms"; "none" or nothing is an end in order. It is text in JSON and YAML.
type Fault struct {
	// Dead: the port is there but the link never comes up. "dead"
	Dead bool
	// Silent: packets to a port without a link vanish. Otherwise they are answered with
	// the error "port not connected" at once. It matters at an unplug: the driver's
	// logout then takes 0.5 s or 10.5 s. "silent"
	Silent bool
	// MuteControl: the link is up, but no XDomain packet leaves this end. "mute-control"
	MuteControl bool
	// MuteData: the link is up, but no data frame leaves this end. Control packets do.
	// "mute-data"
	MuteData bool
	// DropRequests: every nth XDomain request (discovery, login, logout) that leaves this
	// end is lost, 0 none. Answers are not. "drop-requests=3"
	DropRequests int
	// Lanes (1) and Speed (10, in Gb/s) limit what is trained, 0 is what the cable has. A
	// change takes the link down and up. "lanes=1", "speed=10"
	Lanes int
	Speed int
	// Bandwidth limits the frames that leave this end, in bits per second; 0 is as fast as
	// can be. "bandwidth=100000000"
	Bandwidth int64
	// Latency is added to each data frame and XDomain packet that leaves this end.
	// "latency=5ms"
	Latency time.Duration
	// FlapUp and FlapDown: the link goes down after FlapUp and up after FlapDown, again
	// and again. "flap=2s/300ms"
	FlapUp, FlapDown time.Duration
}

// Limits of a fault: longer than a person waits is a mistake in writing.
const (
	maxLatency = time.Minute
	minFlap    = time.Millisecond
	maxFlap    = 24 * time.Hour
)

// ParseFault reads the words of a fault.
func ParseFault(text string) (Fault, error) {
	var x Fault
	for _, word := range strings.Fields(text) {
		key, value, has := strings.Cut(word, "=")
		if err := x.set(key, value, has); err != nil {
			return Fault{}, fmt.Errorf("fault %q: %w", word, err)
		}
	}
	return x, x.check()
}

func (x *Fault) set(key, value string, has bool) (err error) {
	switches := map[string]*bool{"dead": &x.Dead, "silent": &x.Silent, "mute-control": &x.MuteControl, "mute-data": &x.MuteData}
	if on, ok := switches[key]; ok && !has {
		*on = true
		return nil
	}
	numbers := map[string]*int{"drop-requests": &x.DropRequests, "lanes": &x.Lanes, "speed": &x.Speed}
	if n, ok := numbers[key]; ok && has {
		*n, err = strconv.Atoi(value)
		return err
	}
	switch {
	case key == "none" && !has:
	case key == "bandwidth" && has:
		x.Bandwidth, err = strconv.ParseInt(value, 10, 64)
	case key == "latency" && has:
		x.Latency, err = time.ParseDuration(value)
	case key == "flap" && has:
		up, down, ok := strings.Cut(value, "/")
		if !ok {
			return errors.New("is written flap=UP/DOWN, e.g. flap=2s/300ms")
		}
		if x.FlapUp, err = time.ParseDuration(up); err == nil {
			x.FlapDown, err = time.ParseDuration(down)
		}
	default:
		err = errors.New("there are dead, silent, mute-control, mute-data, drop-requests=N, lanes=N, speed=N, bandwidth=N, latency=T, flap=T/T")
	}
	return err
}

// String is the fault as ParseFault reads it.
func (x Fault) String() string {
	var all []string
	add := func(on bool, format string, args ...any) {
		if on {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	add(x.Dead, "dead")
	add(x.Silent, "silent")
	add(x.MuteControl, "mute-control")
	add(x.MuteData, "mute-data")
	add(x.DropRequests != 0, "drop-requests=%d", x.DropRequests)
	add(x.Lanes != 0, "lanes=%d", x.Lanes)
	add(x.Speed != 0, "speed=%d", x.Speed)
	add(x.Bandwidth != 0, "bandwidth=%d", x.Bandwidth)
	add(x.Latency != 0, "latency=%v", x.Latency)
	add(x.FlapUp != 0, "flap=%v/%v", x.FlapUp, x.FlapDown)
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, " ")
}

// MarshalText writes the fault for JSON and YAML.
func (x Fault) MarshalText() ([]byte, error) { return []byte(x.String()), nil }

// UnmarshalText reads the fault from JSON and YAML.
func (x *Fault) UnmarshalText(text []byte) (err error) {
	*x, err = ParseFault(string(text))
	return err
}

func (x Fault) check() error {
	switch {
	case x.Lanes < 0 || x.Lanes > 2:
		return fmt.Errorf("fault: %d lanes, there are 1 and 2", x.Lanes)
	case x.Speed != 0 && x.Speed != 10 && x.Speed != 20:
		return fmt.Errorf("fault: %d Gb/s a lane, there are 10 and 20", x.Speed)
	case x.DropRequests < 0, x.Bandwidth < 0:
		return errors.New("fault: less than nothing makes no sense")
	case x.Latency < 0 || x.Latency > maxLatency:
		return fmt.Errorf("fault: latency of %v, it may be up to %v", x.Latency, maxLatency)
	case (x.FlapUp == 0) != (x.FlapDown == 0):
		return errors.New("fault: flapping needs a time up and a time down")
	case x.FlapUp != 0 && (min(x.FlapUp, x.FlapDown) < minFlap || max(x.FlapUp, x.FlapDown) > maxFlap):
		return fmt.Errorf("fault: flapping %v/%v, each may be %v to %v", x.FlapUp, x.FlapDown, minFlap, maxFlap)
	}
	return nil
}
