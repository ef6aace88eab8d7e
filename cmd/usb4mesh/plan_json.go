package main

import (
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// The JSON form of a plan is a promise (docs/cli.md): fields are added, never
// renamed or removed.
type (
	planJSON struct {
		Mesh   string      `json:"mesh"`
		MTU    int         `json:"mtu"`
		Nodes  []nodeJSON  `json:"nodes"`
		Cables []cableJSON `json:"cables"`
		Proof  *proofJSON  `json:"proof,omitempty"`
	}
	nodeJSON struct {
		Name           string       `json:"name"`
		Machine        string       `json:"machine,omitempty"`
		Identity       []string     `json:"identity"`
		IdentityReason string       `json:"identity_reason,omitempty"`
		Links          []linkJSON   `json:"links"`
		Routes         []routeJSON  `json:"routes"`
		Rules          []ruleJSON   `json:"rules"`
		Sysctls        []sysctlJSON `json:"sysctls"`
	}
	linkJSON struct {
		Interface string        `json:"interface"`
		Port      string        `json:"port"`
		Path      string        `json:"path"`
		Adapter   int           `json:"adapter,omitempty"`
		Peer      string        `json:"peer"`
		Cable     string        `json:"cable"`
		MTU       int           `json:"mtu"`
		Addresses []addressJSON `json:"addresses"`
		Reason    string        `json:"reason"`
	}
	addressJSON struct {
		Local string `json:"local"`
		Peer  string `json:"peer,omitempty"`
	}
	routeJSON struct {
		Destination string `json:"destination"`
		Interface   string `json:"interface"`
		Via         string `json:"via,omitempty"`
		Metric      int    `json:"metric"`
		Table       any    `json:"table"` // "main" or a number
		Source      string `json:"source"`
	}
	ruleJSON struct {
		Incoming string `json:"incoming"`
		Table    any    `json:"table"`
		Priority int    `json:"priority"`
		Family   string `json:"family"`
	}
	sysctlJSON struct {
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	cableJSON struct {
		Name      string   `json:"name"`
		Endpoints []string `json:"endpoints"`
		Addresses []string `json:"addresses,omitempty"`
		Speed     int      `json:"speed"`
		Reason    string   `json:"reason"`
	}
	proofJSON struct {
		Cables      int         `json:"cables"`
		Cases       int         `json:"cases"`
		Delivered   int         `json:"delivered"`
		Lost        int         `json:"lost"`
		Looped      int         `json:"looped"`
		LongestPath int         `json:"longest_path"`
		Unprotected [][2]string `json:"unprotected"`
		Bridges     []string    `json:"bridges"`
		Nodes       []string    `json:"articulation_nodes"`
	}
)

func tableJSON(t mesh.Table) any {
	if t == mesh.MainTable {
		return t.String()
	}
	return int(t)
}

func planToJSON(p *mesh.Plan) planJSON {
	out := planJSON{Mesh: p.Mesh, MTU: p.MTU, Nodes: []nodeJSON{}, Cables: []cableJSON{}, Proof: proofToJSON(p)}
	for i := range p.Nodes {
		out.Nodes = append(out.Nodes, nodeToJSON(&p.Nodes[i]))
	}
	for _, c := range p.Cables {
		cj := cableJSON{Name: c.Name, Endpoints: []string{c.Ends[0].String(), c.Ends[1].String()}, Speed: c.Speed, Reason: c.Reason}
		for _, a := range c.Addresses {
			cj.Addresses = append(cj.Addresses, a.String())
		}
		out.Cables = append(out.Cables, cj)
	}
	return out
}

func nodeToJSON(n *mesh.NodePlan) nodeJSON {
	nj := nodeJSON{
		Name: n.Name, Machine: n.Machine, IdentityReason: n.IdentityReason,
		Identity: []string{}, Links: []linkJSON{}, Routes: []routeJSON{}, Rules: []ruleJSON{}, Sysctls: []sysctlJSON{},
	}
	for _, a := range n.Identity {
		nj.Identity = append(nj.Identity, a.String())
	}
	for _, l := range n.Links {
		lj := linkJSON{
			Interface: l.Interface, Port: l.Port.Name, Path: l.Port.Path, Adapter: l.Port.Adapter,
			Peer: l.Peer, Cable: l.Cable, MTU: l.MTU, Addresses: []addressJSON{}, Reason: l.Reason,
		}
		for _, a := range l.Addresses {
			aj := addressJSON{Local: a.Local.String()}
			if a.Peer.IsValid() {
				aj.Peer = a.Peer.String()
			}
			lj.Addresses = append(lj.Addresses, aj)
		}
		nj.Links = append(nj.Links, lj)
	}
	for _, r := range n.Routes {
		rj := routeJSON{Destination: r.Destination.String(), Interface: r.Interface, Metric: r.Metric, Table: tableJSON(r.Table), Source: r.Source.String()}
		if r.Via.IsValid() {
			rj.Via = r.Via.String()
		}
		nj.Routes = append(nj.Routes, rj)
	}
	for _, r := range n.Rules {
		nj.Rules = append(nj.Rules, ruleJSON{Incoming: r.Incoming, Table: tableJSON(r.Table), Priority: r.Priority, Family: r.Family()})
	}
	for _, s := range n.Sysctls {
		nj.Sysctls = append(nj.Sysctls, sysctlJSON{Path: s.Path, Value: s.Value})
	}
	return nj
}

func proofToJSON(p *mesh.Plan) *proofJSON {
	f := p.Proof
	if f.Cases == 0 {
		return nil
	}
	out := &proofJSON{
		Cables: f.Cables, Cases: f.Cases, Delivered: f.Delivered, Lost: f.Lost, Looped: f.Looped, LongestPath: f.LongestPath,
		Unprotected: [][2]string{}, Bridges: emptyNotNull(f.Bridges), Nodes: emptyNotNull(f.ArticulationNodes),
	}
	for _, u := range f.Unprotected {
		out.Unprotected = append(out.Unprotected, [2]string{u.From, u.To})
	}
	return out
}
