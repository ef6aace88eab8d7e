package config

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Parse reads a cluster file. The name is used for positions and headers only;
// nothing is opened.
//
// The findings are sorted by place; if none is an error the Cluster is complete.
// Otherwise it holds what could be read: Nodes and Cables keep the indices they
// have in the file, elements that could not be read have empty fields, and nodes
// with errors in them are marked Incomplete. Parse never panics, needs memory
// and time linear in the file, and reads at most 1 MiB.
func Parse(name string, src []byte) (mesh.Cluster, []finding.Finding) {
	c := mesh.Cluster{Source: name, MTU: mesh.DefaultMTU}
	t := newText(name, src)
	if t.checkBytes(src) {
		if root := t.tree(); root != nil {
			r := reader{text: t, cluster: &c, nodes: map[string]int{}, addresses: map[netip.Addr]*value{}}
			r.read(t.check("", nil, root, table))
		}
	}
	return c, t.done()
}

// reader turns checked values into a Cluster and compares them with each other.
type reader struct {
	*text
	cluster   *mesh.Cluster
	root      *value
	nodes     map[string]int        // index of the first node of a name
	nameless  bool                  // a node's name could not be read
	addresses map[netip.Addr]*value // who uses an address first
}

func (r *reader) read(root *value) {
	r.root = root
	r.cluster.Name = root.get("mesh").str()
	if mtu := root.get("mtu"); mtu != nil && mtu.ok {
		r.cluster.MTU = mtu.number
	}
	r.readPools(root.get("identity"))
	r.readNodes(root.get("nodes"))
	r.readTopology(root.get("topology"))
	r.readCables(root.get("cables"))
	r.readAgent(root.get("agent"))
	r.checkAddressing()
	for i := range r.cluster.Nodes {
		r.cluster.Nodes[i].Incomplete = r.broken[i]
	}
}

func (r *reader) readNodes(v *value) {
	for i, nv := range v.list() {
		n := mesh.Node{
			Name:     nv.get("name").str(),
			Machine:  nv.get("machine").str(),
			Ports:    r.readPorts(nv.get("ports")),
			Identity: r.readIdentity(nv.get("identity")),
			Format:   nv.get("format").str(),
			Settings: readSettings(nv.get("settings")),
		}
		r.readName(nv.get("name"), i)
		r.cluster.Nodes = append(r.cluster.Nodes, n)
	}
	if len(v.list()) == 1 {
		r.report(v, finding.New(oneNode, "the mesh has only one node").Hinted("add the machines at the other ends of the cables"))
	}
}

// readName makes node i known by its name, even one that is no valid name.
func (r *reader) readName(v *value, i int) {
	if v == nil || v.text == "" {
		r.nameless = true
		return
	}
	if first, ok := r.nodes[v.text]; ok {
		line := r.root.get("nodes").items[first].get("name").node.Line
		r.report(v, finding.New(duplicateNode, "node %s is already listed at line %d", quote(v.text), line).
			Hinted("give this node a name of its own"))
		return
	}
	r.nodes[v.text] = i
}

func (r *reader) readPorts(v *value) []mesh.Port {
	if v == nil {
		return nil
	}
	var ports []mesh.Port
	type place struct {
		path    string
		adapter int
	}
	taken := map[place]*value{}
	for _, pv := range v.fields {
		p := mesh.Port{Name: pv.name(), Path: pv.get("path").str()}
		a := pv.get("adapter")
		if a != nil {
			p.Adapter = a.number
		}
		ports = append(ports, p)
		if p.Path == "" || a != nil && !a.ok {
			continue
		}
		other := taken[place{p.Path, p.Adapter}]
		if other == nil && p.Adapter != 0 {
			other = taken[place{p.Path, 0}]
		}
		if other == nil && p.Adapter == 0 {
			other = taken[place{p.Path, -1}] // any adapter
		}
		if other != nil {
			r.report(pv.get("path"), finding.New(samePath, "port %s has the same path as port %s", pv.name(), other.name()).
				Hinted("correct the path, or give each of the two its own adapter: 1 and 3 on Intel"))
			continue
		}
		taken[place{p.Path, p.Adapter}] = pv
		if p.Adapter != 0 {
			taken[place{p.Path, -1}] = pv
		}
	}
	return ports
}

func readSettings(v *value) mesh.Settings {
	var s mesh.Settings
	s.Link = readSections(v.get("link"))
	s.Network = readSections(v.get("network"))
	if sysctl := v.get("sysctl"); sysctl != nil {
		s.Sysctl = map[string]string{}
		for _, f := range sysctl.fields {
			if f.ok {
				s.Sysctl[f.name()] = f.text
			}
		}
	}
	return s
}

// readSections flattens sections to settings in file order; a list gives its key
// several times.
func readSections(v *value) []mesh.Setting {
	if v == nil {
		return nil
	}
	var out []mesh.Setting
	for _, section := range v.fields {
		for _, f := range section.fields {
			for _, one := range append([]*value{f}, f.items...) {
				if one.ok && one.isScalar() {
					out = append(out, mesh.Setting{Section: section.name(), Key: f.name(), Value: one.text})
				}
			}
		}
	}
	return out
}

func (r *reader) readTopology(v *value) {
	if v == nil || !v.ok {
		return
	}
	topo := &r.cluster.Topology
	if topo.Shape = v.text; topo.Shape != "" {
		return
	}
	topo.Shape = v.get("shape").str()
	if c := v.get("columns"); c != nil {
		topo.Columns = c.number
		r.checkOption(c, topo.Shape, "grid", "torus")
	}
	if hub := v.get("hub"); hub != nil {
		topo.Hub = hub.str()
		r.checkOption(hub, topo.Shape, "star")
		if _, ok := r.nodes[topo.Hub]; !ok && topo.Hub != "" {
			r.reportUnknownNode(hub, topo.Hub)
		}
	}
}

// checkOption reports an option of the topology that its shape does not have; belongs are
// the shapes that have it.
func (r *reader) checkOption(v *value, shape string, belongs ...string) {
	if shape != "" && !slices.Contains(belongs, shape) {
		r.add(finding.New(optionWithoutShape, "%s is an option of the shape %s, not of %s", v.name(), strings.Join(belongs, " and "), shape).
			Hinted("delete it, or choose the shape %s", belongs[0]).At(v.path), r.span(v.key))
	}
}

// cableName is the name of a cable that has none in the file.
func cableName(i int) string { return strconv.Itoa(i + 1) }
