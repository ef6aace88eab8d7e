package cabling

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Comparison is how the cables that are plugged differ from those that are planned.
type Comparison struct {
	Good     []string // names of planned cables that are as planned
	Misplugs []Misplug
	Missing  []string // planned cables of which neither end is in use
	Unseen   []string // planned cables between machines that were not scanned
	Extra    []string // plugged cables of which no end is planned
	Moves    []Move   // in this order they mend the cabling
	Findings []finding.Finding
}

// Clean reports whether everything is as planned.
func (c Comparison) Clean() bool { return len(c.Moves) == 0 && !finding.HasErrors(c.Findings) }

// Misplug is a planned cable that is not where it should be.
type Misplug struct {
	Cable   string    // name in the plan
	Planned [2]string // node:port
	Actual  [2]string // what each planned port is cabled to instead; "" for nothing
}

func (m Misplug) String() string {
	var is []string
	for i, a := range m.Actual {
		if a == "" {
			is = append(is, m.Planned[i]+" is empty")
		} else {
			is = append(is, m.Planned[i]+" goes to "+a)
		}
	}
	return fmt.Sprintf("cable %s should join %s and %s; %s", m.Cable, m.Planned[0], m.Planned[1], strings.Join(is, ", "))
}

// Move is one thing to do with the hands.
type Move struct {
	Kind string // swap: exchange the plugs in From and To; move: a plug; plug, unplug: a cable
	From string // node:port
	To   string // "" of an unplug
}

func (m Move) String() string {
	switch m.Kind {
	case "swap":
		return fmt.Sprintf("swap the plugs in %s and %s", m.From, m.To)
	case "move":
		return fmt.Sprintf("move the plug from %s to %s", m.From, m.To)
	case "unplug":
		return "unplug the cable in " + m.From
	}
	return fmt.Sprintf("plug a cable between %s and %s", m.From, m.To)
}

// Against compares the cables that are plugged with a plan. Machines are known by
// host name, of which the first label counts; ports by PCI path and adapter.
func Against(c Cabling, p mesh.Plan, ports map[string][]mesh.Port) Comparison {
	c = c.renamed(ports)
	var out Comparison
	want := map[string]string{}
	for _, cable := range p.Cables {
		a, b := cable.Ends[0].String(), cable.Ends[1].String()
		want[a], want[b] = b, a
	}
	names := out.portNames(c, ports)
	plugged := map[string]string{} // node:port -> node:port, both ways
	join := func(a, b string) { plugged[a], plugged[b] = b, a }
	name := func(e End) string { return cmp.Or(names[e.place()], e.String()) }
	for _, cable := range settle(c.Cables, name, want) {
		if names[cable.Ends[0].place()] == "" && names[cable.Ends[1].place()] == "" {
			out.Extra = append(out.Extra, fmt.Sprintf("%s - %s", cable.Ends[0], cable.Ends[1]))
			continue
		}
		join(name(cable.Ends[0]), name(cable.Ends[1]))
	}
	for _, s := range c.Strangers {
		a := names[s.End.place()]
		_, planned := ports[s.Peer.Name]
		switch {
		case a == "":
		case planned && strings.HasPrefix(want[a], s.Peer.Name+":"):
			join(a, want[a]) // a node that was not scanned: its port can't be seen
		case planned:
			join(a, outsider+s.Peer.Name)
		default:
			join(a, fmt.Sprintf("%s%s (%s)", outsider, s.Peer.Name, s.System))
			out.Findings = append(out.Findings, finding.New(stranger, "%s is cabled to %q, which is not in the plan", a, s.Peer.Name).Hinted("scan that machine too, or unplug it"))
		}
	}
	for _, cable := range p.Cables {
		a, b := cable.Ends[0], cable.Ends[1]
		if !c.scanned(a.Node) && !c.scanned(b.Node) {
			out.Unseen = append(out.Unseen, cable.Name)
			join(a.String(), b.String()) // nothing speaks against it
		}
	}
	out.compare(p, want, plugged)
	return out
}

func (c Cabling) scanned(node string) bool {
	return slices.ContainsFunc(c.Machines, func(h mesh.Hardware) bool { return h.Node == node })
}

