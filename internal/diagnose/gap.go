package diagnose

import (
	"fmt"
	"strconv"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// Why a measured rate is what it is. Three limits stand in a row, and the smallest
// binds: what the cable carries, what the receive credits of one DMA path carry, and
// what one core and the driver manage.

// limits of one link, Gbit/s of payload one way.
type limits struct {
	wire    float64
	credits float64 // 0 where the controller is not known
	count   int     // credits granted
}

func (s subject) limits() limits {
	// 64b/66b or 128b/132b coding, 256-byte USB4 packets, 12-byte frame heads: of 40
	// Gbit/s 38.0 are left, or 36.2 with packets of 1500 bytes on the wire.
	share := 0.95
	if tso, known := s.link.Offloads["tso"]; known && !tso && s.link.MTU <= 1500 {
		share = 0.905
	}
	l := limits{wire: share * float64(s.link.Gbps())}
	l.count, _ = credits(&s.in.Hardware)
	if f := familyOf(s.controller); f != nil {
		if f.MaxCredits > 0 {
			l.count = min(l.count, f.MaxCredits)
		}
		l.credits = f.PerCredit * float64(l.count)
	}
	return l
}

// throughput looks only where somebody measured.
var throughput = &rule{
	look: func(s subject) []hit {
		m := s.in.Measured
		if m == nil || s.link.Gbps() == 0 || m.Interface != "" && m.Interface != s.link.Interface && m.Interface != s.link.Parent {
			return nil
		}
		l := s.limits()
		e := s.trained()
		e["measured"] = gbit(m.Gbps)
		e["limit of the trained link"] = gbit(l.wire)
		e["thunderbolt/parameters/dma_credits"] = orNone(s.in.Hardware.Parameter("thunderbolt", "dma_credits"))
		if m.Streams > 0 {
			e["streams"] = strconv.Itoa(m.Streams)
			e["retransmits"] = strconv.Itoa(m.Retransmits)
		}
		if l.credits > 0 {
			e["limit of the receive credits"] = gbit(l.credits)
		}
		if b, ok := familyOf(s.controller).band(s.link.Gbps()); ok {
			e["others measured"] = fmt.Sprintf("%g to %g Gbit/s: %s", b.Low, b.High, b.Source)
		}
		// Within a fifth of a limit, the limit explains the rate: figures for the same
		// hardware differ by that much between people.
		const near = 0.8
		binds := l.wire
		if l.credits > 0 {
			binds = min(binds, l.credits)
		}
		switch {
		case m.Gbps > 1.05*l.wire:
			return []hit{{rule: beyondLink, message: fmt.Sprintf("measured %s, but the link as it is now carries only %s", gbit(m.Gbps), gbit(l.wire)), evidence: e}}
		case m.Gbps < near*binds:
			return []hit{s.unexplained(e, m, binds)}
		case binds == l.wire:
			return []hit{{rule: linkIsLimit, message: fmt.Sprintf("%s is what a link trained at %d Gbit/s carries", gbit(m.Gbps), s.link.Gbps()), evidence: e}}
		}
		return []hit{s.creditHit(e, m, l)}
	},
}

func (s subject) creditHit(e map[string]string, m *Measurement, l limits) hit {
	f := familyOf(s.controller)
	_, settable := credits(&s.in.Hardware)
	h := hit{rule: creditWindow, evidence: e,
		message: fmt.Sprintf("%s of %d trained: the %d receive credits of one DMA path end near %s", gbit(m.Gbps), s.link.Gbps(), l.count, gbit(l.credits))}
	e["assumed rate per credit"] = fmt.Sprintf("%g Gbit/s: %s", f.PerCredit, f.Source)
	second := "; or a second cable to the same peer, which adds a path of its own for further streams"
	most := f.MaxCredits
	if most == 0 {
		most = 2 * defaultCreditCount // to try; the router may grant less
		second += "; whether the router grants that many, its path in debugfs shows"
	}
	parameter := s.system.parameter(fmt.Sprintf("thunderbolt.dma_credits=%d", most))
	h.gain = fmt.Sprintf("up to %s by a linear model (%d credits of %g, at most what the link carries); nobody has published this test on %s", gbit(min(l.wire, f.PerCredit*float64(most))), most, f.PerCredit, f.Name)
	switch {
	case l.count >= most:
		h.rule, h.gain = controllerIsLimit, ""
		h.message = fmt.Sprintf("%s is what a path of %d receive credits carries on controllers of %s, the most they grant", gbit(m.Gbps), l.count, f.Name)
	case !settable:
		h.fix = fmt.Sprintf("on both machines, first a kernel with the parameter dma_credits: %s; then %s%s", s.system.upgrade("6.12 or newer"), parameter, second)
	default:
		h.fix = fmt.Sprintf("on both machines: %s%s", parameter, second)
	}
	return h
}

// unexplained names what else was seen, as the first thing to try.
func (s subject) unexplained(e map[string]string, m *Measurement, binds float64) hit {
	h := hit{rule: belowLimits, evidence: e, message: fmt.Sprintf("measured %s where at least %s should pass", gbit(m.Gbps), gbit(binds))}
	for _, r := range []*rule{crcErrors, framesLost, transitTSO, squeezedCore, smallMTU, savingGovernor, sleepyCPU} {
		if hits := r.look(s); len(hits) > 0 {
			e["also seen"] = r.code
			h.cause = r.title + " (" + r.code + "): " + hits[0].message
			h.fix = "first: " + orElse(hits[0].fix, r.fix)
			break
		}
	}
	return h
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func gbit(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) + " Gbit/s" }

const modelSource = "computed: 256-byte USB4 packets, 4084 bytes of payload per 4096-byte frame"

// The answers of throughput.
var (
	creditWindow = &rule{
		code: "credit-window", severity: finding.Warning, title: "The receive credits of one path are the limit",
		explain: "The receiving router grants a link a number of credits, each for one packet of 256 bytes on the way. When all are out, the sender waits for them to come back. With the driver's 14 credits that ends near 12 Gbit/s on AMD, whatever the cable could carry. Of what is known this explains best why 40 Gbit/s links of AMD mini PCs carry 11 or 12; that a vendor caps the rate, nothing shows.",
		cause:   "too few receive credits for the way there and back, or an equal limit of the controller per DMA ring; only raising the credits tells which",
		source:  "drivers/thunderbolt/tunnel.c (TB_DMA_CREDITS 14, limited by the router); credits swept on Intel by riverscn/thunderbolt-net-dkms; two rings of one cable carry 24 Gbit/s where one carries 12 on Strix Halo (hellas-ai/thunderbolt-ibverbs); 11.8 on 7940HS (F. Lin, 2024)",
		proof:   "the rate rises with dma_credits and not with more streams; as root, the credits of the receive path in /sys/kernel/debug/thunderbolt/*/port*/path (bits 17 to 23 of dword 0)",
	}
	linkIsLimit = &rule{
		code: "link-is-the-limit", severity: finding.Info, title: "The link carries what it can",
		explain: "The measured rate is what the trained link can carry. More needs a better trained link, not another setting.",
		cause:   "the trained speed", fix: "if the link is not trained at 2 lanes of 20 Gbit/s, see trained-10x1, trained-10x2 or trained-one-lane", gain: "as these say",
		source: modelSource,
	}
	controllerIsLimit = &rule{
		code: "controller-is-the-limit", severity: finding.Info, title: "The controller carries what it can on one path",
		explain: "The measured rate is what others reach with such a controller and as many receive credits as it grants. One cable carries no more with today's driver.",
		cause:   "receive credits are at the router's maximum", fix: "none for one cable: a second cable to the same peer adds a path of its own for further streams", gain: "twice the rate for several streams",
		source: "credits swept on Intel by riverscn/thunderbolt-net-dkms: flat from 12 credits on, and more than the router grants broke the link",
	}
	beyondLink = &rule{
		code: "beyond-the-link", severity: finding.Warning, title: "More was measured than the link can carry",
		explain: "The link as it is trained now can't carry what was measured. It was trained better then, or the packets took another way.",
		cause:   "the link retrained since the measurement, or the measurement ran over another interface", fix: "measure again now, between the addresses of this link; if the link was faster before, replug it", gain: "figures that belong together",
		source: modelSource,
	}
	belowLimits = &rule{
		code: "below-every-limit", severity: finding.Warning, title: "Slower than any known limit of the link",
		explain: "Neither the trained speed nor the credits of the receive path explain the measured rate. Something in the machines holds it back: a core, packet sizes, errors, or the program that measures.",
		cause:   "not seen in this machine: the receive core of the other one, the measuring program, or a limit nobody has described yet",
		fix:     "measure with 4 streams (`iperf3 -P 4`) and watch `mpstat -P ALL 1` on both ends: a rate that grows with streams means one core, one that does not means a path", gain: "depends on what it is",
		source: modelSource + "; bands are what others measured on such controllers",
	}
	_ = register([]*rule{creditWindow, linkIsLimit, controllerIsLimit, beyondLink, belowLimits})
)

// defaultCredits tells about credits where nobody measured.
var defaultCredits = &rule{
	code: "default-credits", severity: finding.Info, title: "Receive credits are at the driver's default",
	explain: "The router could grant a link more receive credits than the driver asks for. Whether that makes it faster shows only a measurement.",
	cause:   "the driver's default is 14 for all controllers", gain: "on AMD up to 27 Gbit/s instead of 12 by a linear model; nobody has published this test",
	source: "drivers/thunderbolt/tunnel.c (dma_credits); AMD routers announce 32 (dmesg of 438:20e)", proof: "measure, then `usb4mesh diagnose --measured RATE`",
	look: func(s subject) []hit {
		f := familyOf(s.controller)
		n, settable := credits(&s.in.Hardware)
		if f == nil || n >= f.MaxCredits || s.link.Gbps() < 20 || !settable {
			return nil
		}
		return []hit{{message: fmt.Sprintf("%d receive credits where the router grants %d", n, f.MaxCredits), evidence: map[string]string{"thunderbolt/parameters/dma_credits": strconv.Itoa(n)},
			fix: fmt.Sprintf("if a measurement ends near %s: on both machines, %s", gbit(f.PerCredit*float64(n)), s.system.parameter(fmt.Sprintf("thunderbolt.dma_credits=%d", f.MaxCredits)))}}
	},
}
