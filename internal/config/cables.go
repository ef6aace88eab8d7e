package config

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func (r *reader) readCables(v *value) {
	names := map[string]*value{} // of cables named by hand
	used := map[mesh.Endpoint]*value{}
	for i, cv := range v.list() {
		c := mesh.Cable{Name: cableName(i)}
		if name := cv.get("name"); name.str() != "" {
			c.Name = name.text
			r.checkCableName(name, names, i, len(v.items))
		}
		if s := cv.get("speed"); s != nil {
			c.Speed = s.number
		}
		c.Ends = r.readEnds(cv.get("endpoints"), used)
		c.Addresses = r.readCableAddresses(cv.get("addresses"))
		r.cluster.Cables = append(r.cluster.Cables, c)
	}
}

// checkCableName reports a name that another cable has, or that is the number of
// another cable.
func (r *reader) checkCableName(name *value, names map[string]*value, i, n int) {
	if first := names[name.text]; first != nil {
		r.report(name, finding.New(duplicateCable, "the cable at line %d is called %s too", first.node.Line, quote(name.text)).
			Hinted("choose another name"))
		return
	}
	names[name.text] = name
	if j, err := strconv.Atoi(name.text); err == nil && j >= 1 && j <= n && j != i+1 && cableName(j-1) == name.text {
		r.report(name, finding.New(duplicateCable, "%s is the number of another cable", quote(name.text)).
			Hinted("choose a name that is no number"))
	}
}

// readEnds reads the endpoints of one cable; used remembers the taken ports.
func (r *reader) readEnds(v *value, used map[mesh.Endpoint]*value) (ends [2]mesh.Endpoint) {
	for i, ev := range v.list() {
		if i == len(ends) || !ev.ok {
			continue
		}
		e := &ends[i]
		e.Node, e.Port, _ = strings.Cut(ev.text, ":")
		if i == 1 && e.Node == ends[0].Node {
			r.report(ev, finding.New(selfCable, "the cable joins node %s with itself", quote(e.Node)).
				Hinted("name the node at the other end"))
			continue
		}
		n, ok := r.nodes[e.Node]
		if !ok {
			r.reportUnknownNode(ev, e.Node)
			continue
		}
		if e.Port == "" {
			continue
		}
		if f, bad := r.unknownPort(n, e.Port); bad {
			r.report(ev, f)
			continue
		}
		if first := used[*e]; first != nil {
			r.report(ev, finding.New(portUsedTwice, "port %s has a cable already, at line %d", quote(e.String()), first.node.Line).
				Hinted("%s", r.otherPorts(n, e.Node, used)))
			continue
		}
		used[*e] = ev
	}
	return ends
}

// otherPorts is a hint that names the ports of node n still free.
func (r *reader) otherPorts(n int, name string, used map[mesh.Endpoint]*value) string {
	var free []string
	for _, p := range r.cluster.Nodes[n].Ports {
		if used[mesh.Endpoint{Node: name, Port: p.Name}] == nil {
			free = append(free, p.Name)
		}
	}
	if len(free) == 0 {
		return "a port takes one cable; choose another port"
	}
	return "a port takes one cable; not named so far: " + strings.Join(free, ", ")
}

// reportUnknownNode reports a name that no node has, unless it may be the name of
// a node that could not be read.
func (r *reader) reportUnknownNode(v *value, name string) {
	if r.nameless || len(r.cluster.Nodes) == 0 {
		return
	}
	f := finding.New(unknownNode, "there is no node %s", quote(name))
	if r.full() {
		r.report(v, f)
		return
	}
	var names []string
	for _, n := range r.cluster.Nodes {
		if n.Name != "" {
			names = append(names, n.Name)
		}
	}
	if near := finding.Suggest(name, names); len(near) > 0 {
		f = f.Hinted("did you mean %q?", near[0])
	} else {
		f = f.Hinted("%s", listed("the nodes are: ", names, "list the node under nodes"))
	}
	r.report(v, f)
}

// unknownPort reports a port that node n does not have. Ports of machines from
// the catalogue, and ports that could not be read, are not judged here.
func (r *reader) unknownPort(n int, port string) (f finding.Finding, bad bool) {
	node := r.cluster.Nodes[n]
	if len(node.Ports) == 0 {
		return f, false
	}
	var names []string
	for _, p := range node.Ports {
		if p.Name == port {
			return f, false
		}
		names = append(names, p.Name)
	}
	f = finding.New(unknownPort, "node %s has no port %s", quote(node.Name), quote(port))
	if r.full() {
		return f, true
	}
	if near := finding.Suggest(port, names); len(near) > 0 {
		return f.Hinted("did you mean %q?", node.Name+":"+near[0]), true
	}
	return f.Hinted("%s", listed("its ports are: ", names, "")), true
}

// listed joins a few names for a hint.
func listed(lead string, names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	if len(names) > 12 {
		names = append(names[:12:12], "...")
	}
	return lead + strings.Join(names, ", ")
}

// readCableAddresses returns two addresses or none.
func (r *reader) readCableAddresses(v *value) []netip.Addr {
	var out []netip.Addr
	for _, av := range v.list() {
		if !av.ok {
			continue
		}
		a := netip.MustParseAddr(av.text)
		if len(out) == 1 && a.Is4() != out[0].Is4() {
			r.report(av, finding.New(mixedFamilies, "%s and %s are of different families", out[0], a).
				Hinted("give both ends an IPv4 address, or both an IPv6 address"))
		}
		r.use(a, av)
		for _, p := range r.cluster.Identity {
			if p.Contains(a) {
				r.report(av, finding.New(addressInPool, "%s lies in the identity pool %s", a, p).
					Hinted("take addresses of cables from another range"))
			}
		}
		out = append(out, a)
	}
	if len(out) != 2 {
		return nil
	}
	return out
}
