package config

import (
	"cmp"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

var (
	badFile = kind("bad-file", "Not the path of a file",
		"Settings of the agent name files by their whole path, such as /etc/usb4mesh/mesh.key: the agent is started from wherever its service manager likes. Secrets stand in files of their own and never in the cluster file, which may be read by everybody.")
	badListen = kind("bad-listen", "Not an address to listen at",
		"The agent's metrics are served at an address and a port, such as 127.0.0.1:9469 or [::1]:9469; the word none turns them off. Names are not looked up. Whoever reaches the address can read them, so keep it on this machine or on a network that you trust.")
)

// none is the word by which something is turned off; off itself is a truth value to
// many readers of YAML.
const none = "none"

// Ports that packages gossip and remote use where the file names none.
const gossipPort, benchPort = 7946, 7947

var agentRule = &rule{
	types:  mapping,
	doc:    "Settings of the agents, the same on every node.",
	sample: "{key: /etc/usb4mesh/mesh.key}",
	keys: []key{
		{"liveness", false, &rule{types: words, kind: badValue, enum: []string{mesh.LivenessNormal, mesh.LivenessFast, mesh.LivenessOff}, sample: mesh.LivenessFast,
			doc: "How fast a silent link is noticed. normal: after 150 ms. fast: after 60 ms, on a real-time thread. none: links are not watched."}},
		{"gossip", false, &rule{types: words, kind: badValue, enum: []string{"encrypted", "plain", none}, sample: "encrypted",
			doc: "How the nodes tell each other which links are down. encrypted with a key that all have; plain, so that whoever reaches the port may speak; none: not at all."}},
		{"key", false, &rule{types: words, kind: badFile, explain: checkFile, sample: "/etc/usb4mesh/mesh.key",
			doc: "File with the keys of gossip, one a line, the same on every node. /etc/usb4mesh/mesh.key if left out."}},
		{"metrics", false, &rule{types: words, kind: badListen, explain: checkListen, sample: `"127.0.0.1:9469"`,
			doc: "Address of /metrics, /healthz and /status.json, or none. 127.0.0.1:9469 if left out."}},
		{"latency", false, &rule{types: number, kind: badNumber, min: 1, max: 10000, sample: "100",
			doc: "How long a processor may take to wake up, in microseconds: small values make the mesh answer faster and cost power. As the machine likes if left out."}},
		{"bench", false, &rule{types: words, kind: badValue, enum: []string{"encrypted", none}, sample: "encrypted",
			doc: "Whether agents make the measurements of usb4mesh bench. encrypted: for who has the key; without one, for nobody. none: not at all."}},
		{"ports", false, &rule{types: mapping, doc: "Ports, where others need the usual ones.", sample: "{gossip: 7946}", keys: []key{
			{"gossip", false, &rule{types: number, kind: badNumber, min: 1, max: 65535, sample: "7946", doc: "Port of gossip, UDP and TCP. 7946 if left out."}},
			{"bench", false, &rule{types: number, kind: badNumber, min: 1, max: 65535, sample: "7947", doc: "Port at which agents are asked for measurements, TCP. 7947 if left out."}},
			{"bfd", false, &rule{types: number, kind: badNumber, min: 1, max: 65535, sample: "3784", doc: "Port of BFD. 3784 if left out, which is that of RFC 5881."}},
		}}},
	},
}

func checkFile(s string) (problem, hint string) {
	if !strings.HasPrefix(s, "/") || path.Clean(s) != s || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return clip(s) + " is not the whole path of a file", "write, for example, /etc/usb4mesh/mesh.key"
	}
	return "", ""
}

func checkListen(s string) (problem, hint string) {
	if s == none {
		return "", ""
	}
	if a, err := netip.ParseAddrPort(s); err != nil || a.Port() == 0 || a.Addr().Zone() != "" {
		return clip(s) + " is not an address with a port", `write, for example, "127.0.0.1:9469", or none`
	}
	return "", ""
}

func (r *reader) readAgent(v *value) {
	a := &r.cluster.Agent
	a.Liveness = v.get("liveness").str()
	a.Gossip = v.get("gossip").str()
	a.Key = v.get("key").str()
	a.Metrics = v.get("metrics").str()
	if l := v.get("latency"); l != nil && l.ok {
		a.Latency = l.number
	}
	if b := v.get("bench").str(); b == none {
		a.Bench = mesh.BenchOff
	}
	ports := v.get("ports")
	if p := ports.get("gossip"); p != nil && p.ok {
		a.GossipPort = p.number
	}
	if p := ports.get("bench"); p != nil && p.ok {
		a.BenchPort = p.number
	}
	if p := ports.get("bfd"); p != nil && p.ok {
		a.BFDPort = p.number
	}
	if a.Bench == "" && a.Gossip != mesh.GossipOff && cmp.Or(a.GossipPort, gossipPort) == cmp.Or(a.BenchPort, benchPort) {
		r.report(ports, finding.New(badNumber, "gossip and measurements both use TCP port %d", cmp.Or(a.BenchPort, benchPort)).Hinted("give one of them another port, or turn measurements off: `bench: none`"))
	}
	if key := v.get("key"); key != nil && (a.Gossip == mesh.GossipPlain || a.Gossip == mesh.GossipOff) {
		r.report(key, finding.New(conflictingKeys, "a key is named, and gossip is %s", a.Gossip).Hinted("delete one of the two"))
	}
}

// formatAgent writes the settings that are not left to their defaults.
func formatAgent(b *strings.Builder, a mesh.AgentSettings) {
	if a == (mesh.AgentSettings{}) {
		return
	}
	b.WriteString("\nagent:\n")
	for _, s := range []struct{ key, value string }{{"liveness", a.Liveness}, {"gossip", a.Gossip}, {"key", a.Key}, {"metrics", a.Metrics}, {"bench", a.Bench}} {
		if s.value != "" {
			b.WriteString("  " + s.key + ": " + quoted(s.value) + "\n")
		}
	}
	if a.Latency != 0 {
		b.WriteString("  latency: " + strconv.Itoa(a.Latency) + "\n")
	}
	var ports []string
	if a.GossipPort != 0 {
		ports = append(ports, "gossip: "+strconv.Itoa(a.GossipPort))
	}
	if a.BenchPort != 0 {
		ports = append(ports, "bench: "+strconv.Itoa(a.BenchPort))
	}
	if a.BFDPort != 0 {
		ports = append(ports, "bfd: "+strconv.Itoa(a.BFDPort))
	}
	if len(ports) > 0 {
		b.WriteString("  ports: {" + strings.Join(ports, ", ") + "}\n")
	}
}
