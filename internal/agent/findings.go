package agent

import "github.com/usb4mesh/usb4mesh/internal/finding"

func kind(code string, severity finding.Severity, title, explain string) *finding.Kind {
	return finding.Register(finding.Kind{Code: code, Severity: severity, Title: title, Explain: explain})
}

var (
	configUnread = kind("config-unread", finding.Error, "The cluster file can't be read",
		"The agent needs the cluster file of its mesh, the same on every node. Check the path and who may read it.")
	configRejected = kind("config-rejected", finding.Error, "A changed cluster file is not used",
		"The agent was told to read the cluster file again, and it has errors. The plan from before stays in force, so nothing breaks now; after a reboot there would be no plan. `usb4mesh check` shows all errors.")
	notInPlan = kind("node-not-in-plan", finding.Error, "This machine is not in the cluster file",
		"The agent finds itself in the cluster file by its host name, without domain, or by the name given with --node.")

	linkDown = kind("link-down", finding.Warning, "A planned link carries nothing",
		"The cable is not plugged, or the peer's interface is not up: a peer that is switched off looks like this. Traffic takes the ways that are left.")
	linkDead = kind("link-dead", finding.Error, "A link has carrier, and nobody answers",
		"Both ends are plugged and the driver says that the link is up, but packets do not pass, in one direction at least. Known causes are a hung peer and defects of the driver. Traffic takes the ways that are left, the agent tries to heal the link step by step, and says when only hands help. A link that answers again is used when it has done so for half a second, and for longer if it dies again and again, up to ten seconds: then try another cable or port.")
	linkKept = kind("last-link-kept", finding.Error, "A link is used although nobody answers over it",
		"There is no other way to some nodes, and silence alone is no proof: a doubtful link is better than none.")
	peerAbsent = kind("peer-agent-absent", finding.Info, "The agent of a peer does not answer",
		"The peer's kernel answers over the link, so the link is fine, but no agent answers there: it is being restarted, or was stopped. A silent failure of this link would be noticed late.")
	replugNeeded = kind("replug-needed", finding.Error, "A cable must be replugged by hand",
		"The agent has set the interface down and up and bound the driver anew, and the link still carries nothing. On many machines only replugging the cable, at one end, helps then; it is known of links whose peer was rebooted.")

	kernelRefuses = kind("kernel-refuses", finding.Error, "The kernel refuses a change",
		"The agent tries again with every turn. Often something else holds the place: a route with the same destination and metric, an interface with the planned name.")
	kernelDiffers = kind("kernel-differs", finding.Error, "The kernel does not hold what was applied",
		"A change was accepted and is not there afterwards. Something else changes it at the same time.")
	kernelBusy = kind("kernel-busy", finding.Warning, "The kernel does not answer",
		"A driver holds the lock under which all network configuration is changed; the driver of a dead USB4 port does so for about ten seconds. No route can be changed meanwhile, but packets are steered past dead links, and by the ways that are left when cables elsewhere fail; that needs no lock.")
	kernelLacks = kind("kernel-lacks-settings", finding.Info, "The kernel does not have all settings",
		"Some settings of the plan are not in this kernel, or hidden from this container. The mesh works without; a replug may lose packets for up to a second.")
	noSteering = kind("no-steering", finding.Warning, "Packets can't be steered past dead links at once",
		"That is done with nf_tables, which this kernel lacks or the agent may not use (CAP_NET_ADMIN). A link that dies silently is left when the routes are changed, which takes longer while a driver holds the kernel's lock.")
	noGuard = kind("no-guard", finding.Warning, "Strangers are kept out by settings alone",
		"A packet filter (nf_tables) refuses what comes from machines that are not of the mesh, also where another manager sets their interface up. This kernel lacks it, or the agent may not use it (CAP_NET_ADMIN). What is left is that such an interface forwards no IPv4 and has no IPv6, until somebody changes that.")
	outsideRefused = kind("outside-refused", finding.Warning, "A machine that is not of the mesh sent packets as if it were",
		"A machine at a USB4 port that the plan does not use sent packets with an address of the mesh, or packets that were to pass through this node into the mesh. They were refused, and so is what the mesh would send there. A node that is plugged into the wrong port does this as well. Machines at such ports may speak to this node alone, with addresses of their own.")
	peerDenies = kind("peer-denies-cable", finding.Error, "The machine at a port is not the one that it says it is, or that one has no network there",
		"Over the cable a machine gives the name of the planned peer, and a router UUID that may be the peer's. But the peer itself, which has the key of the mesh, says that nothing is plugged there, or another machine. So somebody pretends to be the peer, or the peer's driver has made no interface. Nothing from there can belong to the mesh, and every packet from there is dropped until the two agree.")
	foreignChanges = kind("foreign-changes", finding.Warning, "Something else undoes the agent's changes",
		"Addresses, routes, settings or the nftables table of the mesh were removed several times. The agent restores them, but ever less often, so that two managers do not fight at full speed. Tell the other one to leave the interfaces tbt-* and umesh0 alone, and thunderbolt*, which is their name before the agent gives them theirs: `unmanaged-devices` of NetworkManager, `denyinterfaces` of dhcpcd, no .network file of systemd-networkd that matches them.")

	gossipOff = kind("gossip-off", finding.Warning, "The nodes do not tell each other which links are down",
		"Gossip needs a key file, the same on every node, or `gossip: plain` in the cluster file. Without it every node only knows its own links: a single cut is survived all the same, a second one may not be.")
	benchOff = kind("bench-off", finding.Info, "Other nodes can't have this node measured",
		"`usb4mesh bench` asks the agents, at a TCP port of their identities. This agent can't listen there: another program may hold the port. Everything else works.")
	livenessOff = kind("liveness-off", finding.Warning, "Links are not watched",
		"BFD does not run, so a link that has carrier and carries nothing is not noticed. Another BFD daemon on this machine may hold the port.")
	livenessStranger = kind("bfd-stranger", finding.Warning, "BFD packets that no peer of the plan sends",
		"Packets were thrown away that did not come from the peer at the other end of the cable, or were malformed. Nothing of them was used.")
	livenessProblem = kind("bfd-problem", finding.Warning, "A link can't be watched as it should",
		"The message says what stands in the way.")
	planDiffers = kind("plan-differs", finding.Error, "A node runs another plan",
		"Nodes whose cluster files differ compute different routes, and packets may go round between them. Copy the same file to all nodes and reload: `systemctl reload usb4mesh`.")
	nodeGone = kind("node-gone", finding.Warning, "A node is not heard of",
		"Its agent has ended, it has no power, or no way leads there.")
	untuned = kind("not-tuned", finding.Info, "Something that makes the mesh faster could not be set",
		"Interrupts of the USB4 controllers, the latency of the processors' sleep and offloads of ports are set as far as the agent may. Without that the mesh works, and is slower. The unit of the package hands the files in question to the agent.")
	stateUnwritten = kind("state-unwritten", finding.Info, "The agent can't remember",
		"The folder for what outlives the agent can't be written. Peers are then known by their names only, after a restart.")
)
