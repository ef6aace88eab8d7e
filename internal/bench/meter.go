package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// meter reads the counters of a running test: where counting begins after the
// warm-up, once per interval, and at the end.
type meter struct {
	test      Test
	group     *group
	atServer  bool
	begin     time.Time // of counting
	base      []sample  // at begin
	last      []sample
	lastTime  time.Time
	ended     time.Time
	final     []sample
	cpu       usage // first the reading at begin, then what was used
	intervals []Interval
	rtts      float64
	rttCount  int
	onReport  func(Interval)
}

// usage is CPU time of this process, in seconds.
type usage struct{ total, user, system float64 }

func readUsage() usage {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil { // can't fail with these arguments
		return usage{}
	}
	u, s := time.Duration(r.Utime.Nano()).Seconds(), time.Duration(r.Stime.Nano()).Seconds()
	return usage{u + s, u, s}
}

// start begins counting; a second call begins anew.
func (m *meter) start() {
	m.begin, m.base, m.cpu = time.Now(), m.group.samples(), readUsage()
	m.last, m.lastTime, m.intervals = m.base, m.begin, []Interval{}
	m.rtts, m.rttCount = 0, 0
}

// run counts until the duration has passed or finished is closed. It reports
// whether broken was closed before.
func (m *meter) run(broken, finished <-chan struct{}, d time.Duration) bool {
	end := time.NewTimer(m.test.Omit + d)
	defer end.Stop()
	m.start()
	var warm <-chan time.Time
	if m.test.Omit > 0 {
		t := time.NewTimer(m.test.Omit)
		defer t.Stop()
		warm = t.C
	}
	tick := time.NewTicker(m.test.Interval)
	defer tick.Stop()
	for {
		select {
		case <-warm:
			m.start()
			tick.Reset(m.test.Interval)
		case <-tick.C:
			m.report()
		case <-end.C:
			return false
		case <-finished:
			return false
		case <-broken:
			return true
		}
	}
}

// stop reads everything for the last time.
func (m *meter) stop() {
	m.ended, m.final = time.Now(), m.group.samples()
	if now := m.ended.Sub(m.lastTime); now > m.test.Interval/10 {
		m.report()
	}
	u := readUsage()
	m.cpu = usage{u.total - m.cpu.total, u.user - m.cpu.user, u.system - m.cpu.system}
}

// report closes an interval.
func (m *meter) report() {
	now, all := time.Now(), m.group.samples()
	i := Interval{Begin: round(m.lastTime.Sub(m.begin).Seconds()), End: round(now.Sub(m.begin).Seconds())}
	span := now.Sub(m.lastTime).Seconds()
	var sent, received int64
	var rtt time.Duration
	senders := 0
	for k, s := range m.group.streams {
		moved := all[k].bytes - m.last[k].bytes
		if !s.sender {
			received += moved
			i.Lost += all[k].lost - m.last[k].lost
			continue
		}
		sent += moved
		i.WindowBytes += all[k].cwnd
		if all[k].retransmits >= 0 {
			i.Retransmits += all[k].retransmits - m.last[k].retransmits
			rtt, senders = rtt+all[k].rtt, senders+1
		}
	}
	i.SentGbps, i.ReceivedGbps = gbps(sent, span), gbps(received, span)
	if senders > 0 {
		mean := round(rtt.Seconds() * 1e3 / float64(senders))
		i.RTTMillis = &mean
		m.rtts, m.rttCount = m.rtts+mean, m.rttCount+1
	}
	m.intervals = append(m.intervals, i)
	m.last, m.lastTime = all, now
	if m.onReport != nil {
		m.onReport(i)
	}
}

func (m *meter) meanRTT() *float64 {
	if m.rttCount == 0 {
		return nil
	}
	mean := round(m.rtts / float64(m.rttCount))
	return &mean
}

// results is what this side tells the other.
func (m *meter) results() results {
	span := m.ended.Sub(m.begin).Seconds()
	r := results{HasRetransmits: -1, Streams: []streamResult{}}
	if span > 0 {
		r.CPUTotal, r.CPUUser, r.CPUSystem = 100*m.cpu.total/span, 100*m.cpu.user/span, 100*m.cpu.system/span
	}
	for i, s := range m.group.streams {
		now, base := m.final[i], m.base[i]
		out := streamResult{ID: float64(s.id), Bytes: float64(now.bytes - base.bytes), Retransmits: -1, End: span}
		if s.sender && !m.test.UDP {
			r.HasRetransmits = 1
			out.Retransmits = float64(now.retransmits - base.retransmits)
			if now.retransmits < 0 {
				out.Retransmits = -1
			}
		}
		if m.test.UDP {
			out.Packets, out.OmittedPackets = float64(now.packets), float64(base.packets)
			if !s.sender {
				// iperf3 counts what was sent, by the counter of the last datagram.
				out.Errors, out.OmittedErrors = float64(now.lost), float64(base.lost)
				out.Packets, out.OmittedPackets = float64(now.highest), float64(base.highest)
				out.Jitter = s.loss.jitterSeconds()
			}
		}
		r.Streams = append(r.Streams, out)
	}
	return r
}
