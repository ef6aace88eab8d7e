package bench

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// PathMTU says how large packets from here to there may be, in bytes of IP packet.
type PathMTU struct {
	Tried   int  `json:"tried"`   // the largest size that was tried
	Passes  int  `json:"passes"`  // the largest size that arrived
	Local   int  `json:"local"`   // MTU of this side's own interface
	Silent  bool `json:"silent"`  // larger ones vanished without a word from a router
	Told    int  `json:"told"`    // MTU that a router told; 0 if none did
	Reached bool `json:"reached"` // anything arrived at all
}

const (
	mtuTries = 3
	mtuWait  = 100 * time.Millisecond
	minProbe = 128 // below it nothing is tried
)

// searchMTU halves its way to the largest packet that arrives with Don't Fragment
// set. Answers are short, so that only the way there counts.
func (p *prober) searchMTU(most int) *PathMTU {
	level, discover, mtuOption, value, overhead := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_MTU, unix.IP_PMTUDISC_PROBE, 28
	if p.v6 {
		level, discover, mtuOption, value, overhead = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_MTU, unix.IPV6_PMTUDISC_PROBE, 48
	}
	// PROBE sets DF and does not heed what routers told before, ip(7).
	_ = unix.SetsockoptInt(p.sock.fd, level, discover, value) // known since Linux 2.6.22
	out := &PathMTU{}
	out.Tried = max(minProbe, min(most, MaxDatagram+overhead))
	if n, err := unix.GetsockoptInt(p.sock.fd, level, mtuOption); err == nil {
		out.Local = n
	}
	passes := func(size int) bool {
		for range mtuTries {
			if p.stop.Load() {
				return false
			}
			_, err := p.exchange(size-overhead, echoShort, mtuWait)
			if err == nil {
				return true
			}
			if errors.Is(err, unix.EMSGSIZE) {
				return false // larger than the interface here; the error is certain
			}
		}
		return false
	}
	if passes(out.Tried) {
		out.Passes, out.Reached = out.Tried, true
		return out
	}
	low, high := minProbe, out.Tried
	if !passes(low) {
		return out
	}
	out.Reached = true
	for _, usual := range []int{1500, 9000} { // most often it is one of these
		if usual < high && usual > low {
			if passes(usual) {
				low = usual
			} else {
				high = usual
			}
		}
	}
	for high-low > 1 {
		if middle := (low + high) / 2; passes(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	out.Passes = low
	// Without PROBE the kernel heeds what it was told, and shows it.
	_ = unix.SetsockoptInt(p.sock.fd, level, discover, value-1) // ..._DO
	if n, err := unix.GetsockoptInt(p.sock.fd, level, mtuOption); err == nil && n < out.Local {
		out.Told = n
	}
	out.Silent = out.Passes < out.Local && out.Told == 0
	return out
}