// renamed returns the cabling with host names as the plan has them: node1 for
// Node1.example.org.
func (c Cabling) renamed(ports map[string][]mesh.Port) Cabling {
	planned := func(host string) string {
		if _, ok := ports[host]; ok {
			return host
		}
		if _, ok := ports[nodeName(host)]; ok {
			return nodeName(host)
		}
		return host
	}
	c.Machines, c.Cables, c.Strangers = slices.Clone(c.Machines), slices.Clone(c.Cables), slices.Clone(c.Strangers)
	for i := range c.Machines {
		c.Machines[i].Node = planned(c.Machines[i].Node)
	}
	for i := range c.Cables {
		for j := range c.Cables[i].Ends {
			c.Cables[i].Ends[j].Node = planned(c.Cables[i].Ends[j].Node)
		}
	}
	for i := range c.Strangers {
		c.Strangers[i].End.Node, c.Strangers[i].Peer.Name = planned(c.Strangers[i].End.Node), planned(c.Strangers[i].Peer.Name)
	}
	return c
}

// outsider starts the name of an end that is no port of the plan.
const outsider = "machine "

// settle chooses, among cables that look alike, the ends that the plan has: where
// two cables join the same two routers, any pairing is as likely as the planned one.
func settle(cables []Cable, name func(End) string, want map[string]string) []Cable {
	out := slices.Clone(cables)
	same := func(a, b End) bool { return a.Node == b.Node && a.PCI == b.PCI }
	for i := range out {
		for j := range out {
			a, b := &out[i], &out[j]
			if i == j || a.Confidence != Guess || b.Confidence != Guess || !same(a.Ends[0], b.Ends[0]) || !same(a.Ends[1], b.Ends[1]) {
				continue
			}
			if want[name(a.Ends[0])] == name(b.Ends[1]) {
				a.Ends[1], b.Ends[1] = b.Ends[1], a.Ends[1]
			}
		}
	}
	return out
}

// portNames maps places to the plan's names of ports, and reports machines and ports
// that the plan does not know.
func (out *Comparison) portNames(c Cabling, ports map[string][]mesh.Port) map[End]string {
	names := map[End]string{}
	for _, h := range c.Machines {
		planned, ok := ports[h.Node]
		if !ok {
			out.Findings = append(out.Findings, finding.New(unplannedHost, "%q is not a node of the plan", h.Node).Hinted("nodes are known by host name; the plan has %s", strings.Join(slices.Sorted(maps.Keys(ports)), ", ")))
			continue
		}
		found := map[string]bool{}
		for _, k := range h.Controllers {
			for _, adapter := range adapters(h, k) {
				for _, p := range planned {
					if p.Path == "pci-"+k.PCI && (p.Adapter == 0 || p.Adapter == adapter) {
						names[End{h.Node, k.PCI, adapter, ""}] = h.Node + ":" + p.Name
						found[p.Name] = true
					}
				}
			}
		}
		for _, p := range planned {
			if !found[p.Name] {
				out.Findings = append(out.Findings, finding.New(absentPort, "%s:%s should be at %s, and %s has no such controller", h.Node, p.Name, p.Path, h.Node).
					Hinted("`usb4mesh discover` on %s lists its controllers; correct the path in the cluster file", h.Node))
			}
		}
	}
	for _, node := range slices.Sorted(maps.Keys(ports)) {
		if !c.scanned(node) {
			out.Findings = append(out.Findings, finding.New(notScanned, "nothing is known of node %q", node).Hinted("run `usb4mesh discover --json` there and give its answer too"))
		}
	}
	return names
}

// adapters lists the ports of a controller: as the kernel shows them, and those in use.
func adapters(h mesh.Hardware, k mesh.Controller) []int {
	var all []int
	for _, p := range k.Ports {
		all = append(all, p.Adapter)
	}
	for _, l := range h.Links {
		if l.PCI == k.PCI && !slices.Contains(all, l.Port) {
			all = append(all, l.Port)
		}
	}
	return all
}

// compare names what differs and the moves that mend it.
func (out *Comparison) compare(p mesh.Plan, want, plugged map[string]string) {
	for _, c := range p.Cables {
		a, b := c.Ends[0].String(), c.Ends[1].String()
		switch {
		case slices.Contains(out.Unseen, c.Name):
		case plugged[a] == b:
			out.Good = append(out.Good, c.Name)
		case plugged[a] == "" && plugged[b] == "":
			out.Missing = append(out.Missing, c.Name)
		default:
			out.Misplugs = append(out.Misplugs, Misplug{c.Name, [2]string{a, b}, [2]string{plugged[a], plugged[b]}})
		}
	}
	out.Moves = moves(p, want, maps.Clone(plugged))
	for _, m := range out.Misplugs {
		out.Findings = append(out.Findings, finding.New(misplugged, "%s", m))
	}
	for _, name := range out.Missing {
		i := slices.IndexFunc(p.Cables, func(c mesh.CablePlan) bool { return c.Name == name })
		out.Findings = append(out.Findings, finding.New(missingCable, "cable %s between %s and %s is not there", name, p.Cables[i].Ends[0], p.Cables[i].Ends[1]).
			Hinted("plug it; if it is plugged, look at both ports with `usb4mesh diagnose`"))
	}
}

