package survey

import "github.com/usb4mesh/usb4mesh/internal/finding"

// Kinds of findings of a survey.
var (
	pairFailed = finding.Register(finding.Kind{
		Code: "bench-failed", Severity: finding.Error, Title: "A pair could not be measured",
		Explain: "The client on one node did not finish a test with the server on the other. Often the pair does not reach " +
			"each other (ping its identity), a firewall drops the port, or usb4mesh is missing there. The message has what " +
			"the program on the node said.",
	})
	smallMTU = finding.Register(finding.Kind{
		Code: "bench-small-mtu", Severity: finding.Warning, Title: "Packets of the planned size do not get through",
		Explain: "A packet of the planned MTU, sent with Don't Fragment, did not arrive, a smaller one did. Every interface " +
			"on the way needs the planned MTU, at both ends of each cable. Where it differs TCP falls to small segments, and " +
			"what is forwarded as one large packet (TCP segmentation offload) may be dropped altogether: 16 Gbit/s directly and " +
			"5 Mbit/s through a node is how that looks. Set the MTU of the named interface as the plan says, by rendering its files anew.",
	})
	lossyCable = finding.Register(finding.Kind{
		Code: "bench-lossy-cable", Severity: finding.Warning, Title: "A cable loses packets",
		Explain: "Small probes got lost although nothing else was sent, or TCP had to repeat far more than the few per " +
			"thousand that a healthy link shows. Look at the error counters in the evidence: CRC errors speak for the cable or a " +
			"plug, missed or overrun ones for a receiver that is too slow, none of either for a filter or a queue. Replug, then " +
			"exchange the cable, and measure again.",
	})
	slowCable = finding.Register(finding.Kind{
		Code: "bench-slow-cable", Severity: finding.Warning, Title: "A cable carries less than it should",
		Explain: "The throughput between neighbours is below what links of the trained speed reach or, where no trained speed " +
			"is known, below half of the median of the mesh. The evidence says where to look: one CPU busy with softirqs " +
			"(performance governor, larger MTU), requeues (the controller's credits: thunderbolt.dma_credits on both ends), a " +
			"shaper, a link trained to fewer lanes than its cable has.",
	})
	slowTransit = finding.Register(finding.Kind{
		Code: "bench-slow-transit", Severity: finding.Warning, Title: "Forwarding through a node is slow",
		Explain: "A pair without a cable of its own reaches less than half of what the slowest cable on its way carries between " +
			"neighbours. The nodes in between forward too slowly: look for IpFragFails there (packets too large for the next hop), " +
			"a CPU busy with softirqs, or a firewall with connection tracking.",
	})
	highLatency = finding.Register(finding.Kind{
		Code: "bench-high-latency", Severity: finding.Warning, Title: "Round trips take long on an idle link",
		Explain: "Half of all small probes between neighbours took more than 0.4 ms. Healthy links show 0.05 to 0.2 ms. The usual " +
			"cause is a CPU that sleeps deeply between packets: hold it awake with pm_qos_resume_latency_us or " +
			"/dev/cpu_dma_latency, at the price of some watts (600 to 700 µs went down to 134 µs in one report).",
	})
	belowBaseline = finding.Register(finding.Kind{
		Code: "bench-below-baseline", Severity: finding.Warning, Title: "A pair is slower than it was",
		Explain: "The throughput is below four fifths of the median of what earlier surveys with equal settings stored. Something " +
			"changed: a kernel, a cable, a port, the CPU's power settings.",
	})
	unfairShare = finding.Register(finding.Kind{
		Code: "bench-unfair-share", Severity: finding.Warning, Title: "A pair gets little of its share under load",
		Explain: "With every node sending to every other at once, the pair got less than half of what is left for it if all " +
			"share the cables of their planned paths evenly. TCP does not share exactly, so small differences mean nothing; less " +
			"than half means that another flow starves it.",
	})
)
