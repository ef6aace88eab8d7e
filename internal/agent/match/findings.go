package match

import "github.com/usb4mesh/usb4mesh/internal/finding"

func kind(code string, severity finding.Severity, title, explain string) *finding.Kind {
	return finding.Register(finding.Kind{Code: code, Severity: severity, Title: title, Explain: explain})
}

var (
	stranger = kind("stranger-at-port", finding.Error, "A machine that is not in the plan is cabled to a port of the mesh",
		"The peer at this port is called otherwise than planned, or its router's UUID is not one that the planned node told of. Its interface gets no address of the mesh, and every packet from it or to it is dropped. If the machine was replaced or renamed, change the cluster file on all nodes; if you do not know it, pull the cable.")
	wrongPort = kind("cable-at-wrong-port", finding.Error, "A cable leads to another node than planned",
		"The peer at this port is a node of the mesh, but the plan has another one there. The interface stays out of the mesh, since routes over it would lead elsewhere than computed. Move the plug, or change the cluster file; `usb4mesh discover --plan` says what to move.")
	unplannedPort = kind("cable-at-unplanned-port", finding.Warning, "A node is cabled to a port that the plan does not use",
		"The cable works, but the plan knows nothing of it, so it carries nothing. Add it to the cluster file or plug it where the plan has it.")
	freePort = kind("stranger-at-free-port", finding.Info, "A machine that is not in the plan is cabled to a port that the plan does not use",
		"Such a port is free for whatever its owner likes: a laptop, a disk server. The machine may speak to this node, if somebody gives its interface addresses, but not to the mesh: nothing is forwarded between the two, and no address of the mesh is believed from there.")
	noService = kind("peer-without-service", finding.Warning, "A peer is seen, but offers no network",
		"Two Linux hosts never get a network interface until one of them has loaded the module thunderbolt_net: only then is the network announced, and the other loads it by itself. The agent loads no modules; its systemd unit does, and `/etc/modules-load.d` can.")
)