// moves finds what to do with the hands, one planned cable after the other. Each
// move brings a cable where it belongs and none away from there. Where there is a
// choice, a move within one machine is the easier.
func moves(p mesh.Plan, want, at map[string]string) []Move {
	var out []Move
	for _, c := range p.Cables {
		a, b := c.Ends[0].String(), c.Ends[1].String()
		if at[a] == b {
			continue
		}
		choice := candidates(a, b, at)
		best := choice[max(0, slices.IndexFunc(choice, Move.local))]
		out = append(out, best)
		at = best.apply(at)
	}
	// What is left over in planned ports is in the way of nothing, but not planned.
	for _, port := range slices.Sorted(maps.Keys(at)) {
		if other := at[port]; other != "" && want[port] == "" && want[other] != "" && want[other] != port {
			out = append(out, Move{"unplug", other, ""})
			delete(at, other)
			delete(at, port)
		}
	}
	return out
}

// candidates lists the moves that join ports a and b.
func candidates(a, b string, at map[string]string) []Move {
	var out []Move
	for _, end := range [][2]string{{a, b}, {b, a}} {
		here, there := end[0], end[1]
		far := at[here] // the plug at far belongs to there
		switch {
		case far == "" || strings.HasPrefix(far, outsider):
		case at[there] == "":
			out = append(out, Move{"move", far, there})
		default:
			out = append(out, Move{"swap", min(far, there), max(far, there)})
		}
	}
	if len(out) == 0 {
		out = append(out, Move{"plug", a, b})
	}
	return out
}

// apply returns at after the move.
func (m Move) apply(at map[string]string) map[string]string {
	join := func(a, b string) {
		if a == "" || b == "" {
			delete(at, a)
			delete(at, b)
			return
		}
		at[a], at[b] = b, a
	}
	switch m.Kind {
	case "plug":
		for _, port := range []string{m.From, m.To} { // a stranger's cable goes
			delete(at, at[port])
		}
		join(m.From, m.To)
	case "move":
		other := at[m.From]
		delete(at, m.From)
		join(other, m.To)
	case "swap":
		x, y := at[m.From], at[m.To]
		if x == m.To { // both plugs of one cable
			return at
		}
		join(x, m.To)
		join(y, m.From)
	}
	return at
}

func (m Move) local() bool {
	a, _, _ := strings.Cut(m.From, ":")
	b, _, _ := strings.Cut(m.To, ":")
	return a == b
}

var (
	misplugged = finding.Register(finding.Kind{
		Code: "misplugged-cable", Severity: finding.Error, Title: "A cable is not where the plan has it",
		Explain: "Interfaces get their names and addresses by port, so a cable in the wrong port gives the address of one peer to another: packets for one node go to a machine that does not expect them. The answer lists the moves that mend it, each of which brings a cable where it belongs.",
	})
	missingCable = finding.Register(finding.Kind{
		Code: "missing-cable", Severity: finding.Error, Title: "A planned cable is not there",
		Explain: "Both ports of the cable are empty, or no host answered through it. A cable that is in and silent shows as handshake-stuck in `usb4mesh diagnose`.",
	})
	unplannedHost = finding.Register(finding.Kind{
		Code: "unplanned-host", Severity: finding.Error, Title: "The machine is not in the plan",
		Explain: "Nodes of a plan are known by their host names. Either the name in the cluster file differs from the machine's, or the machine does not belong to this mesh.",
	})
	absentPort = finding.Register(finding.Kind{
		Code: "absent-port", Severity: finding.Error, Title: "A port of the plan does not exist on the machine",
		Explain: "The cluster file, or the catalogue, has a PCI path at which this machine has no USB4 controller. Files rendered for that port match nothing.",
	})
	notScanned = finding.Register(finding.Kind{
		Code: "node-not-scanned", Severity: finding.Warning, Title: "A node was not looked at",
		Explain: "The plan has a node of which no scan was given. Its cables are only seen from their other ends.",
	})
	stranger = finding.Register(finding.Kind{
		Code: "stranger", Severity: finding.Warning, Title: "A machine that is not in the plan is plugged in",
		Explain: "A peer behind a planned port is none of the machines that were scanned. It may be a node that was not scanned, a replaced machine, or somebody else's.",
	})
)
