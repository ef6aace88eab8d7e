package topology

// Request asks for the wiring of len(Ports) nodes.
type Request struct {
	Shape   string // one of Shapes
	Ports   []int  // free ports of each node
	Columns int    // of a grid or torus; 0 chooses the squarest
	Hub     int    // node at the centre of a star; -1 chooses the one with most ports
}

// Cable joins port PortA of node A with port PortB of node B.
type Cable struct{ A, PortA, B, PortB int }

// Links returns the pairs of nodes that cables join, for the measures.
func Links(cables []Cable) [][2]int {
	links := make([][2]int, len(cables))
	for i, c := range cables {
		links[i] = [2]int{c.A, c.B}
	}
	return links
}

// Wire returns the cables of a shape.
//
// Every cable has a direction of plugging: out of the lowest free port of A,
// into the highest free port of B. Three nodes with a left and a right port so
// get, as a ring or a full mesh, 1 left to 2 right, 2 left to 3 right, 3 left to
// 1 right: each node looks like every other.
//
// Errors are *UnknownShapeError, *SizeError, *RangeError, *PortsError and (of
// best) *NoShapeError. One node needs no
// cable, whatever the shape.
func Wire(r Request) ([]Cable, error) {
	for _, s := range shapes {
		if s.name == r.Shape {
			return s.wire(r)
		}
	}
	return nil, &UnknownShapeError{Shape: r.Shape}
}

// Shapes returns the names of all shapes.
func Shapes() []string {
	names := make([]string, len(shapes))
	for i, s := range shapes {
		names[i] = s.name
	}
	return names
}

// Feasible returns the shapes, best apart, that the ports of a request allow.
func Feasible(r Request) []string {
	var names []string
	for _, s := range shapes {
		if s.name == best {
			continue
		}
		if _, err := s.wire(r); err == nil {
			names = append(names, s.name)
		}
	}
	return names
}

// Plug gives the links of a wiring ports, as Wire does for shapes. The error is a *PortsError.
func Plug(w Wiring, ports []int) ([]Cable, error) {
	return plug(Request{Shape: w.Name, Ports: ports}, w.Links)
}

// plug gives the ends of each pair ports: the lowest free one where it leaves,
// the highest free one where it arrives.
func plug(r Request, pairs [][2]int) ([]Cable, error) {
	need := make([]int, len(r.Ports))
	for _, p := range pairs {
		need[p[0]]++
		need[p[1]]++
	}
	if err := enough(r, func(node int) int { return need[node] }); err != nil {
		return nil, err
	}
	low := make([]int, len(r.Ports))
	high := append([]int(nil), r.Ports...)
	cables := make([]Cable, len(pairs))
	for i, p := range pairs {
		a, b := p[0], p[1]
		high[b]--
		cables[i] = Cable{A: a, PortA: low[a], B: b, PortB: high[b]}
		low[a]++
	}
	return cables, nil
}

// enough checks that every node has the ports it needs.
func enough(r Request, need func(node int) int) error {
	var short []Shortage
	for node, have := range r.Ports {
		if need := need(node); need > have {
			short = append(short, Shortage{Node: node, Need: need, Have: have})
		}
	}
	if short != nil {
		return &PortsError{Shape: r.Shape, Short: short}
	}
	return nil
}
